"""``rarewave dashboard``: the review workstation, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from pipelines.cli.options import REVIEWS_VARIABLE, ReviewsOption
from pipelines.errors import RunError

EXAMPLE = "Example: rarewave dashboard runs/ward --port 8600"
_RUNS = ("run.json", "*/run.json", "*/*/run.json")
LOOPBACK, PORT = "127.0.0.1", 8501


def command(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]",
            help="Folder that score wrote, or a folder of such folders; by default runs.",
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = PORT,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; by default this machine only.")
    ] = LOOPBACK,
    reviews: ReviewsOption = None,
) -> int:
    """Serve the review workstation until it is interrupted."""
    if run is not None and not any(next(run.glob(p), None) for p in _RUNS):
        raise RunError(
            f"{run} is not a run folder (no run.json); make one with "
            "'rarewave score MODEL INPUT --out RUN'"
        )
    return serve(run, port, host, reviews)


def serve(run: Path | None, port: int, host: str, reviews: str | None = None) -> int:
    """Run ``python -m app`` as a child, pass SIGTERM and SIGHUP on, and return its exit code.

    ``-P`` keeps a folder called ``app`` in the working directory from being run instead. The URL
    of the review logs goes to the child in its environment: arguments can be seen by everybody.
    """
    environment = dict(os.environ)
    if reviews is not None or REVIEWS_VARIABLE in os.environ:
        environment[REVIEWS_VARIABLE] = _checked(reviews)
    words = [sys.executable, "-P", "-m", "app"]
    words += [] if run is None else [str(run.absolute())]
    child = subprocess.Popen([*words, "--port", str(port), "--host", host], env=environment)

    def pass_on(signum: int, frame: FrameType | None) -> None:
        child.send_signal(signum)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGHUP, pass_on)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the child as well
    code = child.wait()
    return code if code >= 0 else 128 - code


def _checked(reviews: str | None) -> str:
    """Return the URL of the review logs once the database there answers; empty: there is none."""
    from pipelines.store import given_url, server_at

    server = server_at(reviews)
    if server is not None:
        server.is_ready()
        server.close()
    return given_url(reviews) or ""
