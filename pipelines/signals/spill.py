"""Rows too many for memory: kept in a file without a name, and read from there part by part.

What is read of such an array counts as memory of the process until :func:`release` gives it back.
"""

from __future__ import annotations

import mmap
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Spill:
    """Rows that are appended, then read as one array.

    Parameters
    ----------
    folder : pathlib.Path
        Made if needed. The file in it has no name and goes when the array does.

    Raises
    ------
    OSError
        If the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._like: NDArray[Any] = np.empty(0)
        self._n = 0

    def add(self, rows: NDArray[Any]) -> None:
        """Append rows, all of one shape and type."""
        self._like, self._n = rows[:0], self._n + len(rows)
        self._file.write(np.ascontiguousarray(rows).tobytes())

    def array(self) -> NDArray[Any]:
        """Return all rows; nothing can be added any more, and the rows cannot be changed."""
        shape = (self._n, *self._like.shape[1:])
        with self._file:
            if not np.prod(shape):
                return np.empty(shape, self._like.dtype)
            self._file.flush()
            return np.memmap(self._file, dtype=self._like.dtype, mode="r", shape=shape)

    def __del__(self) -> None:
        self._file.close()


def release(rows: object) -> None:
    """Give the memory back that reading an array of :class:`Spill` took; nothing for anything else."""
    mapping = getattr(rows, "_mmap", None)
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
