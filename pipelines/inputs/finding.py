"""Which recordings an INPUT argument names: a file, a folder, a glob or a manifest."""

from __future__ import annotations

import difflib
import glob
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from pipelines.errors import InputError, RecordingError
from pipelines.manifests import Row, is_manifest, read_manifest
from pipelines.readers import COMPANIONS, RECORDING_SUFFIXES, TABLE_SUFFIXES, main_file
from pipelines.readers.bids_names import DESCRIPTION, NO_RAW_DATA
from pipelines.readers.declaration import sidecar_of

KINDS = "a recording, a folder (also of a BIDS data set), a glob or a manifest CSV"
_MAX_HEADER_BYTES = 65_536
_SPLIT = re.compile(r"(?P<first>.*)-\d+|(?P<before>.*_)split-(?P<number>\d+)(?P<after>_.*)")
"""FIF: ``night_raw-1`` continues ``night_raw``, ``x_split-02_eeg`` continues ``x_split-01_eeg``."""


class Files(Protocol):
    """What has to be known of files to tell which of them are recordings."""

    def is_file(self, path: Path) -> bool:
        """Return True if there is a file at `path`."""

    def start(self, path: Path, n_bytes: int) -> bytes:
        """Return the first bytes of the file at `path`."""


class LocalFiles:
    """The files of this computer."""

    def is_file(self, path: Path) -> bool:
        """Return True if there is a file at `path`."""
        return path.is_file()

    def start(self, path: Path, n_bytes: int) -> bytes:
        """Return the first bytes of the file at `path`."""
        with path.open("rb") as file:
            return file.read(n_bytes)


HERE = LocalFiles()


def expand(argument: str) -> list[Row]:
    """Return the recordings that an argument names on this computer; never an empty list."""
    path = Path(argument).expanduser().absolute()
    if path.is_dir():
        inside = recordings_in(path, path.rglob("*"), HERE)
        if not inside:
            raise nothing_inside(argument)
        return [Row(found) for found in inside]
    if path.is_file():
        if path.suffix.lower() == ".csv" and is_manifest(path):
            rows = read_manifest(path)
            return [row if row.url else replace(row, path=_canonical(row.path)) for row in rows]
        return [Row(_canonical(path))]
    if path.with_name(f"{path.name}.hea").is_file():
        return [Row(path.with_name(f"{path.name}.hea"))]
    if glob.has_magic(argument):
        return _glob(argument)
    raise InputError(f"there is no {argument}{_nearest(path)}; give {KINDS}")


def nothing_inside(folder: str) -> InputError:
    """Return what is wrong with a folder without recordings."""
    return InputError(
        f"the folder {folder} holds no recording ({', '.join(RECORDING_SUFFIXES)}; "
        "tables with a JSON sidecar); give a folder that does, or name the files"
    )


def nothing_matches(pattern: str) -> InputError:
    """Return what is wrong with a glob that matches no recording."""
    return InputError(
        f"no recording matches {pattern}; check the pattern (and its quotes), or give {KINDS}"
    )


def recordings_in(folder: Path, paths: Iterable[Path], files: Files) -> list[Path]:
    """Return the recordings among the `paths` inside a folder, in order, without hidden ones."""
    skipped = NO_RAW_DATA if files.is_file(folder / DESCRIPTION) else frozenset()
    alone = [path for path in sorted(paths) if stands_alone(path, files)]
    headers = [path for path in alone if path.suffix.lower() == ".hea"]
    parts = {part for path in headers for part in _segments(path, files)}
    found = []
    for path in alone:
        inner = path.relative_to(folder).parts
        if path not in parts and inner[0] not in skipped and not any(p[0] == "." for p in inner):
            found.append(path)
    return found


def stands_alone(path: Path, files: Files) -> bool:
    """Return True if `path` is a recording by itself when nobody has named it."""
    suffix = path.suffix.lower()
    if suffix not in RECORDING_SUFFIXES or not files.is_file(path):
        return False
    if suffix in TABLE_SUFFIXES:
        return files.is_file(sidecar_of(path))
    if suffix == ".ecg":  # WFDB has annotation files of that name
        return files.start(path, 8) == b"ISHNE1.0"
    return suffix != ".fif" or not _continues(path, files)


def _continues(path: Path, files: Files) -> bool:
    """Return True if a FIF file is a later part of a recording that lies beside it."""
    match = _SPLIT.fullmatch(path.stem)
    if match is None:
        return False
    first = match["first"]
    if first is None:
        number = match["number"]
        first = f"{match['before']}split-{1:0{len(number)}}{match['after']}"
    return first != path.stem and files.is_file(path.with_name(f"{first}{path.suffix}"))


def _segments(header: Path, files: Files) -> list[Path]:
    """Return the headers of the segments of a WFDB record; they are no recordings of their own."""
    text = files.start(header, _MAX_HEADER_BYTES).decode("ascii", errors="replace")
    lines = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"]
    if not lines or "/" not in lines[0][0]:
        return []
    return [header.parent / f"{words[0]}.hea" for words in lines[1:]]


def _glob(pattern: str) -> list[Row]:
    found: list[Path] = []
    expanded = str(Path(pattern).expanduser())
    for match in sorted(glob.glob(expanded, recursive=True)):  # noqa: PTH207 (takes absolute)
        path = Path(match).absolute()
        if path.is_dir():
            found.extend(recordings_in(path, path.rglob("*"), HERE))
        elif stands_alone(path, HERE) or path.suffix.lower() in COMPANIONS:
            found.append(_canonical(path))
    if not found:
        raise nothing_matches(pattern)
    return [Row(path) for path in found]


def _canonical(path: Path) -> Path:
    """Return the path that stands for a recording; a side file without its header stays itself."""
    try:
        return main_file(path)
    except RecordingError:
        return path


def _nearest(path: Path) -> str:
    """Return ``" (did you mean ...?)"`` if the folder holds a similar name, else ``""``."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
