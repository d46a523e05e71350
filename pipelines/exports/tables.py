"""Segments, and with ``only="all"`` windows too, as CSV or Parquet: one table for the run."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.exports.selection import Exporter, Failures, Selection
from pipelines.exports.writing import NOTICE, replacing
from pipelines.run_folder import SEGMENT_SCHEMA, WINDOW_SCHEMA

_REVIEWED_SCHEMA: Final = pa.schema(
    [
        *SEGMENT_SCHEMA,
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("comment", pa.string(), nullable=False),
        pa.field("reviewer", pa.string(), nullable=False),
        pa.field("decided_at", pa.timestamp("us", tz="UTC")),
        pa.field("label", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("found_start_s", pa.float64(), nullable=False),
        pa.field("found_stop_s", pa.float64(), nullable=False),
        pa.field("readers_differ", pa.bool_(), nullable=False),
    ]
)
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def exporter(format: str) -> Exporter:
    """Return the exporter for ``"csv"`` or ``"parquet"``."""
    write = _write_csv if format == "csv" else _write_parquet

    def export(selection: Selection, to: Path, failures: Failures) -> Sequence[Path]:
        wanted = {"segments": (_REVIEWED_SCHEMA, selection.segment_table)}
        if selection.only == "all":
            wanted["windows"] = (WINDOW_SCHEMA, selection.run.windows)
        files = []
        for name, (schema, read) in wanted.items():
            files.append(to / f"{name}.{format}")
            write(files[-1], schema, _tables(selection, failures, schema, read))
        return files

    return export


def _tables(
    selection: Selection,
    failures: Failures,
    schema: pa.Schema,
    read: Callable[[str], pd.DataFrame],
) -> Iterator[pa.Table]:
    for recording_id in selection.recording_ids:
        with failures.collecting(recording_id):
            yield _typed(read(recording_id), schema)


def _typed(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Return a table of the given schema; NaN stays NaN, what is missing becomes null."""
    columns = [
        pa.array(frame[f.name], f.type, from_pandas=not pa.types.is_floating(f.type))
        for f in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _write_parquet(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    schema = schema.with_metadata({"notice": NOTICE})
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for table in tables:
            writer.write_table(table.replace_schema_metadata(schema.metadata))


def _write_csv(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(schema.names)
        for table in tables:
            frame = table.to_pandas()
            columns = {field.name: _cells(frame[field.name], field.type) for field in schema}
            pd.DataFrame(columns).to_csv(file, header=False, index=False, lineterminator="\n")


def _cells(column: pd.Series, kind: pa.DataType) -> pd.Series:
    """Return a column as a spreadsheet may read it: lists joined, times in ISO 8601, no formula."""
    if pa.types.is_list(kind):
        return column.map(lambda names: neutral(";".join(names))).astype(object)
    if pa.types.is_string(kind):
        return column.map(neutral, na_action="ignore").astype(object)
    if pa.types.is_timestamp(kind):
        return column.map(lambda time: time.isoformat(), na_action="ignore").astype(object)
    return column


def neutral(text: str) -> str:
    """Return `text` such that no spreadsheet takes it for a formula.

    Examples
    --------
    >>> neutral("=1+1"), neutral("MLII")
    ("'=1+1", 'MLII')
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
