"""The chain of tags that a FIF file is made of, checked before MNE follows any of it.

A tag is kind, type, size and place of the next one (four big-endian integers), then its content.
A split recording names its next file in one of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from pipelines.errors import RecordingError
from pipelines.readers.companions import companion

_FILE_ID, _DIRECTORY_POINTER, _BLOCK_START = 100, 101, 104
_REF_ROLE, _REF_FILE_NUMBER, _REF_FILE_NAME = 115, 117, 118
_UNSTATED, _ROLE_NEXT = 0, 2
_MOST_PARTS = 1000


class _Tag(NamedTuple):
    place: int
    kind: int
    size: int


def parts_of(path: Path) -> tuple[Path, ...]:
    """Return the files of a FIF recording, `path` first, every tag and name in them checked.

    Raises
    ------
    RecordingError
        If a file is no FIF file, is truncated, hides tags from the chain, or if a part names a
        file outside its folder, a link, a missing file or one before it.
    """
    parts = [path]
    while (name := _next_name(parts[-1])) is not None:
        part = companion(parts[-1], name, "next part")
        if part in parts or len(parts) == _MOST_PARTS:
            raise RecordingError(
                f"{parts[-1].name} names {name!r} as its next part, which is one of the parts "
                "before it; save the recording again"
            )
        parts.append(part)
    return tuple(parts)


def _next_name(path: Path) -> str | None:
    """Return the name of the part that follows `path`, as its tags give it."""
    size = path.stat().st_size
    if size == 0:
        raise RecordingError(f"{path.name} is empty (0 bytes); copy or export it again")
    role, name, by_number, pointer = _UNSTATED, None, False, 0
    places = set()
    with path.open("rb") as file:
        for tag in _tags(file, size, path.name):
            places.add(tag.place)
            if tag.kind == _BLOCK_START:
                role = _UNSTATED
            elif tag.kind == _REF_ROLE:
                role = _integer(file, tag)
            elif tag.kind == _REF_FILE_NAME and role in (_UNSTATED, _ROLE_NEXT):
                name = _content(file, tag, 1024).decode("latin-1").rstrip("\0")
            elif tag.kind == _REF_FILE_NUMBER and role in (_UNSTATED, _ROLE_NEXT):
                by_number = True
            elif tag.kind == _DIRECTORY_POINTER:
                pointer = _integer(file, tag)
        _check_directory(file, pointer, places, path.name)
    if by_number and name is None:
        raise RecordingError(
            f"{path.name} names its next part by a number alone; load it in MNE and save it again"
        )
    return name


def _tags(file: BinaryIO, size: int, name: str) -> Iterator[_Tag]:
    place = 0
    while place < size:
        file.seek(place)
        head = file.read(16)
        kind, _, n_bytes, following = struct.unpack(">iIii", head.ljust(16, b"\xff"))
        if place == 0 and (kind != _FILE_ID or n_bytes != 20):
            raise RecordingError(
                f"{name} is not a FIF file: it does not begin with a file identifier; "
                "check how it was exported"
            )
        if len(head) < 16 or n_bytes < 0 or place + 16 + n_bytes > size:
            raise RecordingError(
                f"{name} is truncated or damaged: the tag at byte {place} does not fit into its "
                f"{size} bytes; copy or export it again"
            )
        yield _Tag(place, kind, n_bytes)
        if following == -1:
            return
        place = following if following > 0 else place + 16 + n_bytes
        if following > 0 and following < file.tell():
            raise RecordingError(f"{name} is damaged: its tags run in a circle; export it again")


def _check_directory(file: BinaryIO, pointer: int, places: set[int], name: str) -> None:
    """Check that the directory at the end of a file lists nothing that the chain does not."""
    if pointer <= 0:
        return
    file.seek(pointer)
    head = file.read(16)
    n_bytes = struct.unpack(">iIii", head)[2] if len(head) == 16 else -1
    listed = np.frombuffer(_content(file, _Tag(pointer, 0, n_bytes), 1 << 28), ">i4")
    if pointer not in places or not set(listed[3::4].tolist()) <= places:
        raise RecordingError(
            f"{name} is damaged: its directory does not fit its tags; load it in MNE and save it "
            "again"
        )


def _content(file: BinaryIO, tag: _Tag, most_bytes: int) -> bytes:
    file.seek(tag.place + 16)
    return file.read(max(0, min(tag.size, most_bytes)))


def _integer(file: BinaryIO, tag: _Tag) -> int:
    return int.from_bytes(_content(file, tag, 4), "big", signed=True)
