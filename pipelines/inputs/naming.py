"""What recordings are called: ids from the names of files and folders, subjects of BIDS data sets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipelines.errors import InputError
from pipelines.readers.bids_names import is_bids_name, patient_name, recording_name


def subjects_of(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the subject of each BIDS recording; equal subjects of two data sets are told apart."""
    folders = {
        path: next(p for p in path.parents if p.name == patient_name(path))
        for path in paths
        if is_bids_name(path) and any(p.name == patient_name(path) for p in path.parents)
    }
    names = ids_from_paths(list(dict.fromkeys(folders.values())), ())
    return {path: names[folder] for path, folder in folders.items()}


def ids_from_paths(paths: Sequence[Path], taken: Iterable[str]) -> dict[Path, str]:
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
