"""An annotated EDF+ copy of each recording (BDF+ where the source is BDF).

Every signal keeps its rate and, where the source is EDF or BDF, its stored integers; other
sources are stored in 16 bits over the range that each signal really has. EDF+C knows no gaps: they
are filled with zero (or the value nearest to it) and annotated, so that every time stays true.
Existing annotations are copied, the fields that identify patient and staff are not. Free text that
somebody typed into the source's annotations is copied too: look at it before you share a file.

Memory: edfio holds the whole file while it is written, that is the size of the file once (the
samples themselves are kept in a temporary file).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.channel_names import printable
from pipelines.errors import ExportError
from pipelines.exports.edf_layout import Layout, Scale, layout_of, measured_scale, stored_scales
from pipelines.exports.selection import Exporter, Failures, Segment, Selection
from pipelines.exports.writing import NOTICE, replacing
from pipelines.recording import Channel, Recording

CHUNK_S = 60.0
"""Seconds of signal read at once."""
MAX_TEXT = 200
"""Most characters of one annotation."""
MAX_TEXT_BYTES = 1 << 30
_FIRST_YEAR, _LAST_YEAR = 1985, 2084


def exporter(format: str) -> Exporter:
    """Return the exporter; `format` is ``"edf"``."""

    def export(selection: Selection, to: Path, failures: Failures) -> Sequence[Path]:
        files = []
        for recording_id in selection.recording_ids:
            with failures.collecting(recording_id):
                files.append(_export_recording(selection, recording_id, to))
        return files

    return export


def _export_recording(selection: Selection, recording_id: str, to: Path) -> Path:
    recording = selection.source(recording_id)
    is_bdf = recording.format.startswith("BDF")
    path = to / f"{recording_id}{'.bdf' if is_bdf else '.edf'}"
    if path.resolve() in {file.resolve() for file in recording.files}:
        raise ExportError(f"{path.name} would replace the recording itself; choose another folder")
    layout = layout_of(recording)
    annotations = [*_notes(recording, layout), *_marks(selection.segments(recording_id))]
    with tempfile.TemporaryDirectory(dir=to, prefix=".export-") as folder:
        signals, missing = _signals(recording, layout, Path(folder), is_bdf)
        annotations += missing
        _check_size(annotations, layout)
        with replacing(path) as temporary:
            _edf(recording, layout, signals, annotations, is_bdf).write(temporary)
        del signals
    return path


def _edf(
    recording: Recording, layout: Layout, signals: list[Any], notes: list[Any], is_bdf: bool
) -> Any:
    import edfio

    start = recording.start_time
    if start is not None and not _FIRST_YEAR <= start.year <= _LAST_YEAR:
        start = None
    return (edfio.Bdf if is_bdf else edfio.Edf)(
        signals,
        recording=edfio.Recording(
            startdate=start.date() if start else None, equipment_code="Rarewave"
        ),
        starttime=start.time() if start else None,
        data_record_duration=layout.record_s,
        annotations=notes,
    )


def _signals(
    recording: Recording, layout: Layout, folder: Path, is_bdf: bool
) -> tuple[list[Any], list[Any]]:
    """Return the signals, their samples in files under `folder`, and notes on missing ones."""
    import edfio

    make = edfio.BdfSignal if is_bdf else edfio.EdfSignal
    stored = stored_scales(recording)
    signals: list[Any] = []
    missing: list[Any] = []
    for i, channel in enumerate(recording.channels):
        samples = np.memmap(
            folder / str(i),
            np.int32 if is_bdf else np.int16,
            "w+",
            shape=(layout.n_samples(channel),),
        )
        scale = stored[i] if stored else None
        if scale is None or not _fill(samples, scale, recording, channel):
            scale = measured_scale(channel, _chunks(recording, channel), 24 if is_bdf else 16)
            _fill(samples, scale, recording, channel)
        missing += _missing(recording, channel)
        signals.append(
            make.from_digital(
                samples,
                channel.sfreq,
                label=_ascii(channel.label or channel.name, 16),
                physical_dimension=_ascii(scale.unit, 8),
                physical_range=scale.physical,
                digital_range=scale.digital,
            )
        )
    return signals, missing


def _fill(
    samples: NDArray[np.signedinteger], scale: Scale, recording: Recording, channel: Channel
) -> bool:
    """Write the samples of one channel as integers; return False if they exceed the range."""
    samples[:] = scale.filling
    for first, data in _chunks(recording, channel):
        known = np.isfinite(data)
        stored = scale.to_digital(np.where(known, data, 0.0))
        stored[~known] = scale.filling
        if not scale.holds(stored):
            return False
        samples[first : first + len(data)] = stored
    return True


def _chunks(recording: Recording, channel: Channel) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield ``(first_sample, samples)`` of one channel, counted on the recording's clock."""
    step = max(1, round(CHUNK_S * channel.sfreq))
    for piece in recording.pieces:
        first = round(piece.start_s * channel.sfreq)
        for start in range(0, piece.n_samples(channel.sfreq), step):
            yield first + start, recording.read([channel.name], piece, start, start + step)[0]


