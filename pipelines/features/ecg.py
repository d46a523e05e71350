"""ECG features: where a beat stands in the rhythm, and how it differs from the usual beat.

Everything counts against the patient: the rhythm against its own irregularity
(:mod:`pipelines.features.rhythm`), amplitude, width and shape against a *usual beat*: that of the
beats around (:mod:`pipelines.features.usual_beat`), or of a stretch that a person has confirmed as
normal. Absolute waveforms differ more between patients than normal and ventricular beats do within
one (docs/decisions/0002-ecg-features.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from pipelines.features.registry import Feature
from pipelines.features.rhythm import RHYTHM_FEATURES as RHYTHM_FEATURES
from pipelines.features.rhythm import rhythm_features as rhythm_features
from pipelines.features.usual_beat import usual_around, usual_of

GRID_S = np.arange(-24, 40) / 100.0
"""Times around the R peak at which a beat's waveform is sampled, in seconds."""

SHAPE_FEATURES = (
    Feature("amplitude_change", "ln", "amplitude against that of the usual beat"),
    Feature("width_change", "ln", "width of the main deflection against that of the usual beat"),
    Feature("shape_change", "ln", "difference in shape from the usual beat"),
    Feature("shape_change_before", "ln", "difference from the usual beat before the QRS complex"),
    Feature("shape_change_qrs", "ln", "difference from the usual beat in the QRS complex"),
    Feature("shape_change_after", "ln", "difference from the usual beat in ST segment and T wave"),
)
FEATURES: tuple[Feature, ...] = (*RHYTHM_FEATURES, *SHAPE_FEATURES)
"""Every ECG feature; shape features are computed per lead."""

_EARLY = [feature.name for feature in RHYTHM_FEATURES].index("early_minutes")
_PARTS_S = {"before": (-0.24, -0.06), "qrs": (-0.10, 0.12), "after": (0.12, 0.40)}
_CENTRE_SD_S = 0.12
_FLOOR_V = 1e-6
_AMPLITUDE_RANGE, _WIDTH_RANGE = 0.5, 0.4
"""Changes (log) saturate here: an electrode that moves is no more than a doubled amplitude."""
_CORRELATION_FLOOR, _DIFFERENCE_FLOOR = 0.005, 0.08
"""Differences below these are noise, and no reason to call a beat unusually usual."""


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


def feature_rows(
    waveforms: NDArray[np.floating],
    rhythm: NDArray[np.float64],
    usual: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return one row a beat: the rhythm features, then the shape features lead by lead.

    Parameters
    ----------
    waveforms : ndarray of shape (n_beats, n_leads, len(GRID_S))
        Consecutive beats in volts.
    rhythm : ndarray of shape (n_beats, len(RHYTHM_FEATURES))
        Of :func:`rhythm_features`; tells which beats come early and say little of the usual one.
    usual : ndarray of bool, shape (n_beats,), optional
        See :func:`shape_features`.
    """
    shape = shape_features(waveforms, usual, np.sinh(rhythm[:, _EARLY]))
    return np.hstack([rhythm, shape.reshape(len(shape), -1)])


def shape_features(
    waveforms: NDArray[np.floating],
    usual: NDArray[np.bool_] | None = None,
    early: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Measure how amplitude, width and shape differ from the usual beat, lead by lead.

    Parameters
    ----------
    waveforms : ndarray of shape (n_beats, n_leads, len(GRID_S))
        Consecutive beats in volts.
    usual : ndarray of bool, shape (n_beats,), optional
        The beats whose median is the usual beat. By default that of the beats around each.
    early : ndarray of shape (n_beats,), optional
        How early each beat comes, see :func:`pipelines.features.usual_beat.usual_around`.

    Returns
    -------
    ndarray of shape (n_beats, n_leads, len(SHAPE_FEATURES))
        Amplitude is the log of the root mean square over that of the usual beat; width the log
        of the standard deviation in seconds of the energy around the R peak, over that of the
        usual beat; both saturate. ``shape_change`` is ``log(1.005 - r)`` with the correlation r;
        the others are logs of the root mean square difference of the amplitude-normalised shapes
        in that part of the beat, plus 0.08.
    """
    centred = waveforms - np.median(waveforms, axis=2, keepdims=True)
    centred = centred.astype(np.float64)
    amplitude = np.sqrt(np.mean(np.square(centred), axis=2)) + _FLOOR_V
    shape = centred / amplitude[..., None]
    measured = shape, np.log(amplitude), np.log(_width(shape))
    if usual is None:
        reference = usual_around(*measured, early)
    else:
        reference = usual_of(*(part[usual] for part in measured))
    difference = shape - reference.shape
    columns = [
        _saturated(measured[1] - reference.log_amplitude, _AMPLITUDE_RANGE),
        _saturated(measured[2] - reference.log_width, _WIDTH_RANGE),
        np.log(1 + _CORRELATION_FLOOR - _correlation(shape, reference.shape)),
        *(
            np.log(_root_mean_square(difference[..., _between(*part)]) + _DIFFERENCE_FLOOR)
            for part in _PARTS_S.values()
        ),
    ]
    return np.stack(columns, axis=2)


def _saturated(values: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    saturated: NDArray[np.float64] = limit * np.tanh(values / limit)
    return saturated


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
