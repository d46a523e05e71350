"""Do explanations point at what was broken? Faults injected at known features, channels and times.

Feature faults, in rows of the sample recordings that no model was fitted on: *shift* adds a
multiple of the feature's spread; *swap* takes the feature's value from another usual row, so that
only its relation to the others is broken. Counted are faults that lift a row above the score that 1 % of usual rows pass. Hits: the broken
feature is first, or among the first three. Deletion: the share of the rise in score that is undone
when the first k features named are put back. Beside it: features ordered by marginal z-score.

Channel faults, in the signal: one electrode or lead gets noise, gain or the wrong sign for some
seconds. Nearest normal: how much nearer to the patient's median usual beat a ventricular beat's
nearest normal is than the beat itself.

    python benchmarks/explanation.py --json OUT.json [--figure nearest.svg]
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pipelines import Model, fit_model, read_recording, score_recording
from pipelines.demo import sample_folder
from pipelines.label_rules import aami_class
from pipelines.nearest_normal import NearestNormal, model_rows, nearest_normal
from pipelines.recording import Channel, Piece, Recording

Floats = NDArray[np.float64]
N_FAULTS = 2000
FAULT_S = 8.0


Fault = Callable[[Floats, Floats], Floats]


class Faulty(Recording):
    """A recording of which one channel is broken for a while."""

    def __init__(self, whole: Recording, channel: str, start_s: float, fault: Fault) -> None:
        self.__dict__.update(whole.__dict__)
        self._whole, self._channel, self._start_s, self._fault = whole, channel, start_s, fault

    def _read(
        self, channels: Sequence[Channel], piece: Piece, start: int, stop: int
    ) -> NDArray[np.float64]:
        data = self._whole._read(channels, piece, start, stop)
        for row, channel in enumerate(channels):
            if channel.name == self._channel:
                at = piece.start_s + np.arange(start, start + data.shape[1]) / channel.sfreq
                inside = (at >= self._start_s) & (at < self._start_s + FAULT_S)
                data[row, inside] = self._fault(data[row, inside], at[inside])
        return data


def noise(signal: Floats, at: Floats) -> Floats:
    """Muscle-like noise of twice the channel's spread; the same for the same time."""
    tones = np.random.default_rng(0).uniform(20, 40, (12, 1))
    phases = np.random.default_rng(1).uniform(0, 2 * np.pi, (12, 1))
    return signal + 2 * signal.std() * np.sin(2 * np.pi * tones * at + phases).sum(0) / 6**0.5


FAULTS: dict[str, dict[str, Fault]] = {
    "eeg": {"noise": noise, "gain x5": lambda s, t: 5 * s, "weak /20": lambda s, t: s / 20},
    "ecg": {"noise": noise, "gain x2": lambda s, t: 2 * s, "sign": lambda s, t: -s},
}


def feature_faults(model: Model, X: Floats, kind: str, seed: int) -> dict[str, Any]:
    """Break one feature of a usual row at a time; see whether it is named."""
    g = np.random.default_rng(seed)
    rows = X[g.integers(0, len(X), N_FAULTS)]
    broken, j = rows.copy(), g.integers(0, X.shape[1], N_FAULTS)
    center, spread = X.mean(0), X.std(0)
    index = np.arange(N_FAULTS)
    if kind == "swap":
        broken[index, j] = X[g.integers(0, len(X), N_FAULTS), j]
    else:
        sign = g.choice([-1.0, 1.0], N_FAULTS)
        broken[index, j] += float(kind) * sign * spread[j]
    before, after = (model.estimator.anomaly_score(part) for part in (rows, broken))
    limit = np.quantile(model.estimator.anomaly_score(X), 0.99)
    seen = (after > limit) & (before <= limit)
    result: dict[str, Any] = {"n_faults": N_FAULTS, "n_seen": int(seen.sum())}
    if not seen.any():
        return result
    gains = {
        "flow": model.estimator.attribute(broken[seen]),
        "marginal_z": np.abs((broken[seen] - center) / spread),
    }
    for name, values in gains.items():
        order = np.argsort(-values, axis=1, kind="stable")
        rank = (order == j[seen][:, None]).argmax(axis=1)
        result[name] = {
            "top_1": float((rank < 1).mean()),
            "top_3": float((rank < 3).mean()),
            "deletion": [undone(model, rows[seen], broken[seen], order[:, :k]) for k in (1, 2, 3)],
        }
    return result


def undone(model: Model, rows: Floats, broken: Floats, order: NDArray[np.int64]) -> float:
    """Return the median share of the rise in score undone by putting features back."""
    mended = broken.copy()
    np.put_along_axis(mended, order, np.take_along_axis(rows, order, 1), 1)
    before, after, now = (model.estimator.anomaly_score(x) for x in (rows, broken, mended))
    return float(np.median((after - now) / (after - before)))


