"""A recording at another sampling rate, still read in parts: any part is that part of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, upfirdn

from pipelines.recording import Channel, Piece, Recording

_HALF_WIDTH, _BETA = 10, 5.0
"""Half the length of the low-pass in samples of the lower rate, and the shape of its window."""
_LARGEST_TERM = 4000
"""Rates are taken as a fraction of such terms: at most 6 milliseconds off in 24 hours."""


class _Ratio:
    """A ratio of rates, and the low-pass that removes what the lower of the two cannot hold."""

    def __init__(self, sfreq: float, source_sfreq: float) -> None:
        ratio = Fraction(sfreq / source_sfreq).limit_denominator(_LARGEST_TERM)
        self.up, self.down = ratio.numerator, ratio.denominator
        longest = max(self.up, self.down)
        half = _HALF_WIDTH * longest
        taps = self.up * firwin(2 * half + 1, 1 / longest, window=("kaiser", _BETA))
        ahead = -half % self.down  # the delay becomes a whole number of output samples
        self.taps = np.concatenate([np.zeros(ahead), taps])
        self.delay = (half + ahead) // self.down
        self.margin = half // self.up + 2

    def needed(self, start: int, stop: int) -> tuple[int, int]:
        """Return the input samples behind output samples ``start:stop``; may lie beyond the ends."""
        first = (start * self.down // self.up - self.margin) // self.down * self.down
        return first, -(-(stop * self.down) // self.up) + self.margin

    def apply(
        self, data: NDArray[np.float64], first: int, start: int, stop: int
    ) -> NDArray[np.float64]:
        """Return output samples ``start:stop`` from input samples that begin at `first`."""
        out: NDArray[np.float64] = upfirdn(self.taps, data, self.up, self.down, axis=1)
        shift = self.delay - first // self.down * self.up
        return out[:, start + shift : stop + shift]


class Resampled(Recording):
    """Some channels of a recording, brought to one rate by polyphase filtering.

    Times, gaps and annotations stay as they are. A sample is missing (NaN) where one within the
    filter's length is; beyond the ends of a piece its first and last samples are repeated.

    Parameters
    ----------
    source : Recording
    names : sequence of str
        Channels, of any rates.
    sfreq : float
        Sampling rate in Hz. Frequencies above half the lower of the two rates are removed.
    """

    def __init__(self, source: Recording, names: Sequence[str], sfreq: float) -> None:
        self.path, self.files, self.format = source.path, source.files, source.format
        self.pieces, self.annotations = source.pieces, source.annotations
        self.start_time = source.start_time
        self.channels = tuple(replace(source.channel(name), sfreq=sfreq) for name in names)
        self._source = source
        rates = {source.channel(name).sfreq for name in names}
        self._ratios = {rate: _Ratio(sfreq, rate) for rate in rates}

    def _read(
        self, channels: Sequence[Channel], piece: Piece, start: int, stop: int
    ) -> NDArray[np.float64]:
        out = np.empty((len(channels), stop - start))
        rates = [self._source.channel(channel.name).sfreq for channel in channels]
        for rate in set(rates):
            rows = [k for k, other in enumerate(rates) if other == rate]
            names = [channels[k].name for k in rows]
            out[rows] = self._part(names, rate, piece, start, stop)
        return out

    def _part(
        self, names: Sequence[str], rate: float, piece: Piece, start: int, stop: int
    ) -> NDArray[np.float64]:
        ratio, n = self._ratios[rate], piece.n_samples(rate)
        first, last = ratio.needed(start, stop)
        a, b = min(max(first, 0), n - 1), max(min(last, n), 1)
        data = self._source.read(names, piece, a, b)
        data = np.pad(data, ((0, 0), (a - first, max(0, last - b))), mode="edge")
        return ratio.apply(data, first, start, stop)
