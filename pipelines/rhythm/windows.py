"""Windows of rhythm: a minute each, every half minute of the recording's own clock.

The grid is that of the clock, so that a window does not depend on how the file is read in chunks
nor on how it goes on. A window lies within one piece of the recording: none spans a gap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.features.rhythm_windows import RHYTHM_WINDOW_FEATURES, rhythm_rows
from pipelines.recording import Piece
from pipelines.signals.windows import Windows

Floats = NDArray[np.float64]

WINDOW_S, HOP_S = 60.0, 30.0
LEAST_KNOWN = 2 / 3
"""Share of a window that must lie in intervals between two beats that can be scored."""
FEWEST_INTERVALS = 10
TOO_FEW = "too few beats in a row that can be scored"
NAMES = tuple(feature.name for feature in RHYTHM_WINDOW_FEATURES)


@dataclass(frozen=True)
class RhythmWindows:
    """The windows of rhythm of one recording.

    Attributes
    ----------
    start_s : ndarray of shape (n_windows,)
        Multiples of :data:`HOP_S` on the recording's clock, rising.
    X : ndarray of shape (n_windows, len(NAMES))
        Features; NaN where too few intervals are known.
    """

    start_s: Floats
    X: Floats

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def stop_s(self) -> Floats:
        """Ends of the windows, seconds."""
        return self.start_s + WINDOW_S

    @property
    def scorable(self) -> NDArray[np.bool_]:
        """True where the features are known."""
        return np.asarray(np.isfinite(self.X).all(axis=1))

    def within(self, start_s: float, stop_s: float) -> NDArray[np.bool_]:
        """Return a mask of the windows that lie wholly inside ``[start_s, stop_s]`` seconds."""
        return (self.start_s >= start_s) & (self.stop_s <= stop_s)

    def touching(self, intervals: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
        """Return a mask of the windows that share time with any ``(start_s, stop_s)``."""
        mask = np.zeros(len(self), dtype=bool)
        for start_s, stop_s in intervals:
            mask |= (self.start_s < stop_s) & (self.stop_s > start_s)
        return mask


def rhythm_windows(beats: Windows, pieces: Sequence[Piece]) -> RhythmWindows:
    """Cut a recording into windows of rhythm.

    Parameters
    ----------
    beats : Windows
        All heartbeats of the recording.
    pieces : sequence of Piece
        Its stretches without gaps.
    """
    starts = np.concatenate([_grid(piece) for piece in pieces]) if pieces else np.empty(0)
    first = np.searchsorted(beats.center_s, starts)
    last = np.searchsorted(beats.center_s, starts + WINDOW_S)
    ok, intervals = beats.scorable, []
    for lo, hi in zip(first, last, strict=True):
        known = ok[lo:hi][1:] & ok[lo:hi][:-1]
        intervals.append(np.where(known, np.diff(beats.center_s[lo:hi]), np.nan))
    enough = np.array(
        [
            np.isfinite(each).sum() >= FEWEST_INTERVALS
            and np.nansum(each) >= LEAST_KNOWN * WINDOW_S
            for each in intervals
        ],
        dtype=bool,
    )
    X = np.full((len(starts), len(NAMES)), np.nan)
    X[enough] = rhythm_rows([each for each, ok in zip(intervals, enough, strict=True) if ok])
    return RhythmWindows(starts, X)


def _grid(piece: Piece) -> Floats:
    """Return the starts of the windows that lie in a piece."""
    first = math.ceil(piece.start_s / HOP_S - 1e-9)
    last = math.floor((piece.stop_s - WINDOW_S) / HOP_S + 1e-9)
    return HOP_S * np.arange(first, last + 1, dtype=np.float64)
