"""From the scores of held-out windows to p-values and the threshold of a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.calibration.patients import Promise
from pipelines.config import Settings

Floats = NDArray[np.float64]

WINDOW_RATE = 1 / 1000
"""Share of usual windows above the threshold unless the configuration says otherwise."""
NEW_PATIENT_RATE = {"ecg": 1 / 100, "eeg": 1 / 1000}
"""The same where whole patients set the threshold. Usual beats of one patient look rare to a model
of others: a threshold that 1 in 1000 of them exceed finds hardly any abnormal beat
(docs/calibration.md)."""
_CENTRAL_RATE = 0.15
_FURTHEST = 1.0


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
    promise : Promise or None
        What the threshold promises about patients, if ``rarewave calibrate`` has set it.
    """

    scores: Floats
    window_rate: float
    threshold: float
    extrapolated: bool
    promise: Promise | None = None


def calibrate(
    scores: Floats,
    usual: NDArray[np.bool_],
    settings: Settings,
    windows_per_hour: float,
    default_rate: float = WINDOW_RATE,
    fitted: NDArray[np.bool_] | None = None,
) -> Calibration:
    """Read the threshold off the scores of held-out windows.

    Where few scores lie above the threshold, the tail of the usual ones is extrapolated. If none
    is expected there and trimming has cut into that tail, a second threshold is drawn from the
    middle of *all* scores, and the higher one counts. If none is expected there, the same is done
    without those that are not `fitted`, and the lower of the two results counts: either is too high
    rather than too low, the first where events are among the scores, the second where what was not
    fitted is usual. Neither may lie further above the highest
    score than that lies above the middle: what was never seen is not known that far.

    A setting in events per hour or day is met by allowing as many flagged *windows*: merging
    makes fewer events of them, never more.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    usual : ndarray of bool, shape (n,)
        False for windows that lie far from all others.
    settings : Settings
    windows_per_hour : float
    default_rate : float
        Share of usual windows above the threshold where the settings give nothing.
    fitted : ndarray of bool, shape (n,), optional
        False for windows that a fit would leave out; by default `usual`.
    """
    rate = settings.threshold.window_rate or default_rate
    if settings.threshold.per_hour is not None:
        rate = min(0.5, settings.threshold.per_hour / windows_per_hour)
    kept, threshold = _threshold(scores, usual, rate)
    if fitted is not None and rate * len(kept) < 1 and not fitted[usual].all():
        other = _threshold(scores, usual & fitted, rate)
        if other[1] < threshold:
            kept, threshold = other
    return Calibration(kept, rate, threshold, rate * len(kept) < 10)


def _threshold(scores: Floats, usual: NDArray[np.bool_], rate: float) -> tuple[Floats, float]:
    """Return the scores of the usual windows, rising, and the threshold that they give."""
    from flowcore import central_threshold, tail_threshold  # with torch, which a promise needs not

    kept = np.sort(scores[usual])
    threshold = tail_threshold(kept, rate)
    highest = kept[-1]
    if rate * len(kept) < 1 and not usual.all() and rate <= _CENTRAL_RATE:
        threshold = max(threshold, central_threshold(scores, rate, 1 - _CENTRAL_RATE))
        highest = scores.max()
    return kept, float(min(threshold, highest + _FURTHEST * (highest - float(np.median(kept)))))
