"""ECG waveforms in DICOM files (12-lead, general, ambulatory), read in chunks.

PS3.3 C.10.9 (waveform module). pydicom reads the description; the samples are found by
:mod:`pipelines.readers.dicom_layout` and stay in the file. Of the elements that name the patient
nothing is kept.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.channel_names import identify_all
from pipelines.errors import RecordingError
from pipelines.readers.attempt import attempt
from pipelines.readers.dicom_annotations import annotations_in
from pipelines.readers.dicom_groups import Group, group_from
from pipelines.readers.dicom_layout import DicomLayout
from pipelines.readers.exact import read_exactly
from pipelines.recording import Annotation, Channel, Piece, Recording

CHUNK_BYTES = 4 << 20
_MOST_META_BYTES = 1 << 16
_META_START = 144
_IMPLICIT, _EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
_ECG = "1.2.840.10008.5.1.4.1.1.9.1."
"""Beginning of the SOP class of every ECG waveform: 12-lead, general, ambulatory."""
_TIME = re.compile(r"(\d{14})(?:\.(\d{1,6}))?(?:([+-])(\d\d)(\d\d))?")


class DicomRecording(Recording):
    """A DICOM ECG; made by :func:`read_dicom`.

    Parameters
    ----------
    path : pathlib.Path
    runs : sequence of sequence of Group
        Groups that start together, run after run; all runs hold the same channels.
    annotations : sequence of Annotation
        Onsets after the acquisition time.
    start_time : datetime.datetime or None
        Acquisition time.
    """

    def __init__(
        self,
        path: Path,
        runs: Sequence[Sequence[Group]],
        annotations: Sequence[Annotation],
        start_time: datetime | None,
    ) -> None:
        self.path = path
        self.files = (path,)
        self.format = "DICOM"
        zero = runs[0][0].offset_s
        self.start_time = start_time and start_time + timedelta(seconds=zero)
        self.annotations = tuple(
            sorted(
                (Annotation(a.onset - zero, a.duration, a.description) for a in annotations),
                key=lambda a: a.onset,
            )
        )
        leads = [(group.sfreq, lead) for group in runs[0] for lead in group.leads]
        identified = identify_all(lead.label for _, lead in leads)
        self.channels = tuple(
            Channel(name, lead.label, "ecg" if lead.unit == "V" else "misc", sfreq, lead.unit)
            for (name, _), (sfreq, lead) in zip(identified, leads, strict=True)
        )
        self._runs = runs
        stored, pieces = 0.0, []
        for run in runs:
            duration_s = min(group.duration_s for group in run)
            pieces.append(Piece(run[0].offset_s - zero, duration_s, stored))
            stored += duration_s
        self.pieces = tuple(pieces)

    def _read(
        self, channels: Sequence[Channel], piece: Piece, start: int, stop: int
    ) -> NDArray[np.float64]:
        places = [
            (group, column)
            for group in self._runs[self.pieces.index(piece)]
            for column in range(len(group.leads))
        ]
        wanted = [places[self.channels.index(c)] for c in channels]
        out = np.empty((len(wanted), stop - start))
        with self.path.open("rb") as file:
            for group in dict.fromkeys(group for group, _ in wanted):
                n_leads, width = len(group.leads), group.dtype.itemsize
                step = max(1, CHUNK_BYTES // (n_leads * width))
                for a in range(start, stop, step):
                    n = min(step, stop - a)
                    where = group.first_byte + a * n_leads * width
                    content = read_exactly(file, where, n * n_leads * width, self.path.name)
                    stored = np.frombuffer(content, group.dtype).reshape(n, n_leads)
                    for row, (other, column) in zip(out, wanted, strict=True):
                        if other is group:
                            row[a - start : a - start + n] = _decoded(group, stored, column)
        return out


def read_dicom(path: Path) -> DicomRecording:
    """Open a DICOM file that holds an ECG waveform.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path.

    Raises
    ------
    RecordingError
        If pydicom is not installed, or if the file is damaged, truncated, of another kind or
        compressed. Lengths are checked against the size of the file before anything is allocated.
    """
    try:
        import pydicom
    except ImportError as error:
        raise RecordingError(
            f"reading {path.name} needs pydicom; install it with pip install 'rarewave[dicom]'"
        ) from error
    with _quiet():
        return attempt(partial(_open, path, pydicom), path.name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom from warning: its warnings quote values of the file."""
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.disabled = True
        try:
            yield
        finally:
            logger.disabled = before


