"""EEG windows: stretches of two seconds that overlap by half, unless the settings say otherwise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.config import EegSettings
from pipelines.features.eeg import (
    BANDS,
    CHANNEL_FEATURES,
    channel_features,
    pair_features,
    spatial_features,
)
from pipelines.features.electrodes import neighbours
from pipelines.quality import eeg_faults, faults, reasons
from pipelines.signals.line_noise import remove_line
from pipelines.signals.montage import Montage, montage
from pipelines.signals.preprocessing import Chunk, band_pass
from pipelines.signals.windows import Windows, concatenate, cut

_FLAT_V = 1e-6
BAND_HZ = (0.5, 45.0)
_BATCH_SAMPLES = 1 << 19
"""Samples of all channels measured at once: they stay in the processor's cache."""


def stretches(
    chunk: Chunk,
    names: tuple[str, ...],
    sfreq: float,
    settings: EegSettings,
    line_hz: float | None = None,
) -> Windows | None:
    """Cut a chunk into stretches and measure each; None if it holds none that begins in its core.

    Where a `line_hz` is given, that frequency of the mains is removed.

    Raises
    ------
    SignalError
        If the reference of the settings needs channels that are not among `names`.
    """
    derived = montage(names, settings.reference)
    length, hop = round(settings.window_s * sfreq), round(settings.hop_s * sfreq)
    last = min(chunk.core[1], chunk.start + chunk.data.shape[1] - length + 1)
    first = -(-chunk.core[0] // hop) * hop
    starts = np.arange(first, last, hop)
    if not len(starts):
        return None
    signal = derived.apply(chunk.data)
    if line_hz is not None:
        signal = remove_line(signal, sfreq, line_hz)
    filtered = band_pass(signal, sfreq, *BAND_HZ)
    at_once = max(1, _BATCH_SAMPLES // (length * len(names)))
    return concatenate(
        [
            _measure(chunk, filtered, derived, starts[k : k + at_once], length, sfreq)
            for k in range(0, len(starts), at_once)
        ]
    )


def _measure(
    chunk: Chunk,
    filtered: NDArray[np.float64],
    derived: Montage,
    starts: NDArray[np.int64],
    length: int,
    sfreq: float,
) -> Windows:
    """Measure some stretches; a faulty channel is left out of its stretch."""
    raw = cut(chunk.data, starts - chunk.start, length)
    signals = cut(filtered, starts - chunk.start, length)
    found = {name: derived.touched(where) for name, where in faults(raw, _FLAT_V).items()}
    values = channel_features(signals, sfreq, raw[:, list(derived.plus)])
    found |= eeg_faults(signals, _high_share(values), sfreq)
    faulty = np.logical_or.reduce(list(found.values()))
    signals[faulty] = np.nan
    values[faulty] = np.nan
    start_s = chunk.piece.start_s + starts / sfreq
    return Windows(
        start_s=start_s,
        stop_s=start_s + length / sfreq,
        center_s=start_s + length / sfreq / 2,
        channel_values=values.astype(np.float32),
        common_values=spatial_features(signals, derived.names),
        reason=reasons(found, 0.25),
        channels=derived.names,
        pair_values=pair_features(signals, neighbours(derived.names)).astype(np.float32),
    )


def _high_share(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the power in all bands that lies in the highest."""
    powers = np.exp(values[..., [CHANNEL_FEATURES.index(band) for band in BANDS]])
    share: NDArray[np.float64] = powers[..., -1] / np.maximum(powers.sum(axis=-1), 1e-30)
    return share
