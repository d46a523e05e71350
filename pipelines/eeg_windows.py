"""EEG windows: stretches of two seconds that overlap by half."""

from __future__ import annotations

import numpy as np

from pipelines.features.eeg import channel_features, spatial_features
from pipelines.preprocessing import Chunk, band_pass
from pipelines.quality import faults, reasons
from pipelines.windows import Windows, cut

WINDOW_S, HOP_S = 2.0, 1.0
_FLAT_V = 1e-6
_BAND_HZ = (0.5, 45.0)


def stretches(chunk: Chunk, names: tuple[str, ...], sfreq: float) -> Windows | None:
    """Cut a chunk into stretches and measure each; None if it holds none that begins in its core."""
    length, hop = round(WINDOW_S * sfreq), round(HOP_S * sfreq)
    last = min(chunk.core[1], chunk.start + chunk.data.shape[1] - length + 1)
    first = -(-chunk.core[0] // hop) * hop
    starts = np.arange(first, last, hop)
    if not len(starts):
        return None
    signal = chunk.data
    if len(names) > 2:
        signal = signal - np.nan_to_num(signal).mean(axis=0)
    raw = cut(chunk.data, starts - chunk.start, length)
    signals = cut(band_pass(signal, sfreq, *_BAND_HZ), starts - chunk.start, length)
    found = faults(raw, _FLAT_V)
    signals[np.logical_or.reduce(list(found.values()))] = np.nan
    start_s = chunk.piece.start_s + starts / sfreq
    return Windows(
        start_s=start_s,
        stop_s=start_s + length / sfreq,
        center_s=start_s + length / sfreq / 2,
        channel_values=channel_features(signals, sfreq).astype(np.float32),
        common_values=spatial_features(signals, names),
        reason=reasons(found, 0.25),
        channels=names,
    )
