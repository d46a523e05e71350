"""One page of signal for the screen: read, filter, derive. Takes a recording, returns arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from app.montage import Montage, derive
from pipelines.recording import Channel, Recording

GAINS = {"ecg": (2.5, 5.0, 10.0, 20.0, 40.0), "eeg": (3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0)}
"""Gains to choose from: ECG mm/mV, EEG µV/mm."""
_MARGIN_S = 8.0
_MAX_OTHER = 2


@dataclass(frozen=True)
class View:
    """What a reader has chosen to see.

    Attributes
    ----------
    start_s, stop_s : float
        Interval on the recording's clock.
    high_pass, low_pass : float or None
        Corner frequencies of the display filter in Hz; None leaves that end open.
    montage : str
        For EEG channels only.
    """

    start_s: float
    stop_s: float
    high_pass: float | None
    low_pass: float | None
    montage: Montage = "recorded"


@dataclass(frozen=True)
class Trace:
    """One line on the page: `samples` in `unit` at `sfreq` Hz from the page's start, NaN in gaps."""

    name: str
    unit: str
    sfreq: float
    samples: NDArray[np.float64]


def read_page(recording: Recording, kind: str, view: View) -> tuple[Trace, ...]:
    """Read the channels of one kind of signal, and a few companions, for one page.

    An EEG page also shows up to two ECG channels. Filtering happens within continuous pieces,
    with a margin on each side that is not shown.
    """
    main = [c for c in recording.channels if c.kind == kind and c.unit == "V"]
    others = [c for c in recording.channels if kind == "eeg" and c.kind == "ecg" and c.unit == "V"]
    traces: list[Trace] = []
    for sfreq in dict.fromkeys(c.sfreq for c in main):
        group = [c for c in main if c.sfreq == sfreq]
        data = _samples(recording, group, view)
        names: Sequence[str] = [c.name for c in group]
        if kind == "eeg":
            names, data = derive(names, data, view.montage)
        traces += _traces(names, data, sfreq, "µV" if kind == "eeg" else "mV")
    for channel in others[:_MAX_OTHER]:
        data = _samples(recording, [channel], view)
        traces += _traces([channel.name], data, channel.sfreq, "mV")
    return tuple(traces)


def _traces(
    names: Sequence[str], data: NDArray[np.float64], sfreq: float, unit: str
) -> list[Trace]:
    factor = {"µV": 1e6, "mV": 1e3}[unit]
    return [Trace(name, unit, sfreq, row * factor) for name, row in zip(names, data, strict=True)]


def _samples(recording: Recording, channels: Sequence[Channel], view: View) -> NDArray[np.float64]:
    """Return filtered samples on the page's own time grid; NaN where nothing was recorded."""
    sfreq, names = channels[0].sfreq, [c.name for c in channels]
    n_times = max(1, round((view.stop_s - view.start_s) * sfreq))
    result = np.full((len(names), n_times), np.nan)
    margin = _MARGIN_S if view.high_pass or view.low_pass else 0.0
    stretches = recording.read_between(names, view.start_s - margin, view.stop_s + margin)
    for first_s, data in stretches:
        filtered = _filtered(data, sfreq, view.high_pass, view.low_pass)
        at = round((first_s - view.start_s) * sfreq)
        lo, hi = max(at, 0), min(at + data.shape[1], n_times)
        if hi > lo:
            result[:, lo:hi] = filtered[:, lo - at : hi - at]
    return result


def _filtered(
    data: NDArray[np.float64], sfreq: float, high_pass: float | None, low_pass: float | None
) -> NDArray[np.float64]:
    """Filter each channel without phase shift, after its median was taken off."""
    missing = ~np.isfinite(data)
    known = np.where(missing, np.nan, data)
    with_signal = ~missing.all(axis=1)
    middle = np.zeros((len(data), 1))
    middle[with_signal] = np.nanmedian(known[with_signal], axis=1, keepdims=True)
    centred = np.nan_to_num(known - middle)
    ceiling = 0.45 * sfreq
    low_pass = low_pass if low_pass and low_pass < ceiling else None
    if high_pass and low_pass:
        sos = butter(2, (high_pass, low_pass), "bandpass", fs=sfreq, output="sos")
    elif high_pass:
        sos = butter(2, high_pass, "highpass", fs=sfreq, output="sos")
    elif low_pass:
        sos = butter(2, low_pass, "lowpass", fs=sfreq, output="sos")
    else:
        return np.where(missing, np.nan, centred)
    padding = min(round(2 * sfreq), data.shape[1] - 1)
    return np.where(missing, np.nan, sosfiltfilt(sos, centred, padlen=padding))
