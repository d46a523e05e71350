"""Rows of a CSV file, found by an index of one place every half megabyte."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import RecordingError

BLOCK_BYTES = 512 << 10
"""How much of the file is parsed at a time; also the distance of the places in the index."""
_MOST_HEADER_BYTES = 1 << 20


class _Block(NamedTuple):
    row: int
    n_rows: int
    place: int
    n_bytes: int


class CsvRows:
    """A CSV file of numbers under one line of column names.

    Parameters
    ----------
    path : pathlib.Path
        UTF-8, separated by commas, decimal points, no quotes around numbers. An empty cell or
        ``nan`` is a missing value.

    Attributes
    ----------
    columns : tuple of str
    n_rows : int
        Known after :meth:`scan`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_rows = 0
        self._index: list[_Block] = []
        with path.open("rb") as file:
            line = file.readline(_MOST_HEADER_BYTES)
        if not line:
            raise RecordingError(f"{path.name} is empty (0 bytes); copy or export it again")
        self._start = len(line)
        self.columns = csv_columns(line, path.name)

    def numeric(self, columns: Sequence[str]) -> None:
        """Columns of text show when they are read; nothing to check before."""

    def scan(self, column: str | None) -> Iterator[NDArray[np.float64]]:
        """Go through the file once to index it; yield the values of `column`, if given."""
        with self.path.open("rb") as file:
            place, rest = self._start, b""
            file.seek(place)
            while True:
                content = file.read(BLOCK_BYTES)
                text = rest + content
                end = _whole_lines(text) if content else len(text.rstrip(b"\r\n"))
                block, rest = text[:end], text[end:]
                if len(rest) > _MOST_HEADER_BYTES:
                    raise RecordingError(
                        f"{self.path.name} has a line of more than {_MOST_HEADER_BYTES} bytes "
                        f"after row {self.n_rows}; check that it is a table"
                    )
                if block:
                    n = block.count(b"\n") + (not block.endswith(b"\n"))
                    self._index.append(_Block(self.n_rows, n, place, len(block)))
                    if column is not None:
                        yield self._parse(self._index[-1], block, (column,))[0]
                    self.n_rows += n
                place += end
                if not content:
                    return

    def read(self, columns: Sequence[str], start: int, stop: int) -> NDArray[np.float64]:
        """Return rows ``start:stop`` of some columns, shape ``(n_columns, n_rows)``."""
        out = np.empty((len(columns), stop - start))
        begins = [block.row for block in self._index]
        first = int(np.searchsorted(begins, start, "right")) - 1
        with self.path.open("rb") as file:
            for block in self._index[first:]:
                if block.row >= stop:
                    break
                file.seek(block.place)
                values = self._parse(block, file.read(block.n_bytes), columns)
                a, b = max(start, block.row), min(stop, block.row + block.n_rows)
                out[:, a - start : b - start] = values[:, a - block.row : b - block.row]
        return out

    def _parse(self, block: _Block, text: bytes, columns: Sequence[str]) -> NDArray[np.float64]:
        from pyarrow import ArrowException, BufferReader, float64
        from pyarrow import csv as arrow_csv

        if b'"' in text:
            raise self._wrong(block, "hold quotation marks")
        options: dict[str, Any] = {
            "read_options": arrow_csv.ReadOptions(
                column_names=self.columns, use_threads=False, block_size=len(text) + 1
            ),
            "parse_options": arrow_csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            "convert_options": arrow_csv.ConvertOptions(
                include_columns=list(columns), column_types=dict.fromkeys(columns, float64())
            ),
        }
        try:
            table = arrow_csv.read_csv(BufferReader(text), **options)
        except ArrowException as error:
            found = re.search(r"[Rr]ow #(\d+)", str(error))
            row = f" (row {block.row + int(found[1])})" if found else ""
            raise self._wrong(block, f"hold text or too few or many cells{row}") from error
        if table.num_rows != block.n_rows:
            raise self._wrong(block, "changed or hold empty lines")
        values = np.stack([table[name].to_numpy() for name in columns])
        values[~np.isfinite(values)] = np.nan
        return values

    def _wrong(self, block: _Block, what: str) -> RecordingError:
        return RecordingError(
            f"{self.path.name}: rows {block.row + 1} to {block.row + block.n_rows} {what}; accepted "
            "are numbers with a decimal point, separated by commas, and empty cells"
        )


def _whole_lines(text: bytes) -> int:
    """Return the length of the complete lines of `text` without the empty ones at its end."""
    filled = text.rstrip(b"\r\n")
    ending = text[len(filled) :]
    if filled and ending.startswith((b"\n", b"\r\n")):
        return len(filled) + ending.index(b"\n") + 1
    return filled.rfind(b"\n") + 1


def csv_columns(line: bytes, name: str) -> tuple[str, ...]:
    """Return the column names in the first line of a CSV file.

    Raises
    ------
    RecordingError
        If the line is no such list.
    """
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordingError(
            f"{name} does not begin with a line of column names in UTF-8; export it as UTF-8 CSV"
        ) from error
    columns = tuple(cell.strip() for cell in next(csv.reader([text]), []))
    if len(columns) == 1 and any(mark in text for mark in ";\t"):
        raise RecordingError(f"{name} is not separated by commas; export it again with commas")
    if not all(columns) or len(set(columns)) < len(columns):
        raise RecordingError(
            f"{name} has columns without a name or with equal names; give each column its own name"
        )
    return columns
