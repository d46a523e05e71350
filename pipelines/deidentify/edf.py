"""EDF, EDF+ and BDF without what says whose they are; the bytes of every signal are copied.

Of the header only what the samples need is carried over. Annotations stay where they are, their
texts by the rule of :mod:`pipelines.deidentify.words`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from pipelines.deidentify.pseudonyms import Pseudonyms
from pipelines.deidentify.words import REMOVED, kept_label, kept_text, kept_unit
from pipelines.errors import RecordingError
from pipelines.readers.edf_header import EdfHeader, EdfSignal, read_header

_FIXED = 256
_FORMAT = re.compile(rb"(?:(?:EDF|BDF)\+[CD]|24BIT)")
_FILTER = re.compile(
    r"(?:(?:HP|LP|N|BP|NOTCH|DC)[:= ]*[\d.,]*\s?(?:k?Hz|s|ms|-)?[\d.,]*(?:k?Hz)?[\s;,/]*)+", re.I
)
_STAMP = re.compile(rb"[+-]\d{1,12}(?:\.\d*)?(?:\x15\d{1,12}(?:\.\d*)?)?")
_ANNOTATION_RANGE = (b"-1      ", b"1       ", b"-32768  ", b"32767   ")
_MONTHS = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"
_NO_DATE = (b"01.01.85", b"00.00.00")


def identity_in(path: Path) -> str | None:
    """Return what the header calls the patient, or None if it says nothing; for hashing only."""
    with path.open("rb") as file:
        field = file.read(88)[8:].decode("latin-1")
    text = " ".join(field.split())
    return text if text.replace("X", "").strip() else None


def write_deidentified(
    path: Path, to: Path, patient: str, names: Pseudonyms, keep: Collection[str]
) -> None:
    """Write a copy of an EDF or BDF file that does not say whose it is.

    Parameters
    ----------
    path, to : pathlib.Path
        `to` must not exist.
    patient : str
        What identifies the patient; only its pseudonym is written.
    names : Pseudonyms
    keep : collection of str
        Annotation texts and channel labels that may stay.

    Raises
    ------
    RecordingError
        If the header contradicts the file.
    """
    header = read_header(path)
    moment = names.moved(patient, header.start_time)
    with path.open("rb") as source, to.open("xb") as target:
        fixed, columns = source.read(_FIXED), source.read(header.first_byte - _FIXED)
        target.write(_first(fixed, header, names.of("patient", patient), moment))
        target.write(_signals(columns, header, keep))
        for _ in range(header.n_records):
            record = source.read(header.record_bytes)
            if len(record) < header.record_bytes:
                raise RecordingError(f"{path.name} became shorter while it was read; try again")
            target.write(_record(record, header, keep))


def _first(fixed: bytes, header: EdfHeader, pseudonym: str, moment: datetime | None) -> bytes:
    """Return the fixed part: pseudonym, moved or empty date, and what the layout needs."""
    kind = _FORMAT.match(fixed[192:236])
    date, time = _NO_DATE
    day = "X"
    if moment is not None:
        date, time = moment.strftime("%d.%m.%y").encode(), moment.strftime("%H.%M.%S").encode()
        month = _MONTHS[3 * moment.month - 3 : 3 * moment.month]
        day = f"{moment.day:02d}-{month}-{moment.year}"
    parts = (
        (fixed[:8], 8),
        (f"{pseudonym} X X X".encode(), 80),
        (f"Startdate {day} X X X".encode(), 80),
        (date, 8),
        (time, 8),
        (str(header.first_byte).encode(), 8),
        (kind[0] if kind else b"", 44),
        (str(header.n_records).encode(), 8),
        (fixed[244:252], 8),
        (fixed[252:256], 4),
    )
    return b"".join(content.ljust(size) for content, size in parts)


def _signals(columns: bytes, header: EdfHeader, keep: Collection[str]) -> bytes:
    """Return the fields of the signals: labels, units and filters if they are known words."""
    n = len(header.signals)
    labels = [_label(signal, i + 1, keep) for i, signal in enumerate(header.signals)]
    units = [b"" if s.is_annotation else _latin(kept_unit(s.unit)) for s in header.signals]
    place = n * (16 + 80 + 8 + 4 * 8)
    numbers = columns[n * (16 + 80 + 8) : place]
    ranges = [
        _ANNOTATION_RANGE[kind] if signal.is_annotation else numbers[8 * (kind * n + i) :][:8]
        for kind in range(4)
        for i, signal in enumerate(header.signals)
    ]
    filters = [columns[place + 80 * i : place + 80 * (i + 1)] for i in range(n)]
    counts = columns[place + 80 * n : place + 88 * n]
    return b"".join(
        [
            *(label.ljust(16)[:16] for label in labels),
            b" " * (80 * n),
            *(unit.ljust(8)[:8] for unit in units),
            *ranges,
            *(_filter(text).ljust(80)[:80] for text in filters),
            counts,
            b" " * (32 * n),
        ]
    )


def _label(signal: EdfSignal, number: int, keep: Collection[str]) -> bytes:
    return _latin(signal.label if signal.is_annotation else kept_label(signal.label, number, keep))


def _latin(text: str) -> bytes:
    return text.encode("latin-1", errors="replace")


def _filter(field: bytes) -> bytes:
    text = field.decode("latin-1").strip()
    return _latin(text) if _FILTER.fullmatch(text) else b""


def _record(record: bytes, header: EdfHeader, keep: Collection[str]) -> bytes:
    """Return a data record with the texts of its annotation signals replaced where needed."""
    parts = []
    for signal in header.signals:
        start = signal.offset * header.sample_bytes
        part = record[start : start + signal.per_record * header.sample_bytes]
        parts.append(_texts(part, keep) if signal.is_annotation else part)
    return b"".join(parts)


def _texts(block: bytes, keep: Collection[str]) -> bytes:
    """Return an annotation block of the same size; what is no list of annotations is dropped."""
    kept = []
    for tal in block.split(b"\x00"):
        stamp, separator, texts = tal.partition(b"\x14")
        if not separator or _STAMP.fullmatch(stamp) is None:
            continue
        words = [_shortened(word, keep) for word in texts.split(b"\x14")]
        kept.append(stamp + separator + b"\x14".join(words) + b"\x00")
    return b"".join(kept).ljust(len(block), b"\x00")[: len(block)]


def _shortened(word: bytes, keep: Collection[str]) -> bytes:
    """Return the text that stays; never longer than it was, so that it fits."""
    if not word:
        return word
    text = kept_text(word.decode("utf-8", errors="replace"), keep).encode()
    if len(text) <= len(word):
        return text
    return b"-" if text == REMOVED.encode() else word[:0]
