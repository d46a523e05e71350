"""A BIDS derivative: ``derivatives/rarewave/sub-.../..._events.tsv`` with its description.

A source that is named as BIDS wants it keeps its entities. Any other recording belongs to a
numbered subject, the same for all recordings of one patient in the run; the sidecar of each table
names its recording, and no patient identifier is written. EEG goes into ``eeg/``; BIDS has no
folder for an ECG alone, so an ECG goes into ``beh/``.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any, Final

from pipelines.channel_names import printable
from pipelines.exports.selection import Exporter, Failures, Segment, Selection
from pipelines.exports.writing import NOTICE, origin
from pipelines.run_folder import write_atomically, write_json

_README: Final = f"""Segments that do not fit

{NOTICE}

Each events table lists the segments of one recording that do not fit a model of what is usual.
The JSON file beside it explains the columns and names the recording, the model and its threshold.
Subjects called sub-rw... are numbered within this export; all their recordings are of one patient.
"""
BIDS_VERSION: Final = "1.10.0"
_ENTITIES: Final = re.compile(
    r"(?P<sub>sub-[a-zA-Z0-9]+)(?P<ses>_ses-[a-zA-Z0-9]+)?(?P<rest>_task-[a-zA-Z0-9]+"
    r"(?:_acq-[a-zA-Z0-9]+)?(?:_run-[0-9]+)?)_(?:eeg|ecg|physio)"
)
COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "onset": {"Description": "Start of the segment on the recording's own clock", "Units": "s"},
    "duration": {"Description": "Length of the segment", "Units": "s"},
    "trial_type": {"Description": "What the row is; a segment is no finding of a disease"},
    "score": {"Description": "Highest anomaly score of its windows; higher fits less"},
    "p_value": {"Description": "Smallest conformal p-value of its windows"},
    "n_windows": {"Description": "Flagged windows in the segment"},
    "channel": {"Description": "Channel most responsible for the score"},
    "differs_in": {"Description": "Features most responsible for the score"},
    "verdict": {"Description": "Last decision of a reader"},
    "comment": {"Description": "What the reader wrote"},
    "label": {"Description": "What the reader called it"},
    "origin": {
        "Description": "flagged by the model; kept: decided about, not flagged now; added by a reader"
    },
    "reader": {"Description": "Whose decision it is"},
    "decided_at": {"Description": "When, UTC"},
}


def exporter(format: str) -> Exporter:
    """Return the exporter; `format` is ``"bids"``."""

    def export(selection: Selection, to: Path, failures: Failures) -> Sequence[Path]:
        root = to / "derivatives" / "rarewave"
        files = [root / "dataset_description.json", root / "README"]
        write_json(files[0], _description())
        write_atomically(files[1], _README.encode())
        for recording_id, stem in _stems(selection).items():
            with failures.collecting(recording_id):
                table = root / f"{stem}_events.tsv"
                write_atomically(table, _table(selection.segments(recording_id)))
                files.append(table)
                files.append(table.with_suffix(".json"))
                write_json(files[-1], _sidecar(selection, recording_id))
        return files

    return export


def _description() -> dict[str, Any]:
    return {
        "Name": "Segments that do not fit the usual, found by Rarewave",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {"Name": "Rarewave", "Version": version("rarewave"), "Description": NOTICE}
        ],
    }


def _sidecar(selection: Selection, recording_id: str) -> dict[str, Any]:
    levels = {"anomaly": "Does not fit the model; may be an artefact, a variant or a finding"}
    columns = {name: dict(column) for name, column in COLUMNS.items()}
    return {
        **columns,
        "trial_type": {**columns["trial_type"], "Levels": levels},
        "Rarewave": {**origin(selection), "recording_id": recording_id},
    }


def _stems(selection: Selection) -> dict[str, str]:
    """Return the path below the derivative's root of each recording, without suffix."""
    folder = "eeg" if selection.kind == "eeg" else "beh"
    patients = {e["recording_id"]: e.get("patient_id") for e in selection.manifest["inputs"]}
    numbers: dict[Any, int] = {}
    runs: dict[Any, int] = {}
    stems: dict[str, str] = {}
    for recording_id in selection.recording_ids:
        named = _ENTITIES.fullmatch(recording_id)
        if named is not None:
            session = named["ses"] or ""
            place = "/".join([named["sub"], *([session[1:]] if session else []), folder])
            stem = f"{place}/{named['sub']}{session}{named['rest']}_desc-rarewave"
        else:
            patient = patients.get(recording_id) or recording_id
            number = numbers.setdefault(patient, len(numbers) + 1)
            runs[patient] = runs.get(patient, 0) + 1
            subject = f"sub-rw{number:03d}"
            stem = f"{subject}/{folder}/{subject}_task-unknown_run-{runs[patient]}_desc-rarewave"
        stems[recording_id] = stem
    return stems


def _table(segments: Sequence[Segment]) -> bytes:
    table = StringIO(newline="")
    writer = csv.writer(table, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE)
    writer.writerow(COLUMNS)
    writer.writerows(_cells(segment) for segment in segments)
    return table.getvalue().encode()


def _cells(segment: Segment) -> Iterator[str]:
    decision = segment.decision
    values = [
        f"{segment.start_s:.3f}",
        f"{segment.duration_s:.3f}",
        "anomaly",
        None if math.isnan(segment.peak_score) else f"{segment.peak_score:.6g}",
        None if math.isnan(segment.min_p_value) else f"{segment.min_p_value:.6g}",
        str(segment.n_windows),
        segment.top_channel,
        ",".join(segment.top_features),
        segment.verdict,
        decision.comment if decision else None,
        segment.label,
        segment.origin,
        decision.user if decision else None,
        decision.decided_at.strftime("%Y-%m-%dT%H:%M:%SZ") if decision else None,
    ]
    for value in values:
        yield printable(value or "").replace('"', "'") or "n/a"
