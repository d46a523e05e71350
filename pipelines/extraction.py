"""From a recording to its windows: heartbeats of an ECG, stretches of two seconds of an EEG."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import SignalError
from pipelines.features.ecg import GRID_S, RHYTHM_FEATURES, beat_waveforms, rhythm_features
from pipelines.features.eeg import channel_features, spatial_features
from pipelines.heartbeats import detect_beats
from pipelines.preprocessing import Chunk, band_pass, iter_chunks
from pipelines.quality import faults, reasons
from pipelines.recording import Channel, Recording
from pipelines.windows import Windows, concatenate

Kind = Literal["ecg", "eeg"]
SHORTEST_S = 10.0
LOWEST_SFREQ = 100.0
EEG_WINDOW_S, EEG_HOP_S = 2.0, 1.0
_MAX_LEADS = 2
_FLAT_V = {"ecg": 20e-6, "eeg": 1e-6}
_BAND_HZ = {"ecg": (0.5, 40.0), "eeg": (0.5, 45.0)}
NO_NEIGHBOUR = "no neighbouring beat"


def choose_channels(recording: Recording, kind: Kind) -> tuple[Channel, ...]:
    """Return the channels that a model of `kind` looks at, or say why there are none."""
    channels = recording.of_kind(kind)
    name = recording.path.name
    if not channels:
        raise SignalError(f"{name} has no {kind.upper()} channel; see 'rarewave info'")
    if kind == "ecg":
        channels = channels[:_MAX_LEADS]
    rates = {channel.sfreq for channel in channels}
    if len(rates) > 1:
        raise SignalError(
            f"{name} has {kind.upper()} channels of rates {sorted(rates)} Hz; one is needed"
        )
    if min(rates) < LOWEST_SFREQ:
        raise SignalError(
            f"{name} is sampled at {min(rates):g} Hz; at least {LOWEST_SFREQ:g} is needed"
        )
    if recording.duration_s < SHORTEST_S:
        raise SignalError(
            f"{name} lasts {recording.duration_s:.1f} s; at least {SHORTEST_S:g} s are needed"
        )
    return channels


def extract(recording: Recording, kind: Kind) -> Windows:
    """Cut a recording into windows and measure each of them.

    Raises
    ------
    SignalError
        If the recording has no channel of `kind`, is too short or too slow, has a channel
        without a single valid sample, or not one window.
    """
    channels = choose_channels(recording, kind)
    names = tuple(channel.name for channel in channels)
    sfreq = channels[0].sfreq
    measure = _beats if kind == "ecg" else _stretches
    parts, valid = [], np.zeros(len(names), dtype=bool)
    for chunk in iter_chunks(recording, names):
        valid |= np.isfinite(chunk.data).any(axis=1)
        part = measure(chunk, names, sfreq)
        if part is not None and len(part):
            parts.append(part)
    if not valid.all():
        dead = ", ".join(name for name, ok in zip(names, valid, strict=True) if not ok)
        raise SignalError(
            f"{recording.path.name} has no valid sample on {dead}; remove the channel"
        )
    if not parts:
        raise SignalError(f"{recording.path.name} holds no complete {kind.upper()} window")
    windows = concatenate(parts)
    return _with_rhythm(windows, recording) if kind == "ecg" else windows


def _stretches(chunk: Chunk, names: tuple[str, ...], sfreq: float) -> Windows | None:
    length, hop = round(EEG_WINDOW_S * sfreq), round(EEG_HOP_S * sfreq)
    last = min(chunk.core[1], chunk.start + chunk.data.shape[1] - length + 1)
    first = -(-chunk.core[0] // hop) * hop
    starts = np.arange(first, last, hop)
    if not len(starts):
        return None
    signal = chunk.data
    if len(names) > 2:
        signal = signal - np.nan_to_num(signal).mean(axis=0)
    raw = _cut(chunk.data, starts - chunk.start, length)
    cut = _cut(band_pass(signal, sfreq, *_BAND_HZ["eeg"]), starts - chunk.start, length)
    found = faults(raw, _FLAT_V["eeg"])
    cut[np.logical_or.reduce(list(found.values()))] = np.nan
    start_s = chunk.piece.start_s + starts / sfreq
    return Windows(
        start_s=start_s,
        stop_s=start_s + length / sfreq,
        center_s=start_s + length / sfreq / 2,
        channel_values=channel_features(cut, sfreq).astype(np.float32),
        common_values=spatial_features(cut, names),
        reason=reasons(found, 0.25),
        channels=names,
    )


def _beats(chunk: Chunk, names: tuple[str, ...], sfreq: float) -> Windows:
    peaks = detect_beats(np.nan_to_num(chunk.data), sfreq)
    at = peaks + chunk.start
    peaks = peaks[(at >= chunk.core[0]) & (at < chunk.core[1])]
    filtered = band_pass(chunk.data, sfreq, *_BAND_HZ["ecg"])
    first = peaks + round(GRID_S[0] * sfreq)
    length = round((GRID_S[-1] - GRID_S[0]) * sfreq)
    raw = _cut(chunk.data, np.clip(first, 0, chunk.data.shape[1] - length), length)
    center_s = chunk.piece.start_s + (peaks + chunk.start) / sfreq
    return Windows(
        start_s=np.maximum(center_s + GRID_S[0], chunk.piece.start_s),
        stop_s=np.minimum(center_s + GRID_S[-1], chunk.piece.stop_s),
        center_s=center_s,
        channel_values=beat_waveforms(filtered, peaks, sfreq),
        common_values=np.empty((len(peaks), 0)),
        reason=reasons(faults(raw, _FLAT_V["ecg"]), 0.0),
        channels=names,
    )


def _cut(
    signal: NDArray[np.float64], starts: NDArray[np.int64], length: int
) -> NDArray[np.float64]:
    """Return the stretches of `length` samples at `starts`: (n_starts, n_channels, length)."""
    index = np.asarray(starts)[:, None] + np.arange(length)
    return np.ascontiguousarray(signal[:, index].transpose(1, 0, 2))


def _with_rhythm(windows: Windows, recording: Recording) -> Windows:
    """Add the intervals between beats, piece by piece: an interval never spans a gap."""
    rhythm = np.full((len(windows), len(RHYTHM_FEATURES)), np.nan)
    for piece in recording.pieces:
        inside = (windows.center_s >= piece.start_s) & (windows.center_s < piece.stop_s)
        rhythm[inside] = rhythm_features(windows.center_s[inside])
    reason = windows.reason.copy()
    reason[np.isnan(rhythm).any(axis=1) & windows.scorable] = NO_NEIGHBOUR
    return Windows(
        windows.start_s,
        windows.stop_s,
        windows.center_s,
        windows.channel_values,
        rhythm,
        reason,
        windows.channels,
    )


def feature_names(windows: Windows, kind: Kind) -> tuple[str, ...]:
    """Return the names of the columns of :func:`feature_matrix`."""
    from pipelines.features import ecg, eeg

    if kind == "eeg":
        return tuple(feature.name for feature in eeg.FEATURES)
    per_lead = (
        f"{feature.name}_lead{lead + 1}"
        for lead in range(len(windows.channels))
        for feature in ecg.SHAPE_FEATURES
    )
    return (*(feature.name for feature in ecg.RHYTHM_FEATURES), *per_lead)


def feature_matrix(
    windows: Windows, kind: Kind, usual: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return one row of features a window, NaN where it cannot be computed.

    Parameters
    ----------
    windows : Windows
        All windows of one recording.
    kind : str
    usual : ndarray of bool, shape (n_windows,), optional
        ECG: the beats that a person has confirmed as normal for this patient. Amplitude and shape
        then count against their median instead of the beats around.
    """
    from pipelines.features import ecg, eeg

    if kind == "eeg":
        return np.hstack([eeg.summarise(windows.channel_values), windows.common_values])
    shape = ecg.shape_features(windows.channel_values, usual)
    return np.hstack([windows.common_values, shape.reshape(len(shape), -1)])
