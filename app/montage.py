"""Derivations of EEG channels for display. Scores never depend on what is chosen here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.signals.montage import bipolar_pairs

Montage = Literal["recorded", "bipolar", "average"]


def available(names: Sequence[str]) -> tuple[Montage, ...]:
    """Return the montages that can be made from the channels `names`."""
    singles = [name for name in names if "-" not in name]
    found: list[Montage] = ["recorded"]
    if bipolar_pairs(names):
        found.append("bipolar")
    if len(singles) >= 8 and len(singles) == len(names):
        found.append("average")
    return tuple(found)


def derive(
    names: Sequence[str], data: NDArray[np.float64], montage: Montage
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the names and signals of a montage.

    Parameters
    ----------
    names : sequence of str
        EEG channels, one common reference.
    data : ndarray of shape (n_channels, n_times)
        Their signals in volts.
    montage : str
        ``"recorded"``, ``"bipolar"`` (longitudinal chains) or ``"average"`` (against the mean
        of all channels).
    """
    if montage == "average":
        known = np.isfinite(data).any(axis=0)
        mean = np.full(data.shape[1], np.nan)
        mean[known] = np.nanmean(data[:, known], axis=0)
        return tuple(names), data - mean
    if montage == "bipolar":
        row = {name: i for i, name in enumerate(names)}
        pairs = bipolar_pairs(names)
        signals = np.stack([data[row[a]] - data[row[b]] for a, b in pairs])
        return tuple(f"{a}–{b}" for a, b in pairs), signals
    return tuple(names), data
