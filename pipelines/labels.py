"""Abnormal stretches of recordings: from their own annotations, or from a label table."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.errors import InputError
from pipelines.label_rules import AamiClass, aami_class, is_abnormal, is_abnormal_rhythm
from pipelines.readers.wfdb_annotations import BEAT_SYMBOLS
from pipelines.recording import Annotation, Recording

__all__ = [
    "AamiClass",
    "Interval",
    "aami_class",
    "abnormal_intervals",
    "abnormal_rhythms",
    "is_abnormal",
    "read_label_table",
    "read_labels_csv",
]

_START = re.compile(r"(?<![a-z])(?:start|starts|begin|begins|beginning|onset|on)(?![a-z])", re.I)
_END = re.compile(r"(?<![a-z])(?:end|ends|stop|stops|offset|off|over)(?![a-z])", re.I)
_USUAL = frozenset({"normal", "background", "bckg", "n"})
"""Labels of stretches in which nothing happens."""
_ACCEPTED = (
    "the columns recording_id,onset_s,offset_s,label (recording_id may be left out for one "
    "recording), or time_s,symbol for heartbeats"
)


class Interval(NamedTuple):
    """A labelled stretch of a recording, in seconds on its own clock.

    A moment has equal `onset_s` and `offset_s`; ``[a, b]`` touches it if
    ``a <= offset_s and b >= onset_s``.
    """

    onset_s: float
    offset_s: float
    label: str


def abnormal_intervals(
    recording: Recording, *, include_unclassified: bool = False
) -> tuple[Interval, ...]:
    """Return what the recording's own annotations call abnormal, in order of onset.

    Parameters
    ----------
    recording : Recording
    include_unclassified : bool
        Also return beats of AAMI class Q (paced, unclassifiable), as fitting wants.

    Returns
    -------
    tuple of Interval
        An annotation with a duration gives that stretch. Moments such as "SZ START" and "SZ END"
        are joined to one stretch; one without its counterpart, and every beat, stays a moment.
    """
    chosen = []
    for annotation in recording.annotations:
        doubtful = annotation.is_beat and aami_class(annotation.description) == "Q"
        if is_abnormal(annotation) or (include_unclassified and doubtful):
            chosen.append(annotation)
    return tuple(sorted(_joined(chosen)))


def abnormal_rhythms(recording: Recording) -> tuple[Interval, ...]:
    """Return the stretches that the recording's own annotations call an arrhythmia, by onset.

    Rhythm notes of WFDB records (``"(AFIB"``), and whatever :func:`abnormal_intervals` gives a
    length.
    """
    notes = [
        Interval(a.onset, a.onset + a.duration, a.description)
        for a in recording.annotations
        if is_abnormal_rhythm(a)
    ]
    found = [*notes, *abnormal_intervals(recording)]
    return tuple(sorted(each for each in found if each.offset_s > each.onset_s))


def read_labels_csv(
    path: str | Path, recording_id: str | None = None
) -> dict[str, tuple[Interval, ...]]:
    """Read abnormal intervals from a CSV file.

    Parameters
    ----------
    path : str or pathlib.Path
        With the columns ``recording_id,onset_s,offset_s,label`` (seconds; an empty `offset_s` is a
        moment; `label` may be missing), or ``time_s,symbol``: heartbeats with their WFDB symbol.
        Of heartbeats (in the first form: moments whose label is a WFDB beat symbol) the abnormal
        ones are returned; stretches labelled "normal" or "background" are not.
    recording_id : str or None
        The recording meant where the file has no column `recording_id`.

    Returns
    -------
    dict of str to tuple of Interval
        By recording, in order of onset. A recording of which only normal beats are listed is
        present with an empty tuple.

    Raises
    ------
    InputError
        If the file cannot be read, lacks columns, or a row holds no valid times.

    Examples
    --------
    >>> read_labels_csv("sample_data/eeg_absence_480s_labels.csv")["eeg_absence_480s"][0]
    Interval(onset_s=240.51, offset_s=244.25, label='absence_seizure')
    """
    return read_label_table(path, recording_id).events


class LabelTable(NamedTuple):
    """A label table, read once.

    Attributes
    ----------
    events : dict of str to tuple of Interval
        Abnormal intervals by recording, in order of onset; see :func:`read_labels_csv`.
    beats : dict of str to tuple of Interval
        All heartbeats by recording, usual ones too, each a moment with its symbol as label; empty
        if the table lists anything but heartbeats.
    """

    events: dict[str, tuple[Interval, ...]]
    beats: dict[str, tuple[Interval, ...]]


def read_label_table(path: str | Path, recording_id: str | None = None) -> LabelTable:
    """Read a CSV file of labels: what is abnormal in it, and its heartbeats.

    Parameters and errors as of :func:`read_labels_csv`.
    """
    path = Path(path)
    events: dict[str, list[Interval]] = {}
    beats: dict[str, list[Interval]] = {}
    only_beats = True
    for line, row in _rows(path):
        name = (row.get("recording_id") or recording_id or "").strip()
        if not name:
            raise InputError(
                f"{path.name} line {line} does not say which recording it labels; "
                "add a column recording_id"
            )
        found = events.setdefault(name, [])
        interval, is_beat = _interval(path, line, row)
        only_beats = only_beats and is_beat
        if is_beat:
            beats.setdefault(name, []).append(interval)
        if _is_event(interval, is_beat):
            found.append(interval)
    return LabelTable(_sorted(events), _sorted(beats) if only_beats else {})


def _sorted(table: dict[str, list[Interval]]) -> dict[str, tuple[Interval, ...]]:
    return {name: tuple(sorted(intervals)) for name, intervals in table.items()}


def _is_event(interval: Interval, is_beat: bool) -> bool:
    """Return False for a usual heartbeat, and for a stretch in which nothing happens."""
    if is_beat:
        return is_abnormal(Annotation(interval.onset_s, 0.0, interval.label, is_beat=True))
    return interval.label.lower() not in _USUAL


def _joined(annotations: Sequence[Annotation]) -> Iterator[Interval]:
    """Yield one interval an annotation, or one for a start and the next end of the same name."""
    open_starts: dict[str, Annotation] = {}
    for annotation in annotations:
        onset, text = annotation.onset, annotation.description
        if annotation.is_beat or annotation.duration > 0:
            yield Interval(onset, onset + annotation.duration, text)
        elif _END.search(text):
            name = _name(_END, text)
            start = open_starts.pop(name, None)
            yield Interval(start.onset if start else onset, onset, name)
        elif _START.search(text):
            name = _name(_START, text)
            unclosed = open_starts.pop(name, None)
            if unclosed:
                yield Interval(unclosed.onset, unclosed.onset, name)
            open_starts[name] = annotation
        else:
            yield Interval(onset, onset, text)
    for name, start in open_starts.items():
        yield Interval(start.onset, start.onset, name)


def _name(marker: re.Pattern[str], text: str) -> str:
    """Return what starts or ends: the text without the marker word, in small letters."""
    rest = " ".join(marker.sub(" ", text).split()).lower()
    return rest.removeprefix("of ").strip(" :-")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and cells of each row, after checking the column names."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the label table {path.name} ({error.__class__.__name__}); "
            f"accepted is a UTF-8 CSV file with {_ACCEPTED}"
        ) from error
    reader = csv.DictReader(text.splitlines(), restval="", strict=False)
    columns = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    if not ({"onset_s", "offset_s"} <= set(columns) or {"time_s", "symbol"} <= set(columns)):
        raise InputError(
            f"{path.name} has the columns {', '.join(columns) or '(none)'}; needed are {_ACCEPTED}"
        )
    for row in reader:
        yield reader.line_num, {key: value for key, value in row.items() if key is not None}


def _interval(path: Path, line: int, row: dict[str, str]) -> tuple[Interval, bool]:
    """Return the interval that a row means, and whether it is a heartbeat."""
    if "symbol" in row and "onset_s" not in row:
        onset = _seconds(path, line, "time_s", row["time_s"])
        return Interval(onset, onset, row["symbol"].strip()), True
    onset = _seconds(path, line, "onset_s", row["onset_s"])
    offset = _seconds(path, line, "offset_s", row["offset_s"].strip() or row["onset_s"])
    label = row.get("label", "").strip()
    if offset < onset and label.lower() not in _USUAL:
        raise InputError(
            f"{path.name} line {line} ends at {offset:g} s, before it begins at {onset:g} s; "
            "offset_s must not be smaller than onset_s"
        )
    is_beat = onset == offset and label in BEAT_SYMBOLS
    return Interval(onset, offset, label or "labelled"), is_beat


def _seconds(path: Path, line: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise InputError(
            f"{path.name} line {line} has {text!r} as {column}; needed are seconds since the start "
            "of the recording, 0 or more"
        )
    return value
