"""ECG: muscle noise or interference, a baseline that runs away, and noise that looks like beats.

Noise is measured against the waves, whatever their form: a ventricular beat, flutter or
fibrillation is large and slow, and raises what noise is compared with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from pipelines.quality.likeness import likeness
from pipelines.signals.heartbeats import agreement, detect_waves
from pipelines.signals.preprocessing import band_pass

Floats = NDArray[np.float64]

NOISE, BASELINE = "muscle noise or interference", "baseline wander"
UNLIKE = "noise that looks like beats"
NOISE_BAND_HZ = (25.0, 45.0)
NOISE_RATIO = 0.11
"""Usual size of what lies in the noise band, against the waves: above it a beat is not scored."""
BASELINE_V = 4e-3
"""Range of the baseline within two seconds, volts, above which a beat is not scored."""
UNLIKE_ANYWAY, UNLIKE_IN_DOUBT = 1.98, 2.33
"""Likeness below which the beats of ten seconds are not scored: whatever the second detector says,
and where it disagrees (correlations of 0.88 and 0.92 if all beats had the same)."""
AGREED = 0.8
"""Share of the beats that both detectors find from which they count as agreed."""
_AROUND_S = 1.0
_QRS_S = 0.06
_NEIGHBOURS, _RUN = 11, 5
_SPARSE = 100
"""Samples by which two seconds are represented."""
_BLOCK = 256


def ecg_faults(
    data: Floats, filtered: Floats, peaks: NDArray[np.int64], sfreq: float
) -> dict[str, NDArray[np.bool_]]:
    """Find the beats whose surroundings are too noisy to measure.

    Parameters
    ----------
    data, filtered : ndarray of shape (n_leads, n_times)
        Volts, before and after the filter that beats are measured with; NaN counts as zero.
    peaks : ndarray of shape (n_beats,)
        Sample indices of all R peaks of the stretch, rising.
    sfreq : float
        Sampling rate in Hz.

    Returns
    -------
    dict of str to ndarray of shape (n_beats, n_leads)
        True where the fault named by the key is present around the beat: within a second, noise
        that looks like beats within five.
    """
    noise, swing = noise_ratio(data, filtered, peaks, sfreq), _swing(data, peaks, sfreq)
    noisy = noise > NOISE_RATIO
    if len(peaks):  # one beat alone is not noise: noise lasts
        noisy = median_filter(noisy.astype(np.uint8), (_RUN, 1), mode="nearest") > 0
    away = ~noisy & (swing > BASELINE_V)
    return {NOISE: noisy, BASELINE: away, UNLIKE: ~noisy & ~away & unlike(filtered, peaks, sfreq)}


def unlike(filtered: Floats, peaks: NDArray[np.int64], sfreq: float) -> NDArray[np.bool_]:
    """Return where what was found is noise and not beats, (n_beats, 1): electrode motion mostly.

    The beats within five seconds resemble no beats nearby, and a second detector does not find
    the same ones in the first lead (bSQI); or they resemble none at all.
    """
    alike = likeness(filtered, peaks, sfreq)
    agreed = agreement(peaks, detect_waves(filtered[0], sfreq), sfreq) >= AGREED
    found: NDArray[np.bool_] = alike < np.where(agreed, UNLIKE_ANYWAY, UNLIKE_IN_DOUBT)
    return found[:, None]


def noise_ratio(data: Floats, filtered: Floats, peaks: NDArray[np.int64], sfreq: float) -> Floats:
    """Return the size of 25 to 45 Hz around each beat and lead, against the largest waves.

    The size is 1.48 times the median of absolute values within a second, which a QRS complex does
    not raise. The waves are the larger of the QRS (median of 11 beats) and twice the usual size of
    everything, in the lead where that is largest.
    """
    if not len(peaks):
        return np.empty((0, len(data)))
    noise = _usual_size(band_pass(data, sfreq, *NOISE_BAND_HZ), peaks, sfreq)
    waves = np.maximum(_beat_size(filtered, peaks, sfreq), 2 * _usual_size(filtered, peaks, sfreq))
    ratio: Floats = noise / np.maximum(waves.max(axis=1, keepdims=True), 1e-9)
    return ratio


def _usual_size(signal: Floats, peaks: NDArray[np.int64], sfreq: float) -> Floats:
    """Return 1.48 times the median absolute value within a second of each peak, by lead."""
    step = max(1, int(2 * _AROUND_S * sfreq / _SPARSE))
    offsets = np.arange(-round(_AROUND_S * sfreq), round(_AROUND_S * sfreq) + 1, step)
    size, last = np.empty((len(peaks), len(signal))), signal.shape[1] - 1
    for first in range(0, len(peaks), _BLOCK):
        at = np.clip(peaks[first : first + _BLOCK, None] + offsets, 0, last)
        size[first : first + _BLOCK] = np.median(np.abs(signal[:, at]), axis=2).T
    return 1.4826 * size


def _beat_size(filtered: Floats, peaks: NDArray[np.int64], sfreq: float) -> Floats:
    """Return half the range of the QRS complex, the median of the beats around, by lead."""
    half = round(_QRS_S * sfreq)
    near = np.clip(peaks[:, None] + np.arange(-half, half + 1), 0, filtered.shape[1] - 1)
    size = 0.5 * np.ptp(filtered[:, near], axis=2)
    around: Floats = median_filter(size, (1, _NEIGHBOURS), mode="nearest").T
    return around


def _swing(data: Floats, peaks: NDArray[np.int64], sfreq: float) -> Floats:
    """Return the range of four medians of half a second each around each peak, by lead."""
    quarter = round(_AROUND_S * sfreq / 2)
    offsets = np.arange(0, quarter, max(1, quarter // 25))
    starts = np.arange(-2, 2) * quarter
    known, last = np.nan_to_num(data), data.shape[1] - 1
    swing = np.empty((len(peaks), len(data)))
    for first in range(0, len(peaks), _BLOCK):
        at = peaks[first : first + _BLOCK, None, None] + starts[:, None] + offsets
        middle = np.median(known[:, np.clip(at, 0, last)], axis=3)
        swing[first : first + _BLOCK] = np.ptp(middle, axis=2).T
    return swing
