"""``rarewave fit``: learn what is usual in some recordings."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import uuid4

import typer

from pipelines.cli.options import (
    BaselineOption,
    Device,
    DeviceOption,
    InputsArgument,
    Kind,
    parse_interval,
)
from pipelines.cli.terminal import complain, plain, progress_on_stderr
from pipelines.errors import ModelError, RarewaveError

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
    _check_place(out, force)
    from pipelines.config import Settings, read_settings
    from pipelines.inputs import resolve_inputs

    settings = read_settings(config) if config else Settings()
    entries = resolve_inputs(inputs)
    from pipelines.model import fit_model
    from pipelines.model_folder import save_model

    recordings, refused = _readable(entries, kind.value)
    with progress_on_stderr() as progress:
        model = fit_model(
            recordings,
            kind.value,
            baseline=interval,
            use_annotations=use_annotations,
            settings=settings,
            seed=seed,
            device=device.value,
            progress=progress,
        )
    with _placed(out) as folder:
        save_model(model, folder)
    typer.echo(
        f"{plain(out)}: {kind.value.upper()} model of {model.n_fitted} windows from "
        f"{len(recordings)} recording{'s'[: len(recordings) != 1]} "
        f"({model.n_trimmed} windows left out as unusual), threshold {model.threshold:.4g}"
    )
    return 2 if refused else 0


def _readable(
    entries: Sequence[InputRecording], kind: Literal["ecg", "eeg"]
) -> tuple[list[Recording], int]:
    """Open the recordings that can be used and name the others; raise if none can."""
    from pipelines.extraction import choose_channels
    from pipelines.readers import read_recording

    recordings, refused = [], []
    for entry in entries:
        try:
            recording = read_recording(entry.path)
            choose_channels(recording, kind)
        except RarewaveError as error:
            refused.append((entry.recording_id, error))
        else:
            recordings.append(recording)
    if not recordings:
        raise refused[0][1]
    for name, reason in refused:
        complain(f"left out {name}: {reason}")
    return recordings, len(refused)


def _check_place(out: Path, force: bool) -> None:
    """Refuse a place where saving would overwrite something that is not asked to go."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    is_model = (out / "manifest.json").is_file() and (out / "model.safetensors").is_file()
    if not is_model:
        raise ModelError(f"{out} exists and is no model folder; give --out a new folder")
    if not force:
        raise ModelError(f"{out} is a model already; give --out a new folder, or add --force")


@contextmanager
def _placed(out: Path) -> Iterator[Path]:
    """Give a temporary folder beside `out` that takes its place when all went well."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{uuid4().hex}.part")
    replaced = temporary.with_suffix(".old")
    try:
        yield temporary
        if out.exists():
            out.rename(replaced)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
