"""WFDB records of one or several segments, read in parts through the wfdb package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.channel_names import identify_all
from pipelines.errors import RecordingError
from pipelines.readers.wfdb_annotations import read_annotations
from pipelines.readers.wfdb_header import Segment, load_segment, parse_header
from pipelines.recording import MAX_DURATION_S, Channel, Piece, Recording
from pipelines.units import to_volts


class WfdbRecording(Recording):
    """A WFDB record; made by :func:`read_wfdb`.

    Parameters
    ----------
    path : pathlib.Path
        The record's header.
    header : wfdb.Record or wfdb.MultiRecord
        The parsed header at `path`.
    layout : wfdb.Record
        The header that lists the signals: that of the record, of its first segment, or of the
        layout segment of a record whose segments hold different signals.
    segments : sequence of Segment
        What is stored, in order of time.
    """

    def __init__(self, path: Path, header: Any, layout: Any, segments: Sequence[Segment]) -> None:
        self.path = path
        self.format = "WFDB"
        self.start_time = getattr(header, "base_datetime", None)
        self._frame_rate = float(header.fs)
        self._segments = tuple(segments)
        self.channels = _channels(layout, self._frame_rate)
        self._columns = [
            dict(zip((c.name for c in self.channels), _columns(layout, s.header), strict=True))
            for s in self._segments
        ]
        self.pieces = _pieces(self._segments, self._frame_rate)
        self.annotations = ()
        files = [path, *(file for segment in segments for file in segment.files)]
        marks = path.with_suffix(".atr")
        if marks.is_file():
            self.annotations = read_annotations(marks, self._frame_rate, self.duration_s)
            files.append(marks)
        self.files = tuple(dict.fromkeys(files))

    def _read(
        self, channels: Sequence[Channel], piece: Piece, start: int, stop: int
    ) -> NDArray[np.float64]:
        per_frame = round(channels[0].sfreq / self._frame_rate)
        first = round(piece.start_s * self._frame_rate) * per_frame
        start, stop = first + start, first + stop
        out = np.full((len(channels), stop - start), np.nan)
        for segment, columns in zip(self._segments, self._columns, strict=True):
            begin = segment.start * per_frame
            a, b = max(start, begin), min(stop, begin + segment.length * per_frame)
            rows = {i: columns[c.name] for i, c in enumerate(channels)}
            stored = {i: column for i, column in rows.items() if column is not None}
            if a < b and stored:
                samples = _read_segment(
                    segment, list(stored.values()), a - begin, b - begin, per_frame
                )
                out[list(stored), a - start : b - start] = samples
        return out


def read_wfdb(path: Path) -> WfdbRecording:
    """Open a WFDB record.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path of the header (``.hea``).

    Raises
    ------
    RecordingError
        If a header is damaged or contradicts itself, or if a signal file is missing, lies
        elsewhere or is too short; no signal is read before these checks.
    """
    header = parse_header(path)
    if not hasattr(header, "seg_name"):
        return WfdbRecording(path, header, header, [load_segment(path, header, 0, None)])
    layout: Any = None
    segments: list[Segment] = []
    start = 0
    for name, length in zip(header.seg_name, header.seg_len, strict=True):
        if name != "~":
            part = path.with_name(f"{name}.hea")
            part_header = _segment_header(path, part, header)
            layout = layout or part_header
            if length:  # a segment of length 0 only lays out the signals
                segments.append(load_segment(part, part_header, start, length))
        start += length
    if header.sig_len not in (None, start) or not segments:
        raise RecordingError(
            f"{path.name} promises {header.sig_len} samples and its segments hold {start}; "
            "export it again or repair the header"
        )
    if start / header.fs > MAX_DURATION_S:
        raise RecordingError(
            f"{path.name} claims a duration of {start / header.fs:.0f} s, more than ten years; "
            "export it again or repair the header"
        )
    return WfdbRecording(path, header, layout, segments)


def _segment_header(path: Path, part: Path, whole: Any) -> Any:
    """Return the header of one segment of the record at `path`."""
    if not part.is_file():
        raise RecordingError(
            f"{path.name} names the segment {part.name}, which is not there; "
            "put it beside the header"
        )
    header = parse_header(part)
    if hasattr(header, "seg_name") or header.fs != whole.fs:
        raise RecordingError(
            f"the segment {part.name} of {path.name} is itself in segments or has another "
            "sampling rate; convert the record to a single segment"
        )
    return header


def _read_segment(
    segment: Segment, columns: list[int], start: int, stop: int, per_frame: int
) -> NDArray[np.float64]:
    """Read samples ``start:stop`` of some signals of a segment in volts, or in their unit.

    A skewed signal is read from where it is stored: sample i lies ``skew`` frames later. (The wfdb
    package's own correction fails when skews differ.)
    """
    header = segment.header
    out = np.full((len(columns), stop - start), np.nan)
    skews = [header.skew[column] or 0 for column in columns]
    for skew in sorted(set(skews)):
        rows = [row for row, other in enumerate(skews) if other == skew]
        first = start // per_frame + skew
        last = min(-(-stop // per_frame) + skew, segment.length)
        if first >= last:
            continue
        signals = _physical(segment, [columns[row] for row in rows], first, last)
        n = min(stop - start, last * per_frame - skew * per_frame - start)
        offset = start % per_frame
        for row, signal in zip(rows, signals, strict=True):
            _, volts = to_volts(header.units[columns[row]] or "")
            out[row, :n] = signal[offset : offset + n] * volts
    return out


def _physical(
    segment: Segment, columns: list[int], first: int, last: int
) -> list[NDArray[np.float64]]:
    """Read frames ``first:last`` in the file's units, NaN where a sample is marked as missing."""
    import wfdb

    try:
        record = wfdb.rdrecord(
            str(segment.stem), first, last, columns, smooth_frames=False, ignore_skew=True
        )
    except (ValueError, OSError, RuntimeError) as error:
        raise RecordingError(
            f"cannot read samples {first} to {last} of {segment.stem.name} "
            f"({type(error).__name__}); copy or export it again"
        ) from error
    signals: list[NDArray[np.float64]] = record.e_p_signal
    return signals


def _labels(header: Any) -> list[str]:
    return [label or "" for label in header.sig_name]


def _columns(layout: Any, header: Any) -> list[int | None]:
    """Return, for each signal of `layout`, its number under `header` or None."""
    wanted, present = _labels(layout), _labels(header)
    columns: list[int | None] = list(range(len(wanted)))
    if wanted != present:
        columns = [present.index(label) if label in present else None for label in wanted]
    for per_frame, column in zip(layout.samps_per_frame, columns, strict=True):
        if column is not None and header.samps_per_frame[column] != per_frame:
            raise RecordingError(
                f"the signal {present[column]!r} changes its sampling rate in segment "
                f"{header.record_name}.hea; convert the record to a single segment"
            )
    return columns


def _channels(layout: Any, frame_rate: float) -> tuple[Channel, ...]:
    """Return the channels that a header describes.

    A voltage in mV whose name says nothing is taken for an ECG lead: that is what WFDB's default
    unit and default gain are made for.
    """
    labels = _labels(layout)
    channels = []
    for i, ((name, kind), label) in enumerate(zip(identify_all(labels), labels, strict=True)):
        given = layout.units[i] or ""
        unit, _ = to_volts(given)
        if kind == "misc" and given.lower() == "mv":
            kind = "ecg"
        rate = frame_rate * layout.samps_per_frame[i]
        channels.append(Channel(name, label, kind, rate, unit))
    return tuple(channels)


def _pieces(segments: Sequence[Segment], frame_rate: float) -> tuple[Piece, ...]:
    """Join segments that follow each other without a gap."""
    runs: list[list[int]] = []
    for segment in segments:
        if runs and runs[-1][1] == segment.start:
            runs[-1][1] += segment.length
        else:
            runs.append([segment.start, segment.start + segment.length])
    pieces, stored = [], 0
    for start, stop in runs:
        pieces.append(Piece(start / frame_rate, (stop - start) / frame_rate, stored / frame_rate))
        stored += stop - start
    return tuple(pieces)
