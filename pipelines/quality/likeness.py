"""Do the beats of a stretch resemble each other? In noise that looks like beats they do not.

Each beat is compared with its neighbours, and what counts is how well the *best* of them fits: in
bigeminy every beat has its like two beats away. What is averaged over ten seconds is then the
stretch's, not the beat's: one ventricular beat among others stays what it is, an anomaly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AROUND_S = 5.0
"""Seconds on each side of a beat that its likeness is averaged over."""
NEIGHBOURS, REACH_S = 8, 8.0
"""Beats on each side, and seconds, within which a beat looks for its like."""
_PART_S = (-0.08, 0.17)
_GRID_S = 0.01
_FLOOR = 0.02
"""A correlation above 0.98 is no more alike than that: noise decides on the rest."""
_NONE = -0.5
_FLAT_V = 5e-6
"""Root mean square of a beat below which its lead says nothing: an electrode that is off."""


def likeness(filtered: Floats, peaks: NDArray[np.int64], sfreq: float) -> Floats:
    """Return how much the beats within five seconds of each beat resemble beats nearby.

    Parameters
    ----------
    filtered : ndarray of shape (n_leads, n_times)
        Volts, without drift.
    peaks : ndarray of shape (n_beats,)
        Sample indices of all R peaks of the stretch, rising.
    sfreq : float
        Sampling rate in Hz.

    Returns
    -------
    ndarray of shape (n_beats,)
        ``-ln(1.02 - r)``, r the best correlation with a neighbour from 0.08 s before to 0.17 s
        after the R peak, averaged over beats and the leads that are not flat. No unit; 3.9 where
        all are equal, 2.1 at 0.9, 0.7 at 0.5. A beat without a neighbour in reach counts as
        r = -0.5.
    """
    by_lead = -np.log(1 + _FLOOR - best_correlation(filtered, peaks, sfreq))
    n_alive = np.isfinite(by_lead).sum(axis=1)
    mean = np.nansum(by_lead, axis=1) / np.maximum(n_alive, 1)
    alike = np.where(n_alive > 0, mean, -np.log(1 + _FLOOR - _NONE))
    total = np.concatenate([[0.0], np.cumsum(alike)])
    around = AROUND_S * sfreq
    first = np.searchsorted(peaks, peaks - around)
    last = np.searchsorted(peaks, peaks + around, side="right")
    around_mean: Floats = (total[last] - total[first]) / (last - first)
    return around_mean


def best_correlation(filtered: Floats, peaks: NDArray[np.int64], sfreq: float) -> Floats:
    """Return each beat's best correlation with a neighbour, (n_beats, n_leads); NaN if flat."""
    offsets = np.round(np.arange(*_PART_S, _GRID_S) * sfreq).astype(np.int64)
    near = np.clip(peaks[:, None] + offsets, 0, filtered.shape[1] - 1)
    best = np.full((len(peaks), len(filtered)), _NONE)
    for lead, values in enumerate(filtered):
        shape = values[near]
        shape -= shape.mean(axis=1, keepdims=True)
        size = np.sqrt(np.square(shape).mean(axis=1, keepdims=True))
        shape /= size * np.sqrt(shape.shape[1]) + 1e-12
        for step in range(1, min(NEIGHBOURS, len(peaks) - 1) + 1):
            fit = np.einsum("ij,ij->i", shape[step:], shape[:-step])
            fit[peaks[step:] - peaks[:-step] > REACH_S * sfreq] = _NONE
            best[step:, lead] = np.maximum(best[step:, lead], fit)
            best[:-step, lead] = np.maximum(best[:-step, lead], fit)
        best[size[:, 0] < _FLAT_V, lead] = np.nan
    capped: Floats = np.minimum(best, 1.0)
    return capped
