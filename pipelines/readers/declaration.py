"""What a table of numbers cannot say by itself: its rate, its units, its types, its start.

It is declared in a JSON file of the table's name beside it, or in part by a manifest::

    {"sfreq": 250, "units": "mV", "start_time": "2024-05-01T22:00:00",
     "channels": {"II": {"type": "ecg"}, "resp": {"type": "resp", "unit": "n/a"}}}
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast, get_args

from pipelines.errors import RecordingError
from pipelines.readers.companions import text_of
from pipelines.recording import ChannelKind

MOST_HZ = 1e6
_KEYS = ("sfreq", "units", "start_time", "channels")
_CHANNEL_KEYS = ("unit", "type")
_TYPES = get_args(ChannelKind)


@dataclass(frozen=True, slots=True)
class ChannelDeclaration:
    """What is declared of one column; None where nothing is."""

    unit: str | None = None
    kind: ChannelKind | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is declared of a table; None where nothing is.

    Attributes
    ----------
    sfreq : float or None
        Rows a second.
    units : str or None
        Unit of every column that has none of its own.
    start_time : datetime.datetime or None
        Wall-clock time of the first row.
    channels : mapping of str to ChannelDeclaration
        If not empty, only these columns are signals.
    """

    sfreq: float | None = None
    units: str | None = None
    start_time: datetime | None = None
    channels: Mapping[str, ChannelDeclaration] = field(default_factory=dict)


def sidecar_of(table: Path) -> Path:
    """Return the path of the JSON file that declares `table`; it need not exist."""
    return table.with_suffix(".json")


def declared_for(table: Path, given: Declaration | None) -> Declaration:
    """Return what is declared of `table`: by its sidecar, and by `given` where that is silent.

    Raises
    ------
    RecordingError
        If the sidecar is malformed, or contradicts `given`.
    """
    given = given or Declaration()
    sidecar = sidecar_of(table)
    if not sidecar.is_file():
        return given
    found = _parse(sidecar)
    for key in ("sfreq", "units"):
        ours, theirs = getattr(found, key), getattr(given, key)
        if None not in (ours, theirs) and ours != theirs:
            raise RecordingError(
                f"{sidecar.name} declares {key} {ours!r} and the manifest {theirs!r} for "
                f"{table.name}; make them equal or remove one"
            )
    return replace(found, sfreq=found.sfreq or given.sfreq, units=found.units or given.units)


def checked_sfreq(value: object, where: str) -> float:
    """Return `value` as a sampling rate in Hz; raise :class:`RecordingError` if it is none."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= MOST_HZ:
        raise RecordingError(
            f"{where} declares {str(value)[:40]!r} as sfreq, where a number of Hz above 0 and up "
            f"to {MOST_HZ:g} is needed"
        )
    return float(value)


def _parse(path: Path) -> Declaration:
    try:
        content = json.loads(text_of(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise RecordingError(f"{path.name} is not valid JSON; correct it") from error
    content = _object(content, _KEYS, path.name)
    channels = _object(content.get("channels", {}), None, f"'channels' of {path.name}")
    sfreq, units = content.get("sfreq"), content.get("units")
    return Declaration(
        sfreq=None if sfreq is None else checked_sfreq(sfreq, path.name),
        units=None if units is None else _text(units, "units", path.name),
        start_time=_time(content.get("start_time"), path.name),
        channels={key: _channel(value, key, path.name) for key, value in channels.items()},
    )


def _channel(value: object, name: str, file: str) -> ChannelDeclaration:
    entry = _object(value, _CHANNEL_KEYS, f"the channel {name[:40]!r} of {file}")
    unit, kind = entry.get("unit"), entry.get("type")
    if kind is not None and kind not in _TYPES:
        raise RecordingError(
            f"{file} declares type {str(kind)[:40]!r} for {name[:40]!r}; accepted are "
            f"{', '.join(_TYPES)}"
        )
    text = None if unit is None else _text(unit, "unit", file)
    return ChannelDeclaration(text, cast("ChannelKind | None", kind))


def _object(value: object, keys: tuple[str, ...] | None, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RecordingError(f"{where} must be a JSON object {{...}}; see docs/formats.md")
    for key in value if keys is not None else ():
        if key not in (keys or ()):
            near = difflib.get_close_matches(key, keys or (), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(keys or ())}"
            raise RecordingError(f"{where} has the unknown key {key[:40]!r}; {hint}")
    return value


def _text(value: object, key: str, file: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise RecordingError(f"{file} declares no text as {key}; give a unit such as 'mV'")
    return value.strip()


def _time(value: object, file: str) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(str(value))
    except ValueError as error:
        raise RecordingError(
            f"{file} declares a start_time that is no ISO 8601 time; give 2024-05-01T22:00:00"
        ) from error


def number_of(text: str) -> float:
    """Return the number that `text` spells, or NaN."""
    try:
        return float(text)
    except ValueError:
        return math.nan
