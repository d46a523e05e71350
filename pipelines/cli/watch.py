"""``rarewave watch``: score what is still being recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.options import Device, DeviceOption
from pipelines.cli.terminal import complain, plain
from pipelines.errors import InputError
from pipelines.remote.address import is_url

if TYPE_CHECKING:
    from pipelines.batch import RunSummary
    from pipelines.watching import Watched

_SHOWN = 3
EXAMPLE = "Example: rarewave watch ward/tonight.edf models/night --out runs/tonight"


def command(
    source: Annotated[
        Path, typer.Argument(metavar="RECORDING|FOLDER", help="What grows: a file or a folder.")
    ],
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that fit wrote.")],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder of the results.")],
    poll: Annotated[
        float, typer.Option("--poll", metavar="S", min=0.1, help="Seconds between two looks.")
    ] = 10.0,
    quiet: Annotated[
        float,
        typer.Option("--quiet", metavar="S", min=1, help="Unchanged for so long: it has ended."),
    ] = 120.0,
    device: DeviceOption = Device.auto,
) -> int:
    """Score a recording while it grows, or the recordings of a folder as they are finished.

    An EEG is told about 22 s late, an ECG 1050 beats late (a quarter of an hour): a beat is
    compared with those around it. What was found since is told as provisional, and not stored.
    For review, not for watching over a patient.
    """
    from pipelines.watching import watch_folder, watch_recording

    if not is_url(source) and not source.exists():
        raise InputError(f"there is no {source.name}; give a recording that has begun, or a folder")
    if source.is_dir():
        watch_folder(
            model, source, out, poll_s=poll, quiet_s=quiet, device=device.value, tell=_summary
        )
    summary = watch_recording(
        model, source, out, poll_s=poll, quiet_s=quiet, device=device.value, tell=_window
    )
    _summary(summary)
    return 0


def _window(found: Watched) -> None:
    typer.echo(
        f"{plain(found.recording_id)}: {found.recorded_s:.0f} s recorded, scored up to "
        f"{found.settled_s:.0f} s, {len(found.flagged)} new windows flagged{_provisional(found)}"
    )


def _provisional(found: Watched) -> str:
    """Say what was found after what is settled; it may turn out otherwise."""
    if not found.provisional:
        return ""
    last = ", ".join(f"{start:.1f}" for start, _ in found.provisional[-_SHOWN:])
    return f"; provisionally {len(found.provisional)} more, the last at {last} s"


def _summary(found: RunSummary) -> None:
    for recording_id in found.done:
        typer.echo(f"{plain(recording_id)}: scored as a whole")
    for recording_id, reason in found.quarantined:
        complain(f"quarantined {recording_id}: {reason}")
