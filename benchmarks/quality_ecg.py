"""The ECG part of `quality.py`: clean beats lost, noisy beats marked, and how limits were chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import wfdb
from numpy.typing import NDArray
from quality_parts import Altered, inside, is_on, marked
from scipy.signal import resample_poly

from pipelines.label_rules import aami_class
from pipelines.quality.ecg import AGREED, UNLIKE, UNLIKE_ANYWAY, UNLIKE_IN_DOUBT
from pipelines.quality.likeness import likeness
from pipelines.readers import read_recording
from pipelines.recording import Recording
from pipelines.signals.ecg_windows import BAND_HZ
from pipelines.signals.extraction import extract
from pipelines.signals.heartbeats import agreement, detect_beats, detect_waves
from pipelines.signals.preprocessing import band_pass

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
DS1 = (
    *("101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122"),
    *("124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230"),
)
SNR_DB = (24, 18, 12, 6, 0, -6)
FIRST_S, TURN_S, NOISE_SFREQ, SHIFT_S = 480.0, 60.0, 360, 73
BUDGET = {"all": 0.0045, "V": 0.008, "X": 0.035}
"""Shares of clean beats that limits may cost, other rules included: all labelled ones, ventricular
ones, those in flutter."""
MARKS = {0: "none", 1: "first lead", 2: "second lead", 3: "both leads", -1: "unreadable"}


class Beats(NamedTuple):
    """Beats of a record, as it is or with noise: what they are, and what the rules say."""

    kind: str
    snr_db: int
    label: NDArray[np.str_]
    rhythm: NDArray[np.str_]
    annotated: NDArray[np.int64]
    noisy: Mask
    marked: Mask
    unlike: Mask
    alike: Floats
    agreed: Floats


def figures(folder: Path, noise: dict[str, Floats]) -> dict[str, Any]:
    """Return what the rules mark of DS1: as it is, with noise, and with limits chosen elsewhere."""
    records = [list(_conditions(folder, name, noise)) for name in DS1]
    return {
        "clean": _clean([record[0] for record in records]),
        "noisy": _noisy([beats for record in records for beats in record[1:]]),
        "electrode_motion_by_rule_at_equal_cost": _rules(records),
        "limits_chosen_without_the_record": _left_out(records),
    }


def _conditions(folder: Path, name: str, noise: dict[str, Floats]) -> Any:
    """Yield the beats of a record as it is, then with each noise."""
    recording = read_recording(folder / f"{name}.hea")
    marks = _noise_marks(folder / name)
    yield _beats(recording, recording, marks, "clean", 99)
    shift = -DS1.index(name) * SHIFT_S * NOISE_SFREQ
    for kind, samples in noise.items():
        for snr in SNR_DB:
            altered = with_noise(recording, np.roll(samples, shift, axis=1), snr)
            yield _beats(altered, recording, marks, kind, snr)


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


def _beats(heard: Recording, source: Recording, marks: Floats, kind: str, snr_db: int) -> Beats:
    windows = extract(heard, "ecg")
    center, sfreq = windows.center_s, heard.channels[0].sfreq
    names = [channel.name for channel in heard.channels]
    data = np.nan_to_num(heard.read(names, heard.pieces[0]))
    peaks, filtered = detect_beats(data, sfreq), band_pass(data, sfreq, *BAND_HZ)
    at = np.searchsorted(marks[:, 0], center, side="right") - 1
    return Beats(
        kind,
        snr_db,
        labels(source, center),
        _rhythms(source, center),
        np.where(at < 0, 0, marks[np.maximum(at, 0), 1]).astype(np.int64),
        inside(center, TURN_S) & (kind != "clean"),
        marked(windows),
        np.array([str(reason).startswith(UNLIKE) for reason in windows.reason]),
        np.interp(center, peaks / sfreq, likeness(filtered, peaks, sfreq)),
        np.interp(center, peaks / sfreq, agreement(peaks, detect_waves(filtered[0], sfreq), sfreq)),
    )


def labels(recording: Recording, center: Floats) -> NDArray[np.str_]:
    """Return each beat's class: N, S, V, F, Q; X inside ventricular flutter; ? unlabelled."""
    beats = [(a.onset, aami_class(a.description)) for a in recording.annotations if a.is_beat]
    times, classes = (np.array(part) for part in zip(*beats, strict=True))
    after = np.clip(np.searchsorted(times, center), 1, len(times) - 1)
    nearest = np.where(center - times[after - 1] < times[after] - center, after - 1, after)
    label = np.where(np.abs(times[nearest] - center) <= 0.15, classes[nearest], "?")
    label[_rhythms(recording, center) == "VFL"] = "X"
    return label


def _rhythms(recording: Recording, center: Floats) -> NDArray[np.str_]:
    rhythm = np.full(len(center), "none", dtype="U8")
    for a in recording.annotations:
        if a.description.startswith("rhythm: "):
            rhythm[(center >= a.onset) & (center <= a.onset + a.duration)] = a.description[8:]
    return rhythm


