"""WFDB records without what says whose they are: new names, no comments, the same samples.

Layouts: https://physionet.org/physiotools/wag/header-5.htm and annot-5.htm.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from pipelines.deidentify.pseudonyms import Pseudonyms
from pipelines.deidentify.words import kept_label, kept_text, kept_unit
from pipelines.errors import RecordingError
from pipelines.readers.wfdb_header import header_lines, load_segment, parse_header

_RATE = re.compile(r"[\d.]+(?:/[\d.]+(?:\(-?[\d.]+\))?)?")
_FORMAT = re.compile(r"(\d+)(?:x\d+)?(?::\d+)?(?:\+\d+)?")
_GAIN = re.compile(r"([-+\d.eE]+(?:\([-+\d.]+\))?)(?:/(\S+))?")
_WHOLE = re.compile(r"[-+]?\d+")
_HAS_METADATA = frozenset({"508", "516", "524"})
_SKIP, _AUX = 59, 63  # codes of an annotation file after which bytes follow


def write_deidentified(
    path: Path, to: Path, patient: str, names: Pseudonyms, keep: Collection[str]
) -> tuple[Path, ...]:
    """Write a copy of a WFDB record that does not say whose it is; return the files written.

    Parameters
    ----------
    path : pathlib.Path
        The header (``.hea``).
    to : pathlib.Path
        The new header; its stem becomes the record's name. The other files go beside it.
    patient, names, keep
        As for :func:`pipelines.deidentify.edf.write_deidentified`.

    Raises
    ------
    RecordingError
        If the record consists of several segments, is stored as FLAC (which has room for text),
        or is damaged.
    """
    header = parse_header(path)
    if hasattr(header, "seg_name"):
        raise RecordingError(
            f"{path.name} consists of several segments, which is not supported here; join them "
            "first (for instance with the WFDB tool xform)"
        )
    load_segment(path, header, 0, None)
    first, *signals = header_lines(path)
    files = dict.fromkeys(header.file_name, "")
    for number, name in enumerate(files, 1):
        files[name] = f"{to.stem}_{number}.dat"
    moment = None
    if header.base_date is not None and header.base_time is not None:
        moment = names.moved(patient, datetime.combine(header.base_date, header.base_time))
    lines = [_record_line(path, first, to.stem, moment)]
    lines += [_signal_line(path, line, files, i, keep) for i, line in enumerate(signals, 1)]
    written = []
    for old, new in files.items():
        shutil.copyfile(path.with_name(old), to.with_name(new))
        written.append(to.with_name(new))
    marks = path.with_suffix(".atr")
    if marks.is_file():
        to.with_suffix(".atr").write_bytes(_annotations(marks, keep))
        written.append(to.with_suffix(".atr"))
    to.write_text("\n".join(lines) + "\n", "ascii")
    return (to, *written)


def _record_line(path: Path, line: str, name: str, moment: datetime | None) -> str:
    words = line.split()[1:4]
    if not (len(words) == 3 and _WHOLE.fullmatch(words[0]) and _WHOLE.fullmatch(words[2])):
        raise _unclear(path, 1)
    if not _RATE.fullmatch(words[1]):
        raise _unclear(path, 1)
    when = [] if moment is None else [moment.strftime("%H:%M:%S %d/%m/%Y")]
    return " ".join([name, *words, *when])


def _signal_line(
    path: Path, line: str, files: dict[str, str], number: int, keep: Collection[str]
) -> str:
    old, form, *rest = line.split(maxsplit=8)
    numbers, label = rest[:6], rest[6:7]
    match = _FORMAT.fullmatch(form)
    if match is None or not all(_WHOLE.fullmatch(word) for word in numbers[1:]):
        raise _unclear(path, number + 1)
    if match[1] in _HAS_METADATA:
        raise RecordingError(
            f"{path.name} stores its signals as FLAC, which has room for names; convert the record "
            "to format 16 first (for instance with the WFDB tool xform)"
        )
    if numbers:
        gain = _GAIN.fullmatch(numbers[0])
        if gain is None:
            raise _unclear(path, number + 1)
        unit = kept_unit(gain[2] or "")
        numbers[0] = gain[1] + (f"/{unit}" if unit else "")
    words = [files[old], form, *numbers]
    return " ".join(words + [kept_label(text, number, keep) for text in label])


def _unclear(path: Path, number: int) -> RecordingError:
    return RecordingError(
        f"line {number} of {path.name} holds something that is no number where one belongs; "
        "repair the header"
    )


def _annotations(path: Path, keep: Collection[str]) -> bytes:
    """Return an annotation file with the texts replaced that may name somebody."""
    content, out, at = path.read_bytes(), bytearray(), 0
    while at + 2 <= len(content):
        word = int.from_bytes(content[at : at + 2], "little")
        code, size = word >> 10, word & 0x3FF
        if word == 0:
            return bytes(out + b"\0\0")
        if code == _AUX:
            text = content[at + 2 : at + 2 + size].decode("latin-1")
            kept = kept_text(text, keep).encode("latin-1", errors="replace")
            out += ((_AUX << 10) + len(kept)).to_bytes(2, "little") + kept + b"\0" * (len(kept) % 2)
            at += 2 + size + size % 2
        else:
            n = 6 if code == _SKIP else 2
            out += content[at : at + n]
            at += n
    raise RecordingError(f"the annotation file {path.name} has no end; copy it again")
