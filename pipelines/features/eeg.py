"""EEG features: per channel and window, their summary over channels, and spatial structure.

The summary does not depend on the montage: a model fitted on 19 channels can score 16, with the
median over channels for what the brain does as a whole and the spread for what stands out
somewhere. One FFT per window serves every spectral feature.

Sources: Hjorth 1970 (activity, mobility, complexity); Esteller et al. 2001 (line length);
Inouye et al. 1991 (spectral entropy).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.features.registry import Feature

BANDS = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 25.0),
    "gamma": (25.0, 45.0),
}
"""Edges in Hz, lower edge included."""

_CHANNEL = {
    **{name: ("ln", f"{name} power ({lo:g} to {hi:g} Hz)") for name, (lo, hi) in BANDS.items()},
    "line_length": ("ln", "line length (amplitude times frequency)"),
    "mobility": ("ln", "mobility (mean frequency)"),
    "complexity": ("ln", "complexity (how far from one pure rhythm)"),
    "spectral_entropy": ("1", "spectral entropy (flatness of the spectrum)"),
    "kurtosis": ("ln", "kurtosis (weight of extreme values)"),
    "sharpness": ("ln", "sharpness (steepest slope against the usual slope)"),
    "asymmetry": ("1", "asymmetry in time (steep rise and slow fall, or the reverse)"),
}
RECORDED = "recorded"
"""Line length of a channel as recorded, before it is filtered and set against a reference, which
fills in for a channel that is silent. It depends on the reference of the recorder, so only its
change against what is usual on the channel counts (:mod:`pipelines.features.eeg_pattern`)."""
CHANNEL_FEATURES = (*_CHANNEL, RECORDED)
"""Names along the last axis of :func:`channel_features`."""

POWER_FEATURES = (*BANDS, "line_length")
"""Those of the channel features that measure amplitude."""


def _typical(name: str) -> Feature:
    """Return the feature of the typical channel; amplitudes count by their square root.

    Of logarithms half as large is as far as twice as large, of amplitudes themselves a loss of
    nearly all hardly counts: seizures are larger than usual, suppression is smaller
    (docs/decisions/0006-eeg-features.md).
    """
    unit, words = _CHANNEL[name]
    if name in BANDS:
        low, high = BANDS[name]
        unit, words = "√µV", f"{name} amplitude ({low:g} to {high:g} Hz)"
    elif name in POWER_FEATURES:
        unit = "√µV/s"
    version = 2 if name in POWER_FEATURES else 1
    return Feature(f"{name}_median", unit, f"{words}, typical channel", version)


SUMMARY_FEATURES = (
    *map(_typical, _CHANNEL),
    *(
        Feature(f"{name}_spread", unit, f"{words}, spread over the channels")
        for name, (unit, words) in _CHANNEL.items()
    ),
)
SPATIAL_FEATURES = (
    Feature("synchrony", "ln", "synchrony (share of all channels that moves as one)"),
    Feature("second_pattern", "ln", "share of a second common pattern over the channels"),
    Feature("spatial_entropy", "1", "number of independent patterns over the channels"),
    Feature("left_right", "ln", "amplitude of the left side against the right"),
    Feature("front_back", "ln", "amplitude of the front against the back"),
)
FEATURES: tuple[Feature, ...] = (*SUMMARY_FEATURES, *SPATIAL_FEATURES)
"""Every EEG feature of a window by itself, in the order of the model's columns; those that count
against the pattern of a model follow (:mod:`pipelines.features.eeg_pattern`)."""

_BAND_COLUMNS = [list(_CHANNEL).index(name) for name in BANDS]
_AMPLITUDE_COLUMNS = [list(_CHANNEL).index(name) for name in POWER_FEATURES]
_STEEP = 3.0
"""Slopes of so many usual ones and more count in proportion, not by their cube."""
_TINY = 1e-30  # V**2, far below the resolution of any amplifier


class Spectrum(NamedTuple):
    """Mean square of each frequency: ``power`` (..., n_freqs) in V**2 and ``freqs`` in Hz."""

    power: NDArray[np.float64]
    freqs: NDArray[np.float64]


def channel_features(
    windows: NDArray[np.float64], sfreq: float, recorded: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Compute the features of each channel of each window.

    Parameters
    ----------
    windows : ndarray of shape (n_windows, n_channels, n_times)
        Filtered signal in volts.
    sfreq : float
        Sampling rate in Hz.
    recorded : ndarray of shape (n_windows, n_channels, n_times), optional
        The channels as recorded; by default `windows`.

    Returns
    -------
    ndarray of shape (n_windows, n_channels, len(CHANNEL_FEATURES))
        Powers are natural logarithms of V**2, line length of V/s. NaN where the signal is NaN.
    """
    centred = windows - windows.mean(axis=-1, keepdims=True)
    spectrum = _spectrum(centred, sfreq)
    columns = _spectral(spectrum) | _temporal(centred, sfreq)
    steps = np.abs(np.diff(windows if recorded is None else recorded, axis=-1)).mean(axis=-1)
    columns[RECORDED] = np.log(np.maximum(steps * sfreq, np.sqrt(_TINY)))
    stacked: NDArray[np.float64] = np.stack([columns[name] for name in CHANNEL_FEATURES], axis=-1)
    return stacked


