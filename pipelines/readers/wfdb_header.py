"""Checks of a WFDB header before anything else trusts it.

Layout: https://physionet.org/physiotools/wag/header-5.htm. A header names the files that hold its
samples; those names are checked here, since ``../secret.dat`` would otherwise be read as signal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipelines.errors import RecordingError

_MAX_HEADER_BYTES = 1 << 20
_BYTES_PER_SAMPLE = {
    "16": Fraction(2),
    "24": Fraction(3),
    "32": Fraction(4),
    "61": Fraction(2),
    "80": Fraction(1),
    "160": Fraction(2),
    "212": Fraction(3, 2),
    "310": Fraction(4, 3),
    "311": Fraction(4, 3),
}
_FLAC_FORMATS = frozenset({"508", "516", "524"})


@dataclass(frozen=True)
class Segment:
    """A stretch of a record that is stored under one header.

    Attributes
    ----------
    stem : pathlib.Path
        Header path without ``.hea``, as the wfdb package wants it.
    header : wfdb.Record
        The parsed header; every signal file it names exists and is long enough.
    start, length : int
        Place in the whole record, in frames.
    files : tuple of pathlib.Path
        Header and signal files.
    """

    stem: Path
    header: Any
    start: int
    length: int
    files: tuple[Path, ...]


def header_lines(path: Path) -> list[str]:
    """Return the lines of a header that are neither empty nor comments."""
    size = path.stat().st_size
    if size == 0:
        raise RecordingError(f"{path.name} is empty (0 bytes); copy or export it again")
    if size > _MAX_HEADER_BYTES:
        raise RecordingError(
            f"{path.name} is no WFDB header: it has {size} bytes, at most {_MAX_HEADER_BYTES} "
            "are accepted"
        )
    text = path.read_text("ascii", errors="replace")
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def parse_header(path: Path) -> Any:
    """Return the wfdb package's object for the header at `path`, its file names checked first."""
    import wfdb

    lines = header_lines(path)
    for line in lines[1:]:
        _check_name(path, line.split()[0])
    try:
        header = wfdb.rdheader(str(path.with_suffix("")))
    except (ValueError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise RecordingError(
            f"{path.name} is not a valid WFDB header ({error}); export it again or repair it"
        ) from error
    if not header.n_sig:
        raise RecordingError(f"{path.name} describes no signal; give a record that has signals")
    if not header.fs or not math.isfinite(header.fs):
        raise RecordingError(
            f"{path.name} has {header.fs!r} as its sampling rate, where a number above 0 is "
            "needed; repair the first line of the header"
        )
    if not hasattr(header, "seg_name"):
        _check_signals(path, header, [line.split()[0] for line in lines[1:]])
    return header


def load_segment(path: Path, header: Any, start: int, length: int | None) -> Segment:
    """Check a single-segment header against its signal files.

    Parameters
    ----------
    path : pathlib.Path
        The header.
    header : wfdb.Record
        From :func:`parse_header`.
    start : int
        Where the segment starts in the record, in frames.
    length : int or None
        What the record's own header says about this segment's length; None for a lone segment.

    Raises
    ------
    RecordingError
        If a signal file is missing, too short, of a format that cannot be read from the middle,
        or if the header contradicts itself.
    """
    names = list(header.file_name)
    if header.sig_len is None:
        raise RecordingError(
            f"{path.name} does not say how many samples the record has; add the number to its "
            f"first line, after the sampling rate"
        )
    if header.sig_len == 0 or (length is not None and length != header.sig_len):
        raise RecordingError(
            f"{path.name} says it has {header.sig_len} samples a signal, where "
            f"{length if length is not None else '1 or more'} are needed; repair the header"
        )
    for name in dict.fromkeys(names):
        _check_size(path, header, name, [i for i, other in enumerate(names) if other == name])
    files = (path, *(path.with_name(name) for name in dict.fromkeys(names)))
    return Segment(path.with_suffix(""), header, start, header.sig_len, files)


def _check_name(path: Path, name: str) -> None:
    """Refuse a name that could lead out of the header's folder."""
    if "/" in name or "\\" in name or name in (".", "..") or ":" in name:
        raise RecordingError(
            f"{path.name} names a file outside its own folder ({name!r}), which is refused; "
            "put the file beside the header and correct the name"
        )


def _check_signals(path: Path, header: Any, names: list[str]) -> None:
    """Check that `header` is what its text says: `names` are the files of its signals."""
    if len(names) != header.n_sig or names != list(header.file_name):
        raise RecordingError(
            f"{path.name} announces {header.n_sig} signals but describes {len(names)} readable "
            "ones; export it again or repair it"
        )
    if min(header.samps_per_frame) < 1:
        raise RecordingError(
            f"{path.name} has a signal of 0 samples a frame, where 1 or more are needed; "
            "repair the header"
        )


def _check_size(path: Path, header: Any, name: str, signals: list[int]) -> None:
    """Check that the file `name` holds all samples promised of `signals`."""
    file = path.with_name(name)
    if not file.is_file():
        raise RecordingError(
            f"{path.name} names the signal file {name}, which is not there; "
            "put it beside the header"
        )
    form = header.fmt[signals[0]]
    if any(header.fmt[i] != form for i in signals):
        raise RecordingError(
            f"{path.name} gives the signals of {name} different formats, where one file has one; "
            "repair the header"
        )
    n_samples = header.sig_len * sum(header.samps_per_frame[i] for i in signals)
    if form in _FLAC_FORMATS:
        present, needed, unit = _flac_frames(file), n_samples // len(signals), "samples"
    elif form in _BYTES_PER_SAMPLE:
        offset = header.byte_offset[signals[0]] or 0
        present, unit = file.stat().st_size, "bytes"
        needed = offset + math.ceil(n_samples * _BYTES_PER_SAMPLE[form])
    else:
        raise RecordingError(
            f"{path.name} stores signals in WFDB format {form}, which cannot be read in parts; "
            "convert the record to format 16 (for instance with the WFDB tool xform)"
        )
    if present < needed:
        raise RecordingError(
            f"{name} is truncated: {path.name} promises {needed} {unit} and {present} are there; "
            "copy or export it again"
        )


def _flac_frames(file: Path) -> int:
    import soundfile  # type: ignore[import-untyped]

    try:
        return int(soundfile.info(str(file)).frames)
    except soundfile.SoundFileError as error:
        raise RecordingError(
            f"{file.name} is not the FLAC file its header promises; copy or export it again"
        ) from error
