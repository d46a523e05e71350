"""Segments as seizure candidates in the table that SzCORE's scorers read, one file a recording.

SzCORE (Dan et al. 2024, doi:10.1111/epi.18113) knows two kinds of events, seizures and
background. So every exported segment is written as ``sz``: a candidate for scoring a detector, not
a finding that it is a seizure. `confidence` is 1 minus the p-value, which is not a probability of
a seizure. A recording without segments has one ``bckg`` row. Where the file states no start, or
one that the format cannot hold, `dateTime` is 1 January 1900.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Final

from pipelines.errors import ExportError
from pipelines.exports.selection import Exporter, Failures, Selection
from pipelines.run_folder import write_atomically

COLUMNS: Final = (
    "onset",
    "duration",
    "eventType",
    "confidence",
    "channels",
    "dateTime",
    "recordingDuration",
)
_NO_START: Final = datetime(1900, 1, 1)


def exporter(format: str) -> Exporter:
    """Return the exporter; `format` is ``"szcore"``."""

    def export(selection: Selection, to: Path, failures: Failures) -> Sequence[Path]:
        if selection.kind != "eeg":
            raise ExportError(
                f"SzCORE tables are for EEG and this run is of kind {selection.kind!r}; "
                "export as csv or wfdb"
            )
        files = []
        for recording_id in selection.recording_ids:
            with failures.collecting(recording_id):
                table = StringIO(newline="")
                writer = csv.writer(table, delimiter="\t", lineterminator="\n")
                writer.writerow(COLUMNS)
                writer.writerows(_rows(selection, recording_id))
                path = to / f"{recording_id.removesuffix('_eeg')}_events.tsv"
                write_atomically(path, table.getvalue().encode())
                files.append(path)
        return files

    return export


def _rows(selection: Selection, recording_id: str) -> Iterator[list[str]]:
    recording = selection.source(recording_id)
    start = recording.start_time or _NO_START
    common = [f"{start:%Y-%m-%d %H:%M:%S}", f"{recording.duration_s:.2f}"]
    segments = selection.segments(recording_id)
    if not segments:
        yield ["0.00", f"{recording.duration_s:.2f}", "bckg", "n/a", "n/a", *common]
    for segment in segments:
        yield [
            f"{segment.start_s:.2f}",
            f"{segment.duration_s:.2f}",
            "sz",
            "n/a" if math.isnan(segment.min_p_value) else f"{1 - segment.min_p_value:.4f}",
            segment.top_channel or "n/a",
            *common,
        ]
