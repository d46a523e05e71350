"""How a recording is laid out in EDF: data records of equal length, and integers for samples."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import ExportError
from pipelines.recording import Channel, Recording
from pipelines.units import to_volts

MAX_GAPS_S = 7 * 86400.0
"""Gaps longer than this in all are not filled: the file would be mostly filling."""
_LARGEST_DENOMINATOR = 100_000
_RECORD_S = (0.125, 60.0)
Samples = Iterable[tuple[int, NDArray[np.float64]]]


@dataclass(frozen=True)
class Layout:
    """The data records of the file.

    Attributes
    ----------
    record_s : float
        Seconds in one data record.
    n_records : int
    padding_s : float
        Filling after the last sample, where the recording is no whole number of records.
    """

    record_s: float
    n_records: int
    padding_s: float

    @property
    def duration_s(self) -> float:
        """Seconds in the file, filling included."""
        return self.n_records * self.record_s

    def n_samples(self, channel: Channel) -> int:
        """Return the number of samples of one channel in the file."""
        return round(self.record_s * channel.sfreq) * self.n_records


@dataclass(frozen=True)
class Scale:
    """How integers stand for samples: the ranges in the header of one signal.

    Attributes
    ----------
    unit : str
        Unit of `physical`.
    factor : float
        Volts, or the channel's own unit, per `unit`.
    physical : tuple of float
        What the integers `digital` mean, in `unit`.
    digital : tuple of int
    """

    unit: str
    factor: float
    physical: tuple[float, float]
    digital: tuple[int, int]

    def to_digital(self, samples: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the nearest integers, be they within the range or not."""
        (low, high), (first, last) = self.physical, self.digital
        step = (high - low) / (last - first)
        return np.rint((samples / self.factor - low) / step + first).astype(np.int64)

    def holds(self, stored: NDArray[np.int64]) -> bool:
        """Return True if every integer is within the range."""
        return bool(min(self.digital) <= stored.min() and stored.max() <= max(self.digital))

    @property
    def filling(self) -> int:
        """The integer for zero, or the one nearest to it."""
        zero = int(self.to_digital(np.zeros(1))[0])
        return min(max(zero, min(self.digital)), max(self.digital))


def layout_of(recording: Recording) -> Layout:
    """Choose data records that hold a whole number of samples of every channel.

    Only multiples of an eighth of a second are used: their start times, which EDF+ stores as
    text, are exact, and readers refuse others. Records of about a second that need no filling at
    the end are preferred.

    Raises
    ------
    ExportError
        If the gaps are too long to fill, or the sampling rates share no record of a minute.
    """
    gaps_s = sum(stop - start for start, stop in recording.gaps)
    if gaps_s > MAX_GAPS_S:
        raise ExportError(
            f"{recording.path.name} has {gaps_s / 86400:.1f} days of gaps, more than the "
            f"{MAX_GAPS_S / 86400:g} that are filled; export as csv or wfdb"
        )
    rates = [Fraction(c.sfreq).limit_denominator(_LARGEST_DENOMINATOR) for c in recording.channels]
    numerator = math.lcm(*(rate.denominator for rate in rates))
    shortest = Fraction(numerator, math.gcd(*(rate.numerator for rate in rates)))
    samples = max(round(recording.duration_s * c.sfreq) / c.sfreq for c in recording.channels)
    total = Fraction(samples).limit_denominator(_LARGEST_DENOMINATOR)
    low, high = _RECORD_S
    whole = [
        record
        for k in range(1, math.floor(Fraction(high) / shortest) + 1)
        if float(record := k * shortest) >= low and (8 * record).denominator == 1
    ]
    if not whole:
        named = ", ".join(sorted({f"{c.sfreq:g}" for c in recording.channels}))
        raise ExportError(
            f"the sampling rates {named} Hz of {recording.path.name} fit no common EDF data "
            "record of up to a minute; export as csv or wfdb"
        )
    record = min(whole, key=lambda r: ((total / r).denominator != 1, abs(math.log(r))))
    n_records = max(1, math.ceil(total / record))
    return Layout(float(record), n_records, float(n_records * record - total))


def stored_scales(recording: Recording) -> list[Scale] | None:
    """Read the units and ranges as the header of an EDF or BDF file states them; else None."""
    if not recording.format.startswith(("EDF", "BDF")):
        return None
    with recording.path.open("rb") as file:
        n = int(file.read(256)[252:256])
        file.seek(256)
        labels = [_text(file.read(16)) for _ in range(n)]
        file.seek(256 + n * (16 + 80))
        units, lows, highs, firsts, lasts = (
            [_text(file.read(8)) for _ in range(n)] for _ in range(5)
        )
    return [
        Scale(
            units[i],
            to_volts(units[i])[1],
            (float(lows[i]), float(highs[i])),
            (int(float(firsts[i])), int(float(lasts[i]))),
        )
        for i in range(n)
        if labels[i] not in ("EDF Annotations", "BDF Annotations")
    ]


def measured_scale(channel: Channel, samples: Samples, bits: int) -> Scale:
    """Return all integers over the range that a channel has, rounded outwards to the header's digits."""
    unit, factor = ("uV", 1e-6) if channel.unit == "V" else (channel.unit, 1.0)
    low, high = 0.0, 0.0
    for _, data in samples:
        known = data[np.isfinite(data)] / factor
        if len(known):
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    largest = 1 << (bits - 1)
    physical = _outwards(low, -1), _outwards(max(high, low + 1e-3), 1)
    return Scale(unit, factor, physical, (-largest, largest - 1))


def _outwards(value: float, sign: int) -> float:
    """Round away from the range to what eight characters of a header can say.

    Examples
    --------
    >>> _outwards(-123.45678, -1), _outwards(1234567.8, 1)
    (-123.457, 1234568.0)
    """
    digits = max(0, 6 - len(str(abs(int(value)))))
    rounded = math.ceil(abs(value) * 10**digits) / 10**digits
    if (value < 0) != (sign < 0):
        rounded = math.floor(abs(value) * 10**digits) / 10**digits
    return math.copysign(rounded, value)


def _text(field: bytes) -> str:
    return field.decode("latin-1").strip()
