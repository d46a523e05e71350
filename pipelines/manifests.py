"""Manifests: CSV files that list recordings, with ids and, for tables, rate and units."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InputError, RecordingError
from pipelines.readers import TABLE_SUFFIXES, main_name
from pipelines.readers.declaration import Declaration, checked_sfreq, number_of, sidecar_of
from pipelines.remote.address import checked_url, is_url, path_for, url_of

_COLUMNS = ("path", "recording_id", "patient_id", "sfreq", "units")
_MOST_HEADER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a manifest; "" and None where it says nothing.

    Attributes
    ----------
    path : pathlib.Path
        Absolute, as the manifest names it.
    recording_id, patient_id : str
    declared : Declaration or None
        Rate and unit, for a table.
    refused : str or None
        Of an INPUT argument, not a row: why it names no recording.
    url : str or None
        The address of a recording that lies elsewhere; `path` then only names it.
    """

    path: Path
    recording_id: str = ""
    patient_id: str = ""
    declared: Declaration | None = None
    refused: str | None = None
    url: str | None = None


def is_manifest(path: Path) -> bool:
    """Return True if the CSV file at `path` is a manifest, False if it is a table of signal.

    It is a manifest if it has a column ``path``, and a table if it has a column ``time_s`` or a
    sidecar that declares it.

    Raises
    ------
    InputError
        If it is neither.
    """
    columns = _columns(path)
    if "path" in columns:
        return True
    if "time_s" in columns or sidecar_of(path).is_file():
        return False
    shown = ", ".join(columns[:8]) or "none"
    raise InputError(
        f"{path.name} has no column 'path' (it has {shown}), so it is no manifest; to read it as a "
        f"table of signal, give it a column time_s (seconds), or put "
        f'{{"sfreq": 250, "units": "mV"}} with the true values into {sidecar_of(path).name} '
        "beside it"
    )


def read_manifest(path: Path, at: str | None = None) -> list[Row]:
    """Read a manifest; relative paths start at its folder, and files need not exist.

    Parameters
    ----------
    path : pathlib.Path
    at : str, optional
        The address of its folder, if `path` is a copy of a manifest that lies elsewhere.

    Raises
    ------
    InputError
        If it is no UTF-8 CSV, has no rows, or a row is malformed.
    """
    reader = csv.DictReader(_lines(path), restval="")
    reader.fieldnames = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    rows = []
    for row in reader:
        cells = {key: (row.get(key) or "").strip() for key in _COLUMNS}
        where = f"{path.name} line {reader.line_num}"
        if not cells["path"]:
            raise InputError(
                f"{where} has an empty path; give the recording's path or remove the line"
            )
        file, url = _place(cells["path"], path.parent, at)
        declared = _declared(cells["sfreq"], cells["units"], file, where)
        rows.append(Row(file, cells["recording_id"], cells["patient_id"], declared, url=url))
    if not rows:
        raise InputError(f"the manifest {path.name} has no rows; add one line a recording")
    return rows


def _place(cell: str, folder: Path, at: str | None) -> tuple[Path, str | None]:
    """Return the path of a recording, and its address if it has one."""
    if at is not None and not is_url(cell):
        cell = f"{at}/{cell}"
    if not is_url(cell):
        return folder / Path(cell).expanduser(), None
    path = main_name(path_for(checked_url(cell)))
    return path, url_of(path)


def _declared(sfreq: str, units: str, file: Path, where: str) -> Declaration | None:
    """Return what a row declares of a table; refuse it for recordings that state it themselves."""
    if not sfreq and not units:
        return None
    if file.suffix.lower() not in TABLE_SUFFIXES:
        raise InputError(
            f"{where} gives sfreq or units for {file.name}, which states its own; leave these "
            "cells empty except for .csv and .parquet"
        )
    try:
        rate = checked_sfreq(number_of(sfreq), where) if sfreq else None
    except RecordingError as error:
        raise InputError(str(error)) from error
    return Declaration(sfreq=rate, units=units or None)


def _columns(path: Path) -> list[str]:
    """Return the names in the first line, as a manifest spells them."""
    try:
        with path.open("rb") as file:
            line = file.readline(_MOST_HEADER_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    return [name.strip().lower() for name in next(csv.reader([line]), [])]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"cannot read the manifest {path.name} ({type(error).__name__}); "
        "accepted is a UTF-8 CSV file"
    )
