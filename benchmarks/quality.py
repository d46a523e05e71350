"""What the signal quality rules mark and what they cost, with noise injected at known places.

ECG: MIT-BIH DS1 with noise of the MIT-BIH Noise Stress Test Database added to every other minute of
the first eight, on both leads, at signal-to-noise ratios as defined there (peak-to-peak QRS squared
over eight, against the noise's power). EEG: the sample recording with line interference, muscle
noise (the ECG database's, in its own band), large swings or bridged channels added to six of 19
channels in every other 30 seconds. A window counts as noisy if it lies at least two seconds inside.

Thresholds were chosen on these recordings; other recordings will differ.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from pipelines.label_rules import aami_class
from pipelines.provenance import versions
from pipelines.readers import read_recording
from pipelines.recording import Channel, Piece, Recording
from pipelines.signals.extraction import extract
from pipelines.signals.windows import Windows

Floats = NDArray[np.float64]
SAMPLE = Path(__file__).parents[1] / "sample_data"
DS1 = (
    *("101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122"),
    *("124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230"),
)
SNR_DB = (18, 12, 6, 0, -6)
FIRST_S, TURN_S, INSIDE_S, NOISE_SFREQ = 480.0, 60.0, 2.0, 360


class Altered(Recording):
    """A recording whose samples are changed as they are read.

    Parameters
    ----------
    source : Recording
        Of one piece.
    change : callable
        ``change(data, rows, start)`` returns the altered samples of the channels number `rows`.
    stop_s : float
        Only so much of it is kept.
    """

    def __init__(
        self,
        source: Recording,
        change: Callable[[Floats, Sequence[int], int], Floats],
        stop_s: float,
    ) -> None:
        self.path, self.files, self.format = source.path, source.files, source.format
        self.channels, self.annotations = source.channels, source.annotations
        self.start_time = source.start_time
        self.pieces = (Piece(0.0, min(stop_s, source.pieces[0].duration_s), 0.0),)
        self._source, self._change = source, change

    def _read(self, channels: Sequence[Channel], piece: Piece, start: int, stop: int) -> Floats:
        data = self._source.read([c.name for c in channels], self._source.pieces[0], start, stop)
        return self._change(data, [self.channels.index(c) for c in channels], start)


def noises(path: Path | None) -> dict[str, Floats]:
    """Return baseline wander, electrode motion and muscle noise, (2, n_times) at 360 Hz."""
    if path is None:
        stored = np.load(SAMPLE / "ecg_noise_nstdb_60s.npz")
        return {kind: stored[kind].T.astype(float) for kind in ("bw", "em", "ma")}
    import h5py

    with h5py.File(path) as file:
        return {kind: file[kind][:].T.astype(float) for kind in ("bw", "em", "ma")}


def is_on(at: NDArray[np.floating], turn_s: float) -> NDArray[np.bool_]:
    """Return where the noise is on: every other turn."""
    return np.asarray((at // turn_s) % 2 == 1)


def with_noise(recording: Recording, noise: Floats, snr_db: float) -> Altered:
    """Add noise to every other minute of an ECG."""
    sfreq = recording.channels[0].sfreq
    ratio = round(sfreq), NOISE_SFREQ
    noise = resample_poly(noise, *ratio, axis=1) if sfreq != NOISE_SFREQ else noise
    lead = recording.read([recording.channels[0].name], recording.pieces[0])[0]
    beats = [round(a.onset * sfreq) for a in recording.annotations if a.is_beat]
    half = round(0.05 * sfreq)
    heights = [np.ptp(lead[max(0, b - half) : b + half]) for b in beats]
    gain = np.sqrt(np.median(heights) ** 2 / 8 / np.var(noise[0]) / 10 ** (snr_db / 10))

    def change(data: Floats, rows: Sequence[int], start: int) -> Floats:
        index = np.arange(start, start + data.shape[1])
        added = noise[np.array(rows) % 2][:, index % noise.shape[1]]
        return data + gain * added * is_on(index / sfreq, TURN_S)

    return Altered(recording, change, FIRST_S)


def labels(recording: Recording, windows: Windows) -> NDArray[np.str_]:
    """Return each beat's class: N, S, V, F, Q; X inside ventricular flutter; ? unlabelled."""
    beats = [(a.onset, aami_class(a.description)) for a in recording.annotations if a.is_beat]
    times, classes = (np.array(part) for part in zip(*beats, strict=True))
    center = windows.center_s
    after = np.clip(np.searchsorted(times, center), 1, len(times) - 1)
    nearest = np.where(center - times[after - 1] < times[after] - center, after - 1, after)
    label = np.where(np.abs(times[nearest] - center) <= 0.15, classes[nearest], "?")
    for a in recording.annotations:
        if a.description == "rhythm: VFL":
            label[(center >= a.onset) & (center <= a.onset + a.duration)] = "X"
    return label


def marked(windows: Windows) -> NDArray[np.bool_]:
    """Return the windows that a quality rule forbids to score."""
    return np.array([r is not None and r != "no neighbouring beat" for r in windows.reason])


