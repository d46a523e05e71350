"""VUS-PR: how well scores rank windows around events, whatever the tolerance at their edges.

The volume under the surface of precision and recall over thresholds and buffer lengths of
Paparrizos et al., "Volume Under the Surface", PVLDB 15(11), 2022. For a buffer of l windows a label
falls from 1 at the edge of an event as ``sqrt(1 - distance / l)`` up to l // 2 windows away;
recall is multiplied by the share of events that are hit at all, which rewards many found events
over long ones.
"""

from __future__ import annotations

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
    longest = buffer_of(positive) if longest_buffer is None else longest_buffer
    order = np.argsort(-scores, kind="stable")
    at = np.linspace(0, len(scores) - 1, N_THRESHOLDS).astype(int)
    limits = scores[order][at]
    n_flagged = len(scores) - np.searchsorted(scores[order[::-1]], limits, side="left")
    areas = [
        _area(scores, order, n_flagged, limits, positive, buffer) for buffer in range(longest + 1)
    ]
    return float(np.mean(areas))


def vus_pr_random(positive: Bools, longest_buffer: int | None = None) -> float | None:
    """Return what random scores get: the mean of five fixed draws."""
    rng = np.random.default_rng(0)
    drawn = [
        vus_pr(rng.random(len(positive)), positive, longest_buffer) for _ in range(RANDOM_DRAWS)
    ]
    found = [value for value in drawn if value is not None]
    return float(np.mean(found)) if found else None


def buffer_of(positive: Bools) -> int:
    """Return the longest buffer for some labels: the median length of an event, at most 64."""
    starts, stops = _runs(positive)
    return int(min(LONGEST_BUFFER, max(1, np.median(stops - starts))))


def volume(scores: Floats, positive: Bools) -> dict[str, Any]:
    """Return ``vus_pr``, its random floor and the longest buffer, None where undefined."""
    value = vus_pr(scores, positive)
    return {
        "vus_pr": value,
        "vus_pr_random": None if value is None else vus_pr_random(positive),
        "vus_longest_buffer": None if value is None else buffer_of(positive),
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


def _area(
    scores: Floats,
    order: NDArray[np.int64],
    n_flagged: NDArray[np.int64],
    limits: Floats,
    positive: Bools,
    buffer: int,
) -> float:
    """Return the area under precision against recall for one buffer length."""
    labels = soft_labels(positive, buffer)
    hit = np.cumsum(labels[order])[n_flagged - 1]
    starts, _ = _runs(labels > 0)
    stretch = np.cumsum(np.bincount(starts, minlength=len(labels))) - 1
    inside = labels > 0
    highest = np.full(len(starts), -np.inf)
    np.maximum.at(highest, stretch[inside], scores[inside])
    existence = (highest[None, :] >= limits[:, None]).mean(axis=1)
    total = (positive.sum() + labels.sum()) / 2
    recall = np.minimum(hit / total, 1.0) * existence
    precision = hit / n_flagged
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _runs(mask: Bools) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each run of true values starts and stops (exclusive)."""
    edges = np.diff(mask.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
