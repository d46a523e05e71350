"""Copies of recordings that do not say whose they are, for handing on.

What is removed or replaced is listed in ``docs/privacy.md``. The samples are copied byte for byte,
the originals are only read.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args
from uuid import uuid4

from pipelines.deidentify import edf, wfdb
from pipelines.deidentify.pseudonyms import Dates, Pseudonyms, load_key
from pipelines.errors import InputError, RarewaveError, describe_error
from pipelines.inputs import InputRecording, resolve_inputs
from pipelines.readers import EDF_SUFFIXES
from pipelines.remote.address import refuse_url
from pipelines.run_folder import write_atomically

Progress = Callable[[str, int, int], None]
MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Deidentified:
    """What :func:`deidentify` did.

    Attributes
    ----------
    written : tuple of str
        The new recording_ids, in order of the inputs.
    failed : tuple of (str, str)
        The number of an input, from 1, and why there is no copy of it. The reason may hold the
        file's name: it is for the person at the terminal.
    """

    written: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]


def deidentify(
    inputs: Sequence[str | Path],
    to: str | Path,
    *,
    key: str | Path | None = None,
    dates: str = "shift",
    keep: Collection[str] = (),
    progress: Progress | None = None,
) -> Deidentified:
    """Write copies of EDF, EDF+, BDF and WFDB recordings without names and true dates.

    Parameters
    ----------
    inputs : sequence of str or pathlib.Path
        See :func:`pipelines.inputs.resolve_inputs`. Whose a recording is says the ``patient_id``
        of a manifest, otherwise the patient field of an EDF, otherwise each is somebody else's.
    to : str or pathlib.Path
        Folder of the copies, with a manifest of pseudonyms. Created if needed; nothing in it is
        overwritten.
    key : str or pathlib.Path, optional
        File of the secret key; made if it does not exist. The same key gives the same pseudonyms
        and shifts. Without one, a key is made up and forgotten.
    dates : str
        ``"shift"`` (each patient's dates go back by a number of days of their own) or
        ``"remove"``.
    keep : collection of str
        Annotation texts and channel labels that may stay although they are not known words.
    progress : callable, optional

    Raises
    ------
    InputError
        If an argument is wrong, or an original lies in the folder of the copies.
    """
    if dates not in get_args(Dates):
        raise InputError(f"dates={dates!r} is unknown; choose from {', '.join(get_args(Dates))}")
    refuse_url(to, "--to")
    folder = Path(to).absolute()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder.name} is a file; give --to the name of a folder")
    entries = resolve_inputs(inputs)
    if any(folder.resolve() in entry.path.resolve().parents for entry in entries):
        raise InputError("an original lies in the folder of --to; give another folder")
    names = Pseudonyms(load_key(None if key is None else Path(key), folder), cast("Dates", dates))
    report = progress or (lambda stage, done, total: None)
    rows: list[tuple[str, str, str]] = []
    failed: list[tuple[str, str]] = []
    for number, entry in enumerate(entries, 1):
        try:
            with entry.on_disk() as source:
                rows.append(_write(entry, source, folder, names, frozenset(keep)))
        except (RarewaveError, OSError) as error:
            failed.append((str(number), describe_error(error)))
        report("writing copies", number, len(entries))
    if rows:
        _write_manifest(folder / MANIFEST, rows)
    return Deidentified(tuple(row[1] for row in rows), tuple(failed))


def _write(
    entry: InputRecording, source: Path, folder: Path, names: Pseudonyms, keep: Collection[str]
) -> tuple[str, str, str]:
    """Write one copy of `source` aside and move it into place; return its row of the manifest."""
    suffix = entry.path.suffix.lower()
    if suffix not in EDF_SUFFIXES | {".hea"}:
        raise InputError(
            f"{entry.path.name} is neither EDF, BDF nor WFDB, and only those can be copied without "
            "names; convert it first"
        )
    is_edf = suffix in EDF_SUFFIXES
    patient = entry.patient_id
    if patient == entry.recording_id and is_edf:
        patient = edf.identity_in(source) or patient
    name = f"{names.of('patient', patient)}_{names.of('recording', str(entry.recording_id))[:8]}"
    final = folder / f"{name}{'.hea' if suffix == '.hea' else suffix}"
    if final.exists():
        raise InputError(f"{final.name} is there already; give --to a new folder")
    aside = folder / f".{uuid4().hex}.part"
    aside.mkdir(parents=True)
    try:
        written: tuple[Path, ...] = (aside / final.name,)
        if is_edf:
            edf.write_deidentified(source, written[0], patient, names, keep)
        else:
            written = wfdb.write_deidentified(source, written[0], patient, names, keep)
        for path in reversed(written):  # the header last
            path.rename(folder / path.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return final.name, name, names.of("patient", patient)


def _write_manifest(path: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    """Write the manifest, with the rows that an earlier call has left."""
    columns = ("path", "recording_id", "patient_id")
    known: dict[str, Sequence[str]] = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            known = {row[0]: row for row in list(csv.reader(file))[1:] if len(row) == len(columns)}
    known |= {row[0]: row for row in rows}
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *known.values()])
    write_atomically(path, text.getvalue().encode())
