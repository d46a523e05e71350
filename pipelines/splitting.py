"""Which windows a model is fitted on and which set its threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MANY_PATIENTS = 5
"""From so many patients on, whole patients are held out."""
HELD_OUT_SHARE = 0.25
_BLOCK, _EVERY = 10, 3  # of fewer patients every third block of ten consecutive windows


@dataclass(frozen=True)
class Split:
    """Roles of the windows to fit on.

    Attributes
    ----------
    by_patient : bool
        True if whole patients are held out; False if blocks of every recording are.
    held_out : ndarray of bool, shape (n_windows,)
        Not fitted on.
    judged : ndarray of bool, shape (n_windows,)
        Those of them that set the threshold: of each patient about equally many, so that a long
        recording does not outvote the others.
    units : ndarray of shape (n_windows,)
        Patients, or blocks of windows: what stops the training must not be next to what trains.
    n_patients_held_out : int
        0 if blocks are held out.
    """

    by_patient: bool
    held_out: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    units: NDArray[np.int64]
    n_patients_held_out: int


def split(patients: NDArray[np.int64]) -> Split:
    """Return the roles of windows in order of recording and time.

    Parameters
    ----------
    patients : ndarray of shape (n_windows,)
        Number of each window's patient.

    Examples
    --------
    >>> split(np.repeat(np.arange(8), 40)).n_patients_held_out
    2
    """
    blocks = np.arange(len(patients)) // _BLOCK
    known = np.unique(patients)
    if len(known) < MANY_PATIENTS:
        held_out = blocks % _EVERY == _EVERY - 1
        return Split(False, held_out, held_out, blocks, 0)
    n = max(2, round(HELD_OUT_SHARE * len(known)))
    chosen = known[np.linspace(0, len(known) - 1, n + 2).round().astype(int)[1:-1]]
    held_out = np.isin(patients, chosen)
    count = np.bincount(patients)
    most = max(int(count[chosen].min()), int(np.median(count[known])) // 4)
    judged = np.zeros(len(patients), dtype=bool)
    for patient in chosen:
        windows = np.flatnonzero(patients == patient)
        spread = np.linspace(0, len(windows) - 1, num=min(most, len(windows)))
        judged[windows[spread.astype(int)]] = True
    return Split(True, held_out, judged, patients, n)
