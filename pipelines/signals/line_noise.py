"""Interference from the mains: found once a recording, and removed where it is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.recording import Recording
from pipelines.signals.zero_phase import notch, zero_phase

Floats = NDArray[np.float64]

LINES_HZ = (50.0, 60.0)
FOUND_RATIO = 0.5
"""Amplitude of the line against everything else up to 45 Hz from which it is worth removing."""
PEAK_RATIO = 3.0
"""And against what lies two hertz beside it: muscle noise is broad, a line is not."""
SHARE = 0.1
"""Share of the stretches looked at in which one channel must show it."""
_STRETCHES, _STRETCH_S, _WIDTH_HZ = 32, 4.0, 2.0


def line_amplitude(windows: Floats, sfreq: float, freq: float) -> Floats:
    """Return the root mean square of each window's part at `freq` Hz; 0 beyond the rate's reach.

    Parameters
    ----------
    windows : ndarray of shape (..., n_times)
        Missing samples (NaN) count as the mean.
    sfreq, freq : float
        Hz.
    """
    n_times = windows.shape[-1]
    if freq >= 0.49 * sfreq:
        return np.zeros(windows.shape[:-1])
    taper = np.hanning(n_times)
    phase = 2 * np.pi * freq * np.arange(n_times) / sfreq
    waves = taper[:, None] * np.stack([np.cos(phase), np.sin(phase)], axis=1)
    parts = windows @ (waves - waves.mean(axis=0)) * (np.sqrt(2) / taper.sum())
    amplitude: Floats = np.nan_to_num(np.hypot(parts[..., 0], parts[..., 1]))
    return amplitude


def find_line(recording: Recording, names: Sequence[str]) -> float | None:
    """Return the frequency of the mains (Hz) if some channel shows it, or None.

    Looks at 32 stretches of four seconds spread evenly over the recording, whatever it is read in.
    """
    sfreq = recording.channel(names[0]).sfreq
    stretches = np.stack(list(_spread(recording, names, sfreq)))
    centred = np.nan_to_num(stretches - stretches.mean(axis=-1, keepdims=True))
    best: tuple[float, float] | None = None
    for freq in LINES_HZ:
        line = line_amplitude(centred, sfreq, freq)
        beside = np.maximum(*(line_amplitude(centred, sfreq, freq + step) for step in (-2, 2)))
        rest = np.sqrt(np.maximum(centred.var(axis=-1) - np.square(line), 1e-18))
        found = (line > FOUND_RATIO * rest) & (line > PEAK_RATIO * beside)
        share = float(found.mean(axis=0).max())
        if share >= SHARE and (best is None or share > best[0]):
            best = share, freq
    return None if best is None else best[1]


def remove_line(signal: Floats, sfreq: float, freq: float) -> Floats:
    """Remove `freq` Hz, two hertz wide, without phase shift; missing samples count as zero."""
    return zero_phase(notch(freq, _WIDTH_HZ, sfreq), signal, sfreq)


def _spread(recording: Recording, names: Sequence[str], sfreq: float) -> Iterator[Floats]:
    """Yield stretches of equal length, evenly over the stored signal."""
    longest = max(piece.n_samples(sfreq) for piece in recording.pieces)
    length = min(round(_STRETCH_S * sfreq), longest)
    pieces = [p for p in recording.pieces if p.n_samples(sfreq) >= length]
    total = sum(piece.duration_s for piece in pieces)
    for k in range(_STRETCHES):
        at = (k + 0.5) / _STRETCHES * total
        for piece in pieces:
            if at < piece.duration_s:
                break
            at -= piece.duration_s
        start = min(round(at * sfreq), piece.n_samples(sfreq) - length)
        yield recording.read(names, piece, start, start + length)
