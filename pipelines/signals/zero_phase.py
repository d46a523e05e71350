"""Filtering forward and backward as scipy does it, with the work on the filter itself done once."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, iirnotch, sosfilt, sosfilt_zi, tf2sos

Floats = NDArray[np.float64]

_PADDING_S = 2.0


class Filter(NamedTuple):
    """Second-order sections (n_sections, 6) of a filter, and the state it has after a long 1."""

    sections: Floats
    state: Floats


@cache
def band(low: float, high: float, sfreq: float) -> Filter:
    """Return a Butterworth filter of second order that passes `low` to `high` Hz."""
    return _filter(butter(2, (low, high), "bandpass", fs=sfreq, output="sos"))


@cache
def notch(freq: float, width: float, sfreq: float) -> Filter:
    """Return a filter that removes `freq` Hz, `width` Hz wide."""
    return _filter(tf2sos(*iirnotch(freq, freq / width, fs=sfreq)))


def _filter(sections: Floats) -> Filter:
    return Filter(sections, sosfilt_zi(sections))


def zero_phase(what: Filter, signal: Floats, sfreq: float) -> Floats:
    """Filter one channel (n_times,) or several one by one (n_channels, n_times) without phase shift.

    The numbers of :func:`scipy.signal.sosfiltfilt` with two seconds of odd extension. Missing
    samples (NaN) count as zero.
    """
    filtered = np.empty(signal.shape)
    padding = min(round(_PADDING_S * sfreq), signal.shape[-1] - 1)
    for row, values in zip(np.atleast_2d(filtered), np.atleast_2d(signal), strict=True):
        row[:] = _forward_and_backward(what, known(values), padding)
    return filtered


def known(values: Floats) -> Floats:
    """Return samples with zero for what is missing (NaN); the same array if nothing is."""
    return values if np.isfinite(values.sum()) else np.nan_to_num(values)


def _forward_and_backward(what: Filter, values: Floats, padding: int) -> Floats:
    before = 2 * values[0] - values[padding:0:-1]
    after = 2 * values[-1] - values[-2 : -(padding + 2) : -1]
    padded = np.concatenate([before, values, after])
    there, _ = sosfilt(what.sections, padded, zi=what.state * padded[0])
    back, _ = sosfilt(what.sections, there[::-1], zi=what.state * there[-1])
    filtered: Floats = back[::-1][padding : padding + len(values)]
    return filtered
