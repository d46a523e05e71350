"""Which recordings an address names: a file, a folder, a glob or a manifest that lie elsewhere."""

from __future__ import annotations

import glob
import tempfile
from pathlib import Path

from pipelines.errors import InputError, RecordingError
from pipelines.inputs.finding import (
    KINDS,
    nothing_inside,
    nothing_matches,
    recordings_in,
    stands_alone,
)
from pipelines.manifests import Row, is_manifest, read_manifest
from pipelines.readers import COMPANIONS, main_name
from pipelines.readers.declaration import sidecar_of
from pipelines.remote.access import Found, Remote, shown
from pipelines.remote.address import checked_url, is_url, path_for, url_of

_MOST_HEADER_BYTES = 1 << 20
_MOST_MANIFEST_BYTES = 256 << 20


class RemoteFiles:
    """The files at addresses of one protocol, each folder asked for once."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._folders: dict[Path, set[Path]] = {}

    def is_file(self, path: Path) -> bool:
        """Return True if there is a file at the address that `path` names."""
        if path.parent not in self._folders:
            inside = self._remote.inside(url_of(path.parent), depth=1)
            self._folders[path.parent] = {path_for(file.url) for file in inside}
        return path in self._folders[path.parent]

    def start(self, path: Path, n_bytes: int) -> bytes:
        """Return the first bytes of the file at the address that `path` names."""
        return self._remote.start(url_of(path), n_bytes)

    def under(self, folder: Path) -> list[Path]:
        """Return the files in a folder and its subfolders."""
        paths = [path_for(file.url) for file in self._remote.inside(url_of(folder))]
        for path in paths:
            self._folders.setdefault(path.parent, set()).add(path)
        return paths


def expand_url(argument: str | Path) -> list[Row]:
    """Return the recordings that an address names; never an empty list.

    Raises
    ------
    RarewaveError
        If the address is refused, names nothing usable, or cannot be reached.
    """
    url = checked_url(argument)
    path, remote = path_for(url), Remote(url)
    files = RemoteFiles(remote)
    if glob.has_magic(url):
        return _glob(url, remote, files)
    file = remote.found(url)
    if file is not None:
        if path.suffix.lower() == ".csv":
            rows = _manifest(file, remote, files)
            if rows:
                return rows
        return [_row(main_name(path) if path.suffix else path)]
    if not path.suffix and remote.found(f"{url}.hea") is not None:
        return [_row(path.with_name(f"{path.name}.hea"))]
    under = files.under(path)
    inside = recordings_in(path, under, files)
    if not under:
        raise InputError(f"there is no {shown(url)}; give {KINDS}")
    if not inside:
        raise nothing_inside(shown(url))
    return [_row(found) for found in inside]


def refused_row(argument: str | Path, reason: str) -> Row:
    """Return the row of an argument that names no recording; of an address nothing but its end."""
    if not is_url(argument):
        return Row(Path(argument).expanduser().absolute(), refused=reason)
    try:
        url = checked_url(argument)
    except InputError:
        return Row(Path("/", "refused address"), refused=reason)
    return Row(path_for(url), refused=reason, url=url)


def _row(path: Path) -> Row:
    return Row(path, url=url_of(path))


def _glob(pattern: str, remote: Remote, files: RemoteFiles) -> list[Row]:
    found: list[Path] = []
    for url, is_folder in remote.matching(pattern):
        path = path_for(url)
        if is_folder:
            found.extend(recordings_in(path, files.under(path), files))
        elif path.suffix.lower() in COMPANIONS:
            found.append(main_name(path))
        elif stands_alone(path, files):
            found.append(path)
    if not found:
        raise nothing_matches(shown(pattern))
    return [_row(path) for path in found]


def _manifest(file: Found, remote: Remote, files: RemoteFiles) -> list[Row]:
    """Return the rows of a CSV file that is a manifest, none if it is a table of signal."""
    path = path_for(file.url)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(remote.start(file.url, min(file.size, _MOST_HEADER_BYTES)))
        if files.is_file(sidecar_of(path)):
            sidecar_of(copy).touch()
        if not is_manifest(copy):
            return []
        if file.size > _MOST_MANIFEST_BYTES:
            raise RecordingError(f"the manifest {path.name} is too large; split it")
        remote.copy(file, copy)
        return read_manifest(copy, at=url_of(path.parent))
