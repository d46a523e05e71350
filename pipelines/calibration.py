"""From the scores of held-out windows to p-values and the threshold of a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowcore import central_threshold, tail_threshold
from pipelines.config import Settings
from pipelines.errors import SignalError

Floats = NDArray[np.float64]

_CENTRAL_RATE = 0.15


@dataclass(frozen=True)
class Calibration:
    """The scores of held-out windows, and the threshold read off them.

    Attributes
    ----------
    scores : ndarray of shape (n,)
        Anomaly scores of windows that were held out of the fit, rising.
    window_rate : float
        Share of such windows expected above the threshold.
    threshold : float
        A higher score is flagged.
    extrapolated : bool
        True if fewer than ten of the scores lie above the threshold: then it rests on the shape
        of their tail and carries no guarantee.
    """

    scores: Floats
    window_rate: float
    threshold: float
    extrapolated: bool


def calibrate(
    scores: Floats, usual: NDArray[np.bool_], settings: Settings, windows_per_hour: float
) -> Calibration:
    """Read the threshold off the scores of held-out windows.

    Where few scores lie above the threshold, the tail of the usual ones is extrapolated. If none
    is expected there and trimming has cut into that tail, a second threshold is drawn from the
    middle of *all* scores, and the higher one counts.

    A setting in events per hour is met by allowing as many flagged *windows* per hour: merging
    makes fewer events of them, never more.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    usual : ndarray of bool, shape (n,)
        False for windows that trimming left out.
    settings : Settings
    windows_per_hour : float
    """
    rate = settings.threshold.window_rate
    if settings.threshold.events_per_hour is not None:
        rate = min(0.5, settings.threshold.events_per_hour / windows_per_hour)
    if rate is None:
        raise SignalError("the settings give neither a window rate nor events per hour")
    kept = np.sort(scores[usual])
    threshold = tail_threshold(kept, rate)
    extrapolated = rate * len(kept) < 10
    if rate * len(kept) < 1 and not usual.all() and rate <= _CENTRAL_RATE:
        threshold = max(threshold, central_threshold(scores, rate, 1 - _CENTRAL_RATE))
    return Calibration(kept, rate, threshold, extrapolated)
