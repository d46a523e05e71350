"""Where the waveforms lie in a DICOM file, found without reading them.

A data set is a run of elements: tag, type, length, content. Only the lengths are followed here;
what the elements mean is left to pydicom, which sees them without their samples.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipelines.errors import RecordingError

WAVEFORM_SEQUENCE = 0x54000100
WAVEFORM_DATA = 0x54001010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV"}) | frozenset(
    {b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_UNDEFINED = 0xFFFFFFFF
_DEEPEST = 16
MOST_HEADER_BYTES = 64 << 20
"""Most bytes that may lie before the waveforms."""


class _Element(NamedTuple):
    tag: int
    length: int
    start: int
    content: int


class WaveformPlace(NamedTuple):
    """One multiplex group: its description as stored, and where its samples are.

    Attributes
    ----------
    described : bytes
        The elements of the item before its samples.
    first_byte, n_bytes : int
        Place of the samples in the file.
    """

    described: bytes
    first_byte: int
    n_bytes: int


class DicomLayout:
    """Walks over the elements of one data set.

    Parameters
    ----------
    path : pathlib.Path
    start : int
        Where the data set begins, after the file meta information.
    implicit : bool
        True if elements do not state their type.
    """

    def __init__(self, path: Path, start: int, *, implicit: bool) -> None:
        self._path = path
        self._start = start
        self._implicit = implicit
        self._size = path.stat().st_size

    def read(self) -> tuple[bytes, list[WaveformPlace]]:
        """Return the elements before the waveforms, and the waveforms.

        Raises
        ------
        RecordingError
            If an element does not fit into the file, or there is no waveform.
        """
        with self._path.open("rb") as file:
            place = self._start
            while place < self._size:
                element = self._element(file, place)
                if element.tag == WAVEFORM_SEQUENCE:
                    return self._bytes(file, self._start, place), self._groups(file, element)
                place = self._after(file, element, 0)
        raise RecordingError(
            f"{self._path.name} holds no waveform; give a DICOM file with an ECG waveform"
        )

    def _groups(self, file: BinaryIO, sequence: _Element) -> list[WaveformPlace]:
        found, place = [], sequence.content
        stop = self._stop(sequence)
        while place < stop:
            item = self._element(file, place)
            if item.tag == _SEQUENCE_END:
                break
            found.append(self._group(file, item))
            place = self._after(file, item, 1)
        return found

    def _group(self, file: BinaryIO, item: _Element) -> WaveformPlace:
        place, stop = item.content, self._stop(item)
        while place < stop:
            element = self._element(file, place)
            if element.tag == WAVEFORM_DATA and element.length != _UNDEFINED:
                described = self._bytes(file, item.content, element.start)
                return WaveformPlace(described, element.content, element.length)
            if element.tag == _ITEM_END:
                break
            place = self._after(file, element, 2)
        raise RecordingError(
            f"{self._path.name} has a waveform without samples; copy or export it again"
        )

    def _element(self, file: BinaryIO, place: int) -> _Element:
        """Return the element at `place`; what it contains lies within the file."""
        file.seek(place)
        head = file.read(12).ljust(12, b"\0")
        group, number = struct.unpack_from("<HH", head)
        tag, content = group << 16 | number, place + 8
        if self._implicit or group == 0xFFFE:
            length = struct.unpack_from("<I", head, 4)[0]
        elif head[4:6] in _LONG:
            length, content = struct.unpack_from("<I", head, 8)[0], place + 12
        else:
            length = struct.unpack_from("<H", head, 6)[0]
        if content > self._size or (length != _UNDEFINED and content + length > self._size):
            raise RecordingError(
                f"{self._path.name} is truncated or damaged: the element at byte {place} does not "
                f"fit into its {self._size} bytes; copy or export it again"
            )
        return _Element(tag, length, place, content)

    def _stop(self, element: _Element) -> int:
        return self._size if element.length == _UNDEFINED else element.content + element.length

    def _after(self, file: BinaryIO, element: _Element, depth: int) -> int:
        """Return the place behind an element; one of undefined length is walked through."""
        if element.length != _UNDEFINED:
            return element.content + element.length
        if depth > _DEEPEST:
            raise RecordingError(f"{self._path.name} is nested too deeply; export it again")
        place = element.content
        while place < self._size:
            inner = self._element(file, place)
            if inner.tag in (_ITEM_END, _SEQUENCE_END):
                return inner.content
            place = self._after(file, inner, depth + 1)
        raise RecordingError(f"{self._path.name} is truncated; copy or export it again")

    def _bytes(self, file: BinaryIO, start: int, stop: int) -> bytes:
        if stop - start > MOST_HEADER_BYTES:
            raise RecordingError(
                f"{self._path.name} has {stop - start} bytes before its waveform, more than "
                f"{MOST_HEADER_BYTES >> 20} MiB; export it without images and documents"
            )
        file.seek(start)
        return file.read(stop - start)
