"""Where the heart beats: the largest slopes and waves, with a second lead asked where one is silent.

A beat is a local maximum of slope times size that towers over what is usual within some seconds.
Nothing is remembered longer, so that beats do not depend on where a recording was cut. Detectors
after Pan and Tompkins adapt from the first sample on: half the records of MIT-BIH had other beats
in other chunks with sleepecg, which also missed one ventricular beat in eleven on the first lead
(`benchmarks/beat_detection.py`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, median_filter, percentile_filter, uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

Samples = NDArray[np.int64]

QRS_BAND_HZ = (5.0, 30.0)
REFRACTORY_S = 0.25
"""No two beats follow each other faster (240 beats a minute)."""
GAP_RATIO = 1.5
"""An interval this many times the local median is searched for a beat on the other leads."""
BEAT_SHARE = 0.4
"""Share of what is usual around, of slope and size, from which a beat counts as one."""
WAVE_SHARE = 0.25
"""Share of the usual size of a beat from which the second detector counts one."""
_AVERAGED_S = 0.1
_HIGHEST_OF, _AROUND = 7, 11  # candidates, some four a second at most
_FAR, _FAR_PERCENTILE, _FAR_SHARE = 61, 80, 0.2
"""In a pause the noise is all there is around: a beat must also reach a share of what is usual in
some twenty seconds."""
_PEAK_S = 0.06
_SAME_BEAT_S = 0.15
_AGREEMENT_S = 5.0


def detect_beats(leads: NDArray[np.float64], sfreq: float) -> Samples:
    """Find the R peaks of a continuous stretch of ECG.

    Parameters
    ----------
    leads : ndarray of shape (n_leads, n_times)
        Unfiltered ECG in volts without NaN, the lead to trust first in front.
    sfreq : float
        Sampling rate in Hz, at least 100.

    Returns
    -------
    ndarray of shape (n_beats,)
        Sample indices of the R peaks, rising, at least :data:`REFRACTORY_S` apart.
    """
    band = _qrs_band(leads, sfreq)
    beats = _detect_on_lead(band[0], sfreq)
    for other in band[1:]:
        beats = _fill_gaps(beats, _detect_on_lead(other, sfreq), leads.shape[1], sfreq)
    return _apart(_move_to_peak(beats, band[0], sfreq), band[0], sfreq)


def detect_waves(lead: NDArray[np.float64], sfreq: float) -> Samples:
    """Find beats by size alone: a second opinion on :func:`detect_beats` for :func:`agreement`.

    A beat is where the signal is farthest from zero, if that is :data:`WAVE_SHARE` of what is usual
    around. Slope does not count, so that slow noise is taken for beats, and large T waves are.

    Parameters
    ----------
    lead : ndarray of shape (n_times,)
        ECG in volts without drift and without NaN.
    sfreq : float
        Sampling rate in Hz.

    Returns
    -------
    ndarray of shape (n_found,)
        Sample indices, rising, at least :data:`REFRACTORY_S` apart.
    """
    return _peaks(np.abs(lead), WAVE_SHARE, sfreq)


def agreement(beats: Samples, others: Samples, sfreq: float) -> NDArray[np.float64]:
    """Return how far two detections agree around each beat, from 0 to 1.

    Within five seconds on each side: beats that both found, over beats that either found (Li,
    Mark and Clifford 2008, bSQI). Low where one of them counts noise, or neither sees the beats.

    Parameters
    ----------
    beats, others : ndarray of shape (n_beats,), (n_others,)
        Sample indices of two detections of one stretch, rising.
    sfreq : float
        Sampling rate in Hz.

    Returns
    -------
    ndarray of shape (n_beats,)
    """
    if not len(beats) or not len(others):
        return np.zeros(len(beats))
    after = np.clip(np.searchsorted(others, beats), 1, max(1, len(others) - 1))
    around = others[np.stack([after - 1, np.minimum(after, len(others) - 1)])]
    both = np.abs(around - beats).min(axis=0) <= _SAME_BEAT_S * sfreq
    matched = np.concatenate([[0], np.cumsum(both)])
    half = _AGREEMENT_S * sfreq
    first, last = np.searchsorted(beats, beats - half), np.searchsorted(beats, beats + half)
    n_both = matched[last] - matched[first]
    n_other = np.searchsorted(others, beats + half) - np.searchsorted(others, beats - half)
    share: NDArray[np.float64] = n_both / (last - first + np.maximum(n_other - n_both, 0))
    return share


def _qrs_band(leads: NDArray[np.float64], sfreq: float) -> NDArray[np.float64]:
    sos = butter(2, QRS_BAND_HZ, "bandpass", fs=sfreq, output="sos")
    padding = min(round(2 * sfreq), leads.shape[1] - 1)
    band: NDArray[np.float64] = sosfiltfilt(sos, leads, axis=1, padlen=padding)
    return band


def _detect_on_lead(band: NDArray[np.float64], sfreq: float) -> Samples:
    """Find the maxima of slope times size that reach a share of the usual one around."""
    slope = _averaged(np.diff(band), sfreq)
    return _peaks(np.sqrt(slope * _averaged(band[1:], sfreq)), BEAT_SHARE, sfreq)


def _averaged(values: NDArray[np.float64], sfreq: float) -> NDArray[np.float64]:
    average = uniform_filter1d(np.abs(values), max(1, round(_AVERAGED_S * sfreq)))
    return np.maximum(average, 0.0)  # a running sum may end below by rounding


def _peaks(curve: NDArray[np.float64], share: float, sfreq: float) -> Samples:
    """Return the maxima of a curve that reach `share` of the usual highest around."""
    found, _ = find_peaks(curve, distance=max(1.0, REFRACTORY_S * sfreq))
    if not len(found):
        return np.empty(0, dtype=np.int64)
    height = curve[found]
    highest = maximum_filter1d(height, _HIGHEST_OF)
    usual = median_filter(highest, _AROUND, mode="nearest")
    far = percentile_filter(highest, _FAR_PERCENTILE, _FAR, mode="nearest")
    beat = height > np.maximum(share * usual, _FAR_SHARE * far)
    return np.asarray(found[beat], dtype=np.int64)


def _fill_gaps(beats: Samples, other: Samples, n_times: int, sfreq: float) -> Samples:
    """Add the beats of another lead where the trusted lead is silent for too long."""
    if len(beats) < 3:
        return other if len(other) > len(beats) else beats
    edges = np.concatenate([[0], beats, [n_times]])
    intervals = np.diff(edges)
    usual = median_filter(intervals, 21, mode="nearest")
    near = np.searchsorted(beats, other)  # index of the interval that holds each other beat
    silent = intervals[near] > GAP_RATIO * usual[near]
    margin = REFRACTORY_S * sfreq
    clear = (other - edges[near] > margin) & (edges[near + 1] - other > margin)
    return np.sort(np.concatenate([beats, other[silent & clear]]))


def _move_to_peak(beats: Samples, band: NDArray[np.float64], sfreq: float) -> Samples:
    """Move each beat to the largest deflection of the QRS band nearby, either polarity."""
    if not len(beats):
        return beats
    half = round(_PEAK_S * sfreq)
    around = np.clip(beats[:, None] + np.arange(-half, half + 1), 0, len(band) - 1)
    peaks: Samples = around[np.arange(len(beats)), np.abs(band[around]).argmax(axis=1)]
    return peaks


def _apart(beats: Samples, band: NDArray[np.float64], sfreq: float) -> Samples:
    """Of beats closer than the refractory time keep the one with the larger deflection."""
    heights = np.zeros(len(band) + 2)
    heights[beats + 1] = np.abs(band[beats])
    peaks, _ = find_peaks(heights, distance=max(1.0, REFRACTORY_S * sfreq))
    return np.asarray(peaks - 1, dtype=np.int64)
