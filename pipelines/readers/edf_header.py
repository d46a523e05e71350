"""The header of an EDF, EDF+ or BDF file, checked against the size of the file.

Layout: Kemp et al. 1992, doi:10.1016/0013-4694(92)90009-7; EDF+: Kemp & Olivan 2003,
doi:10.1016/S1388-2457(03)00123-8. Own parser rather than edfio's: every number is checked
before anything is allocated, BDF goes through the same code, and the fields that identify the
patient are skipped, so that nothing downstream can leak them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from pipelines.channel_names import printable
from pipelines.errors import RecordingError

_FIXED_BYTES = 256
_SIGNAL_FIELD_BYTES = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_ANNOTATION_LABELS = frozenset({"EDF Annotations", "BDF Annotations"})
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_QUOTABLE = re.compile(
    r"[\d\s.,:_+-]{0,20}(?:e[+-]?\d{1,4})?|[+-]?(?:nan|inf)", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class EdfSignal:
    """One signal's header.

    Attributes
    ----------
    label, unit : str
        As in the file.
    scale, shift : float
        ``physical = scale * digital + shift``, in `unit`.
    per_record : int
        Samples in one data record.
    offset : int
        Samples before this signal within a data record.
    """

    label: str
    unit: str
    scale: float
    shift: float
    per_record: int
    offset: int

    @property
    def is_annotation(self) -> bool:
        """True if the "samples" are text (time-stamped annotation lists)."""
        return self.label in _ANNOTATION_LABELS


@dataclass(frozen=True, slots=True)
class EdfHeader:
    """Everything needed to find a sample.

    Attributes
    ----------
    format : str
        ``"EDF"``, ``"EDF+C"``, ``"EDF+D"``, ``"BDF"``, ``"BDF+C"`` or ``"BDF+D"``.
    sample_bytes : int
        2 (EDF) or 3 (BDF).
    start_time : datetime.datetime or None
        Wall-clock start to the second; None where the file hides it or it is no date.
    first_byte : int
        Where the data records begin.
    n_records : int
        Data records present.
    record_s : float
        Duration of one data record in seconds.
    signals : tuple of EdfSignal
    """

    format: str
    sample_bytes: int
    start_time: datetime | None
    first_byte: int
    n_records: int
    record_s: float
    signals: tuple[EdfSignal, ...]

    @property
    def record_samples(self) -> int:
        """Samples of all signals in one data record."""
        return sum(signal.per_record for signal in self.signals)

    @property
    def record_bytes(self) -> int:
        """Bytes of one data record."""
        return self.record_samples * self.sample_bytes


def read_header(path: Path) -> EdfHeader:
    """Read and check the header of `path`; raise :class:`RecordingError` if it cannot be true."""
    size = path.stat().st_size
    if size == 0:
        raise RecordingError(f"{path.name} is empty (0 bytes); copy or export it again")
    with path.open("rb") as file:
        fields = _Fields(path.name, file)
        version = fields.raw(8)
        if version not in (b"0       ", b"\xffBIOSEMI"):
            raise RecordingError(
                f"{path.name} is not an EDF or BDF file: it does not begin with the EDF version; "
                "check how it was exported"
            )
        return _parse(fields, size, is_bdf=version != b"0       ")


class _Fields:
    """Reads fixed-width text fields one after another."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name = name
        self._file = file

    def raw(self, n_bytes: int) -> bytes:
        content = self._file.read(n_bytes)
        if len(content) < n_bytes:
            raise RecordingError(
                f"{self.name} ends within its header (after {self._file.tell()} bytes); "
                "copy or export it again"
            )
        return content

    def text(self, n_bytes: int) -> str:
        content = self.raw(n_bytes)
        try:
            return printable(content.decode("utf-8"))
        except UnicodeDecodeError:
            return printable(content.decode("latin-1"))

    def integer(self, n_bytes: int, what: str) -> int:
        text = self.text(n_bytes)
        if not _INTEGER.fullmatch(text):
            raise self.wrong(what, text, "a whole number")
        return int(text)

    def number(self, n_bytes: int, what: str) -> float:
        text = self.text(n_bytes)
        if not _NUMBER.fullmatch(text):
            raise self.wrong(what, text, "a number")
        return float(text)

    def wrong(self, what: str, got: object, accepted: str) -> RecordingError:
        # a damaged header may hold the patient's name where a number belongs: quote numbers only
        shown = repr(got) if _QUOTABLE.fullmatch(str(got)) else "text"
        return RecordingError(
            f"{self.name} has {shown} as {what} in its header, where {accepted} is needed; "
            "export it again or repair the header"
        )


