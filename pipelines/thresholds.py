"""Other thresholds for windows that were scored already: what they flag, and which is low enough.

Scores are not computed again, so this is fast enough for a slider.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.errors import ConfigError
from pipelines.labels import Interval
from pipelines.rhythm.segments import segments_of
from pipelines.stretches import Stretches, of_events, of_table

NEVER = -math.inf
"""The threshold of a recording that never has too many events, whatever is flagged."""


def resegment(
    windows: pd.DataFrame,
    threshold: float,
    merge_s: float,
    rhythm: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the segments that scored windows would have had at another threshold.

    Parameters
    ----------
    windows : pandas.DataFrame
        ``windows.parquet`` of one recording; not changed.
    threshold : float
        Higher scores are flagged. At the model's own threshold the result is
        ``segments.parquet``.
    merge_s : float
        Flagged windows at most this far apart become one segment (seconds): the setting
        ``segments.merge_s`` of the model.
    rhythm : pandas.DataFrame, optional
        ``rhythm.parquet`` of the recording, see :meth:`pipelines.RunFolder.rhythm`.

    Returns
    -------
    pandas.DataFrame
        With the columns of ``segments.parquet``. The features and the channel responsible are
        known only for windows that were flagged when they were scored; for others they are empty.

    Examples
    --------
    >>> from pipelines import RunFolder
    >>> run = RunFolder.open("runs/night")  # doctest: +SKIP
    >>> resegment(run.windows("night"), threshold=2.5, merge_s=2.0)  # doctest: +SKIP
    """
    now = windows.assign(flagged=flagged_at(windows, threshold))
    if rhythm is None or rhythm.empty:
        return segments_of(now, None, merge_s)
    return segments_of(now, rhythm.assign(flagged=flagged_at(rhythm, threshold)), merge_s)


def flagged_at(windows: pd.DataFrame, threshold: float) -> pd.Series[bool]:
    """Return which scored windows lie above a threshold."""
    if math.isnan(threshold):
        raise ConfigError("the threshold is not a number; give a score")
    return windows["scorable"] & (windows["score"] > threshold)


def allowed_events(hours: float, per_day: float) -> int:
    """Return the largest number of events in `hours` that is at most `per_day` a day."""
    return math.floor(per_day * hours / 24 * (1 + 1e-12))


def envelope_threshold(
    windows: pd.DataFrame | Sequence[pd.DataFrame],
    hours: float,
    per_day: float,
    merge_s: float,
    true_events: Sequence[Sequence[Interval]] | None = None,
) -> float:
    """Return the smallest threshold from which on a patient never has too many events.

    Lowering a threshold flags more windows, but neighbouring events then run together, so the
    number of events rises and falls. The result is the smallest lambda such that **every**
    threshold at or above it gives at most `per_day` events a day.

    Parameters
    ----------
    windows : pandas.DataFrame or sequence of pandas.DataFrame
        ``windows.parquet`` of the recordings of one patient; their events are added up.
    hours : float
        Scored time of all of them, above 0.
    per_day : float
        Events allowed in 24 hours of scored time, above 0.
    merge_s : float
        See :func:`resegment`.
    true_events : sequence of sequence of Interval, optional
        By recording: events that share time with one of these do not count. By default all do.

    Returns
    -------
    float
        One of the scores; :data:`NEVER` if no threshold gives too many events.
    """
    tables = [windows] if isinstance(windows, pd.DataFrame) else list(windows)
    if not (hours > 0 and per_day > 0):
        raise ConfigError(f"hours={hours:g} and per_day={per_day:g} must both be above 0")
    known = [of_events(e) for e in true_events] if true_events else [np.empty((0, 2))] * len(tables)
    tallies = [_Tally(stretches, merge_s) for stretches in known]
    parts = [table[table["scorable"]] for table in tables]
    score = np.concatenate([part["score"].to_numpy(float) for part in parts])
    place = np.concatenate([of_table(part) for part in parts])
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    order = np.argsort(-score, kind="stable")
    allowed = allowed_events(hours, per_day)
    for n, window in enumerate(order):
        tallies[owner[window]].add(*place[window])
        tied = n + 1 < len(order) and score[order[n + 1]] == score[window]
        if not tied and sum(tally.n_false for tally in tallies) > allowed:
            return float(score[window])
    return NEVER


class _Tally:
    """Events of one recording while windows are flagged one after the other.

    Events are disjoint and in order; each is the hull of flagged windows at most `merge_s` apart.
    """

    def __init__(self, true_events: Stretches, merge_s: float) -> None:
        ordered = true_events[np.argsort(true_events[:, 0], kind="stable")]
        self._onsets = ordered[:, 0].tolist()
        self._latest_offset: list[float] = [
            -math.inf,
            *np.maximum.accumulate(ordered[:, 1]).tolist(),
        ]
        self._merge_s = merge_s
        self._starts: list[float] = []
        self._stops: list[float] = []
        self.n_false = 0

    def add(self, start_s: float, stop_s: float) -> None:
        """Flag a window; it joins every event that it comes near."""
        first = bisect_left(self._stops, start_s, key=lambda stop: stop + self._merge_s)
        while first and start_s - self._stops[first - 1] <= self._merge_s:
            first -= 1  # rounding of the sum
        while first < len(self._stops) and start_s - self._stops[first] > self._merge_s:
            first += 1
        last = bisect_right(self._starts, stop_s, key=lambda start: start - self._merge_s)
        while last > first and self._starts[last - 1] - stop_s > self._merge_s:
            last -= 1
        while last < len(self._starts) and self._starts[last] - stop_s <= self._merge_s:
            last += 1
        self.n_false -= sum(
            self._is_false(a, b)
            for a, b in zip(self._starts[first:last], self._stops[first:last], strict=True)
        )
        start = min(start_s, *self._starts[first:last], start_s)
        stop = max(stop_s, *self._stops[first:last], stop_s)
        self._starts[first:last], self._stops[first:last] = [start], [stop]
        self.n_false += self._is_false(start, stop)

    def _is_false(self, start_s: float, stop_s: float) -> bool:
        """Return True if no true event shares time with this one."""
        return self._latest_offset[bisect_left(self._onsets, stop_s)] <= start_s
