"""Features of a minute of rhythm: how irregular it is as a whole, whatever its beats are like.

The features of a beat count against the irregularity around it, so that atrial fibrillation is no
finding for them. These count the same for every patient. Odd beats in a steady rhythm are seen one
by one and should not make it irregular: a premature beat moves two intervals of many, and bigeminy
repeats itself. Therefore medians, patterns of up to four beats, and an entropy of pairs of
intervals (docs/decisions/0005-rhythm-windows.md).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipelines.features.registry import Feature

Floats = NDArray[np.float64]

RHYTHM_WINDOW_FEATURES = (
    Feature("rhythm_irregularity", "ln", "irregular intervals between beats"),
    Feature("rhythm_entropy", "ln", "intervals between beats without a pattern"),
    Feature("rhythm_pause", "ln", "a long interval between beats"),
)
SPREAD = (0.42, 0.26, 0.038)
"""How far each feature may lie apart in sinus rhythm, given to the rows of few patients, which
cannot show it: one and a half standard deviations of the patients' medians in MIT-BIH DS1."""
PATTERNS = (1, 2, 3, 4)
"""Intervals are compared with those so many beats before; the smallest difference counts."""
TOLERANCES = (0.03, 0.06, 0.12, 0.24, 0.48)
"""Differences (natural log) up to which two intervals count as alike; the smallest that leaves
enough pairs of pairs alike."""
_FEWEST_ALIKE = 5
_IRREGULARITY_FLOOR, _ENTROPY_FLOOR = 0.07, 0.25
"""Irregularity below these is that of sinus rhythm; no rhythm counts as unusually regular."""
_PAUSE_RATIO, _PAUSE_POWER = 2.0, 4
"""An interval this much longer than the median counts as a pause: after a premature beat it is
1.5 to 1.8 times as long."""
_BLOCK = 1024


def rhythm_rows(intervals_s: Iterable[Floats]) -> Floats:
    """Measure the intervals between the beats of some windows.

    Parameters
    ----------
    intervals_s : iterable of ndarray of shape (n_intervals,)
        Consecutive intervals of each window in seconds, NaN where one is not known. At least
        five known ones each.

    Returns
    -------
    ndarray of shape (n_windows, len(RHYTHM_WINDOW_FEATURES))
        ``ln(0.07 + d)``: d is the median difference of the log intervals from those k beats
        before, for the k from 1 to 4 that gives least. ``ln(0.25 + 2 r B / A)``: an entropy of
        the log intervals (exponential of the coefficient of sample entropy with m = 1 without the
        term of the heart rate; Lake and Moorman 2011): B pairs of intervals differ by at most r, and
        of A of these the next intervals do too. ``ln(1 + (p / 2)^4) / 4``: p is the longest
        interval over the median.
    """
    parts = list(intervals_s)
    rows = np.empty((len(parts), len(RHYTHM_WINDOW_FEATURES)))
    for first in range(0, len(parts), _BLOCK):
        some = parts[first : first + _BLOCK]
        table = np.full((len(some), max(map(len, some))), np.nan)
        for row, values in zip(table, some, strict=True):
            row[: len(values)] = values
        ratio = table / _median(table)[:, None]
        logs = np.log(ratio)
        pause = np.nanmax(ratio, axis=1) / _PAUSE_RATIO
        rows[first : first + _BLOCK] = np.stack(
            [
                np.log(_IRREGULARITY_FLOOR + _irregularity(logs)),
                np.log(_ENTROPY_FLOOR + _entropy(logs)),
                np.log1p(pause**_PAUSE_POWER) / _PAUSE_POWER,
            ],
            axis=1,
        )
    return rows


def _irregularity(logs: Floats) -> Floats:
    apart = [_median(np.abs(logs[:, k:] - logs[:, :-k])) for k in PATTERNS]
    least: Floats = np.nanmin(apart, axis=0)
    return least


def _entropy(logs: Floats) -> Floats:
    """Return 2 r B / A for the smallest tolerance r that leaves enough pairs alike."""
    after = logs[:, 1:].astype(np.float32)
    before = np.where(np.isnan(after), np.nan, logs[:, :-1]).astype(np.float32)
    alike, followed = (np.zeros((len(TOLERANCES), len(logs))) for _ in range(2))
    for lag in range(1, before.shape[1]):
        one = np.abs(before[:, lag:] - before[:, :-lag])  # NaN where any of four is not known
        both = np.maximum(one, np.abs(after[:, lag:] - after[:, :-lag]))
        for k, tolerance in enumerate(TOLERANCES):
            alike[k] += (one <= tolerance).sum(axis=1)
            followed[k] += (both <= tolerance).sum(axis=1)
    chosen = (followed >= _FEWEST_ALIKE).argmax(axis=0)
    chosen[followed[-1] < _FEWEST_ALIKE] = len(TOLERANCES) - 1
    rows = np.arange(len(logs))
    share = np.maximum(followed[chosen, rows], 1) / np.maximum(alike[chosen, rows], 1)
    entropy: Floats = 2 * np.array(TOLERANCES)[chosen] / share
    return entropy


def _median(table: Floats) -> Floats:
    """Return the median of the known values of each row, NaN without any."""
    ordered = np.sort(table, axis=1)  # NaN last
    known = np.isfinite(table).sum(axis=1)
    rows = np.arange(len(table))
    low, high = (
        ordered[rows, np.maximum(known - 1, 0) // 2],
        ordered[rows, known // 2 * (known > 0)],
    )
    middle: Floats = np.where(known > 0, (low + high) / 2, np.nan)
    return middle
