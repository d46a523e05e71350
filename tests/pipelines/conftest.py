"""A writer of EDF and BDF files, written from the specification and not from the reader."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest


@dataclass
class Signal:
    digital: np.ndarray  # (n_records, samples_per_record)
    label: str = "EEG Fp1"
    unit: str = "uV"
    physical: tuple[str, str] = ("-3276.8", "3276.7")
    limits: tuple[str, str] = ("-32768", "32767")


@dataclass
class EdfFile:
    signals: Sequence[Signal]
    record_s: str = "1"
    reserved: str = ""
    starts: Sequence[str] | None = None
    texts: Sequence[tuple[int, str]] = ()  # (record, tal without the closing zero)
    n_records: int | None = None
    bdf: bool = False
    date: str = "02.01.24"
    time: str = "03.04.05"

    def content(self) -> bytes:
        width = 3 if self.bdf else 2
        n = len(self.signals[0].digital) if self.signals else len(self.starts or ())
        tals = self._tals(n, width)
        rows = [(s.label, s.unit, *s.physical, *s.limits, s.digital.shape[1]) for s in self.signals]
        if tals:
            label = f"{'BDF' if self.bdf else 'EDF'} Annotations"
            rows.append((label, "", "-1", "1", "-32768", "32767", len(tals[0]) // width))
        head = b"\xffBIOSEMI" if self.bdf else b"0".ljust(8)
        count = n if self.n_records is None else self.n_records
        head += b"Jane Doe, born 1970".ljust(80) + b"Dr Who".ljust(80)
        for text, size in (
            (self.date, 8),
            (self.time, 8),
            (256 * (len(rows) + 1), 8),
            (self.reserved, 44),
            (count, 8),
            (self.record_s, 8),
            (len(rows), 4),
        ):
            head += str(text).encode().ljust(size)
        columns = list(zip(*rows, strict=True))
        head += b"".join(c.encode("latin-1").ljust(16) for c in columns[0])
        head += b" " * 80 * len(rows)
        for column in columns[1:6]:
            head += b"".join(str(c).encode("latin-1").ljust(8) for c in column)
        head += b" " * 80 * len(rows)
        head += b"".join(str(c).encode().ljust(8) for c in columns[6])
        head += b" " * 32 * len(rows)
        records = []
        for i in range(n):
            for signal in self.signals:
                stored = np.ascontiguousarray(signal.digital[i].astype("<i4"))
                records.append(stored.view(np.uint8).reshape(-1, 4)[:, :width].tobytes())
            if tals:
                records.append(tals[i])
        return head + b"".join(records)

    def _tals(self, n: int, width: int) -> list[bytes]:
        if self.starts is None:
            return []
        blocks = []
        for i in range(n):
            block = f"{self.starts[i]}\x14\x14\x00".encode()
            for record, tal in self.texts:
                if record == i:
                    block += tal.encode() + b"\x00"
            blocks.append(block)
        size = -(-max(map(len, blocks)) // (2 * width)) * 2 * width
        return [block.ljust(size, b"\x00") for block in blocks]


@pytest.fixture
def edf() -> type[EdfFile]:
    return EdfFile


@pytest.fixture
def signal() -> Callable[..., Signal]:
    def make(n_records: int, per_record: int, seed: int = 0, **fields) -> Signal:
        generator = np.random.default_rng(seed)
        digital = generator.integers(-32768, 32768, (n_records, per_record))
        return Signal(fields.pop("digital", digital), **fields)

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def to_file(file: EdfFile, name: str = "x.edf") -> Path:
        path = tmp_path / name
        path.write_bytes(file.content())
        return path

    return to_file


def synthetic_eeg(
    seconds: int, seed: int = 0, sfreq: int = 128, event: int | None = None, flat=None
):
    """Return an EDF file of four channels of coloured noise, with three-per-second waves.

    ``event`` is where the waves begin, ``flat`` a pair of seconds without any signal.
    """
    generator = np.random.default_rng(seed)
    white = generator.standard_normal((4, seconds * sfreq))
    spectrum = np.fft.rfft(white)
    spectrum /= np.sqrt(np.maximum(1, np.arange(spectrum.shape[1]) / seconds))
    noise = np.fft.irfft(spectrum, n=white.shape[1])
    microvolts = 20 * noise / noise.std()
    if event is not None:
        inside = slice(event * sfreq, (event + 8) * sfreq)
        t = np.arange(8 * sfreq) / sfreq
        amplitude = np.array([[200], [100], [20], [50]])  # unequal: a common average cancels equals
        microvolts[:, inside] += amplitude * np.sin(2 * np.pi * 3 * t)
    if flat is not None:
        microvolts[:, flat[0] * sfreq : flat[1] * sfreq] = 0
    digital = np.round(10 * microvolts).astype(int).reshape(4, seconds, sfreq)
    signals = [
        Signal(rows, label=f"EEG {name}")
        for name, rows in zip(("Fp1", "C3", "O1", "Pz"), digital, strict=True)
    ]
    texts = [] if event is None else [(event, f"+{event}\x158\x14seizure\x14")]
    return EdfFile(signals, reserved="EDF+C", starts=[f"+{i}" for i in range(seconds)], texts=texts)


@pytest.fixture(scope="session")
def write_eeg():
    """Write a synthetic EEG: ``write_eeg(path, seconds, seed, sfreq, event, flat)``."""

    def to_file(path: Path, seconds: int = 60, **options) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(synthetic_eeg(seconds, **options).content())
        return path

    return to_file


_WAVES = ((0.0, 1.2, 0.014), (0.2, 0.3, 0.03))  # R, T: seconds from the peak, mV, seconds


def synthetic_ecg(seconds: int, rhythm: str = "sinus", seed: int = 0, sfreq: int = 128) -> EdfFile:
    """Return an EDF file of one lead whose beats are all alike but for noise.

    ``rhythm`` is ``"sinus"``, ``"ectopy"`` (one beat in sixteen early, with a pause after it) or
    ``"af"``: intervals drawn one by one. The mean rate is the same.
    """
    generator = np.random.default_rng(seed)
    n = 2 * seconds
    intervals = 1 + 0.03 * np.sin(np.arange(n) * 1.3) + 0.01 * generator.standard_normal(n)
    if rhythm == "ectopy":
        early = np.flatnonzero(generator.random(n - 1) < 1 / 16)
        intervals[early] *= 0.65
        intervals[early + 1] *= 1.3
    if rhythm == "af":
        intervals = generator.uniform(0.65, 1.4, n)  # no beat begins in the T wave before
    peaks = 0.4 + np.cumsum(0.9 * intervals)
    t = np.arange(seconds * sfreq) / sfreq
    millivolts = 0.01 * generator.standard_normal(len(t))
    for peak in peaks[peaks < seconds]:
        lo, hi = np.searchsorted(t, [peak - 0.4, peak + 0.6])
        for at, height, width in _WAVES:
            millivolts[lo:hi] += height * np.exp(-0.5 * ((t[lo:hi] - peak - at) / width) ** 2)
    digital = np.round(10_000 * millivolts).astype(int).reshape(seconds, sfreq)
    return EdfFile([Signal(digital, label="ECG I")])


@pytest.fixture(scope="session")
def write_ecg():
    """Write a synthetic ECG: ``write_ecg(path, seconds, rhythm, seed)``."""

    def to_file(path: Path, seconds: int, rhythm: str = "sinus", seed: int = 0) -> Path:
        path.write_bytes(synthetic_ecg(seconds, rhythm, seed).content())
        return path

    return to_file


TINY = """
[flow]
n_blocks = 1
refine = false
hidden = 8
max_steps = 40
"""


@pytest.fixture(scope="session")
def tiny_settings(tmp_path_factory) -> Path:
    """A configuration that fits within seconds."""
    path = tmp_path_factory.mktemp("settings") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory, write_eeg, tiny_settings) -> Path:
    """A model folder, fitted on a synthetic EEG through the command line."""
    from pipelines.cli import main

    folder = tmp_path_factory.mktemp("tiny")
    source = write_eeg(folder / "usual.edf", 300)
    words = ["--kind", "eeg", "--config", str(tiny_settings), "--device", "cpu"]
    assert main(["fit", str(source), *words, "--out", str(folder / "model")]) == 0
    return folder / "model"
