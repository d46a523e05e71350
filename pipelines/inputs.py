"""Turns the INPUT arguments of the command line into an ordered list of recordings."""

from __future__ import annotations

import difflib
import glob
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.errors import InputError, RecordingError
from pipelines.manifests import Row, is_manifest, read_manifest
from pipelines.readers import (
    COMPANIONS,
    RECORDING_SUFFIXES,
    TABLE_SUFFIXES,
    main_file,
    read_recording,
)
from pipelines.readers.bids_names import (
    NO_RAW_DATA,
    is_bids_name,
    is_data_set,
    patient_name,
    recording_name,
)
from pipelines.readers.declaration import Declaration, sidecar_of
from pipelines.recording import Recording

_MAX_HEADER_BYTES = 65_536
_KINDS = "a recording, a folder (also of a BIDS data set), a glob or a manifest CSV"
_SPLIT = re.compile(r"(?P<first>.*)-\d+|(?P<before>.*_)split-(?P<number>\d+)(?P<after>_.*)")
"""FIF: ``night_raw-1`` continues ``night_raw``, ``x_split-02_eeg`` continues ``x_split-01_eeg``."""


@dataclass(frozen=True, slots=True)
class InputRecording:
    """One recording to work on.

    Attributes
    ----------
    path : pathlib.Path
        Absolute path (for WFDB the header). The file may be missing if a manifest names it: then
        reading it fails and the batch sets that recording aside.
    recording_id : str
        Unique in the list, usable as a folder name.
    patient_id : str
        From the manifest; of a BIDS recording its subject; otherwise `recording_id`.
    declared : Declaration or None
        Rate and unit of a table, from the manifest.
    refused : str or None
        Why the INPUT argument names no recording: one that others stand beside is set aside by
        whoever opens it, like a file that cannot be read.
    patient_stated : bool
        True if `patient_id` is of a manifest or a BIDS data set, False if it is `recording_id`.
    """

    path: Path
    recording_id: str
    patient_id: str
    declared: Declaration | None = None
    refused: str | None = None
    patient_stated: bool = False

    def check(self) -> None:
        """Raise :class:`InputError` if the INPUT argument names no recording."""
        if self.refused is not None:
            raise InputError(self.refused)

    def open(self) -> Recording:
        """Open the recording; raise :class:`RarewaveError` if that fails."""
        self.check()
        return read_recording(self.path, declared=self.declared)


def resolve_inputs(arguments: Sequence[str | Path]) -> tuple[InputRecording, ...]:
    """Return the recordings that INPUT arguments name.

    Parameters
    ----------
    arguments : sequence of str or pathlib.Path
        Files, folders (searched with their subfolders, hidden ones skipped, and of a BIDS data
        set its derivatives and source data), globs, or manifest CSV files with a column ``path``
        and optionally ``recording_id``, ``patient_id`` and, for tables, ``sfreq`` and ``units``.
        Relative paths in a manifest start at the manifest's folder. Tables are found in a folder
        or by a glob only if a JSON sidecar declares them.

    Returns
    -------
    tuple of InputRecording
        In the order of the arguments, within a folder or glob in order of path; a recording
        named twice is listed once. An argument that names nothing usable is listed as a recording
        that cannot be opened.

    Raises
    ------
    InputError
        If no argument names anything usable (a malformed manifest does not), or manifests give
        one recording_id to different files, or two to one file.
    """
    if not arguments:
        raise InputError(f"no INPUT given; give {_KINDS}")
    found: dict[Path, Row] = {}
    refused: list[InputError] = []
    for argument in arguments:
        try:
            rows = _expand(str(argument))
        except InputError as error:
            refused.append(error)
            rows = [Row(Path(argument).expanduser().absolute(), refused=str(error))]
        for row in rows:
            if row.path not in found or found[row.path].refused is not None:
                found[row.path] = row
            _check_one_id(found[row.path], row)
    if refused and all(row.refused is not None for row in found.values()):
        raise refused[0]
    return _with_ids(list(found.values()))


def _check_one_id(known: Row, row: Row) -> None:
    """Refuse two names for one recording: one of them would be lost without a word."""
    if known.recording_id and row.recording_id and known.recording_id != row.recording_id:
        raise InputError(
            f"{row.path.name} is listed with the recording_id {known.recording_id!r} and with "
            f"{row.recording_id!r}; keep one of these rows of the manifest"
        )


def _expand(argument: str) -> list[Row]:
    """Return the recordings that one argument names; never an empty list."""
    path = Path(argument).expanduser().absolute()
    if path.is_dir():
        inside = _recordings_in(path)
        if not inside:
            raise InputError(
                f"the folder {argument} holds no recording ({', '.join(RECORDING_SUFFIXES)}; "
                "tables with a JSON sidecar); give a folder that does, or name the files"
            )
        return inside
    if path.is_file():
        if path.suffix.lower() == ".csv" and is_manifest(path):
            rows = read_manifest(path)
            return [replace(row, path=_canonical(row.path)) for row in rows]
        return [Row(_canonical(path))]
    if path.with_name(f"{path.name}.hea").is_file():
        return [Row(path.with_name(f"{path.name}.hea"))]
    if glob.has_magic(argument):
        return _glob(argument)
    raise InputError(f"there is no {argument}{_nearest(path)}; give {_KINDS}")


