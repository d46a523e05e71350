"""Turns the INPUT arguments of the command line into an ordered list of recordings."""

from __future__ import annotations

import csv
import difflib
import glob
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InputError

RECORDING_SUFFIXES = (".edf", ".bdf", ".hea")
"""What a folder is searched for; a WFDB record is found by its header."""
_WFDB_COMPANIONS = (".dat", ".atr")
_ID_COLUMNS = ("recording_id", "patient_id")
_MAX_HEADER_BYTES = 65_536
_KINDS = "a recording (.edf, .bdf, .hea), a folder, a glob or a manifest CSV"


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
        From the manifest, otherwise `recording_id`.
    """

    path: Path
    recording_id: str
    patient_id: str


def resolve_inputs(arguments: Sequence[str | Path]) -> tuple[InputRecording, ...]:
    """Return the recordings that INPUT arguments name.

    Parameters
    ----------
    arguments : sequence of str or pathlib.Path
        Files, folders (searched with their subfolders, hidden ones skipped), globs, or manifest
        CSV files with a column ``path`` and optionally ``recording_id`` and ``patient_id``.
        Relative paths in a manifest start at the manifest's folder.

    Returns
    -------
    tuple of InputRecording
        In the order of the arguments, within a folder or glob in order of path; a recording
        named twice is listed once.

    Raises
    ------
    InputError
        If an argument names nothing usable, a manifest is malformed, or two rows of manifests
        give one recording_id to different files.
    """
    if not arguments:
        raise InputError(f"no INPUT given; give {_KINDS}")
    found: dict[Path, _Named] = {}
    for argument in arguments:
        for named in _expand(str(argument)):
            found.setdefault(named.path, named)
    return _with_ids(list(found.values()))


@dataclass(frozen=True, slots=True)
class _Named:
    """A path with what a manifest says about it; "" where it says nothing."""

    path: Path
    recording_id: str = ""
    patient_id: str = ""


def _expand(argument: str) -> list[_Named]:
    """Return the recordings that one argument names; never an empty list."""
    path = Path(argument).expanduser().absolute()
    if path.is_dir():
        inside = _recordings_in(path)
        if not inside:
            raise InputError(
                f"the folder {argument} holds no recording ({', '.join(RECORDING_SUFFIXES)}); "
                "give a folder that does, or name the files"
            )
        return inside
    if path.is_file():
        if path.suffix.lower() == ".csv":
            return _manifest(path)
        return [_Named(_canonical(path))]
    if path.with_name(f"{path.name}.hea").is_file():
        return [_Named(path.with_name(f"{path.name}.hea"))]
    if glob.has_magic(argument):
        return _glob(argument)
    raise InputError(f"there is no {argument}{_nearest(path)}; give {_KINDS}")


def _recordings_in(folder: Path) -> list[_Named]:
    """Return the recordings in a folder and its subfolders, without hidden ones."""
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in RECORDING_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    parts = {part for path in paths if path.suffix.lower() == ".hea" for part in _segments(path)}
    return [_Named(path) for path in paths if path not in parts]


def _segments(header: Path) -> list[Path]:
    """Return the headers of the segments of a WFDB record; they are no recordings of their own."""
    with header.open("rb") as file:
        text = file.read(_MAX_HEADER_BYTES).decode("ascii", errors="replace")
    lines = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"]
    if not lines or "/" not in lines[0][0]:
        return []
    return [header.parent / f"{words[0]}.hea" for words in lines[1:]]


def _glob(pattern: str) -> list[_Named]:
    found: list[_Named] = []
    expanded = str(Path(pattern).expanduser())
    for match in sorted(glob.glob(expanded, recursive=True)):  # noqa: PTH207 (takes absolute)
        path = Path(match).absolute()
        if path.is_dir():
            found.extend(_recordings_in(path))
        elif path.suffix.lower() in (*RECORDING_SUFFIXES, *_WFDB_COMPANIONS):
            found.append(_Named(_canonical(path)))
    if not found:
        raise InputError(
            f"no recording matches {pattern}; check the pattern (and its quotes), or give {_KINDS}"
        )
    return found


def _canonical(path: Path) -> Path:
    """Return the path that stands for a recording: for a WFDB record its header."""
    for header in (path.with_suffix(".hea"), path.with_name(f"{path.name}.hea")):
        if path.suffix.lower() in ("", *_WFDB_COMPANIONS) and header.is_file():
            return header
    if not path.exists() and path.with_name(f"{path.name}.hea").is_file():
        return path.with_name(f"{path.name}.hea")
    return path


def _manifest(path: Path) -> list[_Named]:
    """Read a manifest; rows whose file is missing are kept, so that the batch reports them."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the manifest {path.name} ({type(error).__name__}); "
            "accepted is a UTF-8 CSV file"
        ) from error
    reader = csv.DictReader(lines, restval="")
    columns = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    if "path" not in columns:
        raise InputError(
            f"{path.name} has no column 'path' (it has {', '.join(columns) or 'none'}); "
            "a manifest needs path, and may have recording_id and patient_id"
        )
    reader.fieldnames = columns
    rows = []
    for row in reader:
        cells = {key: (row.get(key) or "").strip() for key in ("path", *_ID_COLUMNS)}
        if not cells["path"]:
            raise InputError(
                f"{path.name} line {reader.line_num} has an empty path; "
                "give the recording's path or remove the line"
            )
        file = Path(cells["path"]).expanduser()
        rows.append(
            _Named(_canonical(path.parent / file), cells["recording_id"], cells["patient_id"])
        )
    if not rows:
        raise InputError(f"the manifest {path.name} has no rows; add one line a recording")
    return rows


def _with_ids(named: Sequence[_Named]) -> tuple[InputRecording, ...]:
    """Give every recording an id of its own."""
    given = {n.path: folder_safe(n.recording_id) for n in named if n.recording_id}
    twice = [
        name for name, count in Counter(map(str.casefold, given.values())).items() if count > 1
    ]
    if twice:
        raise InputError(
            f"the recording_id {twice[0]!r} is given to {Counter(given.values())[twice[0]] or 2} "
            "files; give each row of the manifest its own"
        )
    ids = given | _from_paths([n.path for n in named if not n.recording_id], given.values())
    return tuple(InputRecording(n.path, ids[n.path], n.patient_id or ids[n.path]) for n in named)


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
    return folder_safe("_".join((*path.parts[-depth:-1], path.stem)))


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
