"""What the two canvases draw, as plain data made from arrays and tables. No Streamlit here.

Samples travel as base64 of little-endian int16 with a scale, since bytes inside a component's
data would turn the whole into a string.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.messages import VERDICT_MARKS, clock
from app.signal_page import Trace, View
from pipelines.recording import Annotation
from pipelines.store import Verdict

MISSING = -32768
"""What stands for a missing value among encoded samples."""
OVERVIEW_BINS = 1200
MOST_POINTS = 3000
MOST_ANNOTATIONS = 400
_TREND_BINS = 600

Payload = dict[str, Any]


def encode(values: NDArray[np.float64]) -> Payload:
    """Encode values as int16 around their middle; NaN becomes :data:`MISSING`.

    The value of a code is ``offset + scale * code``; the error is at most half of `scale`.
    """
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    offset, scale = (low + high) / 2, max((high - low) / 2 / 32000, 1e-12)
    codes = np.full(len(values), MISSING, dtype="<i2")
    finite = np.isfinite(values)
    codes[finite] = np.round((values[finite] - offset) / scale)
    data = base64.b64encode(codes.tobytes()).decode("ascii")
    return {"offset": offset, "scale": scale, "data": data}


def extremes(values: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Reduce to at most `most` values, keeping the lowest and highest of each bin, in order.

    Peaks survive whatever the reduction. A bin without a known value gives NaN twice.
    """
    if len(values) <= most:
        return values
    bins = max(1, most // 2)
    per_bin = -(-len(values) // bins)
    padded = np.full(per_bin * -(-len(values) // per_bin), np.nan)
    padded[: len(values)] = values
    rows = padded.reshape(-1, per_bin)
    lowest = np.where(np.isfinite(rows), rows, np.inf).argmin(axis=1)
    highest = np.where(np.isfinite(rows), rows, -np.inf).argmax(axis=1)
    order = np.sort(np.stack([lowest, highest], axis=1), axis=1)
    reduced: NDArray[np.float64] = np.take_along_axis(rows, order, axis=1).ravel()
    return reduced


def binned_scores(windows: pd.DataFrame, duration_s: float, bins: int) -> NDArray[np.float64]:
    """Return the highest score in each of `bins` equal stretches; NaN where none was scored."""
    result = np.full(bins, np.nan)
    scored = windows[windows["scorable"]]
    if scored.empty or duration_s <= 0:
        return result
    place = (scored["center_s"].to_numpy() / duration_s * bins).astype(int).clip(0, bins - 1)
    np.fmax.at(result, place, scored["score"].to_numpy(dtype=np.float64))
    return result


def stretches(windows: pd.DataFrame) -> list[list[Any]]:
    """Merge neighbouring windows that could not be scored to ``[start_s, stop_s, reason]``."""
    merged: list[list[Any]] = []
    bad = windows[~windows["scorable"]]
    for start, stop, reason in zip(bad["start_s"], bad["stop_s"], bad["reason"], strict=True):
        words = str(reason) if isinstance(reason, str) else "not scorable"
        if merged and start <= merged[-1][1] + 1e-6:
            merged[-1][1] = max(merged[-1][1], float(stop))
        else:
            merged.append([float(start), float(stop), words])
    return merged


def overview(
    windows: pd.DataFrame,
    duration_s: float,
    threshold: float | None,
    gaps: Iterable[tuple[float, float]] = (),
    lane: Payload | None = None,
) -> Payload:
    """Return what the overview shows that does not change while a recording is reviewed."""
    bins = min(OVERVIEW_BINS, max(1, len(windows)))
    known = windows.loc[windows["scorable"], "score"]
    return {
        "range": [float(known.min()), float(known.max())] if len(known) else [0.0, 1.0],
        "duration": float(duration_s),
        "scores": encode(binned_scores(windows, duration_s, bins)),
        "threshold": None if threshold is None else float(threshold),
        "unscorable": stretches(windows),
        "gaps": [[float(a), float(b)] for a, b in gaps],
        "lane": lane,
    }


def marks(
    segments: pd.DataFrame, verdicts: Mapping[str, Verdict], current: str | None
) -> list[Payload]:
    """Return the flagged segments as both canvases mark them: place, verdict and its shape."""
    result = []
    for segment_id, start, stop in zip(
        segments["segment_id"], segments["start_s"], segments["stop_s"], strict=True
    ):
        verdict: Verdict = verdicts.get(segment_id, "undecided")
        result.append(
            {
                "start": float(start),
                "stop": float(stop),
                "verdict": verdict,
                "mark": VERDICT_MARKS[verdict],
                "current": segment_id == current,
            }
        )
    return result


def thinned(marks: Sequence[Payload], duration_s: float) -> list[Payload]:
    """Return at most one mark of each verdict for each bin of the overview, and the current one.

    Ten thousand marks would otherwise travel to the browser with every key.
    """
    if len(marks) <= OVERVIEW_BINS:
        return list(marks)
    kept: dict[tuple[int, str], Payload] = {}
    for mark in marks:
        place = int(mark["start"] / max(duration_s, 1e-9) * OVERVIEW_BINS)
        known = kept.get((place, mark["verdict"]))
        if known is None or mark["current"]:
            kept[place, mark["verdict"]] = mark
    return list(kept.values())


def trend(
    windows: pd.DataFrame, features: pd.DataFrame | None, kind: str, duration_s: float
) -> Payload | None:
    """Return the heart rate, or the alpha amplitude, over the recording; None if not known.

    The median of each bin: a trend to find one's way by, no measurement.
    """
    at = windows["center_s"].to_numpy(float)
    if kind == "ecg":
        gap = np.diff(at, prepend=np.nan)
        values = np.where((gap > 0.25) & (gap < 3), 60 / np.where(gap > 0, gap, np.nan), np.nan)
        name, unit = "heart rate", "/min"
    elif features is not None and "alpha_median" in features and len(features) == len(windows):
        values = features["alpha_median"].to_numpy(float) ** 2
        name, unit = "alpha amplitude", "µV"
    else:
        return None
    if duration_s <= 0 or not np.isfinite(values).any():
        return None
    bins = max(1, min(_TREND_BINS, len(values) // 3))
    place = (at / duration_s * bins).astype(int).clip(0, bins - 1)
    medians: pd.Series[float] = pd.Series(values).groupby(place).median().reindex(range(bins))
    middle = np.asarray(medians, dtype=np.float64)
    return {"name": name, "unit": unit, **encode(middle)}


def page_scores(windows: pd.DataFrame, view: View) -> list[list[Any]]:
    """Return ``[center_s, score or None, flagged, reason or None]`` of the page's windows."""
    seen = windows[(windows["stop_s"] > view.start_s) & (windows["start_s"] < view.stop_s)]
    return [
        [
            float(center),
            float(score) if scorable else None,
            bool(flagged),
            str(reason) if isinstance(reason, str) else None,
        ]
        for center, score, flagged, scorable, reason in zip(
            seen["center_s"],
            seen["score"],
            seen["flagged"],
            seen["scorable"],
            seen["reason"],
            strict=True,
        )
    ]


def page_annotations(annotations: Sequence[Annotation], view: View) -> list[list[Any]]:
    """Return ``[onset, stop, text, is_beat]`` of what the file itself notes on this page."""
    return [
        [a.onset, a.onset + a.duration, a.description[:60], a.is_beat]
        for a in annotations
        if a.onset < view.stop_s and a.onset + a.duration >= view.start_s
    ][:MOST_ANNOTATIONS]


def traces(
    page: Sequence[Trace], kind: str, view: View, gain: float, top_channel: str | None
) -> Payload:
    """Return the signal of one page.

    Parameters
    ----------
    page : sequence of Trace
    kind : str
        ``"ecg"`` is drawn on millimetre paper, ``"eeg"`` as rows.
    gain : float
        ECG: mm per mV. EEG: µV per mm.
    top_channel : str or None
        The trace most responsible for the score, marked beside its name.
    """
    return {
        "kind": kind,
        "start": view.start_s,
        "stop": view.stop_s,
        "gain": gain,
        "label": f"{clock(view.start_s)} to {clock(view.stop_s)}",
        "traces": [
            {
                "name": trace.name,
                "unit": trace.unit,
                "seconds": len(trace.samples) / trace.sfreq,
                "top": top_channel in (trace.name, *trace.name.split("–")),
                **encode(extremes(trace.samples, MOST_POINTS)),
            }
            for trace in page
        ],
    }


def fitting_gain(pages: Iterable[Sequence[Trace]], kind: str, steps: Sequence[float]) -> float:
    """Return the gain among `steps` at which the usual signal fits its row.

    Parameters
    ----------
    pages : iterable of sequences of Trace
        A few pages from all over the recording, so that the gain does not change from page to
        page.
    kind : str
        ``"ecg"``: mm per mV so that the beats of the largest lead reach about 18 mm. ``"eeg"``:
        µV per mm so that the excursions of a large channel span about 4 mm.
    steps : sequence of float
        The gains on offer.
    """
    unit = "mV" if kind == "ecg" else "µV"
    spans = []
    for page in pages:
        known = [t.samples[np.isfinite(t.samples)] for t in page if t.unit == unit]
        each = [_excursion(values, kind) for values in known if values.size]
        if each:
            spans.append(max(each) if kind == "ecg" else float(np.percentile(each, 75)))
    usual = float(np.median(spans)) if spans else 0.0
    if usual <= 0:
        return steps[len(steps) // 2]
    wanted = 18 / usual if kind == "ecg" else usual / 4
    return min(steps, key=lambda step: abs(float(np.log(step / wanted))))


def _excursion(values: NDArray[np.float64], kind: str) -> float:
    """Return how far an ECG reaches to either side, or how much of its row an EEG takes."""
    if kind == "ecg":
        return float(np.percentile(np.abs(values), 99.8))
    return float(np.subtract(*np.percentile(values, [97.5, 2.5])))
