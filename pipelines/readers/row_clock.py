"""Checks the times of a table's rows against an even rate, block by block, and finds the gaps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import RecordingError
from pipelines.readers.breaks import Break

_GAP_STEPS = 1.5
_MOST_OFF_STEPS = 1.0
_WHOLE = 1e-3


class RowClock:
    """Takes the times of all rows in order.

    Parameters
    ----------
    name : str
        File name, for messages.
    sfreq : float or None
        Rate in Hz as declared; None to take it from the first block.

    Attributes
    ----------
    sfreq : float or None
        The rate, as soon as it is known. One found in the times becomes a whole number if it is
        within 0.1 % of one.
    breaks : list of Break
        Where more than half a row is missing.
    """

    def __init__(self, name: str, sfreq: float | None) -> None:
        self.sfreq = sfreq
        self.breaks: list[Break] = []
        self._name = name
        self._n = 0
        self._last = -np.inf
        self._piece = (0, 0.0)  # row and time of the first row of the current piece

    def add(self, times: NDArray[np.float64]) -> None:
        """Take the times of the next rows, in seconds.

        Raises
        ------
        RecordingError
            If a time is missing or does not increase, or if the rows leave the even rate by more
            than a row without a gap.
        """
        if not len(times):
            return
        if not np.isfinite(times).all():
            raise self._wrong(int(np.argmin(np.isfinite(times))), "is missing")
        steps = np.diff(times, prepend=self._last)
        if (steps <= 0).any():
            raise self._wrong(int(np.argmax(steps <= 0)), "does not increase")
        if self.sfreq is None:
            self.sfreq = self._rate(times)
        if self._n == 0:
            self._piece = (0, float(times[0]))
        gaps = np.flatnonzero(steps > _GAP_STEPS / self.sfreq)
        new = {int(i) for i in gaps if self._n + i > 0}
        for a, b in pairwise(sorted({0, *new, len(times)})):
            self._stretch(times[a:b], self._n + a, self.sfreq, is_new=a in new)
        self._last, self._n = float(times[-1]), self._n + len(times)

    def _stretch(self, times: NDArray[np.float64], row: int, sfreq: float, *, is_new: bool) -> None:
        """Check rows without a gap between them; `is_new` if a gap comes before."""
        first, start = self._piece
        if is_new:
            missing_s = float(times[0]) - (start + (row - first) / sfreq)
            self.breaks.append(Break(row, missing_s))
            first, start = self._piece = (row, float(times[0]))
        due = start + (row - first + np.arange(len(times))) / sfreq
        off = np.abs(times - due) * sfreq
        if off.max() > _MOST_OFF_STEPS:
            raise self._wrong(
                int(np.argmax(off > _MOST_OFF_STEPS)) + row - self._n,
                f"is more than a row away from {sfreq:g} rows a second",
            )

    def _rate(self, times: NDArray[np.float64]) -> float:
        """Return the rate of the first rows without a gap."""
        steps = np.diff(times)
        if not len(steps):
            raise RecordingError(
                f"{self._name} has one row, which is no signal; give a longer recording"
            )
        gaps = np.flatnonzero(steps > _GAP_STEPS * np.median(steps))
        n = int(gaps[0]) if len(gaps) and gaps[0] > 0 else len(steps)
        rate = float(n / (times[n] - times[0]))
        whole = round(rate)
        return float(whole) if whole and abs(rate - whole) <= _WHOLE * rate else rate

    def _wrong(self, row: int, what: str) -> RecordingError:
        return RecordingError(
            f"{self._name}: time_s of row {self._n + row + 1} {what}; accepted are seconds that "
            "increase evenly, with gaps; correct or declare sfreq, or resample"
        )
