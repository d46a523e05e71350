"""``rarewave export``: hand a run on in another format."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import ReviewsOption
from pipelines.cli.terminal import plain

EXAMPLE = "Example: rarewave export runs/ward --format html --to reports --only accepted"


class Only(StrEnum):
    """Which segments are written."""

    accepted = "accepted"
    flagged = "flagged"
    all = "all"


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that score wrote.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv, parquet, edf, wfdb, bids, szcore, html, pdf or fhir.",
        ),
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to write into.")],
    only: Annotated[Only, typer.Option("--only", help="Which segments.")] = Only.flagged,
    reviews: ReviewsOption = None,
) -> None:
    """Write the segments of a run for other programs or for people."""
    from pipelines.exports import export_run

    for path in export_run(run, form, to, only.value, reviews=reviews):
        typer.echo(plain(path))
