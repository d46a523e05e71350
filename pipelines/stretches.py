"""Stretches of time: which share time with which, and how much of a recording was scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.labels import Interval

Stretches = NDArray[np.float64]
"""Start and stop of each, seconds: shape (n, 2)."""

BRIDGE_S = 3.0
"""Time between two heartbeats belongs to the earlier one if no more than this lies between their
windows; a longer pause is time without a window."""
_MOMENT_S = 1e-6


def of_table(table: pd.DataFrame) -> Stretches:
    """Return ``start_s`` and ``stop_s`` of windows or segments, shape (n, 2)."""
    return table[["start_s", "stop_s"]].to_numpy(float)


def of_events(events: Sequence[Interval]) -> Stretches:
    """Return events as stretches; a moment is made just long enough to share time."""
    times = np.array([(e.onset_s, e.offset_s) for e in events], dtype=float).reshape(-1, 2)
    moment = times[:, 0] == times[:, 1]
    return times + np.outer(moment, (-_MOMENT_S, _MOMENT_S))


def overlapping(one: Stretches, other: Stretches) -> NDArray[np.bool_]:
    """Return which stretches of `one` share time with any of `other`.

    Examples
    --------
    >>> a, b = np.array([[0.0, 2.0], [2.0, 4.0]]), np.array([[1.0, 2.0]])
    >>> overlapping(a, b).tolist()
    [True, False]
    """
    if not len(other):
        return np.zeros(len(one), dtype=bool)
    ordered = other[np.argsort(other[:, 0], kind="stable")]
    latest_stop = np.append(-np.inf, np.maximum.accumulate(ordered[:, 1]))
    n_begun = np.searchsorted(ordered[:, 0], one[:, 1], side="left")
    shared: NDArray[np.bool_] = latest_stop[n_begun] > one[:, 0]
    return shared


def merged(stretches: Stretches, apart_s: float) -> Stretches:
    """Return the hulls of stretches, sorted by start, that lie at most `apart_s` apart.

    Examples
    --------
    >>> merged(np.array([[0.0, 9.0], [1.0, 2.0], [10.0, 11.0], [20.0, 21.0]]), 2.0).tolist()
    [[0.0, 11.0], [20.0, 21.0]]
    """
    if not len(stretches):
        return stretches
    reached = np.maximum.accumulate(stretches[:, 1])
    apart = stretches[1:, 0] - reached[:-1] > apart_s
    first = np.flatnonzero(np.append(True, apart))
    last = np.append(first[1:], len(stretches)) - 1
    return np.column_stack([stretches[first, 0], reached[last]])


def covered_s(windows: pd.DataFrame) -> float:
    """Return the length of the union of windows sorted by start, in seconds."""
    return _union_s(of_table(windows))


def scored_s(windows: pd.DataFrame) -> float:
    """Return how much time of a recording was scored, in seconds.

    Scorable windows count with the pause up to the next window, scorable or not, where that is
    at most :data:`BRIDGE_S`: heartbeats do not touch each other, but an ECG is watched between
    them too. Time in or after windows that are not scorable does not count.

    Parameters
    ----------
    windows : pandas.DataFrame
        All windows of one recording, sorted by ``start_s``.
    """
    if windows.empty:
        return 0.0
    stretches = of_table(windows).copy()
    reached = np.maximum.accumulate(stretches[:, 1])
    following = np.append(stretches[1:, 0], -np.inf)
    bridged = (following > reached) & (following - reached <= BRIDGE_S)
    stretches[:, 1] = np.where(bridged, following, stretches[:, 1])
    return _union_s(stretches[windows["scorable"].to_numpy(bool)])


def _union_s(stretches: Stretches) -> float:
    if not len(stretches):
        return 0.0
    start, stop = stretches.T
    reached = np.maximum.accumulate(np.append(-np.inf, stop[:-1]))
    return float(np.maximum(stop - np.maximum(start, reached), 0).sum())
