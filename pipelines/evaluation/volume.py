"""VUS-PR: how well scores rank windows around events, whatever the tolerance at their edges.

The volume under the surface of precision and recall over thresholds and buffer lengths of
Paparrizos et al., "Volume Under the Surface", PVLDB 15(11), 2022. For a buffer of l windows a label
falls from 1 at the edge of an event as ``sqrt(1 - distance / l)`` up to l // 2 windows away;
recall is multiplied by the share of events that are hit at all, which rewards many found events
over long ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LONGEST_BUFFER = 64
N_THRESHOLDS = 250
RANDOM_DRAWS = 5


def vus_pr(scores: Floats, positive: Bools, longest_buffer: int | None = None) -> float | None:
    """Return the volume under the precision-recall surface, 0 to 1.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Of consecutive windows of one recording; higher is more abnormal.
    positive : ndarray of bool, shape (n,)
        Windows that overlap an event.
    longest_buffer : int, optional
        Windows; by default :func:`buffer_of`.

    Returns
    -------
    float or None
        None where one class is empty.
    """
    if positive.all() or not positive.any():
        return None
    return _volumes([scores], positive, longest_buffer)[0]


def vus_pr_random(positive: Bools, longest_buffer: int | None = None) -> float | None:
    """Return what random scores get: the mean of five fixed draws."""
    if positive.all() or not positive.any():
        return None
    return float(np.mean(_volumes(_draws(len(positive)), positive, longest_buffer)))


def buffer_of(positive: Bools) -> int:
    """Return the longest buffer for some labels: the median length of an event, at most 64."""
    starts, stops = _runs(positive)
    return int(min(LONGEST_BUFFER, max(1, np.median(stops - starts))))


def volume(scores: Floats, positive: Bools) -> dict[str, Any]:
    """Return ``vus_pr``, its random floor and the longest buffer, None where undefined."""
    if positive.all() or not positive.any():
        return {"vus_pr": None, "vus_pr_random": None, "vus_longest_buffer": None}
    longest = buffer_of(positive)
    found, *random = _volumes([scores, *_draws(len(scores))], positive, longest)
    return {
        "vus_pr": found,
        "vus_pr_random": float(np.mean(random)),
        "vus_longest_buffer": longest,
    }


def soft_labels(positive: Bools, buffer: int) -> Floats:
    """Return labels that fall off within `buffer` windows around events, at most 1."""
    labels = positive.astype(float)
    distance = np.arange(1, buffer // 2 + 1)
    height = np.sqrt(1 - distance / buffer) if buffer else np.empty(0)
    starts, stops = _runs(positive)
    for start, stop in zip(starts, stops, strict=True):
        after = stop - 1 + distance
        before = start - distance
        labels[after[after < len(labels)]] += height[after < len(labels)]
        labels[before[before >= 0]] += height[before >= 0]
    capped: Floats = np.minimum(labels, 1.0)
    return capped


@dataclass(frozen=True)
class _Soft:
    """Labels softened by one buffer: their sum for recall, and the stretches above 0."""

    labels: Floats
    total: float
    inside: NDArray[np.int64]
    stretch: NDArray[np.int64]
    n_stretches: int


def _soften(positive: Bools, buffer: int) -> _Soft:
    labels = soft_labels(positive, buffer)
    inside = np.flatnonzero(labels > 0)
    starts, _ = _runs(labels > 0)
    stretch = np.searchsorted(starts, inside, side="right") - 1
    total = float(positive.sum() + labels.sum()) / 2
    return _Soft(labels, total, inside, stretch, len(starts))


class _Ranked:
    """Scores sorted once, and the thresholds that are looked at."""

    def __init__(self, scores: Floats) -> None:
        self.scores = scores
        self.order = np.argsort(-scores, kind="stable")
        at = np.linspace(0, len(scores) - 1, N_THRESHOLDS).astype(int)
        self.limits = scores[self.order][at]
        below = np.searchsorted(scores[self.order[::-1]], self.limits, side="left")
        self.n_flagged = len(scores) - below

    def area(self, soft: _Soft) -> float:
        """Return the area under precision against recall for one buffer length."""
        hit = np.cumsum(soft.labels[self.order])[self.n_flagged - 1]
        highest = np.full(soft.n_stretches, -np.inf)
        np.maximum.at(highest, soft.stretch, self.scores[soft.inside])
        existence = (highest[None, :] >= self.limits[:, None]).mean(axis=1)
        recall = np.minimum(hit / soft.total, 1.0) * existence
        precision = hit / self.n_flagged
        return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _volumes(
    sets: Sequence[Floats], positive: Bools, longest_buffer: int | None = None
) -> list[float]:
    """Return the volume of several sets of scores; labels are softened once a buffer for all."""
    longest = buffer_of(positive) if longest_buffer is None else longest_buffer
    ranked = [_Ranked(scores) for scores in sets]
    areas = np.zeros((longest + 1, len(ranked)))
    for buffer in range(longest + 1):
        soft = _soften(positive, buffer)
        areas[buffer] = [each.area(soft) for each in ranked]
    return [float(mean) for mean in areas.mean(axis=0)]


def _draws(n: int) -> list[Floats]:
    rng = np.random.default_rng(0)
    return [rng.random(n) for _ in range(RANDOM_DRAWS)]


def _runs(mask: Bools) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each run of true values starts and stops (exclusive)."""
    edges = np.diff(mask.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
