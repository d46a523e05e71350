"""From a recording to its windows: heartbeats of an ECG, stretches of two seconds of an EEG."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.ecg_windows import beats, with_rhythm
from pipelines.eeg_windows import stretches
from pipelines.errors import SignalError
from pipelines.preprocessing import iter_chunks
from pipelines.recording import Channel, Recording
from pipelines.windows import Windows, concatenate

Kind = Literal["ecg", "eeg"]
SHORTEST_S = 10.0
LOWEST_SFREQ = 100.0
_MAX_LEADS = 2


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
    measure = beats if kind == "ecg" else stretches
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
    return with_rhythm(windows, recording) if kind == "ecg" else windows


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
