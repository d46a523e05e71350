"""Rows of a Parquet file, read row group by row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import RecordingError

MOST_GROUP_BYTES = 512 << 20
"""Largest row group, unpacked: it is the least that can be read at a time."""


class ParquetRows:
    """A Parquet file of numbers.

    Attributes
    ----------
    columns : tuple of str
    n_rows : int
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        self.path = path
        try:
            self._stamp = _stamp(path)
            with parquet.ParquetFile(path) as file:
                self._footer = file.metadata
                self._schema = file.schema_arrow
                groups = [self._footer.row_group(i) for i in range(file.num_row_groups)]
                counts = [group.num_rows for group in groups]
                sizes = [group.total_byte_size for group in groups]
        except (pa.ArrowException, OSError) as error:
            raise RecordingError(
                f"{path.name} is no readable Parquet file ({type(error).__name__}); "
                "copy or write it again"
            ) from error
        self.columns = tuple(self._schema.names)
        if len(set(self.columns)) < len(self.columns):
            raise RecordingError(f"{path.name} has columns of equal names; rename them")
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self.n_rows = int(self._starts[-1])
        largest = max([*sizes, *(8 * n * len(self.columns) for n in counts)], default=0)
        if largest > MOST_GROUP_BYTES:
            raise RecordingError(
                f"{path.name} has a row group of {largest >> 20} MiB, which would be loaded at "
                f"once; write it again with row groups of at most {MOST_GROUP_BYTES >> 20} MiB"
            )

    def numeric(self, columns: Sequence[str]) -> None:
        """Raise :class:`RecordingError` if one of `columns` holds no numbers."""
        import pyarrow as pa

        for name in columns:
            kind = self._schema.field(name).type
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                raise RecordingError(
                    f"{self.path.name}: the column {name[:40]!r} holds {kind}, where numbers are "
                    "needed; leave it out, or list the signals in the sidecar"
                )

    def scan(self, column: str | None) -> Iterator[NDArray[np.float64]]:
        """Yield the values of `column`, if given, row group by row group."""
        for start, stop in zip(self._starts[:-1], self._starts[1:], strict=True):
            if column is not None:
                yield self.read((column,), int(start), int(stop))[0]

    def read(self, columns: Sequence[str], start: int, stop: int) -> NDArray[np.float64]:
        """Return rows ``start:stop`` of some columns, shape ``(n_columns, n_rows)``."""
        import pyarrow as pa
        from pyarrow import parquet

        out = np.empty((len(columns), stop - start))
        try:
            known = self._footer if _stamp(self.path) == self._stamp else None
            with parquet.ParquetFile(self.path, metadata=known) as file:
                for group, begin in enumerate(self._starts[:-1]):
                    a, b = max(start, begin), min(stop, self._starts[group + 1])
                    if a < b:
                        table = file.read_row_group(group, list(columns), use_threads=False)
                        for row, name in zip(out, columns, strict=True):
                            values = table[name].slice(a - begin, b - a).cast(pa.float64())
                            row[a - start : b - start] = values.to_numpy()
        except (pa.ArrowException, OSError) as error:
            raise RecordingError(
                f"cannot read rows {start + 1} to {stop} of {self.path.name} "
                f"({type(error).__name__}); copy or write it again"
            ) from error
        out[~np.isfinite(out)] = np.nan
        return out


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes if the file at `path` is replaced: its old footer is then of no use."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