def _open(path: Path, pydicom: Any) -> DicomRecording:
    """Read everything but the samples."""
    with path.open("rb") as file:
        head = file.read(_MOST_META_BYTES)
    start = _META_START + int.from_bytes(head[140:144], "little")
    if head[128:136] != b"DICM\x02\x00\x00\x00" or start > len(head):
        raise RecordingError(
            f"{path.name} is no DICOM file: its first bytes do not say so; check how it was exported"
        )
    meta = pydicom.dcmread(io.BytesIO(head[:start])).file_meta
    syntax, sop_class = (
        str(meta.get(key, "")) for key in ("TransferSyntaxUID", "MediaStorageSOPClassUID")
    )
    if not sop_class.startswith(_ECG) or syntax not in (_IMPLICIT, _EXPLICIT):
        raise RecordingError(
            f"{path.name} is no uncompressed, little-endian ECG waveform; "
            "export it as a 12-lead, general or ambulatory ECG"
        )
    before, places = DicomLayout(path, start, implicit=syntax == _IMPLICIT).read()
    whole = pydicom.dcmread(io.BytesIO(head[:start] + before))
    groups = []
    for place in places:
        item = pydicom.filereader.read_dataset(
            io.BytesIO(place.described),
            is_implicit_VR=syntax == _IMPLICIT,
            is_little_endian=True,
        )
        groups.append(group_from(place, item, path.name))
    annotations = annotations_in(whole, groups)
    return DicomRecording(path, _runs(groups, path.name), annotations, _acquired(whole))


def _decoded(group: Group, stored: NDArray[Any], column: int) -> NDArray[np.float64]:
    values = stored[:, column]
    lead = group.leads[column]
    decoded: NDArray[np.float64] = values * lead.scale + lead.shift
    if group.padding is not None:
        decoded[values == group.padding] = np.nan
    return decoded


def _runs(groups: Sequence[Group], name: str) -> list[list[Group]]:
    """Put groups of one start side by side and others one after the other.

    Groups computed from others (averaged beats) are left out: they are no recording.
    """
    used = [group for group in groups if not group.is_derived]
    if not used:
        raise RecordingError(f"{name} holds computed waveforms only; give the recording itself")
    runs: list[list[Group]] = []
    for group in sorted(used, key=lambda g: g.offset_s):
        if runs and abs(group.offset_s - runs[-1][0].offset_s) < 0.5 / group.sfreq:
            runs[-1].append(group)
        else:
            runs.append([group])
    shapes = {tuple((g.sfreq, g.leads) for g in run) for run in runs}
    lengths = [abs(g.duration_s - run[0].duration_s) * g.sfreq > 1 for run in runs for g in run]
    follows = [
        b[0].offset_s > a[0].offset_s + a[0].duration_s - 0.5 / a[0].sfreq
        for a, b in pairwise(runs)
    ]
    if len(shapes) > 1 or any(lengths) or not all(follows):
        raise RecordingError(
            f"{name} holds {len(used)} waveforms that neither cover the same time nor follow each "
            "other with the same channels; export each as a file of its own"
        )
    return runs


def _acquired(whole: Any) -> datetime | None:
    """Return the acquisition time, aware if it states its offset from UTC."""
    match = _TIME.fullmatch(str(whole.get("AcquisitionDateTime", "")).strip())
    if match is None:
        return None
    try:
        when = datetime.strptime(match[1], "%Y%m%d%H%M%S")
    except ValueError:
        return None
    when += timedelta(microseconds=int((match[2] or "0").ljust(6, "0")))
    if match[3]:
        minutes = int(match[4]) * 60 + int(match[5])
        when = when.replace(tzinfo=timezone(timedelta(minutes=int(f"{match[3]}{minutes}"))))
    return when
