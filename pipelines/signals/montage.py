"""Against what each EEG channel is measured: as recorded, the average, the ears, or a neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import SignalError

Reference = Literal["average", "none", "linked", "bipolar"]
EARS = ("A1", "A2", "M1", "M2")
_CHAINS = (
    ("Fp1", "F7", "T7", "P7", "O1"),
    ("Fp1", "F3", "C3", "P3", "O1"),
    ("Fz", "Cz", "Pz"),
    ("Fp2", "F4", "C4", "P4", "O2"),
    ("Fp2", "F8", "T8", "P8", "O2"),
)
"""Electrodes from front to back; each is measured against the next (longitudinal bipolar)."""
_FEWEST_PAIRS = 4


@dataclass(frozen=True)
class Montage:
    """Channels derived from the recorded ones.

    Attributes
    ----------
    names : tuple of str
        Of the derived channels.
    plus : tuple of int
        The recorded channel behind each.
    minus : tuple of tuple of int
        The recorded channels whose mean is subtracted; empty: none.
    average : bool
        Subtract the mean of all recorded channels instead.
    """

    names: tuple[str, ...]
    plus: tuple[int, ...]
    minus: tuple[tuple[int, ...], ...]
    average: bool = False

    def apply(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derive the channels from data of shape (n_recorded, n_times)."""
        if self.average:
            averaged: NDArray[np.float64] = data - np.nan_to_num(data).mean(axis=0)
            return averaged
        if not any(self.minus):
            return data[list(self.plus)]
        rows = [
            data[p] - data[list(m)].mean(axis=0) if m else data[p]
            for p, m in zip(self.plus, self.minus, strict=True)
        ]
        return np.stack(rows)

    def touched(self, faulty: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which derived channels rest on a faulty one; (n_windows, n_recorded) -> derived.

        One channel's fault is diluted in an average of all and does not spread through it.
        """
        return np.stack(
            [faulty[:, [p, *m]].any(axis=1) for p, m in zip(self.plus, self.minus, strict=True)],
            axis=1,
        )


def bipolar_pairs(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the neighbouring pairs of the longitudinal chains that are present."""
    return tuple(
        (a, b) for chain in _CHAINS for a, b in pairwise(chain) if a in names and b in names
    )


def montage(names: Sequence[str], reference: Reference) -> Montage:
    """Return the channels to derive from those recorded under `names`.

    Parameters
    ----------
    names : sequence of str
        10-20 names.
    reference : str
        ``"average"`` of all channels if there are more than two, ``"none"``: as recorded,
        ``"linked"``: the mean of the ears or mastoids, ``"bipolar"``: the next electrode behind.

    Raises
    ------
    SignalError
        If the channels that the reference needs are not there.
    """
    names = tuple(names)
    everyone = tuple(range(len(names)))
    if reference == "linked":
        ears = tuple(k for k, name in enumerate(names) if name in EARS)
        rest = tuple(k for k in everyone if k not in ears)
        if len(ears) < 2 or not rest:
            raise SignalError(
                f"a linked reference needs the channels A1 and A2 or M1 and M2; there are "
                f'{", ".join(names)}; set eeg.reference to "average" or "none"'
            )
        return Montage(tuple(names[k] for k in rest), rest, (ears,) * len(rest))
    if reference == "bipolar":
        place = {name: k for k, name in enumerate(names)}
        pairs = bipolar_pairs(names)
        if len(pairs) < _FEWEST_PAIRS:
            raise SignalError(
                f"bipolar channels need at least {_FEWEST_PAIRS} pairs of neighbours of the 10-20 "
                f'system; there are {len(pairs)}; set eeg.reference to "average" or "none"'
            )
        return Montage(
            tuple(f"{a}-{b}" for a, b in pairs),
            tuple(place[a] for a, _ in pairs),
            tuple((place[b],) for _, b in pairs),
        )
    return Montage(names, everyone, ((),) * len(names), reference == "average" and len(names) > 2)
