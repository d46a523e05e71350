"""Long recordings for timing, written from the sample recordings: real waves, repeated.

Each repetition has its own gain and fresh noise, so that no two hours are equal. They serve to time
and to weigh; nothing about detection may be read off them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from pipelines.readers import read_recording
from pipelines.recording import ChannelKind, Recording

Floats = NDArray[np.float64]
SAMPLE = Path(__file__).parents[1] / "sample_data"
GAP_EVERY_S, GAP_S = 3 * 3600, 317
"""A stretch of `GAP_S` seconds is missing after every `GAP_EVERY_S` seconds of the ECG."""
_ANNOTATION_BYTES = 32


def write_ecg(path: Path, hours: float, seed: int = 0) -> None:
    """Write an EDF+D of two leads at 250 Hz, with a gap every three hours."""
    source = _read("ecg_ahadb_0201.hea", "ecg")
    n = round(hours * 3600)
    starts = np.arange(n) + (np.arange(n) // GAP_EVERY_S) * GAP_S
    _write_edf(path, ("ECG II", "ECG V1"), 10_000.0, starts, _seconds(source, 250, n, seed, 5e-6))


def write_eeg(path: Path, hours: float, seed: int = 0) -> None:
    """Write an EDF+C of 21 channels at 256 Hz."""
    source = resample_poly(_read("eeg_absence_480s.edf", "eeg"), 32, 25, axis=1)
    between = np.stack([source[[0, 1]].mean(axis=0), source[[8, 9]].mean(axis=0)])
    names = [c.name for c in _recording("eeg_absence_480s.edf").of_kind("eeg")] + ["Fpz", "Oz"]
    n = round(hours * 3600)
    seconds = _seconds(np.concatenate([source, between]), 256, n, seed, 1e-6)
    _write_edf(path, [f"EEG {name}" for name in names], 3_000.0, np.arange(n), seconds)


def _recording(name: str) -> Recording:
    return read_recording(SAMPLE / name)


def _read(name: str, kind: ChannelKind) -> Floats:
    recording = _recording(name)
    return recording.read([c.name for c in recording.of_kind(kind)], recording.pieces[0])


def _seconds(source: Floats, sfreq: int, n: int, seed: int, noise_v: float) -> Iterator[Floats]:
    """Yield `n` seconds of the source over and over, in microvolts."""
    rng = np.random.default_rng(seed)
    per_turn = source.shape[1] // sfreq
    gain = 1.0
    for second in range(n):
        at = second % per_turn
        if at == 0:
            gain = rng.uniform(0.85, 1.15)
        part = source[:, at * sfreq : (at + 1) * sfreq]
        yield 1e6 * (gain * part + noise_v * rng.standard_normal(part.shape))


def _write_edf(
    path: Path,
    labels: Sequence[str],
    limit_uv: float,
    starts: Sequence[int] | NDArray[np.int64],
    seconds: Iterator[Floats],
) -> None:
    """Write data records of one second each, one after the other."""
    scale, sfreq = 32767 / limit_uv, 0
    with path.open("wb") as file:
        for start, values in zip(starts, seconds, strict=True):
            if not sfreq:
                sfreq = values.shape[1]
                file.write(_header(labels, limit_uv, sfreq, starts))
            stored = np.clip(np.round(values * scale), -32767, 32767).astype("<i2")
            file.write(stored.tobytes())
            file.write(f"+{start}\x14\x14".encode().ljust(_ANNOTATION_BYTES, b"\x00"))


def _header(
    labels: Sequence[str], limit_uv: float, sfreq: int, starts: Sequence[int] | NDArray[np.int64]
) -> bytes:
    kind = "EDF+C" if starts[-1] == len(starts) - 1 else "EDF+D"
    n = len(labels) + 1
    head = [("0", 8), ("X X X X", 80), ("Startdate 02-JAN-2024 X X X", 80), ("02.01.24", 8)]
    head += [("00.00.00", 8), (256 * (n + 1), 8), (kind, 44), (len(starts), 8), (1, 8), (n, 4)]
    columns = [
        ([*labels, "EDF Annotations"], 16),
        ([""] * n, 80),
        (["uV"] * (n - 1) + [""], 8),
        ([f"-{limit_uv:g}"] * (n - 1) + ["-1"], 8),
        ([f"{limit_uv:g}"] * (n - 1) + ["1"], 8),
        (["-32767"] * n, 8),
        (["32767"] * n, 8),
        ([""] * n, 80),
        ([sfreq] * (n - 1) + [_ANNOTATION_BYTES // 2], 8),
        ([""] * n, 32),
    ]
    fields = head + [(value, width) for values, width in columns for value in values]
    return b"".join(str(value).encode().ljust(width) for value, width in fields)
