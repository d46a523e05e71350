"""Where electrodes lie on the head, seen from above, and which of them are neighbours.

Places follow from the names of the 10-20 system and its 10-10 extension: a letter says how far
back a row lies, a number how far to the side. The head is a circle of radius 1 around Cz.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

NEAR = 0.65
"""Electrodes at most this far apart are neighbours: those beside each other on 19 electrodes."""
MOST = 4
"""And only with the nearest ones where electrodes are many; either may be the nearest of the other."""
_ROWS = {
    "FP": (1.0, 18.0),
    "AF": (0.75, 36.0),
    "F": (0.5, 54.0),
    "FC": (0.25, 72.0),
    "FT": (0.25, 72.0),
    "C": (0.0, 90.0),
    "T": (0.0, 90.0),
    "CP": (-0.25, 108.0),
    "TP": (-0.25, 108.0),
    "P": (-0.5, 126.0),
    "PO": (-0.75, 144.0),
    "O": (-1.0, 162.0),
}
"""Of each row: where it crosses the midline, and the angle from the front where it ends."""
_ENDS_AT = {"FP": 1, "O": 1}
_NAME = re.compile(r"([A-Z]{1,2})(Z|\d{1,2})")


class Place(NamedTuple):
    """Where an electrode lies: `x` to the right, `y` to the front."""

    x: float
    y: float


def place(name: str) -> Place | None:
    """Return where a channel lies, None if its name does not say.

    Parameters
    ----------
    name : str
        An electrode, or a derivation between two: then the middle between them.

    Examples
    --------
    >>> place("Cz"), place("T8"), place("Fz-Cz"), place("EEG 12")
    (Place(x=0.0, y=0.0), Place(x=1.0, y=0.0), Place(x=0.0, y=0.25), None)
    """
    parts = [_electrode(part) for part in name.split("-")]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    x, y = np.mean(known, axis=0)
    return Place(round(float(x), 6), round(float(y), 6))


def _electrode(name: str) -> Place | None:
    match = _NAME.fullmatch(name.upper())
    if match is None or match[1] not in _ROWS:
        return None
    row, number = match.groups()
    middle, angle = _ROWS[row]
    if number == "Z":
        return Place(0.0, middle)
    aside = (int(number) + 1) // 2 / _ENDS_AT.get(row, 4)
    side = -1.0 if int(number) % 2 else 1.0
    end_x, end_y = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    return Place(side * aside * end_x, (1 - aside) * middle + aside * end_y)


def neighbours(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of channels that lie beside each other.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    tuple of tuple of int
        Indices into `names`; of each pair first the one further in front, or further left: the
        order of the channels does not matter.

    Examples
    --------
    >>> neighbours(["Pz", "O1", "Fp2", "Cz", "A1"])
    ((0, 1), (3, 0))
    """
    places = [place(name) for name in names]
    found: set[tuple[int, int]] = set()
    for i, one in enumerate(places):
        apart = [
            (round(float(np.hypot(one.x - other.x, one.y - other.y)), 6), names[j], j)
            for j, other in enumerate(places)
            if one is not None and other is not None and j != i
        ]
        found |= {_ordered(i, j) for distance, _, j in sorted(apart)[:MOST] if distance <= NEAR}
    front = {k: (-at.y, at.x, names[k]) for k, at in enumerate(places) if at is not None}
    return tuple((i, j) if front[i] <= front[j] else (j, i) for i, j in sorted(found))


def _ordered(i: int, j: int) -> tuple[int, int]:
    return (i, j) if i < j else (j, i)
