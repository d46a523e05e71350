"""Reading the bytes that a header promised, or saying that they are gone."""

from __future__ import annotations

from typing import BinaryIO

from pipelines.errors import RecordingError


def read_exactly(file: BinaryIO, first_byte: int, n_bytes: int, name: str) -> bytes:
    """Return `n_bytes` from `first_byte` on.

    Raises
    ------
    RecordingError
        If the file called `name` ends before.
    """
    file.seek(first_byte)
    content = file.read(n_bytes)
    if len(content) < n_bytes:
        raise RecordingError(
            f"{name} has become shorter since it was opened; copy or export it again"
        )
    return content
