"""Tables of numbers (CSV, Parquet): a column a channel; rate and units are stated, never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.channel_names import identify_all, printable
from pipelines.errors import RecordingError
from pipelines.readers.breaks import pieces_from
from pipelines.readers.declaration import (
    ChannelDeclaration,
    Declaration,
    declared_for,
    sidecar_of,
)
from pipelines.readers.row_clock import RowClock
from pipelines.recording import Channel, Piece, Recording
from pipelines.units import to_volts

TIME = "time_s"
"""The column of seconds since the start; with it, the rate need not be declared."""

_WITH_UNIT = re.compile(r"(?P<name>.*\S)\s*\[(?P<unit>[^\[\]]+)\]")


class Rows(Protocol):
    """Access to the rows of a table on disk."""

    columns: tuple[str, ...]
    n_rows: int

    def numeric(self, columns: Sequence[str]) -> None:
        """Refuse columns that hold no numbers, where that can be told."""

    def scan(self, column: str | None) -> Iterator[NDArray[np.float64]]:
        """Go through the table once; yield the values of `column`, if given."""

    def read(self, columns: Sequence[str], start: int, stop: int) -> NDArray[np.float64]:
        """Return rows ``start:stop``, shape ``(n_columns, n_rows)``, NaN where missing."""


class TableRecording(Recording):
    """A table; made by :func:`read_table`."""

    def __init__(self, path: Path, rows: Rows, declared: Declaration) -> None:
        self.path = path
        sidecar = sidecar_of(path)
        self.files = (path, sidecar) if sidecar.is_file() else (path,)
        self.format = "CSV" if path.suffix.lower() == ".csv" else "Parquet"
        self.annotations = ()
        self.start_time = declared.start_time
        columns = _signal_columns(path, rows.columns, declared)
        rows.numeric(columns)
        self.pieces, sfreq = _pieces(path, rows, declared.sfreq)
        self._rows = rows
        self._columns: dict[str, tuple[str, float]] = {}
        self.channels = self._describe(columns, declared, sfreq)

    def _describe(
        self, columns: Sequence[str], declared: Declaration, sfreq: float
    ) -> tuple[Channel, ...]:
        labels = [_split(column)[0] for column in columns]
        identified = identify_all(labels)
        channels = []
        for column, label, (name, kind) in zip(columns, labels, identified, strict=True):
            entry = _entry(declared, column)
            given = entry.unit or _split(column)[1] or declared.units
            if given is None:
                raise RecordingError(
                    f"{self.path.name} does not state the unit of its column {label[:40]!r}; "
                    f"write it into the column name, as '{label[:40]} [mV]', or "
                    f'"units" into {sidecar_of(self.path).name}'
                )
            unit, factor = to_volts(printable(given))
            self._columns[name] = (column, factor)
            channels.append(Channel(name, printable(label), entry.kind or kind, sfreq, unit))
        return tuple(channels)

    def _read(
        self, channels: Sequence[Channel], piece: Piece, start: int, stop: int
    ) -> NDArray[np.float64]:
        first = round(piece.stored_s * channels[0].sfreq)
        columns, factors = zip(*(self._columns[c.name] for c in channels), strict=True)
        data = self._rows.read(columns, first + start, first + stop)
        data *= np.array(factors)[:, None]
        return data


def read_table(path: Path, given: Declaration | None = None) -> TableRecording:
    """Open a table as a recording.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path of a ``.csv`` or ``.parquet`` file.
    given : Declaration, optional
        What a manifest declares; the table's sidecar is read as well.

    Raises
    ------
    RecordingError
        If the table does not state its rate or a unit, if its times are uneven, or if it holds
        text. Text in a CSV without ``time_s`` shows only when its rows are read.
    """
    from pipelines.readers.csv_rows import CsvRows
    from pipelines.readers.parquet_rows import ParquetRows

    declared = declared_for(path, given)
    rows: Rows = CsvRows(path) if path.suffix.lower() == ".csv" else ParquetRows(path)
    return TableRecording(path, rows, declared)


def _split(column: str) -> tuple[str, str | None]:
    """Split ``"ECG [mV]"`` into label and unit."""
    match = _WITH_UNIT.fullmatch(column)
    return (match["name"], match["unit"].strip()) if match else (column, None)


def _entry(declared: Declaration, column: str) -> ChannelDeclaration:
    label = _split(column)[0]
    found = declared.channels.get(column) or declared.channels.get(label)
    return found or ChannelDeclaration()


def _signal_columns(path: Path, columns: Sequence[str], declared: Declaration) -> tuple[str, ...]:
    """Return the columns that are signals: those declared, otherwise all but the times."""
    known = {column: column for column in columns} | {_split(c)[0]: c for c in columns}
    absent = [name for name in declared.channels if name not in known]
    if absent:
        raise RecordingError(
            f"{sidecar_of(path).name} declares the channel {absent[0][:40]!r}, which is no column "
            f"of {path.name}; correct the name"
        )
    wanted = {known[name] for name in declared.channels} or set(columns)
    found = tuple(column for column in columns if column in wanted and column != TIME)
    if not found:
        raise RecordingError(f"{path.name} has no column of signal; give each channel a column")
    return found


def _pieces(path: Path, rows: Rows, sfreq: float | None) -> tuple[tuple[Piece, ...], float]:
    """Return the pieces and the rate of a table."""
    timed = TIME in rows.columns
    if not timed and sfreq is None:
        raise RecordingError(
            f"{path.name} does not state its sampling rate; add a column {TIME} (seconds), or put "
            f'{{"sfreq": 250, "units": "mV"}} with the true values into {sidecar_of(path).name} '
            "beside it, or the columns sfreq and units into the manifest"
        )
    clock = RowClock(path.name, sfreq)
    for times in rows.scan(TIME if timed else None):
        clock.add(times)
    if not rows.n_rows or clock.sfreq is None:
        raise RecordingError(f"{path.name} has column names and no rows; export it again")
    return pieces_from(rows.n_rows, clock.sfreq, clock.breaks, path.name), clock.sfreq
