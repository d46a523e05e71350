"""``rarewave fit``: learn what is usual in some recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines.cli.options import (
    BaselineOption,
    Device,
    DeviceOption,
    InputsArgument,
    Kind,
    parse_interval,
)
from pipelines.cli.placing import check_place, placed
from pipelines.cli.terminal import complain, plain, progress_on_stderr
from pipelines.errors import RarewaveError

if TYPE_CHECKING:
    from pipelines.inputs import InputRecording
    from pipelines.recording import Recording

EXAMPLE = "Example: rarewave fit ward/night.edf --kind eeg --baseline 0:600 --out models/night"


def command(
    inputs: InputsArgument,
    kind: Annotated[Kind, typer.Option("--kind", help="The signal to look at.")],
    out: Annotated[Path, typer.Option("--out", metavar="MODEL", help="Folder of the model.")],
    use_annotations: Annotated[
        bool,
        typer.Option(
            "--use-annotations",
            help="Leave out windows that touch an abnormal annotation stored with the recording.",
        ),
    ] = False,
    baseline: BaselineOption = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE.toml", help="Settings of the fit.")
    ] = None,
    device: DeviceOption = Device.auto,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same model.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing MODEL.")] = False,
) -> int:
    """Learn what is usual in recordings; with --baseline only from that part of each (seconds)."""
    interval = parse_interval(baseline)
    check_place(out, force)
    from pipelines.config import Settings, read_settings
    from pipelines.inputs import resolve_inputs

    settings = read_settings(config) if config else Settings()
    entries = resolve_inputs(inputs)
    from pipelines.model import fit_model
    from pipelines.model_folder import save_model

    recordings, used, refused = _readable(entries, kind.value)
    with progress_on_stderr() as progress:
        model = fit_model(
            recordings,
            kind.value,
            patients=[entry.patient_id for entry in used],
            stated_patients=[entry.patient_id for entry in used if entry.patient_stated],
            baseline=interval,
            use_annotations=use_annotations,
            settings=settings,
            seed=seed,
            device=device.value,
            progress=progress,
        )
    with placed(out) as folder:
        save_model(model, folder)
    typer.echo(
        f"{plain(out)}: {kind.value.upper()} model of {model.n_fitted} windows from "
        f"{len(recordings)} recording{'s'[: len(recordings) != 1]} "
        f"({model.n_trimmed} windows left out as unusual), threshold {model.threshold:.4g}"
    )
    return 2 if refused else 0


def _readable(
    entries: Sequence[InputRecording], kind: Literal["ecg", "eeg"]
) -> tuple[list[Recording], list[InputRecording], int]:
    """Open the recordings that can be used, with their entries; raise if none can.

    The others are named on stderr and counted.
    """
    from pipelines.signals.extraction import choose_channels

    recordings, used, refused = [], [], []
    for entry in entries:
        try:
            recording = entry.open()
            choose_channels(recording, kind)
        except RarewaveError as error:
            refused.append((entry.recording_id, error))
        else:
            recordings.append(recording)
            used.append(entry)
    if not recordings:
        raise refused[0][1]
    for name, reason in refused:
        complain(f"left out {name}: {reason}")
    return recordings, used, len(refused)
