"""EDF, EDF+C, EDF+D and BDF: each channel at its own rate, gaps as pieces, read in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipelines.channel_names import identify_all
from pipelines.errors import RecordingError
from pipelines.readers.edf_annotations import Texts, parse_records, pieces_of
from pipelines.readers.edf_header import EdfHeader, EdfSignal, read_header
from pipelines.readers.exact import read_exactly
from pipelines.recording import Annotation, Channel, Piece, Recording
from pipelines.units import to_volts

CHUNK_BYTES = 4 << 20
"""Most bytes of the file held in memory at once while reading."""
_SMALL_RECORD = 1 << 13
"""Bytes of a data record up to which whole ones are read for their annotations."""


class EdfRecording(Recording):
    """An EDF or BDF file; made by :func:`read_edf`."""

    def __init__(self, path: Path, header: EdfHeader, texts: Texts | None) -> None:
        signals = [s for s in header.signals if not s.is_annotation]
        if not signals:
            raise RecordingError(
                f"{path.name} holds annotations only and no signal; "
                "give the file that holds the signals"
            )
        self.path = path
        self.files = (path,)
        self.format = header.format
        self.channels = _channels(signals, header.record_s)
        zero = (texts.starts[0] or 0.0) if texts else 0.0
        self.pieces = _pieces(path.name, header, texts, signals)
        self.annotations = _annotations(texts, zero)
        self.start_time = header.start_time and header.start_time + timedelta(seconds=zero)
        self._header = header
        self._signals = {c.name: s for c, s in zip(self.channels, signals, strict=True)}

    def _read(
        self, channels: Sequence[Channel], piece: Piece, start: int, stop: int
    ) -> NDArray[np.float64]:
        signals = [self._signals[c.name] for c in channels]
        first = round(piece.stored_s / self._header.record_s) * signals[0].per_record
        out = np.empty((len(signals), stop - start))
        with self.path.open("rb") as file:
            if self._header.record_bytes <= CHUNK_BYTES:
                self._fill_by_records(file, signals, first + start, out)
            else:
                self._fill_by_signals(file, signals, first + start, out)
        for row, signal in zip(out, signals, strict=True):
            _, volts = to_volts(signal.unit)
            row *= signal.scale * volts
            row += signal.shift * volts
        return out

    def _fill_by_records(
        self,
        file: BinaryIO,
        signals: Sequence[EdfSignal],
        first: int,
        out: NDArray[np.float64],
    ) -> None:
        """Read whole data records, several at a time, and pick the signals out of them."""
        header, per_record = self._header, signals[0].per_record
        stop = first + out.shape[1]
        at_once = max(1, CHUNK_BYTES // header.record_bytes)
        last_record = -(-stop // per_record)
        for record in range(first // per_record, last_record, at_once):
            n = min(at_once, last_record - record)
            block = self._samples(file, record * header.record_samples, n * header.record_samples)
            block = block.reshape(n, header.record_samples)
            a, b = max(first, record * per_record), min(stop, (record + n) * per_record)
            inside = slice(a - record * per_record, b - record * per_record)
            for row, signal in zip(out, signals, strict=True):
                stored = block[:, signal.offset : signal.offset + per_record].reshape(-1)
                row[a - first : b - first] = stored[inside]

    def _fill_by_signals(
        self,
        file: BinaryIO,
        signals: Sequence[EdfSignal],
        first: int,
        out: NDArray[np.float64],
    ) -> None:
        """Read only the wanted stretch of each signal: for data records larger than a chunk."""
        header, per_record = self._header, signals[0].per_record
        most = CHUNK_BYTES // header.sample_bytes
        for row, signal in zip(out, signals, strict=True):
            for a, b in _stretches(first, first + out.shape[1], per_record, most):
                record, within = divmod(a, per_record)
                where = record * header.record_samples + signal.offset + within
                row[a - first : b - first] = self._samples(file, where, b - a)

    def _samples(self, file: BinaryIO, first: int, n: int) -> NDArray[np.signedinteger]:
        """Read `n` stored integers from the `first` one after the header."""
        width = self._header.sample_bytes
        where = self._header.first_byte + first * width
        return _integers(read_exactly(file, where, n * width, self.path.name), width)


def read_edf(path: Path) -> EdfRecording:
    """Open an EDF, EDF+ or BDF file.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path.

    Raises
    ------
    RecordingError
        If the file is damaged, truncated, or holds no signal; nothing is allocated before the
        header has been checked against the size of the file.
    """
    header = read_header(path)
    return EdfRecording(path, header, _texts(path, header))


def _texts(path: Path, header: EdfHeader) -> Texts | None:
    """Read the annotation signals of every data record, if there are any."""
    signals = [s for s in header.signals if s.is_annotation]
    if not signals:
        return None
    with path.open("rb", buffering=0) as file:
        return parse_records(_annotation_blocks(file, header, signals))


def _annotation_blocks(
    file: RawIOBase, header: EdfHeader, signals: Sequence[EdfSignal]
) -> Iterator[list[bytes]]:
    """Yield the bytes of each annotation signal, data record by data record."""
    width, step, first = header.sample_bytes, header.record_bytes, header.first_byte
    places = [(s.offset * width, s.per_record * width) for s in signals]
    if step > _SMALL_RECORD:
        for record in range(first, first + header.n_records * step, step):
            yield [_part_of(file, record + start, length) for start, length in places]
        return
    at_once = CHUNK_BYTES // step or 1
    for record in range(0, header.n_records, at_once):
        n = min(at_once, header.n_records - record)
        block = _part_of(file, first + record * step, n * step)
        for place in range(0, n * step, step):
            yield [block[place + start : place + start + length] for start, length in places]


def _part_of(file: RawIOBase, first_byte: int, n_bytes: int) -> bytes:
    file.seek(first_byte)
    return file.read(n_bytes) or b""


def _channels(signals: Sequence[EdfSignal], record_s: float) -> tuple[Channel, ...]:
    identified = identify_all(s.label for s in signals)
    return tuple(
        Channel(name, s.label, kind, s.per_record / record_s, to_volts(s.unit)[0])
        for (name, kind), s in zip(identified, signals, strict=True)
    )


def _pieces(
    name: str, header: EdfHeader, texts: Texts | None, signals: Sequence[EdfSignal]
) -> tuple[Piece, ...]:
    if not header.format.endswith("+D") or texts is None:
        return (Piece(0.0, header.n_records * header.record_s, 0.0),)
    half_a_sample = 0.5 * header.record_s / max(s.per_record for s in signals)
    return pieces_of(texts.starts, header.record_s, half_a_sample, name)


def _annotations(texts: Texts | None, zero: float) -> tuple[Annotation, ...]:
    """Return all annotations on the recording's clock, in order of onset."""
    found = (replace(a, onset=a.onset - zero) for a in (texts.annotations if texts else ()))
    return tuple(sorted(found, key=lambda a: a.onset))


def _stretches(start: int, stop: int, per_record: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut ``start:stop`` at record borders and into parts of at most `most` samples."""
    while start < stop:
        end = min(stop, start + most, (start // per_record + 1) * per_record)
        yield start, end
        start = end


def _integers(content: bytes, width: int) -> NDArray[np.signedinteger]:
    """Decode little-endian two's complement integers of 2 or 3 bytes."""
    if width == 2:
        return np.frombuffer(content, "<i2")
    parts = np.frombuffer(content, np.uint8).reshape(-1, 3)
    padded = np.zeros((len(parts), 4), np.uint8)
    padded[:, 1:] = parts
    return padded.view("<i4")[:, 0] >> 8