def _spectrum(windows: NDArray[np.float64], sfreq: float) -> Spectrum:
    n_times = windows.shape[-1]
    taper = np.hanning(n_times)
    power = np.square(np.abs(np.fft.rfft(windows * taper, axis=-1)))
    power *= 2 / (n_times * np.square(taper).sum())
    return Spectrum(power, np.fft.rfftfreq(n_times, 1 / sfreq).astype(np.float64))


def _spectral(spectrum: Spectrum) -> dict[str, NDArray[np.float64]]:
    """Band powers and the entropy of the spectrum between the outermost band edges."""
    power, freqs = spectrum
    columns: dict[str, NDArray[np.float64]] = {}
    for name, (low, high) in BANDS.items():
        inside = (freqs >= low) & (freqs < high)
        columns[name] = np.log(np.maximum(power[..., inside].sum(axis=-1), _TINY))
    edges = [edge for band in BANDS.values() for edge in band]
    inside = (freqs >= min(edges)) & (freqs < max(edges))
    share = power[..., inside]
    share = share / np.maximum(share.sum(axis=-1, keepdims=True), _TINY)
    entropy = -np.sum(share * np.log(np.maximum(share, 1e-12)), axis=-1)
    columns["spectral_entropy"] = entropy / np.log(inside.sum())
    return columns


def _temporal(centred: NDArray[np.float64], sfreq: float) -> dict[str, NDArray[np.float64]]:
    """Line length, Hjorth's mobility and complexity, kurtosis and sharpness."""
    slope = np.diff(centred, axis=-1) * sfreq
    bend = np.diff(slope, axis=-1) * sfreq
    activity, slope_power, bend_power = (
        np.maximum(np.mean(np.square(v), axis=-1), _TINY) for v in (centred, slope, bend)
    )
    fourth = np.maximum(np.mean(np.square(np.square(centred)), axis=-1), _TINY**2)
    steepest = np.maximum(np.abs(slope).max(axis=-1), np.sqrt(_TINY))
    return {
        "line_length": np.log(np.maximum(np.mean(np.abs(slope), axis=-1), np.sqrt(_TINY))),
        "mobility": 0.5 * np.log(slope_power / activity),
        "complexity": 0.5 * np.log(bend_power / slope_power * activity / slope_power),
        "kurtosis": np.log(fourth / np.square(activity)),
        "sharpness": np.log(steepest / np.sqrt(slope_power)),
        "asymmetry": _asymmetry(slope, slope_power),
    }


