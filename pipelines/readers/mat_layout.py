"""The nesting of a MATLAB file (version 5 to 7.2), checked before scipy follows it.

scipy trusts the sizes in such a file: a damaged one can end the whole process. Layout: MathWorks,
"MAT-File Format", chapter 1. An element is a tag (type and number of bytes) and its content;
matrices contain elements. Everything must fit into what contains it.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipelines.errors import RecordingError

MOST_BYTES = 1 << 30
"""Most bytes that a file may unpack to: what is inside is loaded whole."""

_MATRIX, _COMPRESSED = 14, 15
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_TEXT = frozenset({1, 2, 4, 16, 17, 18})
_CELL, _STRUCT, _OBJECT, _CHAR = 1, 2, 3, 4
_NUMBERS = range(6, 16)
_FUNCTION, _OPAQUE = 16, 17
_COMPLEX = 0x800
_DEEPEST = 24
_MOST_ITEMS = 1 << 20


class _Tag(NamedTuple):
    kind: int
    n_bytes: int
    stop: int
    small: bytes


class _MisfitError(Exception):
    """Something does not fit."""


class _Stream:
    """Bytes read forward, from the file itself or unpacked from it."""

    def __init__(self, more: Callable[[], bytes]) -> None:
        self._more = more
        self._buffer = b""
        self._at = 0
        self.place = 0

    def take(self, n: int) -> bytes:
        if len(self._buffer) - self._at < n:
            self._refill(n)
        content = self._buffer[self._at : self._at + n]
        self._at += n
        self.place += n
        return content

    def _refill(self, n: int) -> None:
        """Have at least `n` bytes in the buffer, from its beginning."""
        parts = [self._buffer[self._at :]]
        held = len(parts[0])
        while held < n:
            content = self._more()
            if not content:
                raise _MisfitError
            parts.append(content)
            held += len(content)
        self._buffer, self._at = b"".join(parts), 0

    def skip_to(self, place: int) -> None:
        if place < self.place:
            raise _MisfitError
        while self.place < place:
            self.take(min(place - self.place, 1 << 20))


def check_mat(path: Path) -> None:
    """Check that the sizes in the MATLAB file at `path` fit into each other.

    Raises
    ------
    RecordingError
        If they do not, if the file unpacks to more than 1 GiB, or holds sparse matrices.
    """
    size = path.stat().st_size
    total = 0
    with path.open("rb") as file:
        order = "<" if file.read(128)[126:128] == b"IM" else ">"
        while total <= MOST_BYTES and (head := file.read(8)):
            kind, n_bytes = struct.unpack(f"{order}II", head.ljust(8, b"\0"))
            start = file.tell()
            if len(head) < 8 or start + n_bytes > size or kind not in (_MATRIX, _COMPRESSED):
                raise _truncated(path, size)
            walker = _Walker(order, MOST_BYTES - total)
            try:
                if kind == _COMPRESSED:
                    total += walker.packed(file, n_bytes)
                else:
                    file.seek(start - 8)
                    total += walker.plain(file, n_bytes + 8)
            except (_MisfitError, zlib.error, struct.error) as error:
                raise _truncated(path, size) from error
            file.seek(start + n_bytes)
    if total > MOST_BYTES:
        raise RecordingError(
            f"{path.name} unpacks to more than {MOST_BYTES >> 20} MiB, all of which would be "
            "loaded at once; save it in EEGLAB as two files (.set and .fdt)"
        )


def _truncated(path: Path, size: int) -> RecordingError:
    return RecordingError(
        f"{path.name} is truncated or damaged: the variables in it do not fit into its {size} "
        "bytes; copy or save it again"
    )


class _Walker:
    """Walks through one variable; returns how many bytes it has, or more than `most`."""

    def __init__(self, order: str, most: int) -> None:
        self._order = order
        self._most = most

    def plain(self, file: BinaryIO, n_bytes: int) -> int:
        return self._variable(_Stream(_limited(file, n_bytes)))

    def packed(self, file: BinaryIO, n_bytes: int) -> int:
        more, unpack = _limited(file, n_bytes), zlib.decompressobj()

        def unpacked() -> bytes:
            while not unpack.eof:
                content = unpack.decompress(unpack.unconsumed_tail or more(), 1 << 20)
                if content:
                    return content
                if not unpack.unconsumed_tail and not unpack.eof:
                    raise _MisfitError
            return b""

        return self._variable(_Stream(unpacked))

    def _variable(self, stream: _Stream) -> int:
        tag = self._tag(stream, 1 << 62)
        if tag.kind != _MATRIX:
            raise _MisfitError
        if tag.stop <= self._most:
            self._matrix(stream, tag, 0)
        return tag.stop

    def _tag(self, stream: _Stream, stop: int) -> _Tag:
        """Read a tag whose content must end before `stop`."""
        head = stream.take(8)
        kind, n_bytes = struct.unpack(f"{self._order}II", head)
        small = kind >> 16
        if small:
            if small > 4:
                raise _MisfitError
            return _Tag(kind & 0xFFFF, small, stream.place, head[4 : 4 + small])
        if stream.place + n_bytes > stop:
            raise _MisfitError
        return _Tag(kind, n_bytes, stream.place + n_bytes, b"")

    def _content(self, stream: _Stream, stop: int, kinds: tuple[int, ...]) -> bytes:
        """Return the content of a short element of one of `kinds`, and go to the next."""
        tag = self._tag(stream, stop)
        if tag.kind not in kinds or tag.n_bytes > _MOST_ITEMS:
            raise _MisfitError
        content = tag.small or stream.take(tag.n_bytes)
        self._pad(stream, stop)
        return content

    def _pad(self, stream: _Stream, stop: int) -> None:
        stream.skip_to(min(stop, stream.place + -stream.place % 8))

    def _data(self, stream: _Stream, stop: int, n: int, *, text: bool) -> None:
        """Pass over numbers or letters, of which there must be `n`."""
        tag = self._tag(stream, stop)
        if text:
            if tag.kind not in _TEXT or (tag.kind != 16 and n and not tag.n_bytes):
                raise _MisfitError
        elif tag.kind not in _WIDTHS or tag.n_bytes != n * _WIDTHS[tag.kind]:
            raise _MisfitError
        if not tag.small:
            stream.skip_to(tag.stop)
        self._pad(stream, stop)

    def _matrix(self, stream: _Stream, tag: _Tag, depth: int) -> None:
        if tag.n_bytes == 0:
            return
        if depth > _DEEPEST:
            raise _MisfitError
        flags = struct.unpack(f"{self._order}II", self._content(stream, tag.stop, (6,)))[0]
        kind = flags & 0xFF
        if kind == _OPAQUE:
            self._children(stream, tag.stop, depth)
            return
        dims = self._content(stream, tag.stop, (5,))
        sizes = struct.unpack(f"{self._order}{len(dims) // 4}i", dims)
        n = math.prod(sizes)
        if len(sizes) < 2 or min(sizes) < 0 or n > MOST_BYTES:
            raise _MisfitError
        self._content(stream, tag.stop, (1,))
        if kind == _CHAR or kind in _NUMBERS:
            for _ in range(2 if flags & _COMPLEX and kind != _CHAR else 1):
                self._data(stream, tag.stop, n, text=kind == _CHAR)
        elif kind in (_CELL, _STRUCT):
            fields = self._fields(stream, tag.stop) if kind == _STRUCT else 1
            self._items(stream, tag.stop, n * fields, depth)
        elif kind in (_OBJECT, _FUNCTION):
            self._children(stream, tag.stop, depth)
        else:
            raise _MisfitError
        stream.skip_to(tag.stop)

    def _fields(self, stream: _Stream, stop: int) -> int:
        """Return the number of fields of a structure."""
        length: int = struct.unpack(f"{self._order}i", self._content(stream, stop, (5,)))[0]
        names = self._content(stream, stop, (1,))
        if length <= 0 or len(names) % length:
            raise _MisfitError
        return len(names) // length

    def _items(self, stream: _Stream, stop: int, n: int, depth: int) -> None:
        if n * 8 > stop - stream.place:
            raise _MisfitError
        for _ in range(n):
            tag = self._tag(stream, stop)
            if tag.kind != _MATRIX:
                raise _MisfitError
            self._matrix(stream, tag, depth + 1)

    def _children(self, stream: _Stream, stop: int, depth: int) -> None:
        """Pass over elements of any number."""
        while stream.place + 8 <= stop:
            tag = self._tag(stream, stop)
            if tag.kind == _MATRIX:
                self._matrix(stream, tag, depth + 1)
            elif tag.kind in _WIDTHS or tag.kind in _TEXT:
                if not tag.small:
                    stream.skip_to(tag.stop)
            else:
                raise _MisfitError
            self._pad(stream, stop)
        stream.skip_to(stop)


def _limited(file: BinaryIO, n_bytes: int) -> Callable[[], bytes]:
    """Return what reads the next bytes of `file`, `n_bytes` in all."""
    left = n_bytes

    def more() -> bytes:
        nonlocal left
        content = file.read(min(left, 1 << 20))
        left -= len(content)
        return content

    return more
