"""A part of a recording that a person has confirmed as normal, and features relative to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import SignalError
from pipelines.signals.windows import Windows
from pipelines.trimming import usual_rows

Floats = NDArray[np.float64]

FEWEST_BASELINE_WINDOWS = 30


def relative_to(
    windows: Windows,
    features: Callable[[NDArray[np.bool_]], Floats],
    baseline: tuple[float, float],
    center: Floats,
    by_ratio: NDArray[np.bool_],
) -> Floats:
    """Return the features of all windows counted against a confirmed part.

    Parameters
    ----------
    windows : Windows
        All windows of one recording.
    features : callable
        From a mask of the confirmed windows to the features of all windows.
    baseline : tuple of float
        ``(start_s, stop_s)`` on the recording's clock.
    center : ndarray of shape (n_features,)
        Where the typical confirmed window is moved: the mean of what the model was fitted on.
    by_ratio : ndarray of bool, shape (n_features,)
        Features that are moved by a factor; the others by a difference.

    Raises
    ------
    SignalError
        If the part holds fewer than 30 usable windows.
    """
    confirmed = confirmed_windows(windows, baseline)
    X = features(confirmed)
    typical = typical_row(X[confirmed])
    moved: Floats = X + np.where(by_ratio, 0.0, center - typical)
    moved *= np.where(by_ratio, center / np.where(by_ratio, typical, 1.0), 1.0)
    return moved


def confirmed_windows(windows: Windows, baseline: tuple[float, float]) -> NDArray[np.bool_]:
    """Return a mask of the usable windows of a baseline; refuse fewer than 30."""
    chosen = windows.scorable & windows.within(*baseline)
    if chosen.sum() < FEWEST_BASELINE_WINDOWS:
        raise SignalError(
            f"the baseline {baseline[0]:g}:{baseline[1]:g} s holds {chosen.sum()} usable windows; "
            f"at least {FEWEST_BASELINE_WINDOWS} are needed"
        )
    return chosen


def typical_row(X: Floats) -> Floats:
    """Return the mean of the usual rows: unlike a median it keeps linear relations of features."""
    center: Floats = X[usual_rows(X)].mean(axis=0)
    return center
