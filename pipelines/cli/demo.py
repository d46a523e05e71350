"""``rarewave demo``: the whole way on the sample recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.dashboard import LOOPBACK, PORT, serve
from pipelines.cli.terminal import plain, progress_on_stderr

EXAMPLE = "Example: rarewave demo --headless"
NOTICE = "Research use only. Not a medical device."


def command(
    headless: Annotated[
        bool, typer.Option("--headless", help="Stop before serving the dashboard.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the results.")] = (
        Path("runs/demo")
    ),
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = PORT,
) -> int:
    """Fit, score and export the sample recordings, compare with their labels, then serve them."""
    from pipelines.demo import run_demo

    with progress_on_stderr() as progress:
        found = run_demo(out, progress)
    typer.echo("\n".join(map(plain, found)))
    typer.echo(f"{plain(out)}: models/, runs ecg/ and eeg/, exports/. {NOTICE}")
    if headless:
        return 0
    typer.echo(f"{plain(out)}: serving at http://{LOOPBACK}:{port}")
    return serve(out, port, LOOPBACK)
