"""ECG windows: one heartbeat each, and the intervals to its neighbours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.features.ecg import GRID_S, RHYTHM_FEATURES, beat_waveforms, rhythm_features
from pipelines.quality import ecg_faults, faults, reasons
from pipelines.recording import Recording
from pipelines.signals.heartbeats import detect_beats
from pipelines.signals.preprocessing import Chunk, band_pass
from pipelines.signals.windows import Windows, cut

_FLAT_V = 20e-6
BAND_HZ = (0.5, 40.0)
NO_NEIGHBOUR = "no neighbouring beat"


def beats(chunk: Chunk, names: tuple[str, ...], sfreq: float) -> Windows:
    """Cut a chunk into heartbeats; the intervals between them are added by :func:`with_rhythm`."""
    peaks = detect_beats(np.nan_to_num(chunk.data), sfreq)
    at = peaks + chunk.start
    own = (at >= chunk.core[0]) & (at < chunk.core[1])
    filtered = band_pass(chunk.data, sfreq, *BAND_HZ)
    noisy = {k: v[own] for k, v in ecg_faults(chunk.data, filtered, peaks, sfreq).items()}
    peaks = peaks[own]
    first = peaks + round(GRID_S[0] * sfreq)
    length = round((GRID_S[-1] - GRID_S[0]) * sfreq)
    raw = cut(chunk.data, np.clip(first, 0, chunk.data.shape[1] - length), length)
    center_s = chunk.piece.start_s + (peaks + chunk.start) / sfreq
    return Windows(
        start_s=np.maximum(center_s + GRID_S[0], chunk.piece.start_s),
        stop_s=np.minimum(center_s + GRID_S[-1], chunk.piece.stop_s),
        center_s=center_s,
        channel_values=beat_waveforms(filtered, peaks, sfreq),
        common_values=np.empty((len(peaks), 0)),
        reason=reasons(faults(raw, _FLAT_V) | noisy, 0.0, "lead"),
        channels=names,
    )


def with_rhythm(windows: Windows, recording: Recording) -> Windows:
    """Add the intervals between beats, piece by piece: an interval never spans a gap."""
    rhythm = np.full((len(windows), len(RHYTHM_FEATURES)), np.nan)
    for piece in recording.pieces:
        inside = (windows.center_s >= piece.start_s) & (windows.center_s < piece.stop_s)
        rhythm[inside] = rhythm_features(windows.center_s[inside])
    reason = windows.reason.copy()
    reason[np.isnan(rhythm).any(axis=1) & windows.scorable] = NO_NEIGHBOUR
    return replace(windows, common_values=rhythm, reason=reason)
