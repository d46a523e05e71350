"""Readers: one small module a file format, all returning :class:`pipelines.Recording`."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import RecordingError, UnsupportedFormatError
from pipelines.recording import Recording

EDF_SUFFIXES = frozenset({".edf", ".bdf", ".rec"})
WFDB_SUFFIXES = frozenset({".hea", ".dat", ".atr"})
_EDF_STARTS = (b"0       ", b"\xffBIOSEMI")
_ACCEPTED = "EDF, EDF+ or BDF (.edf, .bdf) and WFDB (.hea beside its .dat)"


def read_recording(path: str | Path) -> Recording:
    """Open a recording; samples are read only when asked for.

    Parameters
    ----------
    path : str or pathlib.Path
        An EDF, EDF+C, EDF+D or BDF file, or a WFDB record named by its header, its signal file
        or its bare name (``folder/100`` for ``folder/100.hea``).

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
    given = Path(path)
    absolute = given.absolute()
    try:
        header = _wfdb_header(absolute)
        if header is not None:
            from pipelines.readers.wfdb import read_wfdb

            return read_wfdb(header)
        if _looks_like_edf(absolute):
            from pipelines.readers.edf import read_edf

            return read_edf(absolute)
    except OSError as error:
        raise RecordingError(
            f"cannot read {given.name}: {error.strerror or error}; "
            "check that the file is there and that you may read it"
        ) from error
    raise UnsupportedFormatError(
        f"{given.name} is of no format that Rarewave reads; accepted: {_ACCEPTED}"
    )


def _wfdb_header(path: Path) -> Path | None:
    """Return the WFDB header that `path` stands for, or None if it is no WFDB name."""
    if path.suffix.lower() == ".hea":
        return path
    if path.suffix.lower() in WFDB_SUFFIXES:
        header = path.with_suffix(".hea")
        if not header.is_file():
            raise RecordingError(
                f"{path.name} has no WFDB header {header.name} beside it; "
                "put the two in one folder and give the .hea file"
            )
        return header
    header = path.with_name(path.name + ".hea")
    if not path.is_file() and header.is_file():
        return header
    return None


def _looks_like_edf(path: Path) -> bool:
    """Return True if content or name says EDF; raise if there is no such file."""
    if path.is_dir():
        raise RecordingError(
            f"{path.name} is a folder, not a recording; give one of the recordings in it"
        )
    with path.open("rb") as file:
        start = file.read(8)
    return start in _EDF_STARTS or path.suffix.lower() in EDF_SUFFIXES