def _asymmetry(slope: NDArray[np.float64], slope_power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the skewness of the slope, in which the steepest parts count for less.

    It changes its sign where time runs backwards; a cube alone would be that of one spike.
    """
    unit = slope / np.sqrt(slope_power)[..., None]
    square = np.square(unit)
    unit *= square
    unit /= 1 + square / _STEEP**2
    skewness: NDArray[np.float64] = unit.mean(axis=-1)
    return skewness


def spatial_features(windows: NDArray[np.float64], channels: Sequence[str]) -> NDArray[np.float64]:
    """Compute what the channels do together in each window.

    Parameters
    ----------
    windows : ndarray of shape (n_windows, n_channels, n_times)
        Filtered signal in volts; a channel that is NaN is left out of its window.
    channels : sequence of str
        10-20 names; odd numbers lie left, even right.

    Returns
    -------
    ndarray of shape (n_windows, len(SPATIAL_FEATURES))
        Zero in every column that the montage cannot tell (one channel, no pairs).
    """
    unit, power = _normalised(windows)
    eigenvalues = np.linalg.eigvalsh(unit @ unit.transpose(0, 2, 1))[:, ::-1]
    share = np.maximum(eigenvalues, 1e-9)
    share = share / share.sum(axis=1, keepdims=True)
    second = np.log(share[:, 1]) if share.shape[1] > 1 else np.zeros(len(share))
    amplitude = 0.5 * np.log(np.maximum(power, _TINY))
    amplitude[power <= _TINY] = np.nan
    return np.stack(
        [
            np.log(share[:, 0]),
            second,
            -np.sum(share * np.log(share), axis=1),
            _contrast(
                amplitude,
                [_side(c) == "left" for c in channels],
                [_side(c) == "right" for c in channels],
            ),
            _contrast(
                amplitude,
                [c[:1] in ("F", "A") for c in channels],
                [c[:1] in ("P", "O") for c in channels],
            ),
        ],
        axis=1,
    )


def pair_features(
    windows: NDArray[np.float64], pairs: Sequence[tuple[int, int]]
) -> NDArray[np.float64]:
    """Compute how alike neighbouring channels are in each window, and which of them leads.

    Parameters
    ----------
    windows : ndarray of shape (n_windows, n_channels, n_times)
        Filtered signal in volts; a channel that is NaN makes its pairs NaN.
    pairs : sequence of tuple of int
        Of :func:`pipelines.features.electrodes.neighbours`.

    Returns
    -------
    ndarray of shape (n_windows, len(pairs), 2)
        The correlation, and by how much the second channel follows the first: half the
        difference of two correlations, each of one channel with the slope of the other. Above 0
        what happens on the first channel happens on the second a little later; the sign changes
        where time runs backwards.
    """
    if not pairs:
        return np.zeros((len(windows), 0, 2))
    first, second = np.array(pairs).T
    unit, _ = _normalised(windows)
    slope = unit[..., 2:] - unit[..., :-2]
    size = np.sqrt(np.maximum(np.square(slope).sum(axis=-1), _TINY))
    slope /= size[..., None]
    alike = (unit @ unit.transpose(0, 2, 1))[:, first, second]
    with_slope = unit[..., 1:-1] @ slope.transpose(0, 2, 1)
    follows = (with_slope[:, first, second] - with_slope[:, second, first]) / 2
    values = np.stack([alike, follows], axis=2)
    missing = np.asarray(np.isnan(windows).any(axis=-1))
    values[missing[:, first] | missing[:, second]] = np.nan
    return values


def _normalised(
    windows: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the channels with mean 0 and sum of squares 1, and their power; 0 where missing."""
    centred = np.nan_to_num(windows - windows.mean(axis=-1, keepdims=True))
    power = np.mean(np.square(centred), axis=-1)
    return centred / np.sqrt(np.maximum(power, _TINY) * centred.shape[-1])[..., None], power


def _side(channel: str) -> str:
    digits = "".join(filter(str.isdigit, channel))
    if not digits:
        return "middle"
    return "left" if int(digits) % 2 else "right"


def _contrast(
    amplitude: NDArray[np.float64], first: Sequence[bool], second: Sequence[bool]
) -> NDArray[np.float64]:
    """Return the mean log amplitude of one set of channels minus that of another, 0 if empty."""
    if not any(first) or not any(second):
        return np.zeros(len(amplitude))
    a, b = (_mean_of_known(amplitude[:, np.flatnonzero(chosen)]) for chosen in (first, second))
    return np.nan_to_num(a - b)


def _mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)


def summarise(channel_values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Summarise channel features over the channels: median, and 10th to 90th percentile spread.

    Parameters
    ----------
    channel_values : ndarray of shape (n_windows, n_channels, len(CHANNEL_FEATURES))
        Channels of bad quality are NaN and left out.

    Returns
    -------
    ndarray of shape (n_windows, len(SUMMARY_FEATURES))
        All medians, those of power and line length as square roots of amplitudes in microvolts, then
        all spreads; NaN where a window has no usable channel.
    """
    values = np.asarray(channel_values[..., : len(_CHANNEL)], dtype=np.float64)
    result = np.full((len(values), len(SUMMARY_FEATURES)), np.nan)
    usable = np.isfinite(values).all(axis=2)
    for pattern in np.unique(usable, axis=0):
        rows = (usable == pattern).all(axis=1)
        if pattern.any():
            low, middle, high = np.quantile(values[rows][:, pattern], [0.1, 0.5, 0.9], axis=1)
            result[rows] = np.concatenate([middle, high - low], axis=1)
    result[:, _BAND_COLUMNS] /= 2  # of a mean square to its root
    result[:, _AMPLITUDE_COLUMNS] = 1e3 * np.exp(result[:, _AMPLITUDE_COLUMNS] / 2)
    return result
