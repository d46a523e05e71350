"""WFDB annotation files: ``<recording_id>.rarewave``, to lie beside the record's header.

Each segment has a mark at its first and one at its last sample, both comments (``"``) with a note.
Sample 0 is written as 1, because readers take comments at 0 for definitions and drop them.
The expert annotations of a record (``.atr``) are never touched. WFDB allows letters, digits, ``-``
and ``_`` in a record's name; any other character of a recording_id becomes ``_``.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pipelines.channel_names import printable
from pipelines.errors import ExportError
from pipelines.exports.selection import Exporter, Failures, Segment, Selection
from pipelines.exports.writing import NOTICE
from pipelines.recording import Recording

ANNOTATOR: Final = "rarewave"
_MAX_NOTE: Final = 240
_COMMENT: Final = '"'


def exporter(format: str) -> Exporter:
    """Return the exporter; `format` is ``"wfdb"``."""

    def export(selection: Selection, to: Path, failures: Failures) -> Sequence[Path]:
        files: list[Path] = []
        for recording_id in selection.recording_ids:
            with failures.collecting(recording_id):
                path = to / f"{_record_name(recording_id)}.{ANNOTATOR}"
                if path in files:
                    raise ExportError(
                        f"{path.name} is also the name for another recording; WFDB allows letters, "
                        "digits, - and _ in names, name them apart in a manifest"
                    )
                _write(path, selection.source(recording_id), selection, recording_id)
                files.append(path)
        return files

    return export


def _write(path: Path, recording: Recording, selection: Selection, recording_id: str) -> None:
    import wfdb

    sfreq = _sfreq(recording, selection.kind)
    names = [channel.name for channel in recording.channels]
    marks = [(1, 0, f"Rarewave: {NOTICE}")]
    for segment in selection.segments(recording_id):
        channel = names.index(segment.top_channel) if segment.top_channel in names else 0
        first, last = round(segment.start_s * sfreq), round(segment.stop_s * sfreq)
        marks.append((max(first, 1), min(channel, 255), _opening(segment)))
        marks.append((max(first, last - 1, 1), min(channel, 255), f"end of {segment.segment_id})"))
    marks.sort(key=lambda mark: mark[0])
    with (
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", DeprecationWarning)  # wfdb 4.3.1 with pandas 3.1
        wfdb.wrann(
            path.stem,
            ANNOTATOR,
            np.array([sample for sample, _, _ in marks]),
            symbol=[_COMMENT] * len(marks),
            chan=np.array([channel for _, channel, _ in marks]),
            aux_note=[_note(text) for _, _, text in marks],
            fs=sfreq,
            write_dir=folder,
        )
        (Path(folder) / path.name).replace(path)


def _record_name(recording_id: str) -> str:
    return re.sub(r"[^-\w]", "_", recording_id, flags=re.ASCII)


def _sfreq(recording: Recording, kind: str) -> float:
    """Return the rate that samples are counted at: that of the scored channels."""
    scored = [channel for channel in recording.channels if channel.kind == kind]
    return (scored or list(recording.channels))[0].sfreq


def _opening(segment: Segment) -> str:
    return f"(does not fit: {segment.score_words}, {segment.review_words}; {segment.description}"


def _note(text: str) -> str:
    return printable(text).encode("ascii", "replace").decode()[:_MAX_NOTE]
