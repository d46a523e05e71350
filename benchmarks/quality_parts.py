"""What the two parts of `quality.py` share: recordings changed as they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.recording import Channel, Piece, Recording
from pipelines.signals.windows import Windows

Floats = NDArray[np.float64]
INSIDE_S = 2.0


class Altered(Recording):
    """A recording whose samples are changed as they are read.

    Parameters
    ----------
    source : Recording
        Of one piece.
    change : callable
        ``change(data, rows, start)`` returns the altered samples of the channels number `rows`.
    stop_s : float
        Only so much of it is kept.
    """

    def __init__(
        self,
        source: Recording,
        change: Callable[[Floats, Sequence[int], int], Floats],
        stop_s: float,
    ) -> None:
        self.path, self.files, self.format = source.path, source.files, source.format
        self.channels, self.annotations = source.channels, source.annotations
        self.start_time = source.start_time
        self.pieces = (Piece(0.0, min(stop_s, source.pieces[0].duration_s), 0.0),)
        self._source, self._change = source, change

    def _read(self, channels: Sequence[Channel], piece: Piece, start: int, stop: int) -> Floats:
        data = self._source.read([c.name for c in channels], self._source.pieces[0], start, stop)
        return self._change(data, [self.channels.index(c) for c in channels], start)


def is_on(at: NDArray[np.floating], turn_s: float) -> NDArray[np.bool_]:
    """Return where the noise is on: every other turn."""
    return np.asarray((at // turn_s) % 2 == 1)


def inside(center_s: Floats, turn_s: float) -> NDArray[np.bool_]:
    """Return the windows that lie at least two seconds inside a turn with noise."""
    within = center_s % turn_s
    return is_on(center_s, turn_s) & (within > INSIDE_S) & (within < turn_s - INSIDE_S)


def marked(windows: Windows) -> NDArray[np.bool_]:
    """Return the windows that a quality rule forbids to score."""
    return np.array([r is not None and r != "no neighbouring beat" for r in windows.reason])
