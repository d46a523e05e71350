"""EEG: line interference, muscle, amplitudes beyond the brain's, and bridged electrodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGE, LINE = "amplitude beyond EEG", "line interference"
MUSCLE, BRIDGED = "muscle noise", "bridged electrodes"
LARGEST_V = 3e-3
"""Range within a window, volts: seizures of children reach about 1 mV."""
LINE_RATIO = 5.0
"""Amplitude at 50 or 60 Hz against that of everything between 0.5 and 45 Hz."""
MUSCLE_SHARE = 0.8
"""Share of the window's power above 25 Hz."""
MUSCLE_V = 20e-6
"""And the root mean square above 25 Hz, volts: a quiet channel is not muscle."""
BRIDGE_V, BRIDGE_SHARE = 0.5e-6, 0.02
"""Root mean square of the difference of two channels, volts, and against their own."""
_LINES_HZ = (50.0, 60.0)


def eeg_faults(
    raw: Floats, filtered: Floats, high_power: Floats, sfreq: float
) -> dict[str, NDArray[np.bool_]]:
    """Find the channels of each window that show something else than EEG.

    Parameters
    ----------
    raw, filtered : ndarray of shape (n_windows, n_channels, n_times)
        Volts, of the same channels, before and after the filter of 0.5 to 45 Hz.
    high_power : ndarray of shape (n_windows, n_channels)
        Share of the filtered power that lies above 25 Hz.
    sfreq : float
        Sampling rate in Hz.

    Returns
    -------
    dict of str to ndarray of shape (n_windows, n_channels)
        True where the fault named by the key is present; at most one fault a channel.
    """
    centred = filtered - filtered.mean(axis=-1, keepdims=True)
    power = np.mean(np.square(centred), axis=-1)
    size = np.sqrt(power)
    large = np.ptp(filtered, axis=-1) > LARGEST_V
    line = ~large & (line_amplitude(raw, sfreq) > LINE_RATIO * np.maximum(size, 1e-9))
    muscle = high_power > MUSCLE_SHARE
    muscle &= ~large & ~line & (size * np.sqrt(high_power) > MUSCLE_V)
    bridged = ~large & ~line & ~muscle & _bridged(centred, power)
    return {LARGE: large, LINE: line, MUSCLE: muscle, BRIDGED: bridged}


def line_amplitude(windows: Floats, sfreq: float) -> Floats:
    """Return the root mean square at 50 or 60 Hz, whichever is larger; 0 if the rate is too low."""
    n_times = windows.shape[-1]
    lines = [line for line in _LINES_HZ if line < 0.49 * sfreq]
    if not lines:
        return np.zeros(windows.shape[:-1])
    taper = np.hanning(n_times)
    phase = 2 * np.pi * np.outer(np.arange(n_times) / sfreq, lines)
    waves = taper[:, None] * np.hstack([np.cos(phase), np.sin(phase)]) * (np.sqrt(2) / taper.sum())
    centred = np.nan_to_num(windows - windows.mean(axis=-1, keepdims=True))
    parts = centred @ waves
    amplitude: Floats = np.hypot(parts[..., : len(lines)], parts[..., len(lines) :]).max(axis=-1)
    return amplitude


def _bridged(centred: Floats, power: Floats) -> NDArray[np.bool_]:
    """Return the channels that carry the same signal as another one."""
    n_times = centred.shape[-1]
    product = centred @ centred.transpose(0, 2, 1) / n_times
    difference = power[:, :, None] + power[:, None, :] - 2 * product
    limit = np.minimum(
        BRIDGE_V**2, BRIDGE_SHARE**2 * np.minimum(power[:, :, None], power[:, None, :])
    )
    same = difference < limit
    same[:, np.arange(same.shape[1]), np.arange(same.shape[1])] = False
    bridged: NDArray[np.bool_] = same.any(axis=2)
    return bridged
