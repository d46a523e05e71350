"""Where labels come from: annotations stored with the recordings, or a label table."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.label_rules import aami_class
from pipelines.labels import (
    Interval,
    abnormal_intervals,
    abnormal_rhythms,
    read_label_table,
)
from pipelines.recording import Recording
from pipelines.run_folder import RunFolder


@dataclass(frozen=True)
class Truth:
    """The labels of one recording: heartbeats, or abnormal intervals.

    Attributes
    ----------
    events : tuple of Interval
    times_s : ndarray of shape (n_beats,)
        Sorted; empty without labelled beats.
    symbols : tuple of str
        WFDB symbols of the beats.
    labelled : bool
        False if nothing at all says what this recording holds.
    others_usual : bool
        The table lists heartbeats but no usual one: whatever is not listed counts as usual.
    rhythms : tuple of Interval or None
        Stretches of arrhythmia; None if the labels say nothing of rhythms.
    """

    events: tuple[Interval, ...] = ()
    times_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    symbols: tuple[str, ...] = ()
    labelled: bool = True
    others_usual: bool = False
    rhythms: tuple[Interval, ...] | None = None


def from_annotations(run: RunFolder, recording_ids: Sequence[str]) -> dict[str, Truth]:
    """Read labels from the recordings that were scored.

    Raises
    ------
    InputError
        If none of them carries an annotation of an event or a heartbeat.
    """
    truths = {}
    for recording_id in recording_ids:
        recording = run.open_source(recording_id)
        beats = [a for a in recording.annotations if a.is_beat]
        truths[recording_id] = Truth(
            events=abnormal_intervals(recording),
            times_s=np.array([beat.onset for beat in beats]),
            symbols=tuple(beat.description for beat in beats),
            labelled=bool(recording.annotations),
            rhythms=_rhythms(recording),
        )
    if not any(truth.events or truth.symbols for truth in truths.values()):
        raise InputError(
            "no recording of this run carries a label of an event or a heartbeat; give them "
            "with --labels CSV (recording_id,onset_s,offset_s,label)"
        )
    return truths


def _rhythms(recording: Recording) -> tuple[Interval, ...] | None:
    """Return the arrhythmias of a recording, None if none of its annotations is of a rhythm."""
    found = abnormal_rhythms(recording)
    noted = any(a.description.startswith("rhythm") for a in recording.annotations)
    return found if found or noted else None


def from_table(
    path: Path, durations_s: Mapping[str, float], given: Sequence[str]
) -> dict[str, Truth]:
    """Read labels from a CSV file; a recording of the run without a row has no events.

    A table of heartbeats that lists no usual one (class N) lists the others as exceptions. One
    that lists usual beats says nothing about recordings without a row.

    Parameters
    ----------
    path : pathlib.Path
    durations_s : mapping of str to float
        Length of each scored recording.
    given : sequence of str
        Every recording that the run was given, scored or not.

    Raises
    ------
    InputError
        If a recording is not of this run, or a label lies after its end.
    """
    only = given[0] if len(given) == 1 else None
    events, beats = read_label_table(path, only)
    for name in events:
        if name not in given:
            close = difflib.get_close_matches(name, given, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise InputError(
                f"{path.name} labels the recording {name!r}, which is not in this run{hint}; "
                f"it holds {', '.join(sorted(given)[:5])}"
            )
    for name, duration_s in durations_s.items():
        for event in events.get(name, ()):
            if event.onset_s > duration_s:
                raise InputError(
                    f"{path.name} has a label of {name} at {event.onset_s:g} s, but the recording "
                    f"ends at {duration_s:g} s; labels are in seconds since its start"
                )
    symbols = {beat.label for found in beats.values() for beat in found}
    others_usual = bool(symbols) and all(aami_class(symbol) != "N" for symbol in symbols)
    return {
        name: Truth(
            events.get(name, ()),
            times_s=np.array([beat.onset_s for beat in beats.get(name, ())]),
            symbols=tuple(beat.label for beat in beats.get(name, ())),
            labelled=True,
            others_usual=others_usual,
            rhythms=None if beats else events.get(name, ()),
        )
        for name in {*events, *durations_s}
    }
