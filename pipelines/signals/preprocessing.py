"""Reading a recording chunk by chunk, with margins wide enough that filters do not notice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.recording import Piece, Recording
from pipelines.signals.zero_phase import band, zero_phase

CHUNK_S = 600.0
MARGIN_S = 20.0
"""Seconds read on each side of a chunk: a 0.5 Hz filter has forgotten what lies beyond."""


@dataclass(frozen=True)
class Chunk:
    """Samples of one continuous piece, of which the core belongs to this chunk alone.

    Attributes
    ----------
    piece : Piece
    start : int
        Index within the piece of ``data[:, 0]``.
    core : tuple of int
        First and one past the last index within the piece that this chunk answers for.
    data : ndarray of shape (n_channels, n_times)
        Volts.
    """

    piece: Piece
    start: int
    core: tuple[int, int]
    data: NDArray[np.float64]


def iter_chunks(
    recording: Recording,
    names: Sequence[str],
    chunk_s: float = CHUNK_S,
    margin_s: float = MARGIN_S,
) -> Iterator[Chunk]:
    """Yield overlapping chunks of every continuous piece; memory does not grow with length."""
    sfreq = recording.channel(names[0]).sfreq
    step, margin = round(chunk_s * sfreq), round(margin_s * sfreq)
    for piece in recording.pieces:
        n = piece.n_samples(sfreq)
        for first in range(0, n, step):
            start, last = max(0, first - margin), min(n, first + step)
            data = recording.read(names, piece, start, last + margin)
            yield Chunk(piece, start, (first, last), data)


def band_pass(
    signal: NDArray[np.float64], sfreq: float, low: float, high: float
) -> NDArray[np.float64]:
    """Filter one channel or several (..., n_times) without phase shift from `low` to `high` Hz.

    Missing samples (NaN) count as zero: whoever calls marks the windows that touch them.
    """
    return zero_phase(band(low, min(high, 0.45 * sfreq), sfreq), signal, sfreq)
