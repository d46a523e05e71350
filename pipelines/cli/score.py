"""``rarewave score``: score recordings with a model, into a run folder."""

from __future__ import annotations

import gc
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import (
    BaselineOption,
    Device,
    DeviceOption,
    InputsArgument,
    parse_interval,
)
from pipelines.cli.terminal import complain, plain, progress_on_stderr

EXAMPLE = "Example: rarewave score models/night ward/*.edf --out runs/ward --workers 4"
_OBJECTS = 50_000
"""New objects after which Python looks for garbage. What scoring loads is half a million objects
that stay: at Python's own 700 the search takes a fifth of the start."""


class Engine(StrEnum):
    """What spreads recordings over processors."""

    local = "local"
    ray = "ray"


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that fit wrote.")],
    inputs: InputsArgument,
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder of the results.")],
    baseline: BaselineOption = None,
    engine: Annotated[
        Engine, typer.Option("--engine", help="ray: actors, also on the cluster of RAY_ADDRESS.")
    ] = Engine.local,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    device: DeviceOption = Device.auto,
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit",
            metavar="MINUTES",
            help="Set a recording aside that takes longer (60 with several workers).",
        ),
    ] = None,
    memory_limit: Annotated[
        float | None,
        typer.Option(
            "--memory-limit", metavar="GIB", help="Set a recording aside that takes more (Linux)."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume", help="Skip recordings that are done and have not changed."
        ),
    ] = True,
) -> int:
    """Score every window of recordings and list the segments that do not fit.

    With --baseline, that part of each recording (seconds) is taken as usual for the patient.
    """
    gc.set_threshold(_OBJECTS)
    interval = parse_interval(baseline)
    from pipelines.batch import score_run
    from pipelines.batch.limits import Limits
    from pipelines.run_folder import RunFolder

    limits = Limits(
        None if time_limit is None else 60 * time_limit,
        None if memory_limit is None else int(memory_limit * 2**30),
    )
    with progress_on_stderr() as progress:
        summary = score_run(
            model,
            inputs,
            out,
            baseline=interval,
            engine=engine.value,
            workers=workers,
            device=device.value,
            limits=limits,
            resume=resume,
            progress=progress,
        )
    run = RunFolder.open(out)
    caveat = (run.manifest()["model"].get("promise") or {}).get("caveat")
    if caveat:
        complain(caveat)
    status = {entry["recording_id"]: entry for entry in run.status()}
    for recording_id in summary.done:
        entry = status[recording_id]
        typer.echo(
            f"{plain(recording_id)}: {entry['n_segments']} segments flagged "
            f"({entry['n_flagged']} of {entry['n_windows']} windows, "
            f"{entry['n_not_scorable']} not scorable)"
        )
        drift = run.drift(recording_id)
        if drift is not None and drift["differs"]:
            most = ", ".join(feature["meaning"] for feature in drift["features"][:2])
            complain(f"{recording_id}: {drift['sentence']} Most: {most}.")
    for recording_id, part in summary.kept.items():
        typer.echo(
            f"{plain(recording_id)}: stays scored against {part[0]:g}:{part[1]:g} s, which a reader "
            "confirmed (--no-resume would score it again without)"
        )
    for recording_id, part in summary.replaced.items():
        complain(
            f"{recording_id}: no longer scored against {part[0]:g}:{part[1]:g} s, which a reader "
            "had confirmed; confirm it again in the dashboard if it still holds"
        )
    for recording_id, reason in summary.quarantined:
        complain(f"quarantined {recording_id}: {reason}")
    typer.echo(
        f"{plain(out)}: {len(summary.done)} scored, {len(summary.skipped)} unchanged, "
        f"{len(summary.quarantined)} quarantined"
    )
    return 2 if summary.quarantined else 0