def _noise_marks(path: Path) -> Floats:
    """Return when the annotators marked a change of signal quality, and which leads are noisy."""
    a = wfdb.rdann(str(path), "atr")
    found = zip(a.sample, a.subtype, a.symbol, strict=True)
    return np.array(
        [(-1.0, 0.0), *((at / a.fs, code) for at, code, symbol in found if symbol == "~")]
    )


def _clean(records: Sequence[Beats]) -> dict[str, Any]:
    def joined(field: str) -> NDArray[Any]:
        return np.concatenate([getattr(beats, field) for beats in records])

    def counted(by: NDArray[Any], out: Mask) -> dict[str, Any]:
        total, lost = Counter(by.tolist()), Counter(by[out].tolist())
        return {str(k): {"beats": total[k], "marked": lost[k]} for k in sorted(total)}

    label, out, unlike = joined("label"), joined("marked"), joined("unlike")
    annotated = np.array([MARKS[int(code)] for code in joined("annotated")])
    known = label != "?"
    return {
        "beats": len(label),
        "labelled_share_marked": round(float(out[known].mean()), 5),
        "of_it_noise_that_looks_like_beats": round(float(unlike[known].mean()), 5),
        "by_class": counted(label, out),
        "by_rhythm": counted(joined("rhythm"), out),
        "noise_that_looks_like_beats_by_annotated_noise": counted(annotated, unlike),
        "share_by_record": {
            name: round(float(beats.marked.mean()), 4)
            for name, beats in zip(DS1, records, strict=True)
        },
    }


def _noisy(conditions: Sequence[Beats]) -> dict[str, Any]:
    """Return the share of beats marked inside noise: all, true ones, and what is none."""
    result: dict[str, Any] = {}
    for kind in sorted({beats.kind for beats in conditions}):
        for snr in SNR_DB:
            these = [b for b in conditions if (b.kind, b.snr_db) == (kind, snr)]
            out = np.concatenate([b.marked[b.noisy] for b in these])
            true = np.concatenate([b.label[b.noisy] for b in these]) != "?"
            result.setdefault(kind, {})[str(snr)] = {
                "marked": _share(out),
                "true_beats_marked": _share(out[true]),
                "false_beats": int((~true).sum()),
                "false_beats_marked": _share(out[~true]),
            }
    return result


def _share(values: Mask) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def _by_both(beats: Beats) -> Floats:
    limit = np.where(beats.agreed >= AGREED, UNLIKE_ANYWAY, UNLIKE_IN_DOUBT)
    return np.asarray(beats.alike / limit)


RULES: dict[str, Callable[[Beats], Floats]] = {
    "likeness and agreement": _by_both,
    "likeness alone": lambda beats: beats.alike / UNLIKE_IN_DOUBT,
    "agreement alone": lambda beats: beats.agreed,
}


def _rules(records: Sequence[Sequence[Beats]]) -> dict[str, Any]:
    """Return what each rule would find if its limit cost as much as the budget permits."""
    result = {}
    for name, value in RULES.items():
        limit = _limit([record[0] for record in records], value)
        result[name] = {"limit": round(limit, 3), **_found(records, value, [limit] * len(records))}
    return result


def _left_out(records: Sequence[Sequence[Beats]]) -> dict[str, Any]:
    """Return what is lost and found where a record's limit is chosen on the other records."""
    clean = [record[0] for record in records]
    limits = [_limit([b for b in clean if b is not own], _by_both) for own in clean]
    lost = np.concatenate(
        [b.marked & ~b.unlike | (_by_both(b) < k) for b, k in zip(clean, limits, strict=True)]
    )
    label = np.concatenate([b.label for b in clean])
    return {
        "limits": [round(limit, 2) for limit in limits],
        "labelled_share_marked": round(float(lost[label != "?"].mean()), 5),
        "ventricular_share_marked": round(float(lost[label == "V"].mean()), 5),
        **_found(records, _by_both, limits),
    }


def _limit(clean: Sequence[Beats], value: Callable[[Beats], Floats]) -> float:
    """Return the highest limit that keeps within the budget."""
    label = np.concatenate([b.label for b in clean])
    other = np.concatenate([b.marked & ~b.unlike for b in clean])
    values = np.concatenate([value(b) for b in clean])
    groups = {"all": label != "?", "V": label == "V", "X": label == "X"}
    for limit in np.arange(1.3, 0.0, -0.01):
        out = other | (values < limit)
        if all(out[g].sum() <= BUDGET[name] * g.sum() for name, g in groups.items()):
            return float(limit)
    return 0.0


def _found(
    records: Sequence[Sequence[Beats]], value: Callable[[Beats], Floats], limits: Sequence[float]
) -> dict[str, Any]:
    shares = {}
    for snr in SNR_DB:
        out = [
            (b.marked & ~b.unlike | (value(b) < limit))[b.noisy]
            for record, limit in zip(records, limits, strict=True)
            for b in record
            if (b.kind, b.snr_db) == ("em", snr)
        ]
        shares[str(snr)] = _share(np.concatenate(out))
    return {"noisy_share_marked": shares}