def channel_faults(
    model: Model, recording: Recording, starts: Sequence[float], fault: Fault
) -> dict[str, Any]:
    """Break each channel at one of `starts`; see whether the fault is flagged, and where."""
    named, flagged, refused, places = 0, 0, 0, 0
    names = model.channels or tuple(c.name for c in recording.of_kind(model.kind))
    for k, name in enumerate(names * max(1, 12 // len(names))):
        start_s = starts[k % len(starts)]
        found = score_recording(model, Faulty(recording, name, start_s, fault)).windows
        inside = (found["center_s"] >= start_s) & (found["center_s"] < start_s + FAULT_S)
        hits = found[inside & found["flagged"]]
        places += 1
        refused += bool((inside & ~found["scorable"]).any())
        flagged += len(hits) > 0
        blamed = hits["top_channel"].dropna().mode()
        named += len(blamed) > 0 and blamed[0] == name
    return {
        "n_faults": places,
        "n_not_scorable": refused,
        "n_flagged": flagged,
        "channel_named": named,
    }


def nearest(model: Model, recording: Recording, limit: int = 60) -> dict[str, Any]:
    """Compare ventricular beats and their nearest normals with the usual beat."""
    scored = score_recording(model, recording)
    windows, rows = scored.windows, model_rows(model)
    chosen = ventricular(recording, windows)
    usual = windows[windows["scorable"] & ~windows["flagged"]]
    some = usual.iloc[:: max(1, len(usual) // 60)]
    shown = [
        nearest_normal(model, recording, windows, scored.features, int(i), rows)
        for i in [*some["window_index"][:60], *chosen[:limit]]
    ]
    n_usual = len(shown) - len(chosen[:limit])
    template = np.median([each.window for each in shown[:n_usual]], axis=0)
    before = [np.linalg.norm(each.window - template) for each in shown[n_usual:]]
    after = [np.linalg.norm(each.mean - template) for each in shown[n_usual:]]
    ratio = np.array(before) / np.array(after)
    return {
        "n_beats": len(ratio),
        "times_nearer_median": float(np.median(ratio)),
        "times_nearer_10th_percentile": float(np.quantile(ratio, 0.1)),
        "effective_size_median": float(np.median([s.effective_size for s in shown[n_usual:]])),
        "_picture": shown[n_usual:][:4],
    }


def ventricular(recording: Recording, windows: pd.DataFrame) -> list[int]:
    """Return the windows of labelled ventricular beats that are flagged."""
    at = [a.onset for a in recording.annotations if a.is_beat and aami_class(a.description) == "V"]
    flagged = windows[windows["flagged"]]
    near = [np.abs(flagged["center_s"] - t).min() <= 0.15 for t in at]
    return [
        int(flagged["window_index"].loc[np.abs(flagged["center_s"] - t).idxmin()])
        for t, ok in zip(at, near, strict=True)
        if ok
    ]


def draw(shown: Sequence[NearestNormal], path: Path) -> None:
    """Draw beats over the band of their nearest normals, as SVG."""
    width, height = 190, 150
    parts = []
    for k, each in enumerate(shown):
        low = min(each.window[0].min(), each.low[0].min())
        high = max(each.window[0].max(), each.high[0].max())
        x = 10 + k * width + (each.axis - each.axis[0]) / np.ptp(each.axis) * (width - 20)

        def line(y: Floats, x: Floats = x, low: float = low, high: float = high) -> list[str]:
            scaled = height - 30 - (y - low) / (high - low) * (height - 50)
            return [f"{a:.1f},{b:.1f}" for a, b in zip(x, scaled, strict=True)]

        band = " ".join([*line(each.low[0]), *line(each.high[0])[::-1]])
        parts += [
            f'<polygon points="{band}" fill="#9ec9e8"/>',
            f'<polyline points="{" ".join(line(each.mean[0]))}" fill="none" stroke="#1f5f99"/>',
            f'<polyline points="{" ".join(line(each.window[0]))}" fill="none" stroke="#b3261e" '
            'stroke-width="1.6"/>',
        ]
    caption = (
        f'<text x="10" y="{height - 6}" font-family="sans-serif" font-size="11" fill="#333">'
        "red: ventricular beat as recorded; blue: its nearest normal, mean and 10-90 % band</text>"
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width * len(shown)} {height}">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}{caption}</svg>\n'
    )


def main() -> None:
    """Run on the two sample recordings and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {"machine": platform.platform(), "fault_s": FAULT_S}
    for kind, name, stop_s, starts in (
        ("ecg", "ecg_ahadb_0201.hea", 300.0, (700.0, 1000.0, 1300.0)),
        ("eeg", "eeg_absence_480s.edf", 230.0, (30.0, 250.0, 400.0)),
    ):
        recording = read_recording(sample_folder() / name)
        model = fit_model([recording], kind, baseline=(0, stop_s))
        scored = score_recording(model, recording)
        fits = scored.windows["scorable"] & ~scored.windows["flagged"]
        fits &= scored.windows["start_s"] > stop_s
        X = scored.features[list(model.names)][fits].to_numpy(np.float64)
        row: dict[str, Any] = {
            "features": {f: feature_faults(model, X, f, 0) for f in ("3", "4", "6", "swap")},
            "channels": {
                f: channel_faults(model, recording, starts, fault)
                for f, fault in FAULTS[kind].items()
            },
        }
        if kind == "ecg":
            row["nearest_normal"] = nearest(model, recording)
            pictures = row["nearest_normal"].pop("_picture")
            if args.figure:
                draw(pictures, args.figure)
        result[kind] = row
        print(kind, json.dumps(row, indent=1), flush=True)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
