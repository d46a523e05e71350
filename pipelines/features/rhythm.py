"""Rhythm features: how early a beat comes, in units of how irregular the patient's rhythm is.

An interval counts against the rhythm around (21 intervals) and against that of some minutes (301),
so that a run of early beats does not become its own rhythm. Differences are divided by the spread
of the same 301: a beat that is 15 % early means much in a steady rhythm and nothing in atrial
fibrillation. Early counts in full, late (a pause) for less: the pause after an early beat belongs
to a beat that is normal itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from pipelines.features.registry import Feature

Floats = NDArray[np.float64]

RHYTHM_FEATURES = (
    Feature("early", "asinh", "earliness against the rhythm around"),
    Feature("early_next", "asinh", "earliness of the next beat against the rhythm around"),
    Feature("early_minutes", "asinh", "earliness against the rhythm of some minutes"),
    Feature("early_next_minutes", "asinh", "earliness of the next beat, against some minutes"),
    Feature("local_rr", "ln", "local interval between beats (heart rate)"),
)
LOCAL, MINUTES = 21, 301
"""Intervals that make the rhythm around, and the usual one."""
SPREAD_FLOOR = 0.03
"""Added to the spread of the log intervals: no rhythm counts as steadier than 3 %."""
LATE = 0.3
"""Weight of a long interval before a beat, against a short one."""
NEXT_EARLY = 0.2
"""Weight of a short interval after a beat (the next is early), against a long one."""


def rhythm_features(peak_s: Floats) -> Floats:
    """Compare each interval between beats with the rhythm.

    Parameters
    ----------
    peak_s : ndarray of shape (n_beats,)
        Times of the R peaks of one continuous piece in seconds, rising.

    Returns
    -------
    ndarray of shape (n_beats, len(RHYTHM_FEATURES))
        Four inverse hyperbolic sines of deviations in units of the usual deviation, above 0 if
        the beat is early, and the natural logarithm of the local interval in seconds; NaN where
        a neighbour is missing (first and last beat).
    """
    result = np.full((len(peak_s), len(RHYTHM_FEATURES)), np.nan)
    if len(peak_s) < 3:
        return result
    intervals = np.log(np.diff(peak_s))
    before, after = intervals[:-1], intervals[1:]
    columns = []
    for rhythm in (running_median(intervals, LOCAL), running_median(intervals, MINUTES)):
        deviation = np.abs(intervals - rhythm)
        spread = 1.4826 * running_median(deviation, MINUTES)[:-1] + SPREAD_FLOOR
        early = np.arcsinh((rhythm[:-1] - before) / spread)
        next_early = np.arcsinh((rhythm[:-1] - after) / spread)
        columns += [
            np.where(early > 0, early, LATE * early),
            np.where(next_early > 0, NEXT_EARLY * next_early, next_early),
        ]
    local = running_median(intervals, LOCAL)[:-1]
    result[1:-1] = np.stack([*columns, local], axis=1)
    return result


def interval_ratio(peak_s: Floats) -> Floats:
    """Return the log of the interval before each beat over the rhythm around; first beat 0."""
    if len(peak_s) < 2:
        return np.zeros(len(peak_s))
    intervals = np.log(np.maximum(np.diff(peak_s), 1e-3))
    return np.concatenate([[0.0], intervals - running_median(intervals, LOCAL)])


def running_median(values: Floats, size: int) -> Floats:
    """Return the median of the `size` values around each, of all if there are fewer."""
    odd = max(1, min(size, 2 * (len(values) // 2) - 1))
    median: Floats = median_filter(values, odd, mode="nearest")
    return median
