"""The usual beat at each time: a mean over the beats around in which odd ones hardly count.

A plain mean of the beats around is a mixture where every other beat is ventricular. Beats that
come early are therefore discounted from the start, and beats that differ from the mean are
discounted in two further rounds, against what is usual around them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from pipelines.features.rhythm import running_median

Floats = NDArray[np.float64]

AROUND = 301
"""Beats that a usual beat is taken from."""
ROUNDS = 2
BEATS_NEEDED = (2 * ROUNDS + 1) * (AROUND // 2)
"""Beats on each side that a usual beat can depend on."""
_EARLY_SD = 0.7
_LEAST = 0.02  # weight of a beat however early: a rhythm of early beats still has a usual one
_NOISE = 1e-3


class UsualBeat(NamedTuple):
    """What a beat is compared with, for each beat or one for all.

    Attributes
    ----------
    shape : ndarray of shape (n_beats or 1, n_leads, n_times)
    log_amplitude, log_width : ndarray of shape (n_beats or 1, n_leads)
    """

    shape: Floats
    log_amplitude: Floats
    log_width: Floats


def usual_around(
    shape: Floats, log_amplitude: Floats, log_width: Floats, early: Floats | None = None
) -> UsualBeat:
    """Return the usual beat around each beat.

    Parameters
    ----------
    shape : ndarray of shape (n_beats, n_leads, n_times)
        Consecutive beats of amplitude one.
    log_amplitude, log_width : ndarray of shape (n_beats, n_leads)
    early : ndarray of shape (n_beats,), optional
        How early each beat comes, in usual deviations of the rhythm; NaN if unknown.
    """
    timely = np.ones(len(shape))
    if early is not None:
        timely = np.exp(-np.square(np.maximum(np.nan_to_num(early), 0.0) / _EARLY_SD)) + _LEAST
    weight = timely
    usual = _mean_around(shape, weight)
    for _ in range(ROUNDS):
        apart = np.square(shape - usual).mean(axis=(1, 2))
        weight = timely / (1 + np.square(apart / (running_median(apart, AROUND) + _NOISE)))
        usual = _mean_around(shape, weight)
    return UsualBeat(usual, _mean_around(log_amplitude, weight), _mean_around(log_width, weight))


def usual_of(shape: Floats, log_amplitude: Floats, log_width: Floats) -> UsualBeat:
    """Return the median of beats that a person has confirmed as normal."""
    middle = (np.median(part, axis=0)[None] for part in (shape, log_amplitude, log_width))
    return UsualBeat(*middle)


def _mean_around(values: Floats, weight: Floats) -> Floats:
    size = max(1, min(AROUND, 2 * (len(values) // 2) - 1))
    total = uniform_filter1d(weight, size, mode="nearest")
    weighted = values * weight.reshape(-1, *[1] * (values.ndim - 1))
    mean: Floats = uniform_filter1d(weighted, size, axis=0, mode="nearest")
    mean /= total.reshape(-1, *[1] * (values.ndim - 1))
    return mean
