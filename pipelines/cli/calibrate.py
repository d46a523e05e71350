"""``rarewave calibrate``: set a model's threshold by what patients may expect of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import (
    BaselineOption,
    Device,
    DeviceOption,
    parse_interval,
)
from pipelines.cli.placing import check_place, placed
from pipelines.cli.terminal import complain, plain, progress_on_stderr
from pipelines.errors import ModelError

EXAMPLE = (
    "Example: rarewave calibrate models/ward others/*.edf --per-day 24 --risk 0.1 "
    "--out models/ward24"
)


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that fit wrote.")],
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="RECORDING", help="Files, folders, globs or a manifest CSV."),
    ],
    per_day: Annotated[
        float, typer.Option("--per-day", metavar="X", help="False events a day to tolerate.")
    ],
    risk: Annotated[
        float, typer.Option("--risk", metavar="A", help="Share of patients that may see more.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="MODEL2", help="Folder of the result.")],
    baseline: BaselineOption = None,
    use_annotations: Annotated[
        bool,
        typer.Option(
            "--use-annotations",
            help="Do not count events that an annotation of the recording calls abnormal.",
        ),
    ] = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures here.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    device: DeviceOption = Device.auto,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing MODEL2.")] = False,
) -> int:
    """Set the threshold so that few patients see more than X false events a day.

    The patients must be like those of the later use, and none may have served to fit MODEL.
    """
    interval = parse_interval(baseline)
    if out.absolute().resolve() == model.absolute().resolve():
        raise ModelError("--out is MODEL itself, which stays as it is; give a new folder")
    check_place(out, force)
    from pipelines.calibration.procedure import calibrate_model
    from pipelines.model_folder import save_model
    from pipelines.run_folder import write_json

    with progress_on_stderr() as progress:
        result = calibrate_model(
            model,
            inputs,
            per_day=per_day,
            risk=risk,
            baseline=interval,
            use_annotations=use_annotations,
            workers=workers,
            device=device.value,
            progress=progress,
        )
    with placed(out) as folder:
        save_model(result.model, folder)
    for name, reason in result.quarantined:
        complain(f"set aside {name}: {reason}")
    if json_path is not None:
        aside = [{"recording_id": n, "reason": reason} for n, reason in result.quarantined]
        write_json(json_path.absolute(), {**result.promise.to_json(), "set_aside": aside})
    typer.echo(result.promise.sentence)
    typer.echo(result.promise.tested_length)
    typer.echo(f"{plain(out)}: threshold {result.promise.threshold:.4g}")
    return 2 if result.quarantined else 0
