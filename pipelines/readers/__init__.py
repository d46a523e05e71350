"""Readers: one small module a file format, all returning :class:`pipelines.Recording`."""

from __future__ import annotations

import importlib
from pathlib import Path

from pipelines.errors import RecordingError, UnsupportedFormatError
from pipelines.readers.bids_names import is_bids_name
from pipelines.readers.declaration import Declaration
from pipelines.recording import Recording
from pipelines.remote.address import is_url

EDF_SUFFIXES = frozenset({".edf", ".bdf", ".rec"})
TABLE_SUFFIXES = frozenset({".csv", ".parquet"})
RECORDING_SUFFIXES = (
    *(".edf", ".bdf", ".hea", ".vhdr", ".set", ".fif", ".dcm", ".ecg"),
    *sorted(TABLE_SUFFIXES),
)
"""Suffixes of the file that stands for a recording; its side files are not listed."""

COMPANIONS = {
    ".dat": ".hea",
    ".atr": ".hea",
    ".eeg": ".vhdr",
    ".vmrk": ".vhdr",
    ".fdt": ".set",
}
"""Side files that a recording may also be named by, and what stands for the recording."""

_READERS = {
    ".hea": "wfdb.read_wfdb",
    ".vhdr": "brainvision.read_brainvision",
    ".set": "eeglab.read_eeglab",
    ".fif": "fif.read_fif",
    ".dcm": "dicom.read_dicom",
    ".ecg": "ishne.read_ishne",
    **dict.fromkeys(EDF_SUFFIXES, "edf.read_edf"),
}
_STARTS = (
    (0, b"0       ", "edf.read_edf"),
    (0, b"\xffBIOSEMI", "edf.read_edf"),
    (0, b"ISHNE1.0", "ishne.read_ishne"),
    (128, b"DICM", "dicom.read_dicom"),
)
"""Beginnings that tell a format whatever the file is called: place, bytes, reader."""

_ACCEPTED = (
    "EDF, EDF+ and BDF (.edf, .bdf), WFDB (.hea), BrainVision (.vhdr), EEGLAB (.set), FIF (.fif), "
    "DICOM ECG (.dcm), ISHNE Holter (.ecg), and tables (.csv, .parquet)"
)


def read_recording(path: str | Path, *, declared: Declaration | None = None) -> Recording:
    """Open a recording; samples are read only when asked for.

    Parameters
    ----------
    path : str or pathlib.Path
        A file of one of the formats in ``docs/formats.md``; where a recording consists of several
        files, its header, one of its side files, or for WFDB the bare name (``folder/100``).
        The side files of a BIDS recording (channels, events) are taken into account. Or an address
        (``s3://bucket/night.edf``): its files are copied into a temporary folder first.
    declared : Declaration, optional
        For tables alone: the sampling rate and unit that neither the table nor its sidecar states.

    Returns
    -------
    Recording
        Channels, continuous pieces, annotations, and :meth:`Recording.read`.

    Raises
    ------
    UnsupportedFormatError
        If the file is of another format.
    RecordingError
        If it does not exist, cannot be read, or its header contradicts its content.
    """
    if is_url(path):
        from pipelines.remote.fetching import read_remote

        return read_remote(path, declared)
    given = Path(path)
    absolute = given.absolute()
    try:
        file = main_file(absolute)
        recording = _open(file, declared)
        if is_bids_name(file):
            from pipelines.readers.bids import with_sidecars

            with_sidecars(recording, file)
    except OSError as error:
        raise RecordingError(
            f"cannot read {given.name}: {error.strerror or error}; "
            "check that the file is there and that you may read it"
        ) from error
    return recording


def main_file(path: Path) -> Path:
    """Return the file that stands for the recording that `path` belongs to.

    Raises
    ------
    RecordingError
        If `path` is a side file without its header.
    """
    main = COMPANIONS.get(path.suffix.lower())
    if main is None:
        bare = path.with_name(f"{path.name}.hea")
        return bare if not path.is_file() and bare.is_file() else path
    header = path.with_suffix(main)
    if not header.is_file():
        kind = "WFDB header" if main == ".hea" else "header"
        raise RecordingError(
            f"{path.name} has no {kind} {header.name} beside it; "
            f"put the two in one folder and give the {main} file"
        )
    return header


def main_name(path: Path) -> Path:
    """Return what stands for the recording that `path` belongs to, by its name alone."""
    main = COMPANIONS.get(path.suffix.lower(), "" if path.suffix else ".hea")
    return path.with_suffix(main) if main else path


def _open(path: Path, declared: Declaration | None) -> Recording:
    """Read a recording by its suffix or, if that says nothing else, by its first bytes."""
    if path.is_dir():
        raise RecordingError(
            f"{path.name} is a folder, not a recording; give one of the recordings in it"
        )
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES:
        from pipelines.readers.table import read_table

        return read_table(path, declared)
    if declared is not None:
        raise RecordingError(
            f"a sampling rate or unit is given for {path.name}, which states its own; "
            "they can be given for .csv and .parquet files only"
        )
    reader = _by_content(path) or _READERS.get(suffix)
    if reader is None:
        raise UnsupportedFormatError(
            f"{path.name} is of no format that Rarewave reads; accepted: {_ACCEPTED}"
        )
    module, _, function = reader.partition(".")
    recording: Recording = getattr(
        importlib.import_module(f"pipelines.readers.{module}"), function
    )(path)
    return recording


def _by_content(path: Path) -> str | None:
    with path.open("rb") as file:
        start = file.read(132)
    for place, content, reader in _STARTS:
        if start[place:].startswith(content):
            return reader
    return None
