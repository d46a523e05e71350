"""Side files of a BIDS recording: ``channels.tsv`` (types, status) and ``events.tsv``."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipelines.channel_names import printable
from pipelines.errors import RecordingError
from pipelines.readers.bids_names import entities_of, is_data_set
from pipelines.recording import MAX_DURATION_S, Annotation, Channel, ChannelKind, Recording

_KINDS: dict[str, ChannelKind] = {
    **dict.fromkeys(("EEG", "ECOG", "SEEG", "DBS"), "eeg"),
    **dict.fromkeys(("EOG", "HEOG", "VEOG"), "eog"),
    "ECG": "ecg",
    "EMG": "emg",
    "RESP": "resp",
}
_MOST_BYTES = 64 << 20
_MOST_LEVELS = 4
_SAME_MOMENT_S = 0.005
_MISSING = ("", "n/a")


def with_sidecars(recording: Recording, path: Path) -> None:
    """Add to `recording`, which was read from `path`, what its side files say.

    ``channels.tsv`` settles the type of the channels that it lists and marks bad ones; rows of
    ``events.tsv`` become annotations, but for those that the recording itself holds. Side files
    further up apply if their name holds no entity that the recording lacks; the nearest counts.
    Those in the folder of the recording become part of its `files`.

    Raises
    ------
    RecordingError
        If a side file is malformed.
    """
    channels, events = _side_file(path, "channels"), _side_file(path, "events")
    if channels is not None:
        recording.channels = _typed(recording.channels, channels)
    if events is not None:
        found = list(recording.annotations)
        known = {(a.description, round(a.onset / _SAME_MOMENT_S)) for a in found}
        for event in _events(events):
            moment = round(event.onset / _SAME_MOMENT_S)
            if not {(event.description, moment + i) for i in (-1, 0, 1)} & known:
                found.append(event)
        recording.annotations = tuple(sorted(found, key=lambda a: a.onset))
    extra = [file for file in (channels, events) if file and file.parent == path.parent]
    recording.files = tuple(dict.fromkeys((*recording.files, *extra)))


def _side_file(path: Path, kind: str) -> Path | None:
    """Return the side file of one kind that applies to the recording at `path`."""
    wanted = entities_of(path.stem)
    for folder in path.parents[:_MOST_LEVELS]:
        fitting = [
            file
            for file in folder.glob(f"*_{kind}.tsv")
            if entities_of(file.stem).items() <= wanted.items()
        ]
        if fitting:
            return max(fitting, key=lambda file: (len(entities_of(file.stem)), file.name))
        if is_data_set(folder):
            return None
    return None


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield the rows of a tab-separated table."""
    if path.stat().st_size > _MOST_BYTES:
        raise RecordingError(f"{path.name} is larger than {_MOST_BYTES >> 20} MiB; shorten it")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise RecordingError(f"{path.name} is not UTF-8 text; save it again as such") from error
    reader = csv.DictReader(lines, delimiter="\t", restval="", quoting=csv.QUOTE_NONE)
    missing = [name for name in needed if name not in (reader.fieldnames or ())]
    if missing:
        raise RecordingError(
            f"{path.name} has no column {missing[0]!r}; BIDS asks for {', '.join(needed)}"
        )
    for row in reader:
        yield {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}


def _typed(channels: tuple[Channel, ...], path: Path) -> tuple[Channel, ...]:
    listed = {row["name"]: row for row in _rows(path, ("name", "type"))}
    found = []
    for channel in channels:
        row = listed.get(channel.label) or listed.get(channel.name)
        if row is not None:
            kind = _KINDS.get(row["type"].upper(), "misc")
            bad = channel.is_bad or row.get("status", "").lower() == "bad"
            channel = replace(channel, kind=kind, is_bad=bad)
        found.append(channel)
    return tuple(found)


def _events(path: Path) -> Iterator[Annotation]:
    for number, row in enumerate(_rows(path, ("onset", "duration")), start=2):
        onset = _seconds(row["onset"])
        if onset is None:
            raise RecordingError(
                f"{path.name} line {number} has {row['onset'][:20]!r} as its onset, where seconds "
                "are needed; correct the line or remove it"
            )
        words = [row.get(key, "") for key in ("trial_type", "value")]
        text = next((printable(word) for word in words if word not in _MISSING), "event")
        yield Annotation(onset, max(0.0, _seconds(row["duration"]) or 0.0), text)


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= MAX_DURATION_S else None
