"""``rarewave info``: what a recording holds."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import InputsArgument
from pipelines.cli.terminal import complain, plain
from pipelines.errors import RarewaveError

if TYPE_CHECKING:
    from pipelines.recording import Recording

EXAMPLE = "Example: rarewave info sample_data/*.edf"
_MOST_LINES = 12


def command(
    recordings: InputsArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> int:
    """Show channels, rates, duration, gaps and annotations of recordings."""
    from pipelines.inputs import resolve_inputs

    found, failed = [], 0
    for entry in resolve_inputs(recordings):
        try:
            found.append(
                {"recording_id": entry.recording_id, **_facts(entry.open(), entry.location)}
            )
        except RarewaveError as error:
            failed += 1
            complain(str(error))
    if as_json and found:
        typer.echo(json.dumps(found, indent=2))
    elif found:
        typer.echo("\n\n".join(_table(facts) for facts in found))
    return 0 if not failed else (2 if found else 1)


def _facts(recording: Recording, at: str) -> dict[str, Any]:
    kinds = Counter(a.description for a in recording.annotations)
    return {
        "path": at,
        "format": recording.format,
        "duration_s": recording.duration_s,
        "start_time": recording.start_time and recording.start_time.isoformat(),
        "channels": [
            {
                "name": channel.name,
                "label": channel.label,
                "type": channel.kind,
                "sfreq": channel.sfreq,
                "unit": channel.unit,
                "bad": channel.is_bad,
            }
            for channel in recording.channels
        ],
        "gaps": [{"start_s": start, "stop_s": stop} for start, stop in recording.gaps],
        "annotations": {
            "count": len(recording.annotations),
            "beats": sum(a.is_beat for a in recording.annotations),
            "kinds": dict(kinds.most_common()),
        },
    }


def _table(facts: dict[str, Any]) -> str:
    seconds = facts["duration_s"]
    lines = [
        f"{plain(facts['recording_id'])}  {facts['format']}  {_clock(seconds)} ({seconds:.1f} s)",
        f"  file         {plain(facts['path'])}",
        f"  start        {facts['start_time'] or 'not stated'}",
        f"  channels     {len(facts['channels'])}",
    ]
    groups: dict[tuple[str, float, str], list[str]] = {}
    for channel in facts["channels"]:
        key = (channel["type"], channel["sfreq"], channel["unit"])
        mark = " (bad)" if channel["bad"] else ""
        groups.setdefault(key, []).append(plain(channel["name"]) + mark)
    for (kind, sfreq, unit), names in groups.items():
        lines.append(
            f"    {kind:5}{sfreq:8g} Hz  {plain(unit):4} {len(names):3}  {' '.join(names)}"
        )
    gaps = facts["gaps"]
    missing = sum(gap["stop_s"] - gap["start_s"] for gap in gaps)
    lines.append(f"  gaps         {len(gaps)}" + (f" ({missing:.1f} s in all)" if gaps else ""))
    lines += _most(f"    {gap['start_s']:.2f} to {gap['stop_s']:.2f} s" for gap in gaps)
    annotations = facts["annotations"]
    beats = f", {annotations['beats']} of them heartbeats" if annotations["beats"] else ""
    lines.append(f"  annotations  {annotations['count']}{beats}")
    lines += _most(f"    {count:6}  {plain(text)}" for text, count in annotations["kinds"].items())
    return "\n".join(lines)


def _most(lines: Any) -> list[str]:
    every = list(lines)
    left = len(every) - _MOST_LINES
    return every if left <= 0 else [*every[:_MOST_LINES], f"    and {left} more, see --json"]


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}"
