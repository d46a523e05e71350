"""From a recording to its windows: heartbeats of an ECG, stretches of some seconds of an EEG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import SignalError
from pipelines.features.eeg_pattern import (
    PATTERN_FEATURES,
    Pattern,
    moved_to,
    pattern_features,
)
from pipelines.recording import Recording
from pipelines.signals.channel_choice import choose_channels as choose_channels
from pipelines.signals.ecg_windows import beats, with_rhythm
from pipelines.signals.eeg_windows import stretches
from pipelines.signals.line_noise import find_line
from pipelines.signals.plan import Kind as Kind
from pipelines.signals.plan import Plan
from pipelines.signals.preprocessing import Chunk, iter_chunks
from pipelines.signals.resampling import Resampled
from pipelines.signals.spill import Spill
from pipelines.signals.windows import Gathering, Windows

SAME_RATE = 0.01
"""Relative difference up to which two rates count as one, and nothing is resampled."""
_MOST_BEATS_PER_S = 4.1
_BLOCK = 4096
"""Windows whose features are computed at once: memory does not grow with the recording."""


def extract(
    recording: Recording, kind: Kind, plan: Plan | None = None, folder: Path | None = None
) -> Windows:
    """Cut a recording into windows and measure each of them.

    Parameters
    ----------
    recording : Recording
    kind : str
    plan : Plan, optional
        By default the recording's own channels and rate (of several the lowest), and the default
        settings.
    folder : pathlib.Path, optional
        Where to keep what belongs to single channels in place of memory.

    Raises
    ------
    SignalError
        If the recording lacks the channels, is too short or too slow, has a channel without a
        single valid sample, or not one window.
    """
    plan = plan or Plan()
    source, names = looked_at(recording, kind, plan)
    measure = _measurement(source, kind, plan, names)
    valid = np.zeros(len(names), dtype=bool)
    per_second = _MOST_BEATS_PER_S if kind == "ecg" else 1 / plan.eeg.hop_s
    gathered = Gathering(sum(int(p.duration_s * per_second) + 2 for p in source.pieces), folder)
    for chunk in iter_chunks(source, names):
        valid |= np.isfinite(chunk.data).any(axis=1)
        part = measure(chunk)
        if part is not None and len(part):
            gathered.add(part)
    if not valid.all():
        dead = ", ".join(name for name, ok in zip(names, valid, strict=True) if not ok)
        raise SignalError(
            f"{recording.path.name} has no valid sample on {dead}; remove the channel"
        )
    if not len(gathered):
        raise SignalError(f"{recording.path.name} holds no complete {kind.upper()} window")
    windows = gathered.windows()
    return with_rhythm(windows, recording) if kind == "ecg" else windows


def looked_at(recording: Recording, kind: Kind, plan: Plan) -> tuple[Recording, tuple[str, ...]]:
    """Return the recording at the plan's rate, and the names of the channels to look at.

    Raises
    ------
    SignalError
        As :func:`pipelines.signals.channel_choice.choose_channels`.
    """
    channels = choose_channels(recording, kind, plan.channels)
    names = tuple(channel.name for channel in channels)
    sfreq = plan.sfreq or min(channel.sfreq for channel in channels)
    if any(abs(channel.sfreq / sfreq - 1) > SAME_RATE for channel in channels):
        return Resampled(recording, names, sfreq), names
    return recording, names


def _measurement(
    source: Recording, kind: Kind, plan: Plan, names: tuple[str, ...]
) -> Callable[[Chunk], Windows | None]:
    """Return what makes windows of a chunk of the named channels."""
    sfreq = source.channel(names[0]).sfreq
    if kind == "ecg":
        return lambda chunk: beats(chunk, names, sfreq)
    notch = plan.eeg.notch
    line_hz = find_line(source, names) if notch == "auto" else None
    if notch in ("50", "60"):
        line_hz = float(notch)
    if line_hz is not None and line_hz >= 0.49 * sfreq:
        line_hz = None  # the recording holds no such frequency
    return lambda chunk: stretches(chunk, names, sfreq, plan.eeg, line_hz)


def feature_names(windows: Windows, kind: Kind, with_pattern: bool = False) -> tuple[str, ...]:
    """Return the names of the columns of :func:`feature_matrix`."""
    from pipelines.features import ecg, eeg

    if kind == "eeg":
        declared = (*eeg.FEATURES, *(PATTERN_FEATURES if with_pattern else ()))
        return tuple(feature.name for feature in declared)
    per_lead = (
        f"{feature.name}_lead{lead + 1}"
        for lead in range(len(windows.channels))
        for feature in ecg.SHAPE_FEATURES
    )
    return (*(feature.name for feature in ecg.RHYTHM_FEATURES), *per_lead)


def feature_matrix(
    windows: Windows,
    kind: Kind,
    usual: NDArray[np.bool_] | None = None,
    pattern: Pattern | None = None,
    folder: Path | None = None,
) -> NDArray[np.float64]:
    """Return one row of features a window, NaN where it cannot be computed.

    Parameters
    ----------
    windows : Windows
        All windows of one recording.
    kind : str
    usual : ndarray of bool, shape (n_windows,), optional
        ECG: the beats that a person has confirmed as normal for this patient. Amplitude and shape
        then count against their median instead of the beats around. EEG: windows whose levels
        take the place of the pattern's.
    pattern : Pattern, optional
        EEG: what is usual on each channel. The features that count against it come last.
    folder : pathlib.Path, optional
        Where to keep the rows in place of memory.
    """
    if pattern is not None and usual is not None:
        pattern = moved_to(
            pattern, windows.channels, windows.channel_values[usual], windows.pair_values[usual]
        )
    blocks = _eeg_blocks(windows, pattern) if kind == "eeg" else _ecg_blocks(windows, usual)
    return _in_memory(windows, blocks) if folder is None else _in_file(windows, blocks, folder)


def _in_memory(windows: Windows, blocks: Iterator[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return blocks as one array, never held twice; what each took to read is given back."""
    first, n = next(blocks), 0
    rows = np.empty((len(windows), first.shape[1]))
    for block in chain([first], blocks):
        rows[n : n + len(block)] = block
        n += len(block)
        windows.release()
    return rows


