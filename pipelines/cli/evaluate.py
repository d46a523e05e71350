"""``rarewave evaluate``: hold a run to labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: rarewave evaluate runs/ward --json ward.json --labels ward_labels.csv"


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that score wrote.")],
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write all figures here.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="CSV",
            help=(
                "recording_id,onset_s,offset_s,label. Stretches, or only the unusual heartbeats "
                "(moments): recordings without a row have no events. Heartbeats with the usual "
                "ones: recordings without a row are left out."
            ),
        ),
    ] = None,
) -> None:
    """Compare a run with the annotations stored with its recordings, or with a label table."""
    from pipelines.evaluation import evaluate_run, format_evaluation
    from pipelines.run_folder import write_json

    result = evaluate_run(run, labels)
    if json_path is not None:
        write_json(json_path.absolute(), result)
    typer.echo(format_evaluation(result))