def _recordings_in(folder: Path) -> list[Row]:
    """Return the recordings in a folder and its subfolders, without hidden ones."""
    skipped = NO_RAW_DATA if is_data_set(folder) else frozenset()
    paths = [path for path in sorted(folder.rglob("*")) if _stands_alone(path)]
    parts = {part for path in paths if path.suffix.lower() == ".hea" for part in _segments(path)}
    found = []
    for path in paths:
        inner = path.relative_to(folder).parts
        if path not in parts and inner[0] not in skipped and not any(p[0] == "." for p in inner):
            found.append(Row(path))
    return found


def _stands_alone(path: Path) -> bool:
    """Return True if `path` is a recording by itself when nobody has named it."""
    suffix = path.suffix.lower()
    if suffix not in RECORDING_SUFFIXES or not path.is_file():
        return False
    if suffix in TABLE_SUFFIXES:
        return sidecar_of(path).is_file()
    if suffix == ".ecg":  # WFDB has annotation files of that name
        with path.open("rb") as file:
            return file.read(8) == b"ISHNE1.0"
    return suffix != ".fif" or not _continues(path)


def _continues(path: Path) -> bool:
    """Return True if a FIF file is a later part of a recording that lies beside it."""
    match = _SPLIT.fullmatch(path.stem)
    if match is None:
        return False
    first = match["first"]
    if first is None:
        number = match["number"]
        first = f"{match['before']}split-{1:0{len(number)}}{match['after']}"
    return first != path.stem and path.with_name(f"{first}{path.suffix}").is_file()


def _segments(header: Path) -> list[Path]:
    """Return the headers of the segments of a WFDB record; they are no recordings of their own."""
    with header.open("rb") as file:
        text = file.read(_MAX_HEADER_BYTES).decode("ascii", errors="replace")
    lines = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"]
    if not lines or "/" not in lines[0][0]:
        return []
    return [header.parent / f"{words[0]}.hea" for words in lines[1:]]


def _glob(pattern: str) -> list[Row]:
    found: list[Row] = []
    expanded = str(Path(pattern).expanduser())
    for match in sorted(glob.glob(expanded, recursive=True)):  # noqa: PTH207 (takes absolute)
        path = Path(match).absolute()
        if path.is_dir():
            found.extend(_recordings_in(path))
        elif _stands_alone(path) or path.suffix.lower() in COMPANIONS:
            found.append(Row(_canonical(path)))
    if not found:
        raise InputError(
            f"no recording matches {pattern}; check the pattern (and its quotes), or give {_KINDS}"
        )
    return found


def _canonical(path: Path) -> Path:
    """Return the path that stands for a recording; a side file without its header stays itself."""
    try:
        return main_file(path)
    except RecordingError:
        return path


def _with_ids(rows: Sequence[Row]) -> tuple[InputRecording, ...]:
    """Give every recording an id of its own."""
    given = {row.path: folder_safe(row.recording_id) for row in rows if row.recording_id}
    twice = [
        name for name, count in Counter(map(str.casefold, given.values())).items() if count > 1
    ]
    if twice:
        raise InputError(
            f"the recording_id {twice[0]!r} is given to {Counter(given.values())[twice[0]] or 2} "
            "files; give each row of the manifest its own"
        )
    unnamed = [row.path for row in rows if not row.recording_id and row.refused is None]
    ids = given | _from_paths(unnamed, given.values())
    refused = [row.path for row in rows if row.refused is not None]
    ids |= _from_paths(refused, ids.values())  # last: no recording is called otherwise for them
    patients = _subjects([row.path for row in rows if row.refused is None])
    return tuple(
        InputRecording(
            row.path,
            ids[row.path],
            row.patient_id or patients.get(row.path) or ids[row.path],
            row.declared,
            row.refused,
            patient_stated=bool(row.patient_id or patients.get(row.path)),
        )
        for row in rows
    )


def _subjects(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the subject of each BIDS recording; equal subjects of two data sets are told apart."""
    folders = {
        path: next(p for p in path.parents if p.name == patient_name(path))
        for path in paths
        if is_bids_name(path) and any(p.name == patient_name(path) for p in path.parents)
    }
    names = _from_paths(list(dict.fromkeys(folders.values())), ())
    return {path: names[folder] for path, folder in folders.items()}


def _from_paths(paths: Sequence[Path], taken: Iterable[str]) -> dict[Path, str]:
    """Name recordings after their files, with folders in front as far as needed to tell apart."""
    used = {name.casefold() for name in taken}
    ids: dict[Path, str] = {}
    for depth in range(1, 1 + max((len(path.parts) for path in paths), default=0)):
        open_paths = [path for path in paths if path not in ids]
        names = {path: _name_of(path, depth) for path in open_paths}
        count = Counter(name.casefold() for name in names.values())
        free = {
            path: name
            for path, name in names.items()
            if count[name.casefold()] == 1 and name.casefold() not in used
        }
        ids |= free
        used.update(name.casefold() for name in free.values())
    for path in paths:  # files that differ by their suffix alone
        name = ids.setdefault(path, folder_safe(path.name))
        if sum(other == name for other in ids.values()) > 1:
            raise InputError(
                f"two recordings would both be called {name!r}; name them in a manifest CSV "
                "with the columns path and recording_id"
            )
    return ids


def _name_of(path: Path, depth: int) -> str:
    name = recording_name(path) if is_bids_name(path) else path.stem
    return folder_safe("_".join((*path.parts[-depth:-1], name)))


def folder_safe(name: str) -> str:
    """Return `name` with all but letters, digits, ``. _ -`` replaced, usable as a folder name.

    Examples
    --------
    >>> folder_safe("../ward 3/night")
    '_ward_3_night'
    """
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".")[:120] or "recording"


def _nearest(path: Path) -> str:
    """Return ``" (did you mean ...?)"`` if the folder holds a similar name, else ``""``."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