def _in_file(
    windows: Windows, blocks: Iterator[NDArray[np.float64]], folder: Path
) -> NDArray[np.float64]:
    spill = Spill(folder)
    for block in blocks:
        spill.add(block)
        windows.release()
    return spill.array()


def _eeg_blocks(windows: Windows, pattern: Pattern | None) -> Iterator[NDArray[np.float64]]:
    from pipelines.features.eeg import summarise

    for first in range(0, len(windows), _BLOCK):
        part = slice(first, first + _BLOCK)
        values = windows.channel_values[part]
        columns = [summarise(values), windows.common_values[part]]
        if pattern is not None:
            pairs = windows.pair_values[part]
            columns.append(pattern_features(pattern, windows.channels, values, pairs))
        yield np.hstack(columns)


def _ecg_blocks(windows: Windows, usual: NDArray[np.bool_] | None) -> Iterator[NDArray[np.float64]]:
    """Compute the features of some beats at a time, with the beats around or the usual ones."""
    from pipelines.features.ecg import feature_rows
    from pipelines.features.usual_beat import BEATS_NEEDED

    waveforms, rhythm, n = windows.channel_values, windows.common_values, len(windows)
    if usual is None:
        for first in range(0, n, _BLOCK):
            start, last = max(0, first - BEATS_NEEDED), min(first + _BLOCK, n)
            around = slice(start, last + BEATS_NEEDED)
            yield feature_rows(waveforms[around], rhythm[around])[first - start :][: last - first]
        return
    confirmed = np.flatnonzero(usual)
    size = max(_BLOCK, len(confirmed))
    for first in range(0, n, size):
        chosen = np.concatenate([confirmed, np.arange(first, min(first + size, n))])
        known = np.arange(len(chosen)) < len(confirmed)
        yield feature_rows(waveforms[chosen], rhythm[chosen], known)[len(confirmed) :]
