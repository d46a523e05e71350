"""``rarewave dashboard``: the review workstation, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

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
) -> int:
    """Serve the review workstation until it is interrupted."""
    if run is not None and not any(next(run.glob(p), None) for p in _RUNS):
        raise RunError(
            f"{run} is not a run folder (no run.json); make one with "
            "'rarewave score MODEL INPUT --out RUN'"
        )
    return serve(run, port, host)


def serve(run: Path | None, port: int, host: str) -> int:
    """Run ``python -m app`` as a child, pass SIGTERM and SIGHUP on, and return its exit code.

    ``-P`` keeps a folder called ``app`` in the working directory from being run instead.
    """
    words = [sys.executable, "-P", "-m", "app"]
    words += [] if run is None else [str(run.absolute())]
    child = subprocess.Popen([*words, "--port", str(port), "--host", host])

    def pass_on(signum: int, frame: FrameType | None) -> None:
        child.send_signal(signum)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGHUP, pass_on)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the child as well
    code = child.wait()
    return code if code >= 0 else 128 - code
