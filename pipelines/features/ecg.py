"""ECG features: where a beat stands in the rhythm, and how its shape differs from the usual one.

Intervals count against the local rhythm, as prematurity and compensatory pause do for a reader.
Amplitude and shape count against a *reference*: the beats around, or those of a stretch that a
person has confirmed as normal for this patient. Absolute waveforms differ more between patients
than normal and ventricular beats do within one (docs/decisions/0002-ecg-features.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, median_filter, uniform_filter1d

from pipelines.features.registry import Feature

GRID_S = np.arange(-24, 40) / 100.0
"""Times around the R peak at which a beat's waveform is sampled, in seconds."""

RHYTHM_FEATURES = (
    Feature("rr_previous", "ln", "interval to the previous beat against the local rhythm"),
    Feature("rr_next", "ln", "interval to the next beat against the local rhythm"),
    Feature("local_rr", "ln", "local interval between beats (heart rate)"),
)
SHAPE_FEATURES = (
    Feature("relative_amplitude", "ln", "amplitude against that of the usual beat"),
    Feature("width", "ln", "width of the beat's main deflection"),
    Feature("unlike", "ln", "difference in shape from the usual beat"),
    Feature("unlike_before", "ln", "difference from the usual beat before the QRS complex"),
    Feature("unlike_qrs", "ln", "difference from the usual beat in the QRS complex"),
    Feature("unlike_after", "ln", "difference from the usual beat in ST segment and T wave"),
)
FEATURES: tuple[Feature, ...] = (*RHYTHM_FEATURES, *SHAPE_FEATURES)
"""Every ECG feature; shape features are computed per lead."""

_PARTS_S = {"before": (-0.24, -0.06), "qrs": (-0.10, 0.12), "after": (0.12, 0.40)}
_NEIGHBOURS = 41
_LOCAL_INTERVALS = 21
_CENTRE_SD_S = 0.12
_FLOOR_V = 1e-6
_UNLIKE_FLOOR = 0.03  # of the beat's root mean square: below it differences are noise


def beat_waveforms(
    leads: NDArray[np.float64], peaks: NDArray[np.int64], sfreq: float
) -> NDArray[np.float32]:
    """Sample each lead at :data:`GRID_S` around each R peak by cubic interpolation.

    Parameters
    ----------
    leads : ndarray of shape (n_leads, n_times)
        Filtered ECG in volts.
    peaks : ndarray of shape (n_beats,)
        Sample indices.
    sfreq : float
        Sampling rate in Hz.

    Returns
    -------
    ndarray of shape (n_beats, n_leads, len(GRID_S))
        Volts; beyond the ends the last sample is repeated.
    """
    at = (peaks[:, None] + GRID_S * sfreq)[None]
    sampled = [map_coordinates(lead, at, order=3, mode="nearest") for lead in leads]
    return np.stack(sampled, axis=1).astype(np.float32)


def rhythm_features(peak_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compare each interval between beats with the local rhythm.

    Parameters
    ----------
    peak_s : ndarray of shape (n_beats,)
        Times of the R peaks of one continuous piece in seconds, rising.

    Returns
    -------
    ndarray of shape (n_beats, len(RHYTHM_FEATURES))
        Natural logarithms; NaN where a neighbour is missing (first and last beat).
    """
    result = np.full((len(peak_s), len(RHYTHM_FEATURES)), np.nan)
    if len(peak_s) < 3:
        return result
    intervals = np.log(np.diff(peak_s))
    local = median_filter(intervals, _LOCAL_INTERVALS, mode="nearest")[:-1]
    result[1:-1] = np.stack([intervals[:-1] - local, intervals[1:] - local, local], axis=1)
    return result


def shape_features(
    waveforms: NDArray[np.floating], usual: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Measure amplitude, width and difference from the usual beat, lead by lead.

    Parameters
    ----------
    waveforms : ndarray of shape (n_beats, n_leads, len(GRID_S))
        Consecutive beats in volts.
    usual : ndarray of bool, shape (n_beats,), optional
        The beats whose median is the usual beat. By default each beat's own neighbourhood, the
        mean of 41 beats around it.

    Returns
    -------
    ndarray of shape (n_beats, n_leads, len(SHAPE_FEATURES))
        Amplitude is the log of the root mean square over that of the usual beat; width the log
        of the standard deviation in seconds of the energy around the R peak; ``unlike`` is
        ``log(1.001 - r)`` with the correlation r; the others are logs of the root mean square
        difference of the amplitude-normalised shapes in that part of the beat.
    """
    centred = waveforms - np.median(waveforms, axis=2, keepdims=True)
    centred = centred.astype(np.float64)
    amplitude = np.sqrt(np.mean(np.square(centred), axis=2)) + _FLOOR_V
    shape = centred / amplitude[..., None]
    log_amplitude = np.log(amplitude)
    reference, reference_amplitude = _reference(shape, log_amplitude, usual)
    difference = shape - reference
    columns = [
        log_amplitude - reference_amplitude,
        np.log(_width(shape)),
        np.log(1.001 - _correlation(shape, reference)),
        *(
            np.log(_root_mean_square(difference[..., _between(*part)]) + _UNLIKE_FLOOR)
            for part in _PARTS_S.values()
        ),
    ]
    return np.stack(columns, axis=2)


def _reference(
    shape: NDArray[np.float64], log_amplitude: NDArray[np.float64], usual: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shape and log amplitude of the usual beat, for each beat or one for all."""
    if usual is not None:
        return np.median(shape[usual], axis=0), np.median(log_amplitude[usual], axis=0)
    around: NDArray[np.float64] = uniform_filter1d(shape, _NEIGHBOURS, axis=0, mode="nearest")
    return around, median_filter(log_amplitude, (_NEIGHBOURS, 1), mode="nearest")


def _width(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the spread in time of the energy around the R peak, seconds."""
    energy = np.square(shape) * np.exp(-0.5 * np.square(GRID_S / _CENTRE_SD_S))
    energy = energy / np.maximum(energy.sum(axis=2, keepdims=True), 1e-12)
    middle = np.sum(energy * GRID_S, axis=2, keepdims=True)
    width: NDArray[np.float64] = np.sqrt(np.sum(energy * np.square(GRID_S - middle), axis=2))
    return width + 1e-3


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    norm = np.sqrt(np.square(a).sum(axis=-1) * np.square(b).sum(axis=-1))
    r: NDArray[np.float64] = np.sum(a * b, axis=-1) / np.maximum(norm, 1e-12)
    return np.minimum(r, 1.0)


def _root_mean_square(values: NDArray[np.float64]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean(np.square(values), axis=-1)
    return np.sqrt(mean)


def _between(start_s: float, stop_s: float) -> slice:
    """Return the part of the grid from `start_s` up to `stop_s`."""
    first, last = np.searchsorted(GRID_S, (start_s - 1e-9, stop_s - 1e-9))
    return slice(int(first), int(last))