def ecg_figures(folder: Path, noise: dict[str, Floats]) -> dict[str, Any]:
    """Return shares of marked windows, clean by class of beat and noisy by kind and ratio."""
    total, lost, reasons = Counter[str](), Counter[str](), Counter[str]()
    by_record: dict[str, float] = {}
    noisy: dict[str, dict[int, list[NDArray[np.bool_]]]] = {}
    for name in DS1:
        recording = read_recording(folder / f"{name}.hea")
        windows = extract(recording, "ecg")
        label, out = labels(recording, windows), marked(windows)
        total.update(label.tolist())
        lost.update(label[out].tolist())
        reasons.update(str(r).split(" on ")[0] for r in windows.reason[out])
        by_record[name] = round(float(out.mean()), 4)
        for kind, samples in noise.items():
            for snr in SNR_DB:
                windows = extract(with_noise(recording, samples, snr), "ecg")
                inside = _inside(windows, TURN_S)
                noisy.setdefault(kind, {}).setdefault(snr, []).append(marked(windows)[inside])
    n = sum(total.values())
    return {
        "clean": {
            "windows": n,
            "share_marked": round(sum(lost.values()) / n, 5),
            "by_class": {c: {"windows": total[c], "marked": lost[c]} for c in sorted(total)},
            "reasons": dict(reasons),
            "share_by_record": by_record,
        },
        "noisy_share_marked": {
            kind: {str(snr): round(float(np.concatenate(m).mean()), 4) for snr, m in ratios.items()}
            for kind, ratios in noisy.items()
        },
    }


def _inside(windows: Windows, turn_s: float) -> NDArray[np.bool_]:
    within = windows.center_s % turn_s
    far = (within > INSIDE_S) & (within < turn_s - INSIDE_S)
    return is_on(windows.center_s, turn_s) & far


def eeg_figures(noise: dict[str, Floats]) -> dict[str, Any]:
    """Return the share of marked windows of the sample EEG: clean, in seizures, and disturbed."""
    recording = read_recording(SAMPLE / "eeg_absence_480s.edf")
    clean = extract(recording, "eeg")
    seizures = np.genfromtxt(
        SAMPLE / "eeg_absence_480s_labels.csv", delimiter=",", names=True, dtype=None
    )
    ictal = clean.touching([(float(r["onset_s"]), float(r["offset_s"])) for r in seizures])
    result: dict[str, Any] = {
        "clean_windows": len(clean),
        "clean_share_marked": float(marked(clean).mean()),
        "seizure_windows": int(ictal.sum()),
        "seizure_windows_marked": int(marked(clean)[ictal].sum()),
        "disturbed": {},
    }
    for name, change in _disturbances(noise, recording.channels[0].sfreq).items():
        windows = extract(Altered(recording, change, 1e9), "eeg")
        inside = _inside(windows, 30.0)
        bad = np.isnan(windows.channel_values).any(axis=2)
        result["disturbed"][name] = {
            "windows_marked": round(float(marked(windows)[inside].mean()), 4),
            "disturbed_channels_left_out": round(float(bad[inside][:, :6].mean()), 4),
            "other_channels_left_out": round(float(bad[inside][:, 6:].mean()), 4),
            "quiet_channels_left_out": round(float(bad[~is_on(windows.center_s, 30.0)].mean()), 4),
        }
    return result


def _disturbances(
    noise: dict[str, Floats], sfreq: float
) -> dict[str, Callable[[Floats, Sequence[int], int], Floats]]:
    muscle = resample_poly(noise["ma"][0], round(sfreq), NOISE_SFREQ)
    muscle = muscle / muscle.std()

    def added(wave: Callable[[NDArray[np.int64]], Floats]) -> Callable[..., Floats]:
        def change(data: Floats, rows: Sequence[int], start: int) -> Floats:
            index = np.arange(start, start + data.shape[1])
            on = is_on(index / sfreq, 30.0)
            chosen = (np.array(rows) < 6)[:, None]
            shift = 997 * np.array(rows)[:, None]  # no two channels carry the same noise
            return data + chosen * on * np.stack([wave(index + s) for s in shift[:, 0]])

        return change

    def bridged(data: Floats, rows: Sequence[int], start: int) -> Floats:
        on = is_on(np.arange(start, start + data.shape[1]) / sfreq, 30.0)
        out = data.copy()
        for row in range(1, min(6, len(rows))):
            out[row, on] = data[0, on]
        return out

    return {
        "line, 1 mV": added(lambda i: 1e-3 * np.sqrt(2) * np.sin(2 * np.pi * 50 * i / sfreq)),
        "line, 50 uV": added(lambda i: 5e-5 * np.sqrt(2) * np.sin(2 * np.pi * 50 * i / sfreq)),
        "muscle, 200 uV": added(lambda i: 2e-4 * muscle[i % len(muscle)]),
        "muscle, 1 mV": added(lambda i: 1e-3 * muscle[i % len(muscle)]),
        "swings, 8 mV": added(lambda i: 4e-3 * np.sin(2 * np.pi * 1.0 * i / sfreq)),
        "bridged": bridged,
    }


def main() -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"))
    parser.add_argument("--noise", type=Path, help="nstdb.h5 (bw, em, ma); default: the sample's")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    found = {p.stem: p for p in Path(arguments.data).rglob("*.hea")} if arguments.data else {}
    noise = noises(arguments.noise)
    result: dict[str, Any] = {
        "protocol": __doc__,
        "versions": versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "noise": "60 s of each kind" if arguments.noise is None else "30 minutes of each kind",
        "eeg": eeg_figures(noise),
    }
    if all(name in found for name in DS1):
        result["ecg"] = ecg_figures(found[DS1[0]].parent, noise)
    else:
        print("no ECG figures: pass --data FOLDER with the MIT-BIH records of DS1", file=sys.stderr)
    print(json.dumps({k: result[k] for k in ("eeg", "ecg") if k in result}, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
