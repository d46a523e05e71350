"""What evaluation must not judge: the part of a recording that a person had confirmed as usual.

Scores are relative to it, so that finding nothing there is no merit, and its labels are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.evaluation.truth import Truth
from pipelines.labels import Interval
from pipelines.provenance import signal_hash_of
from pipelines.rhythm.segments import is_rhythm

Part = tuple[float, float] | None
"""``(start_s, stop_s)`` of the baseline, or None."""


def windows_outside(windows: pd.DataFrame, part: Part) -> pd.DataFrame:
    """Return the windows (or segments) that share no time with the baseline."""
    if part is None:
        return windows
    return windows[(windows["stop_s"] <= part[0]) | (windows["start_s"] >= part[1])]


def segments_outside(
    segments: pd.DataFrame, windows: pd.DataFrame, part: Part, rhythm: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return segments cut down to flagged windows outside the baseline; others are dropped.

    Parameters
    ----------
    segments : pandas.DataFrame
    windows : pandas.DataFrame
        Of the whole recording.
    part : tuple of float or None
    rhythm : pandas.DataFrame, optional
        Windows of rhythm of the whole recording: segments of rhythm are cut down to these.
    """
    if part is None:
        return segments
    beats = _flagged_outside(windows, part)
    minutes = beats if rhythm is None else _flagged_outside(rhythm, part)
    rows = []
    for row in segments.to_dict("records"):
        start, stop = minutes if is_rhythm(row["segment_id"]) else beats
        own = (start >= row["start_s"]) & (stop <= row["stop_s"])
        sides = (own & (stop <= part[0]), own & (start >= part[1]))
        rows += [
            {**row, "start_s": start[side].min(), "stop_s": stop[side].max()}
            for side in sides
            if side.any()
        ]
    return pd.DataFrame(rows, columns=list(segments))


def _flagged_outside(
    windows: pd.DataFrame, part: Part
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    flagged = windows_outside(windows[windows["flagged"]], part)
    return flagged["start_s"].to_numpy(float), flagged["stop_s"].to_numpy(float)


def truth_outside(truth: Truth, part: Part) -> Truth:
    """Return labels outside the baseline; an event that reaches out of it keeps what is outside."""
    if part is None:
        return truth
    keep = (truth.times_s < part[0]) | (truth.times_s > part[1])
    return replace(
        truth,
        events=tuple(piece for event in truth.events for piece in _outside(event, part)),
        rhythms=None
        if truth.rhythms is None
        else tuple(piece for rhythm in truth.rhythms for piece in _outside(rhythm, part)),
        times_s=truth.times_s[keep],
        symbols=tuple(s for s, kept in zip(truth.symbols, keep, strict=True) if kept),
    )


def _outside(event: Interval, part: tuple[float, float]) -> list[Interval]:
    onset_s, offset_s, label = event
    if offset_s <= part[0] or onset_s >= part[1]:
        return [event]
    before = [Interval(onset_s, part[0], label)] if onset_s < part[0] else []
    after = [Interval(part[1], offset_s, label)] if offset_s > part[1] else []
    return before + after


def fitted_on(
    manifest: Mapping[str, Any], status: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
    """Return which recordings the model was fitted on, and on which part of them.

    Parameters
    ----------
    manifest : mapping
        ``run.json``; runs of earlier versions do not say it.
    status : mapping
        Status line by recording.
    names : sequence of str
        Recordings that are judged.
    """
    facts = manifest["model"].get("fitted_on")
    if facts is None:
        return {"recordings": None, "part": None}
    known = set(facts["signal_sha256"])
    return {
        "recordings": [n for n in names if signal_hash_of(status[n].get("sha256", {})) in known],
        "part": facts["baseline"],
    }


def hours_outside(first_s: float, last_s: float, part: Part) -> float:
    """Return the length of a stretch less its overlap with the baseline, in hours."""
    overlap = 0.0 if part is None else max(0.0, min(last_s, part[1]) - max(first_s, part[0]))
    return float(np.subtract(last_s, first_s) - overlap) / 3600
