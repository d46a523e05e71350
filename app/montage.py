"""Derivations of EEG channels for display. Scores never depend on what is chosen here."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Montage = Literal["recorded", "bipolar", "average"]
_CHAINS = (
    ("Fp1", "F7", "T7", "P7", "O1"),
    ("Fp1", "F3", "C3", "P3", "O1"),
    ("Fz", "Cz", "Pz"),
    ("Fp2", "F4", "C4", "P4", "O2"),
    ("Fp2", "F8", "T8", "P8", "O2"),
)


def available(names: Sequence[str]) -> tuple[Montage, ...]:
    """Return the montages that can be made from the channels `names`."""
    singles = [name for name in names if "-" not in name]
    found: list[Montage] = ["recorded"]
    if bipolar_pairs(names):
        found.append("bipolar")
    if len(singles) >= 8 and len(singles) == len(names):
        found.append("average")
    return tuple(found)


def bipolar_pairs(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the neighbouring pairs of the longitudinal chains that are present."""
    present = set(names)
    return tuple(
        (a, b) for chain in _CHAINS for a, b in pairwise(chain) if a in present and b in present
    )


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