def _parse(fields: _Fields, size: int, *, is_bdf: bool) -> EdfHeader:
    fields.raw(80)  # patient identification: never read
    fields.raw(80)  # recording identification: may name patient and staff
    start_time = _start_time(fields.text(8), fields.text(8))
    header_bytes = fields.integer(8, "header size")
    reserved = fields.text(44)
    n_records = fields.integer(8, "number of data records")
    record_s = fields.number(8, "duration of a data record")
    n_signals = fields.integer(4, "number of signals")
    if n_signals < 1:
        raise fields.wrong("number of signals", n_signals, "1 or more")
    if header_bytes != _FIXED_BYTES * (n_signals + 1):
        raise fields.wrong(
            "header size", header_bytes, f"{_FIXED_BYTES * (n_signals + 1)} for {n_signals} signals"
        )
    signals = _signals(fields, n_signals)
    if record_s <= 0:
        if all(signal.is_annotation for signal in signals):
            raise RecordingError(
                f"{fields.name} holds annotations only and no signal; "
                "give the file that holds the signals"
            )
        raise fields.wrong("duration of a data record", record_s, "a number above 0")
    header = EdfHeader(
        format=_format(reserved, is_bdf),
        sample_bytes=3 if is_bdf else 2,
        start_time=start_time,
        first_byte=header_bytes,
        n_records=n_records,
        record_s=record_s,
        signals=signals,
    )
    return _with_true_record_count(header, size, fields)


def _signals(fields: _Fields, n: int) -> tuple[EdfSignal, ...]:
    """Read the signal fields, which are stored field by field, and make one object a signal."""
    labels = [fields.text(16) for _ in range(n)]
    fields.raw(80 * n)  # transducer
    units = [fields.text(8) for _ in range(n)]
    ranges = [
        [fields.text(8) for _ in range(n)]
        for _ in ("physical minimum", "physical maximum", "digital minimum", "digital maximum")
    ]
    fields.raw(80 * n)  # prefiltering
    counts = [fields.integer(8, f"samples per record of signal {i + 1}") for i in range(n)]
    fields.raw(32 * n)
    signals: list[EdfSignal] = []
    offset = 0
    for i, (label, unit, count) in enumerate(zip(labels, units, counts, strict=True)):
        if count < 1:
            raise fields.wrong(f"samples per record of signal {i + 1}", count, "1 or more")
        scale, shift = 1.0, 0.0
        if label not in _ANNOTATION_LABELS:
            scale, shift = _scaling(fields, label, [limits[i] for limits in ranges])
        signals.append(EdfSignal(label, unit, scale, shift, count, offset))
        offset += count
    return tuple(signals)


def _scaling(fields: _Fields, label: str, limits: list[str]) -> tuple[float, float]:
    """Return scale and shift from the texts of physical and digital minimum and maximum."""
    for text in limits:
        if not _NUMBER.fullmatch(text):
            raise fields.wrong(f"physical or digital range of {label!r}", text, "a number")
    low, high, digital_low, digital_high = map(float, limits)
    if low == high or digital_low == digital_high:
        which = "physical" if low == high else "digital"
        raise RecordingError(
            f"{fields.name}: the {which} range of {label!r} is zero, so its samples have no scale; "
            "export it again or remove that signal"
        )
    scale = (high - low) / (digital_high - digital_low)
    return scale, low - scale * digital_low


def _with_true_record_count(header: EdfHeader, size: int, fields: _Fields) -> EdfHeader:
    """Check the number of data records against the file's size; recover it where it is -1."""
    present = (size - header.first_byte) // header.record_bytes
    if header.n_records < -1:
        raise fields.wrong("number of data records", header.n_records, "-1, or 1 or more")
    if header.n_records == 0 or present == 0:
        raise RecordingError(
            f"{fields.name} holds no complete data record, so no signal; copy or export it again"
        )
    if header.n_records > present:
        raise RecordingError(
            f"{fields.name} is truncated: its header promises {header.n_records} data records and "
            f"{present} are there; copy or export it again"
        )
    return header if header.n_records != -1 else replace(header, n_records=present)


def _format(reserved: str, is_bdf: bool) -> str:
    base = "BDF" if is_bdf else "EDF"
    for suffix in ("+C", "+D"):
        if reserved.startswith(base + suffix):
            return base + suffix
    return base


def _start_time(date: str, time: str) -> datetime | None:
    """Parse ``dd.mm.yy`` and ``hh.mm.ss``; years 85 to 99 are 1985 to 1999."""
    match = re.fullmatch(
        r"(\d\d)[.:/-](\d\d)[.:/-](\d\d) (\d\d)[.:-](\d\d)[.:-](\d\d)", f"{date} {time}"
    )
    if match is None:
        return None
    day, month, year, hour, minute, second = map(int, match.groups())
    try:
        return datetime(year + (1900 if year >= 85 else 2000), month, day, hour, minute, second)
    except ValueError:
        return None
