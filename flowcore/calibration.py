"""Conformal p-values, and thresholds for a given rate of false flags."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from flowcore.errors import DataError, ParameterError

Floats = NDArray[np.float64]

SHAPE_BOUNDS = (-0.5, 0.5)
MIN_TAIL = 30


def conformal_p_values(scores: Floats, calibration: Floats) -> Floats:
    """Return ``(1 + #{c >= s}) / (n + 1)`` for each score against `n` calibration scores.

    If a score and the calibration scores are exchangeable, its p-value is at most `a` with
    probability at most `a` (Vovk et al., 2005; split conformal prediction). Windows of one
    recording are dependent, so this holds per window, never for "some window of the recording".

    Parameters
    ----------
    scores : ndarray of shape (n_windows,)
        Higher is more abnormal. NaN stays NaN.
    calibration : ndarray of shape (n,)
        Scores of held-out normal windows, finite.

    Returns
    -------
    ndarray of shape (n_windows,)
        In (0, 1].
    """
    ordered = np.sort(_finite(calibration))
    n = len(ordered)
    at_least = n - np.searchsorted(ordered, scores, side="left")
    p_values = (1.0 + at_least) / (n + 1.0)
    return np.asarray(np.where(np.isnan(scores), np.nan, p_values), dtype=np.float64)


def tail_threshold(scores: Floats, rate: float) -> float:
    """Return the score that a normal window exceeds with probability `rate`.

    Inside the data this is an empirical quantile. Where fewer than ten of the scores lie beyond
    it, the largest tenth of the scores is described by a generalised Pareto law (Pickands 1975,
    peaks over threshold; shape held within -0.5 to 0.5, exponential where fewer than 30 peaks
    or no fit) and the threshold is read off that law. **That is an extrapolation**: it assumes
    that the tail goes on as it began and carries no guarantee.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Scores of normal windows, at least 10.
    rate : float
        Between 0 and 1.
    """
    ordered = np.sort(_finite(scores))
    n = len(ordered)
    if not 0 < rate < 1:
        raise ParameterError(f"rate={rate} must lie between 0 and 1 (exclusive)")
    if n < 10:
        raise DataError(f"got {n} scores; a tail threshold needs at least 10")
    if rate * n >= 10:
        return float(np.quantile(ordered, 1 - rate))
    n_peaks = max(math.ceil(n / 10), min(10, n // 2))
    base = float(ordered[n - n_peaks - 1])
    peaks = ordered[n - n_peaks :] - base
    return base + _pareto_excess(peaks, rate * n / n_peaks)


def central_threshold(scores: Floats, rate: float, upper: float = 0.85) -> float:
    """Return the score that a normal window exceeds with probability `rate`, from the middle.

    An exponential law through the median and the quantile `upper`. Unlike :func:`tail_threshold`
    it never looks at the largest scores, so some of them may belong to windows that are not
    normal; in return it is cruder. An extrapolation without a guarantee.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Scores of mostly normal windows, at least 10.
    rate : float
        Between 0 and ``1 - upper``.
    upper : float
        Between 0.5 and 1.
    """
    ordered = _finite(scores)
    if not 0.5 < upper < 1 or not 0 < rate <= 1 - upper:
        raise ParameterError(f"rate={rate}, upper={upper}: needed are 0 < rate <= 1 - upper < 0.5")
    if len(ordered) < 10:
        raise DataError(f"got {len(ordered)} scores; a threshold needs at least 10")
    middle, high = np.quantile(ordered, [0.5, upper])
    scale = (high - middle) / math.log(0.5 / (1 - upper))
    return float(middle + scale * math.log(0.5 / rate))


def _pareto_excess(peaks: Floats, survival: float) -> float:
    """Return the excess that a peak exceeds with probability `survival`."""
    mean = float(peaks.mean())
    if mean <= 0:  # all ties: the tail has no width to extrapolate
        return 0.0
    if len(peaks) < MIN_TAIL:
        return -mean * math.log(survival)
    shape, _, scale = stats.genpareto.fit(peaks, floc=0.0)
    if not (math.isfinite(shape) and scale > 0):
        return -mean * math.log(survival)
    bounded = min(max(shape, SHAPE_BOUNDS[0]), SHAPE_BOUNDS[1])
    if bounded != shape:  # keep the mean excess, which is scale / (1 - shape)
        scale = mean * (1 - bounded)
    return float(stats.genpareto.isf(survival, bounded, scale=scale))


def _finite(scores: Floats) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise DataError(
            f"calibration scores of shape {values.shape} must be one or more finite numbers; "
            "leave out windows that could not be scored"
        )
    return values
