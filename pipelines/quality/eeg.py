"""EEG: line interference, muscle, amplitudes beyond the brain's, and bridged electrodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.signals.line_noise import LINES_HZ, line_amplitude

Floats = NDArray[np.float64]

LARGE, LINE = "amplitude beyond EEG", "line interference"
MUSCLE, BRIDGED = "muscle noise", "bridged electrodes"
LARGEST_V = 5e-3
"""Range within a window, volts: seizures reach 1 mV on the scalp, 4 mV inside the skull."""
LINE_RATIO = 1.0
"""Amplitude that the filters leave of 50 or 60 Hz, against that of everything else."""
MUSCLE_SHARE = 0.2
"""Share of the window's power above 25 Hz."""
MUSCLE_V = 60e-6
"""And the root mean square above 25 Hz, volts; that of absence seizures reaches 30 uV, 0.12 of
the power. A convulsion under muscle noise is not scorable, not absent."""
BRIDGE_V, BRIDGE_SHARE = 0.5e-6, 0.02
"""Root mean square of the difference of two channels, volts, and against their own."""


def eeg_faults(filtered: Floats, high_power: Floats, sfreq: float) -> dict[str, NDArray[np.bool_]]:
    """Find the channels of each window that show something else than EEG.

    Parameters
    ----------
    filtered : ndarray of shape (n_windows, n_channels, n_times)
        Volts, after the filter of 0.5 to 45 Hz.
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
    left = np.maximum(*(line_amplitude(centred, sfreq, freq) for freq in LINES_HZ))
    line = ~large & (left > LINE_RATIO * np.sqrt(np.maximum(power - np.square(left), 1e-18)))
    muscle = high_power > MUSCLE_SHARE
    muscle &= ~large & ~line & (size * np.sqrt(high_power) > MUSCLE_V)
    bridged = ~large & ~line & ~muscle & _bridged(centred, power)
    return {LARGE: large, LINE: line, MUSCLE: muscle, BRIDGED: bridged}


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
