"""Heartbeats against the windows that were scored: which found which, and which were missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.evaluation.confirmed import hours_outside
from pipelines.evaluation.ranking import limit_at_5_percent, ranking
from pipelines.label_rules import aami_class

TOLERANCE_S = 0.150
"""Largest distance between a labelled beat and the R peak of its window (ANSI/AAMI EC57)."""
ABNORMAL = ("S", "V", "F")


@dataclass(frozen=True)
class Beats:
    """Labelled beats of one or more recordings, with what scoring made of each.

    Attributes
    ----------
    label : ndarray of str, shape (n_beats,)
        AAMI class: N, S, V, F or Q.
    matched, scorable, flagged : ndarray of bool, shape (n_beats,)
        A window was found within 150 ms; it has a score; it is flagged.
    score : ndarray of shape (n_beats,)
        NaN without one.
    extra, extra_flagged, hours : ndarray of shape (n_recordings,)
        Windows in the labelled stretch that belong to no beat, those of them that are flagged, and
        the length of the stretch.
    """

    label: NDArray[np.str_]
    matched: NDArray[np.bool_]
    scorable: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    score: NDArray[np.float64]
    extra: NDArray[np.int64]
    extra_flagged: NDArray[np.int64]
    hours: NDArray[np.float64]


def judge_beats(
    windows: pd.DataFrame,
    times_s: NDArray[np.float64],
    symbols: Sequence[str],
    left_out: tuple[float, float] | None = None,
    whole_s: float | None = None,
) -> Beats:
    """Match labelled beats to windows, one to one, nearest first, within 150 ms.

    Parameters
    ----------
    windows : pandas.DataFrame
        ``windows.parquet`` of a recording.
    times_s : ndarray of shape (n_beats,)
        Sorted; nothing before the first or after the last of them is judged, unless `whole_s` is
        given.
    symbols : sequence of str
        WFDB symbols.
    left_out : tuple of float, optional
        Stretch without any of the beats and windows, whose time does not count.
    whole_s : float, optional
        Length of the recording, if `times_s` are all beats that are not usual: every scored window
        that lies within 150 ms of none of them then counts as a usual beat.
    """
    inside, span = windows, (0.0, whole_s or 0.0)
    if whole_s is None:
        span = (float(times_s[0]), float(times_s[-1]))
        inside = windows[windows["center_s"].between(span[0] - TOLERANCE_S, span[1] + TOLERANCE_S)]
    window_of = match(times_s, inside["center_s"].to_numpy(float))
    matched = window_of >= 0
    at = np.where(matched, window_of, 0)

    def of_window(column: str, otherwise: Any) -> NDArray[Any]:
        values = inside[column].to_numpy()
        return (
            np.where(matched, values[at], otherwise) if len(values) else np.full(len(at), otherwise)
        )

    alone = np.ones(len(inside), dtype=bool)
    alone[window_of[matched]] = False
    scorable = of_window("scorable", False).astype(bool)
    listed = Beats(
        label=np.array([aami_class(symbol) for symbol in symbols], dtype=np.str_),
        matched=matched,
        scorable=scorable,
        flagged=of_window("flagged", False).astype(bool) & scorable,
        score=of_window("score", np.nan).astype(float),
        extra=np.array([alone.sum()]),
        extra_flagged=np.array([inside["flagged"].to_numpy(bool)[alone].sum()]),
        hours=np.array([hours_outside(*span, left_out)]),
    )
    return listed if whole_s is None else _with_usual(listed, inside[alone], times_s)


def _with_usual(listed: Beats, alone: pd.DataFrame, times_s: NDArray[np.float64]) -> Beats:
    """Add the windows without a beat as usual beats, but for those near a listed one."""
    centers = alone["center_s"].to_numpy(float)
    edges = np.concatenate([[-np.inf], times_s, [np.inf]])
    at = np.searchsorted(times_s, centers)
    apart = np.minimum(centers - edges[at], edges[at + 1] - centers) > TOLERANCE_S
    usual = alone[apart & alone["scorable"].to_numpy(bool)]
    near = alone[~apart]
    yes = np.ones(len(usual), dtype=bool)
    flagged, score = usual["flagged"].to_numpy(bool), usual["score"].to_numpy(float)
    return Beats(
        label=np.append(listed.label, np.full(len(usual), "N")),
        matched=np.append(listed.matched, yes),
        scorable=np.append(listed.scorable, yes),
        flagged=np.append(listed.flagged, flagged),
        score=np.append(listed.score, score),
        extra=np.array([len(near)]),
        extra_flagged=np.array([near["flagged"].to_numpy(bool).sum()]),
        hours=listed.hours,
    )


def match(
    times_s: NDArray[np.float64], centers_s: NDArray[np.float64], tolerance_s: float = TOLERANCE_S
) -> NDArray[np.int64]:
    """Return for each beat the index of its window or -1; nearest pairs first, one to one.

    Examples
    --------
    >>> match(np.array([1.0, 2.0]), np.array([1.02, 1.1, 5.0])).tolist()
    [0, -1]
    """
    low = np.searchsorted(centers_s, times_s - tolerance_s, side="left")
    high = np.searchsorted(centers_s, times_s + tolerance_s, side="right")
    count = np.maximum(high - low, 0)
    beat = np.repeat(np.arange(len(times_s)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    window = np.repeat(low, count) + within
    order = np.lexsort((window, beat, np.abs(times_s[beat] - centers_s[window])))
    window_of = np.full(len(times_s), -1)
    taken = np.zeros(len(centers_s), dtype=bool)
    for b, w in zip(beat[order], window[order], strict=True):
        if window_of[b] < 0 and not taken[w]:
            window_of[b], taken[w] = w, True
    return window_of


def join(parts: Sequence[Beats]) -> Beats:
    """Pool the beats of several recordings."""
    return Beats(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Beats)}
    )


def summarise_beats(beats: Beats) -> dict[str, Any]:
    """Return all measures of a set of beats; class Q is left out and counted."""
    normal = beats.label == "N"
    abnormal = np.isin(beats.label, ABNORMAL)
    judged = (normal | abnormal) & beats.scorable
    scores, positive = beats.score[judged], abnormal[judged]
    n_missed = int((abnormal & ~beats.scorable).sum())
    measures = ranking(scores, positive, n_missed)
    limit = None
    if measures["undefined"] is None:
        limit = limit_at_5_percent(scores, positive)
    hours = float(beats.hours.sum())
    found = int((abnormal & beats.flagged).sum())
    false = int((normal & beats.flagged).sum())
    return {
        "n_beats": {name: int((beats.label == name).sum()) for name in ("N", *ABNORMAL, "Q")},
        "n_unmatched": int((~beats.matched & (normal | abnormal)).sum()),
        "n_not_scorable": int((beats.matched & ~beats.scorable & (normal | abnormal)).sum()),
        "n_windows_without_beat": int(beats.extra.sum()),
        "n_windows_without_beat_flagged": int(beats.extra_flagged.sum()),
        "labelled_hours": hours,
        "beat_detection": {
            "sensitivity": _share(int(beats.matched.sum()), len(beats.matched)),
            "positive_predictivity": _share(
                int(beats.matched.sum()), int(beats.matched.sum() + beats.extra.sum())
            ),
        },
        **measures,
        "sensitivity": _share(found, int(abnormal.sum())),
        "precision": _share(found, found + false),
        "precision_random": measures["average_precision_random"],
        "sensitivity_random": _share(int((judged & beats.flagged).sum()), int(judged.sum())),
        "false_positive_share": _share(false, int((normal & beats.scorable).sum())),
        "false_positives_per_hour": false / hours if hours else None,
        "classes": {name: _summarise_class(beats, name, limit) for name in ABNORMAL},
    }


def _summarise_class(beats: Beats, name: str, limit: float | None) -> dict[str, Any]:
    """Return what was found of one class; beats without a window or a score count as missed."""
    of_class = beats.label == name
    n, found = int(of_class.sum()), int((of_class & beats.flagged).sum())
    above, scored = None, (of_class | (beats.label == "N")) & beats.scorable
    if limit is not None:
        above = int((of_class & (np.nan_to_num(beats.score, nan=-np.inf) > limit)).sum())
    return {
        "n": n,
        "n_unmatched": int((of_class & ~beats.matched).sum()),
        "n_not_scorable": int((of_class & beats.matched & ~beats.scorable).sum()),
        "n_found": found,
        "auroc": ranking(beats.score[scored], of_class[scored])["auroc"],
        "sensitivity": _share(found, n),
        "sensitivity_at_5_percent_fp": None if above is None else _share(above, n),
        "undefined": None if n else f"no beat of class {name}",
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
