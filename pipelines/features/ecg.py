"""ECG features: the shape of a beat, its amplitude, and its place in the rhythm.

The shape is taken at fixed times around the R peak, per lead, freed of its amplitude (which is
kept as a logarithm of its own). Intervals count against the local rhythm, as prematurity and
compensatory pause do for a reader.
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
    Feature("rr_change", "ln", "interval to the next beat against that to the previous one"),
    Feature("local_rr", "ln", "local interval between beats (heart rate)"),
)
SHAPE_FEATURES = (
    Feature("amplitude", "ln", "amplitude of the beat"),
    Feature("width", "ln", "width of the beat's main deflection"),
    Feature("unlike_neighbours", "ln", "difference in shape from the beats around it"),
)
FEATURES: tuple[Feature, ...] = (*RHYTHM_FEATURES, *SHAPE_FEATURES)
"""Every ECG feature; shape features are computed per lead."""

_NEIGHBOURS = 41
_LOCAL_INTERVALS = 21
_CENTRE_SD_S = 0.12
_FLOOR_V = 1e-6


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
    previous, following = intervals[:-1], intervals[1:]
    local = median_filter(intervals, _LOCAL_INTERVALS, mode="nearest")[:-1]
    columns = [previous - local, following - local, following - previous, local]
    result[1:-1] = np.stack(columns, axis=1)
    return result


def shape_features(waveforms: NDArray[np.floating]) -> NDArray[np.float64]:
    """Measure amplitude, width and likeness to the neighbours, lead by lead.

    Parameters
    ----------
    waveforms : ndarray of shape (n_beats, n_leads, len(GRID_S))
        Consecutive beats in volts.

    Returns
    -------
    ndarray of shape (n_beats, n_leads, len(SHAPE_FEATURES))
        Amplitude is the log of the root mean square in volts, width the log of the standard
        deviation in seconds of the energy around the R peak, unlikeness ``log(1.001 - r)``
        , r being the correlation with the mean of 41 beats around.
    """
    centred = waveforms - np.median(waveforms, axis=2, keepdims=True)
    centred = centred.astype(np.float64)
    amplitude = np.sqrt(np.mean(np.square(centred), axis=2)) + _FLOOR_V
    shape = centred / amplitude[..., None]
    energy = np.square(shape) * np.exp(-0.5 * np.square(GRID_S / _CENTRE_SD_S))
    energy = energy / np.maximum(energy.sum(axis=2, keepdims=True), 1e-12)
    middle = np.sum(energy * GRID_S, axis=2, keepdims=True)
    width = np.sqrt(np.sum(energy * np.square(GRID_S - middle), axis=2)) + 1e-3
    around = uniform_filter1d(shape, _NEIGHBOURS, axis=0, mode="nearest")
    norm = np.sqrt(np.square(shape).sum(axis=2) * np.square(around).sum(axis=2))
    likeness = np.sum(shape * around, axis=2) / np.maximum(norm, 1e-12)
    return np.stack([np.log(amplitude), np.log(width), np.log(1.001 - likeness)], axis=2)
