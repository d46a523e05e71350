"""What is wrong with a signal whatever it shows, and when that forbids scoring a window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLIPPED_SHARE = 0.1
"""Share of the samples at the window's extreme values from which it counts as clipped."""
MISSING, FLAT, CLIPPED = "missing samples", "flat signal", "clipped signal"


def faults(windows: NDArray[np.float64], flat_v: float) -> dict[str, NDArray[np.bool_]]:
    """Find what is wrong with each channel of each window.

    Parameters
    ----------
    windows : ndarray of shape (n_windows, n_channels, n_times)
        Unfiltered signal in volts.
    flat_v : float
        A channel that moves less than this (peak to peak, volts) is flat.

    Returns
    -------
    dict of str to ndarray of shape (n_windows, n_channels)
        True where the fault named by the key is present; at most one fault a channel.
    """
    missing = ~np.isfinite(windows).all(axis=-1)
    known = np.nan_to_num(windows)
    low, high = known.min(axis=-1, keepdims=True), known.max(axis=-1, keepdims=True)
    flat = ~missing & (high - low < flat_v)[..., 0]
    share = np.maximum((known == low).mean(axis=-1), (known == high).mean(axis=-1))
    return {MISSING: missing, FLAT: flat, CLIPPED: ~missing & ~flat & (share > CLIPPED_SHARE)}


def reasons(
    found: dict[str, NDArray[np.bool_]], allowed_share: float, channel: str = "channel"
) -> NDArray[np.object_]:
    """Return the reason that forbids scoring each window, or None.

    A window is refused where more than `allowed_share` of its channels are faulty; the reason
    names the commonest fault, the first in `found` of equals, and how many channels have any.
    """
    names = list(found)
    counts = np.stack([found[name].sum(axis=1) for name in names], axis=1)
    faulty = np.logical_or.reduce(list(found.values())).sum(axis=1)
    n_channels = found[names[0]].shape[1]
    result = np.full(len(counts), None, dtype=object)
    for i in np.flatnonzero(faulty > allowed_share * n_channels):
        worst = int(counts[i].argmax())
        result[i] = f"{names[worst]} on {faulty[i]} of {n_channels} {channel}s"
    return result
