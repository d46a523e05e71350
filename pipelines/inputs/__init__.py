"""Turns the INPUT arguments of the command line into an ordered list of recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import InputError, RecordingError
from pipelines.inputs.finding import KINDS, expand
from pipelines.inputs.naming import folder_safe, ids_from_paths, subjects_of
from pipelines.inputs.urls import expand_url, refused_row
from pipelines.manifests import Row
from pipelines.readers import read_recording
from pipelines.readers.declaration import Declaration
from pipelines.recording import Recording
from pipelines.remote.address import is_url, path_for

__all__ = ["InputRecording", "folder_safe", "resolve_inputs"]


@dataclass(frozen=True, slots=True)
class InputRecording:
    """One recording to work on.

    Attributes
    ----------
    path : pathlib.Path
        Absolute path (for WFDB the header). The file may be missing if a manifest names it: then
        reading it fails and the batch sets that recording aside. Of a recording at an address no
        path of this computer: names and suffixes alone are taken from it.
    recording_id : str
        Unique in the list, usable as a folder name.
    patient_id : str
        From the manifest; of a BIDS recording its subject; otherwise `recording_id`.
    declared : Declaration or None
        Rate and unit of a table, from the manifest.
    refused : str or None
        Why the INPUT argument names no recording: one that others stand beside is set aside by
        whoever opens it, like a file that cannot be read.
    url : str or None
        The address of a recording that lies elsewhere.
    patient_stated : bool
        True if `patient_id` is of a manifest or a BIDS data set, False if it is `recording_id`.
    """

    path: Path
    recording_id: str
    patient_id: str
    declared: Declaration | None = None
    refused: str | None = None
    url: str | None = None
    patient_stated: bool = False

    @property
    def location(self) -> str:
        """Address or path of the recording, as run.json has it."""
        return self.url or str(self.path)

    def check(self) -> None:
        """Raise :class:`InputError` if the INPUT argument names no recording."""
        if self.refused is not None:
            raise InputError(self.refused)

    def open(self) -> Recording:
        """Open the recording; raise :class:`RarewaveError` if that fails."""
        self.check()
        return read_recording(self.url or self.path, declared=self.declared)

    @contextmanager
    def on_disk(self) -> Iterator[Path]:
        """Give a path of this computer where the recording lies; of an address, a passing copy."""
        self.check()
        if self.url is None:
            yield self.path
        else:
            recording = self.open()  # the copy goes with it
            yield recording.path

    @classmethod
    def from_books(cls, entry: Mapping[str, Any], declared: Declaration | None) -> InputRecording:
        """Return a recording as ``run.json`` lists it, with what was declared of it."""
        at = str(entry["path"])
        url = at if is_url(at) else None
        known = {
            key: entry[key] for key in ("recording_id", "patient_id", "refused") if key in entry
        }
        return cls(path=path_for(at) if url else Path(at), url=url, declared=declared, **known)


def resolve_inputs(arguments: Sequence[str | Path]) -> tuple[InputRecording, ...]:
    """Return the recordings that INPUT arguments name.

    Parameters
    ----------
    arguments : sequence of str or pathlib.Path
        Files, addresses of files (``s3://bucket/night.edf``), folders (searched with their subfolders, hidden ones skipped, and of a BIDS data
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
        raise InputError(f"no INPUT given; give {KINDS}")
    found: dict[Path, Row] = {}
    refused: list[InputError] = []
    for argument in arguments:
        try:
            rows = expand_url(argument) if is_url(argument) else expand(str(argument))
        except (InputError, RecordingError) as error:
            refused.append(InputError(str(error)))
            rows = [refused_row(argument, str(error))]
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
    ids = given | ids_from_paths(unnamed, given.values())
    refused = [row.path for row in rows if row.refused is not None]
    ids |= ids_from_paths(refused, ids.values())  # last: no recording is called otherwise for them
    patients = subjects_of([row.path for row in rows if row.refused is None])
    return tuple(
        InputRecording(
            row.path,
            ids[row.path],
            row.patient_id or patients.get(row.path) or ids[row.path],
            row.declared,
            row.refused,
            url=row.url,
            patient_stated=bool(row.patient_id or patients.get(row.path)),
        )
        for row in rows
    )