def _missing(recording: Recording, channel: Channel) -> Iterator[Any]:
    """Yield an annotation for each run of samples that the source marks as missing."""
    import edfio

    if recording.format != "WFDB":  # EDF and BDF cannot mark a sample as missing
        return
    for first, data in _chunks(recording, channel):
        edges = np.flatnonzero(np.diff(np.r_[True, np.isfinite(data), True]))
        for a, b in edges.reshape(-1, 2):
            yield edfio.EdfAnnotation(
                float((first + a) / channel.sfreq),
                float((b - a) / channel.sfreq),
                _text(f"missing samples on {channel.name} (filled)"),
            )


def _notes(recording: Recording, layout: Layout) -> Iterator[Any]:
    """Yield the notice, the annotations of the source, gaps, and padding at the end."""
    import edfio

    yield edfio.EdfAnnotation(0.0, None, f"Rarewave: {NOTICE}")
    for note in recording.annotations:
        text = _text(note.description)
        if text:
            yield edfio.EdfAnnotation(note.onset, max(note.duration, 0.0) or None, text)
    for start, stop in recording.gaps:
        yield edfio.EdfAnnotation(start, stop - start, "gap: no signal (filled)")
    if layout.padding_s > 0:
        yield edfio.EdfAnnotation(
            layout.duration_s - layout.padding_s, layout.padding_s, "end of signal (filled)"
        )


def _marks(segments: Sequence[Segment]) -> Iterator[Any]:
    import edfio

    for segment in segments:
        text = f"Rarewave: {segment.score_words}, {segment.review_words}; {segment.description}"
        yield edfio.EdfAnnotation(segment.start_s, segment.duration_s, _text(text))


def _check_size(annotations: list[Any], layout: Layout) -> None:
    """Refuse annotations that would blow up the file: each record takes as much as the fullest."""
    at = np.array([note.onset for note in annotations])
    record = np.clip(at // layout.record_s, 0, layout.n_records - 1).astype(np.int64)
    size = [len(note.text.encode()) + 40 for note in annotations]
    fullest = np.bincount(record, weights=size).max()
    if fullest * layout.n_records > MAX_TEXT_BYTES:
        raise ExportError(
            f"{round(fullest)} bytes of annotations fall on one moment, too many for EDF+; "
            "export as csv or wfdb"
        )


def _text(text: str) -> str:
    return printable(text)[:MAX_TEXT]


def _ascii(text: str, longest: int) -> str:
    """Return `text` as an EDF header field takes it: printable ASCII, cut to its length."""
    plain = printable(text).replace("µ", "u").replace("μ", "u")
    return plain.encode("ascii", "replace").decode()[:longest]
