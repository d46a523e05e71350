"""Signal strips in millimetres, the same for the HTML and the PDF report.

An ECG strip is drawn as on paper, 10 s at 25 mm/s; an EEG strip is 15 s of all channels. The
geometry is true only if what draws it prints at 100 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import SignalError
from pipelines.exports.selection import Segment
from pipelines.exports.strip_rows import EEG_BAND_HZ, rows_of
from pipelines.recording import Channel, Recording
from pipelines.signals.preprocessing import band_pass

WIDTH_MM: Final = 250.0
ECG_SECONDS: Final = 10.0
EEG_SECONDS: Final = 15.0
_MOST_CHANNELS: Final = {"ecg": 3, "eeg": 32}
_MARGIN_S: Final = 4.0
_BUCKET_MM: Final = 0.25

Line = NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """One channel of a strip.

    Attributes
    ----------
    name : str
    lines : tuple of ndarray of shape (n, 2)
        Unbroken lines, x to the right and y downwards in mm from the strip's upper left corner.
    middle_mm, label_mm : float
        y of the channel's zero, and of the base line of its name.
    is_top : bool
        The channel most responsible for the segment.
    """

    name: str
    lines: tuple[Line, ...]
    middle_mm: float
    label_mm: float
    is_top: bool


@dataclass(frozen=True)
class Strip:
    """A stretch of signal around a segment.

    Attributes
    ----------
    kind : str
        ``"ecg"`` or ``"eeg"``.
    start_s, stop_s : float
        On the recording's clock.
    width_mm, height_mm : float
    traces : tuple of Trace
    shade_mm : tuple of float
        From where to where on x the segment lies.
    gain : float
        ECG: mm per mV. EEG: µV per mm.
    caption : str
        Scale, filter and extent in words.
    """

    kind: str
    start_s: float
    stop_s: float
    width_mm: float
    height_mm: float
    traces: tuple[Trace, ...]
    shade_mm: tuple[float, float]
    gain: float
    caption: str

    @property
    def mm_per_s(self) -> float:
        """Millimetres per second."""
        return self.width_mm / (self.stop_s - self.start_s)


def strip_of(recording: Recording, kind: str, segment: Segment, peak_s: float) -> Strip:
    """Draw the signal around a segment.

    Parameters
    ----------
    recording : Recording
    kind : str
        ``"ecg"`` or ``"eeg"``.
    segment : Segment
    peak_s : float
        The time of its highest score: a segment too long for the strip is shown around it.

    Raises
    ------
    SignalError
        If the recording has no channel of that kind.
    """
    channels = _channels(recording, kind)
    length = ECG_SECONDS if kind == "ecg" else EEG_SECONDS
    fits = segment.duration_s <= length - 1
    centre = (segment.start_s + segment.stop_s) / 2 if fits else peak_s
    start = min(max(centre - length / 2, 0.0), max(recording.duration_s - length, 0.0))
    mm_per_s = WIDTH_MM / length
    signals = [_signal(recording, channel, kind, start, start + length) for channel in channels]
    rows = rows_of(kind, [np.concatenate([y for _, y in s] or [np.zeros(1)]) for s in signals])
    traces = []
    for i, (channel, signal) in enumerate(zip(channels, signals, strict=True)):
        middle = rows.middles[i]
        lines = [
            line
            for times, volts in signal
            for line in _lines((times - start) * mm_per_s, middle - volts * rows.mm_per_volt)
        ]
        is_top = channel.name == segment.top_channel
        traces.append(Trace(channel.name, tuple(lines), middle, rows.labels[i], is_top))
    shade = np.clip((np.array([segment.start_s, segment.stop_s]) - start) * mm_per_s, 0, WIDTH_MM)
    part = "" if fits else f"; {length:g} of {segment.duration_s:.0f} s, around the highest score"
    return Strip(
        kind=kind,
        start_s=start,
        stop_s=start + length,
        width_mm=WIDTH_MM,
        height_mm=rows.height,
        traces=tuple(traces),
        shade_mm=(float(shade[0]), float(shade[1])),
        gain=rows.gain,
        caption=f"{mm_per_s:.3g} mm/s, {rows.caption}{part}",
    )


def _channels(recording: Recording, kind: str) -> tuple[Channel, ...]:
    wanted = [c for c in recording.channels if c.kind == kind and c.unit == "V"]
    if not wanted:
        raise SignalError(f"{recording.path.name} has no {kind.upper()} channel in volts to draw")
    return tuple(wanted[: _MOST_CHANNELS.get(kind, 32)])


def _signal(
    recording: Recording, channel: Channel, kind: str, start: float, stop: float
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return ``(times, volts)`` of each stretch between gaps; EEG filtered, ECG about its median."""
    margin = _MARGIN_S if kind == "eeg" else 0.0
    parts = []
    for first, data in recording.read_between([channel.name], start - margin, stop + margin):
        times = first + np.arange(data.shape[1]) / channel.sfreq
        volts = data[0]
        if kind == "eeg" and len(volts) > 1:
            volts = np.where(
                np.isfinite(volts), band_pass(volts, channel.sfreq, *EEG_BAND_HZ), np.nan
            )
        shown = (times >= start) & (times < stop)
        if shown.any():
            parts.append((times[shown], volts[shown]))
    if kind == "ecg" and any(np.isfinite(volts).any() for _, volts in parts):
        offset = float(np.nanmedian(np.concatenate([volts for _, volts in parts])))
        parts = [(times, volts - offset) for times, volts in parts]
    return parts


def _lines(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[Line]:
    """Cut at missing samples, and keep the extremes of each quarter of a millimetre."""
    edges = np.flatnonzero(np.diff(np.r_[False, np.isfinite(y), False]))
    return [_thinned(x[a:b], y[a:b]) for a, b in edges.reshape(-1, 2)]


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> Line:
    bucket = np.floor(x / _BUCKET_MM).astype(np.int64)
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    if len(x) > 3 * len(starts):
        stops = np.r_[starts[1:], len(x)]
        kept = [
            index
            for a, b in zip(starts, stops, strict=True)
            for index in sorted({a + int(np.argmin(y[a:b])), a + int(np.argmax(y[a:b]))})
        ]
        x, y = x[kept], y[kept]
    return np.column_stack([x, y])
