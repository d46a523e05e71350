"""Families of flagged segments that look alike, so that a reader can label many at once.

Each segment is spoken for by its highest-scoring window. ECG beats are compared by their shape in
all leads, shifted to match; those shaped like the usual beat are told apart by how early or late
they come. EEG windows are compared by their features. The result depends on nothing but its input:
the same recording always gives the same groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.features.rhythm import interval_ratio
from pipelines.recording import Recording
from pipelines.rhythm.segments import of_rhythm

Floats = NDArray[np.float64]
ALIKE = {"ecg": 0.85, "eeg": 0.6}
"""Least correlation with the middle of a group: of shapes, of features."""
LIKE_USUAL = 0.9
"""From this correlation with the usual beat on, a shape is called like it."""
EARLY = 0.15
"""A beat is early if its interval to the beat before is this much shorter (natural log)."""
RHYTHM = "a rhythm, no single beats"
_BEFORE_S, _AFTER_S, _SHIFT_S = 0.25, 0.45, 0.04
_PASSES, _USUAL_BEATS, _COMPARED_RATE = 3, 120, 125.0


@dataclass(frozen=True)
class Group:
    """Segments that look alike.

    Attributes
    ----------
    number : int
        From 1, the largest group first.
    segment_ids : tuple of str
        In order of time.
    typical : str
        The segment nearest to the middle of the group.
    words : str
        How it differs from the usual beat; empty where that is not known.
    average : ndarray of shape (n_channels, n_times)
        Mean of the aligned signals in volts; of an EEG the signal of the typical segment. Empty
        where the signal cannot be read.
    channels : tuple of str
        Rows of `average`.
    sfreq : float
        Its sampling rate, Hz.
    """

    number: int
    segment_ids: tuple[str, ...]
    typical: str
    words: str
    average: Floats
    channels: tuple[str, ...]
    sfreq: float


def group_segments(
    segments: pd.DataFrame,
    windows: pd.DataFrame,
    features: pd.DataFrame | None,
    recording: Recording | None,
    kind: str,
) -> tuple[Group, ...]:
    """Return groups of segments, the largest first; every segment is in exactly one.

    Segments of rhythm are a group of their own, without an average.

    Parameters
    ----------
    segments : pandas.DataFrame
        ``segments.parquet``, or what :func:`pipelines.review.segments.under_review` returns.
    windows, features : pandas.DataFrame
        Of the run; without `features` an EEG has one group.
    recording : Recording or None
        For the shapes of beats and the pictures; None: they are compared by features.
    kind : str
        ``"ecg"`` or ``"eeg"``.
    """
    if segments.empty:
        return ()
    ordered = segments.sort_values("start_s", kind="stable").reset_index(drop=True)
    minutes = of_rhythm(ordered)
    beats = ordered[~minutes].reset_index(drop=True)
    found = () if beats.empty else _group_windows(beats, windows, features, recording, kind)
    if not minutes.any():
        return found
    both = sorted([*found, _rhythm(ordered[minutes])], key=lambda each: -len(each.segment_ids))
    return tuple(replace(group, number=number) for number, group in enumerate(both, start=1))


def _rhythm(segments: pd.DataFrame) -> Group:
    """Return the group of the segments of rhythm."""
    ids = tuple(map(str, segments["segment_id"]))
    peaks = np.nan_to_num(segments["peak_score"].to_numpy(float), nan=-np.inf)
    return Group(0, ids, ids[int(peaks.argmax())], RHYTHM, np.empty((0, 0)), (), 1.0)


def _group_windows(
    ordered: pd.DataFrame,
    windows: pd.DataFrame,
    features: pd.DataFrame | None,
    recording: Recording | None,
    kind: str,
) -> tuple[Group, ...]:
    """Group segments of beats, or of an EEG."""
    worst = worst_windows(ordered, windows)
    channels, sfreq, shapes = _shapes(recording, kind, windows["center_s"].to_numpy(float)[worst])
    rows = _feature_rows(features, windows, worst)
    if kind == "ecg" and shapes.size:
        owner, middle, aligned = _alike(shapes, ALIKE["ecg"], round(_SHIFT_S * sfreq))
        usual = _usual(recording, kind, windows)
        owner, words = _by_timing(owner, middle, usual, windows, worst)
        compared = aligned.reshape(len(aligned), -1)
    else:
        owner, middle, _ = _alike(rows[:, None, :], ALIKE["eeg"], 0)
        words, aligned, compared = [""] * (int(owner.max()) + 1), shapes, rows
    return _groups(ordered, owner, words, compared, aligned, (channels, sfreq, kind))


def worst_windows(segments: pd.DataFrame, windows: pd.DataFrame) -> NDArray[np.int64]:
    """Return for each segment the row of its highest-scoring window (the nearest if none is in)."""
    start, stop = windows["start_s"].to_numpy(float), windows["stop_s"].to_numpy(float)
    score = np.nan_to_num(windows["score"].to_numpy(float), nan=-np.inf)
    longest = float((stop - start).max()) if len(start) else 0.0
    found = []
    for a, b in zip(segments["start_s"], segments["stop_s"], strict=True):
        lo = int(np.searchsorted(start, a - longest))
        hi = max(int(np.searchsorted(start, b)), lo + 1)
        inside = (start[lo:hi] >= a - 1e-6) & (stop[lo:hi] <= b + 1e-6)
        ranked = np.where(inside, score[lo:hi], -np.inf)
        at = int(ranked.argmax()) if inside.any() else int(np.abs(start[lo:hi] - a).argmin())
        found.append(min(lo + at, len(start) - 1))
    return np.array(found, dtype=np.int64)


def _feature_rows(
    features: pd.DataFrame | None, windows: pd.DataFrame, worst: NDArray[np.int64]
) -> Floats:
    """Return the features of some windows in units of their usual spread; a one without any."""
    if features is None:
        return np.ones((len(worst), 2)) * [0.0, 1.0]
    table = features.set_index("window_index").reindex(windows["window_index"])
    values = table.to_numpy(dtype=np.float64)
    usable = values[windows["scorable"].to_numpy(bool)]
    middle = np.nanmedian(usable, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(usable - middle), axis=0)
    rows = np.nan_to_num((values[worst] - middle) / np.where(spread > 0, spread, 1.0))
    return np.asarray(np.sign(rows) * np.log1p(np.abs(rows)))


def _shapes(
    recording: Recording | None, kind: str, centers: Sequence[float] | Floats
) -> tuple[tuple[str, ...], float, Floats]:
    """Return channels, rate and signals (n, n_channels, n_times) around moments, without offset."""
    channels = [] if recording is None else [c for c in recording.channels if c.kind == kind]
    channels = [c for c in channels if c.unit == "V" and c.sfreq == channels[0].sfreq]
    if recording is None or not channels:
        return (), 1.0, np.empty((0, 0, 0))
    sfreq, names = channels[0].sfreq, [c.name for c in channels]
    before, after = (_BEFORE_S, _AFTER_S) if kind == "ecg" else (1.0, 1.0)
    n_times = round((before + after) * sfreq)
    result = np.zeros((len(centers), len(names), n_times))
    for row, center in zip(result, centers, strict=True):
        for first, data in recording.read_between(names, center - before, center + after):
            at = round((first - (center - before)) * sfreq)
            width = min(data.shape[1], n_times - max(at, 0))
            if width > 0:
                row[:, max(at, 0) : max(at, 0) + width] = np.nan_to_num(data[:, :width])
    result -= np.median(result, axis=2, keepdims=True)
    step = max(1, int(sfreq // _COMPARED_RATE))  # finer makes no group differ, only slower
    whole = result[:, :, : n_times // step * step]
    result = whole.reshape(*whole.shape[:2], -1, step).mean(axis=3)
    return tuple(names), sfreq / step, result


def _alike(shapes: Floats, least: float, shift: int) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Cluster by correlation with the middle of a group, in order of time, then refine.

    Returns the group of each row, the groups' middles, and the rows shifted to fit them.
    """
    n, _, n_times = shapes.shape
    moved = [shapes[:, :, shift + k : n_times - shift + k] for k in range(-shift, shift + 1)]
    unit = np.stack([_unit(m.reshape(n, -1)) for m in moved], axis=1)  # (n, n_shifts, length)
    sums: list[Floats] = []
    for row in unit:  # each joins the group it fits best, or begins one
        fit = np.array([(row @ _unit(s[None])[0]).max() for s in sums]) if sums else np.empty(0)
        if fit.size and fit.max() >= least:
            best = int(fit.argmax())
            sums[best] = sums[best] + row[int((row @ sums[best]).argmax())]
        else:
            sums.append(row[shift])
    middles = _unit(np.array(sums))
    for _ in range(_PASSES):
        fit = np.einsum("nsl,gl->nsg", unit, middles)
        owner = fit.max(axis=1).argmax(axis=1)
        lag = fit[np.arange(n), :, owner].argmax(axis=1)
        used = np.unique(owner)
        middles = _unit(np.array([unit[owner == g, lag[owner == g]].mean(axis=0) for g in used]))
        owner = np.searchsorted(used, owner)
    aligned = np.stack([moved[k][i] for i, k in enumerate(lag)]) if shift else shapes
    return owner.astype(np.int64), middles, aligned


