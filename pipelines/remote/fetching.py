"""Recordings at an address are copied into a folder of their own, and read from there.

The folder holds one recording, is refused if the disk has no room for it, and goes with the
:class:`~pipelines.Recording` that is read from it. One that a killed process left behind goes when
the next recording is fetched: its lock tells.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipelines.errors import RecordingError
from pipelines.readers import TABLE_SUFFIXES, read_recording
from pipelines.readers.bids_names import DESCRIPTION, is_bids_name, is_data_set
from pipelines.readers.companions import MissingFileError
from pipelines.readers.declaration import Declaration, sidecar_of
from pipelines.recording import Recording
from pipelines.remote.access import Found, Remote, shown
from pipelines.remote.address import checked_url, steps_of

_PREFIX = "rarewave-fetched-"
_LOCK = ".lock"
_ROOM_LEFT = 64 << 20
"""Bytes of the disk that are left free."""
_MOST_FILES = 10_000
_MOST_SIDE_BYTES = 64 << 20
_MOST_LEVELS = 4


class Fetched:
    """Copies of the files of one recording, removed with this object.

    Attributes
    ----------
    path : pathlib.Path
        The file that stands for the recording.
    marks : dict of str to str
        Of each file: what changes with its content at the store (size and version).
    discard : callable
        Removes the copies at once.
    """

    def __init__(self, url: str) -> None:
        self._remote, self._url = Remote(url), url
        self._folder, handle = _new_folder()
        self.discard = weakref.finalize(self, _remove, self._folder, handle)
        self.path = self._folder.joinpath(*steps_of(url))
        self.marks: dict[str, str | None] = {}
        self._known: dict[Path, dict[Path, Found]] = {}
        try:
            self._fetch()
        except BaseException:
            self.discard()
            raise

    def _fetch(self) -> None:
        main = self._remote.found(self._url)
        if main is None:
            raise RecordingError(f"there is no {shown(self._url)}; check the address")
        self._take(self.path, main)
        for path in self._side_files():
            self.take(path)

    def take(self, path: Path) -> bool:
        """Copy the file whose place here is `path`; return False if there is none, or a copy."""
        file = self._beside(path.parent).get(path)
        if file is None or path.is_file():
            return False
        self._take(path, file)
        return True

    def _take(self, path: Path, file: Found) -> None:
        room = shutil.disk_usage(self._folder).free - _ROOM_LEFT
        if file.size > room or len(self.marks) >= _MOST_FILES:
            raise RecordingError(
                f"{shown(file.url)} has {file.size / 2**30:.2f} GiB and there is room for "
                f"{max(0, room) / 2**30:.2f}; set TMPDIR to a folder on a larger disk"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        self._remote.copy(file, path)
        if path.parent == self.path.parent:
            self.marks[path.name] = file.mark

    def _beside(self, folder: Path) -> dict[Path, Found]:
        """Return what the store has in the folder whose place here is `folder`, asked once."""
        if folder not in self._known:
            steps = folder.relative_to(self._folder).parts
            url = f"{self._url.partition('://')[0]}://{'/'.join(steps)}"
            files = self._remote.inside(url, depth=1)
            self._known[folder] = {folder / steps_of(file.url)[-1]: file for file in files}
        return self._known[folder]

    def _side_files(self) -> Iterator[Path]:
        """Yield side files by the names that they must have; those a header names come later."""
        main = self.path
        if main.suffix.lower() in TABLE_SUFFIXES:
            yield sidecar_of(main)
        if main.suffix.lower() == ".hea":
            yield main.with_suffix(".atr")
            yield from self._of_header(main)
        if is_bids_name(main):
            yield from self._of_data_set(main)

    def _of_header(self, header: Path) -> Iterator[Path]:
        """Yield the files that a WFDB header names, and those that its segments name."""
        from pipelines.readers.wfdb_header import header_lines

        lines = [line.split() for line in header_lines(header)]
        for name in dict.fromkeys(words[0] for words in lines[1:]):
            if name != Path(name).name or name in (".", "..", "~"):
                continue  # the reader says what is wrong with it
            if "/" not in lines[0][0]:
                yield header.with_name(name)
                continue
            segment = header.with_name(f"{name}.hea")
            yield segment
            if segment.is_file():
                yield from self._of_header(segment)

    def _of_data_set(self, path: Path) -> Iterator[Path]:
        """Yield the side files of a BIDS recording, up to the root of its data set."""
        for folder in path.parents[:_MOST_LEVELS]:
            if folder == self._folder:
                return
            for file, found in self._beside(folder).items():
                tables = file.name.endswith(("_channels.tsv", "_events.tsv"))
                if tables and found.size <= _MOST_SIDE_BYTES:
                    yield file
            yield folder / DESCRIPTION
            if is_data_set(folder):
                return


def read_remote(url: str | Path, declared: Declaration | None = None) -> Recording:
    """Fetch the recording at an address and open its copy, which stays as long as it is used.

    Parameters
    ----------
    url : str or pathlib.Path
    declared : Declaration, optional
        As for :func:`pipelines.read_recording`.

    Raises
    ------
    RarewaveError
        If the address is refused, nothing lies there, or it cannot be read.
    """
    address = checked_url(url)
    copy = Fetched(address)
    try:
        while True:
            try:
                recording = read_recording(copy.path, declared=declared)
            except MissingFileError as error:
                renamed = copy.path.with_suffix(".fdt")  # of EEGLAB, whose pairs may be renamed
                if not copy.take(error.file) and not (error.file != renamed and copy.take(renamed)):
                    raise
            else:
                recording.fetched = copy
                return recording
    except BaseException:
        copy.discard()
        raise


def marks_of(url: str, names: list[str]) -> dict[str, str | None]:
    """Return what :attr:`Fetched.marks` would be now, without fetching anything."""
    remote, folder = Remote(url), url.rpartition("/")[0]
    files = {name: remote.found(f"{folder}/{name}") for name in names}
    return {name: None if file is None else file.mark for name, file in files.items()}


def _new_folder() -> tuple[Path, int]:
    """Make a folder, with a lock that tells of this process while it lives; return both.

    Those of processes that are gone are removed.
    """
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return folder, handle


def _remove_if_left(folder: Path) -> None:
    """Remove a folder whose process is gone; it has no lock yet while it is being made."""
    with suppress(OSError):
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)


def _remove(folder: Path, handle: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        os.close(handle)