def _unit(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.asarray(centred / np.where(length > 0, length, 1.0))


def _usual(recording: Recording | None, kind: str, windows: pd.DataFrame) -> Floats:
    """Return the shape of the recording's usual beat: the median of beats that are not flagged."""
    usable = windows[windows["scorable"] & ~windows["flagged"]]
    step = max(1, len(usable) // _USUAL_BEATS)
    _, sfreq, shapes = _shapes(recording, kind, usable["center_s"].to_numpy(float)[::step])
    if not len(shapes):
        return np.empty(0)
    shift = round(_SHIFT_S * sfreq)
    middle = np.median(shapes, axis=0)[:, shift : shapes.shape[2] - shift]
    usual: Floats = _unit(middle.reshape(1, -1))[0]
    return usual


def _by_timing(
    owner: NDArray[np.int64],
    middles: Floats,
    usual: Floats,
    windows: pd.DataFrame,
    worst: NDArray[np.int64],
) -> tuple[NDArray[np.int64], list[str]]:
    """Split groups that are shaped like the usual beat by how early their beats come."""
    timing = interval_ratio(windows["center_s"].to_numpy(float))[worst]
    when = np.select([timing < -EARLY, timing > EARLY], [1, 2], 0)
    names: dict[tuple[int, int], int] = {}
    words: list[str] = []
    split = np.empty_like(owner)
    for i, group in enumerate(owner):
        like = bool(usual.size) and float(middles[group] @ usual) >= LIKE_USUAL
        key = (int(group), int(when[i]) if like else 0)
        if key not in names:
            names[key] = len(names)
            late = ("", ", early", ", late")[key[1]]
            words.append(f"shaped like the usual beat{late}" if like else "of another shape")
        split[i] = names[key]
    return split, words


def _groups(
    segments: pd.DataFrame,
    owner: NDArray[np.int64],
    words: Sequence[str],
    compared: Floats,
    aligned: Floats,
    signal: tuple[tuple[str, ...], float, str],
) -> tuple[Group, ...]:
    channels, sfreq, kind = signal
    ids = segments["segment_id"].to_numpy()
    found = []
    for group in np.unique(owner):
        members = np.flatnonzero(owner == group)
        unit = _unit(compared[members])
        typical = int((unit @ unit.mean(axis=0)).argmax())
        picture = np.empty((0, 0))
        if aligned.size:
            average = kind == "ecg"
            picture = aligned[members].mean(axis=0) if average else aligned[members[typical]]
        found.append((members, typical, words[group], picture))
    found.sort(key=lambda each: (-len(each[0]), each[0][0]))
    return tuple(
        Group(
            number=number,
            segment_ids=tuple(map(str, ids[members])),
            typical=str(ids[members[typical]]),
            words=said,
            average=picture,
            channels=channels,
            sfreq=sfreq,
        )
        for number, (members, typical, said, picture) in enumerate(found, start=1)
    )
