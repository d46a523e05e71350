"""EEG: three absence seizures in a clinical recording, and seizure segments of Bonn.

Absence: 30 minutes of a child with absence epilepsy, all 36 channels as recorded, fitted on the
first 10 minutes less what the technician marked as abnormal, scored after that. Events by the rules
of SzCORE (any overlap, 30 s before, 60 s after, merged below 90 s). Bonn: 23.6 s of one channel; fitted on a
random half of the healthy classes Z and O (another half per seed), tested on the other half and on
all of N, F (not S) against S (seizure); a segment's score is the mean of its windows.

Every method gets the same features of the product and the same threshold rule: that of a fit, with
the milder of its two trimmings (`usual_rows`; a fit leaves out more, by `rows_to_fit`). All
are at their defaults, three seeds. Each runs in a process of its own, so that memory is its own.

    python benchmarks/eeg.py --data FOLDER --json OUT.json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from ecg_peers import Fit, Scorer, peers
from eeg_data import ABSENCE, write_absence, write_bonn
from numpy.typing import NDArray

from flowcore import FlowDensityEstimator
from pipelines.calibration import NEW_PATIENT_RATE, WINDOW_RATE, calibrate
from pipelines.config import Settings, settings_for
from pipelines.evaluation.events import SZCORE, szcore_counts
from pipelines.evaluation.ranking import ranking
from pipelines.labels import abnormal_intervals
from pipelines.merging import merge
from pipelines.model import Model, fit_model
from pipelines.provenance import versions
from pipelines.readers import read_recording
from pipelines.scoring import score_recording
from pipelines.splitting import Split, split
from pipelines.stretches import of_events, of_table, overlapping, scored_s
from pipelines.trimming import usual_rows

Floats = NDArray[np.float64]
FIT_S = 600.0
METHODS = ("flow", *peers())


@dataclass
class Fitting:
    """Rows to fit on, as a fit of the product splits them, and rows to score."""

    X: Floats
    part: Split
    usual: NDArray[np.bool_]
    windows_per_hour: float
    rows: Floats


@dataclass
class Result:
    """What one method says of one fitting."""

    scores: Floats
    threshold: float
    facts: dict[str, float]


def flow(X: Floats, groups: NDArray[np.int64], seed: int) -> Scorer:
    """Fit the estimator as an EEG model has it."""
    settings = settings_for(Settings(), "eeg").flow.model_dump()
    return FlowDensityEstimator(**settings, random_state=seed).fit(X, groups=groups).anomaly_score


def run_method(name: str, fittings: Sequence[Fitting]) -> list[Result]:
    """Fit and score one method, a seed a fitting, in this process."""
    torch.set_num_threads(1)
    fit: Fit = flow if name == "flow" else peers()[name]
    results = []
    for seed, fitting in enumerate(fittings):
        chosen = fitting.usual & ~fitting.part.held_out
        mean, sd = fitting.X[chosen].mean(axis=0), fitting.X[chosen].std(axis=0)
        sd = np.where(sd > 1e-12, sd, 1.0)
        before, start = _resident_mb("VmRSS"), time.process_time()
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        score = fit((fitting.X[chosen] - mean) / sd, fitting.part.units[chosen], seed)
        fit_s, start = time.process_time() - start, time.process_time()
        scores = score((fitting.rows - mean) / sd)
        score_s = time.process_time() - start
        judged = score((fitting.X[fitting.part.judged] - mean) / sd)
        rate = NEW_PATIENT_RATE["eeg"] if fitting.part.by_patient else WINDOW_RATE
        threshold = calibrate(
            judged, fitting.usual[fitting.part.judged], Settings(), fitting.windows_per_hour, rate
        ).threshold
        facts = {
            "fit_cpu_s": fit_s,
            "score_us_per_window": 1e6 * score_s / len(scores),
            "memory_mb": max(0.0, _resident_mb("VmHWM") - before),
        }
        results.append(Result(scores, threshold, facts))
    return results


def _resident_mb(which: str) -> float:
    """Return the resident memory of this process now (VmRSS) or at most (VmHWM); Linux alone."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{which}:"))


def everyone(fittings: Sequence[Fitting]) -> dict[str, list[Result]]:
    """Run every method, each in a new process."""
    results = {}
    for name in METHODS:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            results[name] = pool.submit(run_method, name, fittings).result()
        print(name, {k: round(v, 2) for k, v in results[name][0].facts.items()}, file=sys.stderr)
    return results


class Absence:
    """The clinical recording: what is fitted on, what is scored, and what is an event."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.path, self.seizures = write_absence(source, folder)
        self.recording = read_recording(self.path)
        self.model = self.fit(0)
        self.scored = score_recording(self.model, self.recording)
        self.windows = self.scored.windows
        X = self.scored.features[list(self.model.names)].to_numpy(np.float64)
        noted = abnormal_intervals(self.recording, include_unclassified=True)
        self.noted = [each for each in noted if each.onset_s > FIT_S]
        ok = self.windows["scorable"].to_numpy(bool)
        fitted = ok & (self.windows["stop_s"] <= FIT_S).to_numpy()
        moments = np.array([(e.onset_s, max(e.offset_s, e.onset_s + 1e-6)) for e in noted])
        fitted &= ~overlapping(of_table(self.windows), moments)
        self.later = ok & (self.windows["start_s"] >= FIT_S).to_numpy()
        self.fitting = Fitting(
            X[fitted],
            split(np.zeros(int(fitted.sum()), dtype=np.int64)),
            usual_rows(X[fitted]),
            3600 * len(X) / self.recording.duration_s,
            X[self.later],
        )

    def fit(self, seed: int) -> Model:
        """Fit as ``rarewave fit --baseline 0:600 --use-annotations`` does."""
        return fit_model(
            [self.recording], "eeg", baseline=(0.0, FIT_S), use_annotations=True, seed=seed
        )

    def judge(self, scores: Floats, threshold: float) -> dict[str, Any]:
        """Return the figures of the scored windows after the part that was fitted on."""
        table = self.windows[self.later].copy()
        table["score"], table["flagged"] = scores, scores > threshold
        positive = overlapping(of_table(table), of_events(self.seizures))
        segments = merge(table, Settings().segments.merge_s)
        return {**self._ranked(scores, positive), **self._events(table, segments)}

    def _ranked(self, scores: Floats, positive: NDArray[np.bool_]) -> dict[str, float]:
        found = ranking(scores, positive)
        return {"auroc": found["auroc"], "ap": found["average_precision"]}

    def _events(self, table: pd.DataFrame, segments: pd.DataFrame) -> dict[str, float]:
        hours = scored_s(table) / 3600
        counts = szcore_counts(segments, self.seizures, self.recording.duration_s)
        known, found = of_events(self.seizures), of_table(segments)
        false = ~overlapping(found, known)
        return {
            "seizures_found": counts["n_found"],
            "szcore_false_per_hour": counts["n_false"] / hours,
            "segments_on_seizures": int(overlapping(known, found).sum()),
            "other_segments_per_hour": int(false.sum()) / hours,
            "other_segments_on_a_note": int(overlapping(found[false], of_events(self.noted)).sum()),
        }

    def about(self) -> dict[str, Any]:
        """Return what was fitted on and scored."""
        return {
            "channels": list(self.model.channels),
            "n_fitted": len(self.fitting.X),
            "n_trimmed": int((~self.fitting.usual).sum()),
            "n_windows_scored": int(self.later.sum()),
            "n_not_scorable_after": int(
                (~self.windows["scorable"] & (self.windows["start_s"] >= FIT_S)).sum()
            ),
            "hours_scored": scored_s(self.windows[self.later]) / 3600,
            "n_seizures": len(self.seizures),
            "n_other_notes_of_something_abnormal": len(self.noted) - len(self.seizures),
            "rules": SZCORE,
        }

    def whole_product(self, seeds: int) -> list[dict[str, Any]]:
        """Return the figures of ``rarewave fit`` and ``rarewave score`` from file to segments."""
        rows = []
        for seed in range(seeds):
            model = self.model if seed == 0 else self.fit(seed)
            scored = score_recording(model, self.recording)
            later = scored.windows[self.later]
            positive = overlapping(of_table(later), of_events(self.seizures))
            segments = scored.segments[scored.segments["start_s"] >= FIT_S]
            ranked = self._ranked(later["score"].to_numpy(float), positive)
            rows.append({"seed": seed, **ranked, **self._events(later, segments)})
        return rows


class Bonn:
    """The segments: features of each, and a random half of Z and O to fit on."""

    def __init__(self, source: Path, folder: Path, seeds: int) -> None:
        paths = write_bonn(source, folder)
        flat = [(name, path) for name, group in paths.items() for path in group]
        self.classes = np.array([name for name, _ in flat])
        recordings = [read_recording(path) for _, path in flat]
        self.fittings, self.tested, self.n_unscored = [], [], []
        for seed in range(seeds):
            chosen = self._half(seed)
            model = fit_model([recordings[k] for k in chosen], "eeg", seed=seed)
            parts = [model.features(recording) for recording in recordings]
            ok = [windows.scorable for windows, _ in parts]
            X = np.concatenate([parts[k][1][ok[k]] for k in chosen])
            groups = np.repeat(np.arange(len(chosen)), [ok[k].sum() for k in chosen])
            rest = [k for k in range(len(flat)) if k not in set(chosen.tolist())]
            rows = np.concatenate([parts[k][1][ok[k]] for k in rest])
            self.tested.append(np.repeat(rest, [ok[k].sum() for k in rest]))
            self.n_unscored.append(sum(not ok[k].any() for k in rest))
            hours = sum(recordings[k].duration_s for k in chosen) / 3600
            self.fittings.append(Fitting(X, split(groups), usual_rows(X), len(X) / hours, rows))

    def _half(self, seed: int) -> NDArray[np.int64]:
        """Return a random half of the segments of Z and of O."""
        rng = np.random.default_rng(seed)
        halves = []
        for name in "ZO":
            own = np.flatnonzero(self.classes == name)
            halves.append(rng.permutation(own)[: len(own) // 2])
        return np.sort(np.concatenate(halves))

    def judge(self, seed: int, result: Result) -> dict[str, Any]:
        """Return how well seizure windows and segments rank above the others."""
        segment = self.tested[seed]
        of_window = ranking(result.scores, self.classes[segment] == "S")
        known = np.unique(segment)
        means = np.array([result.scores[segment == k].mean() for k in known])
        positive = self.classes[known] == "S"
        of_segment = ranking(means, positive)
        figures = {
            "segment_auroc": of_segment["auroc"],
            "segment_ap": of_segment["average_precision"],
            "window_auroc": of_window["auroc"],
            "window_ap": of_window["average_precision"],
            "n_segments_not_scored": self.n_unscored[seed],
        }
        for other in "ZONF":
            two = positive | (self.classes[known] == other)
            figures[f"segment_auroc_against_{other}"] = ranking(means[two], positive[two])["auroc"]
        return figures


def table_of(
    results: dict[str, list[Result]], judge: Callable[[int, Result], dict[str, Any]]
) -> dict[str, Any]:
    """Return the figures of every method: mean over seeds, and each seed."""
    rows = {
        name: [{"seed": seed, **judge(seed, r), **r.facts} for seed, r in enumerate(each)]
        for name, each in results.items()
    }
    means = {
        name: {k: float(np.mean([row[k] for row in each])) for k in each[0] if k != "seed"}
        for name, each in rows.items()
    }
    return {"summary": means, "rows": rows}


def main() -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"))
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=("absence", "bonn"), help="run one part alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = Path(arguments.data) if arguments.data else None
    source = next(data.rglob(ABSENCE), None) if data else None
    bonn = next(data.rglob("E_S"), None) if data else None
    if source is None or bonn is None:
        print(
            "no data: pass --data FOLDER (or set RAREWAVE_DATA) with the recording of eeghdf and "
            "the segments of Bonn",
            file=sys.stderr,
        )
        return 1
    result: dict[str, Any] = {
        "protocol": __doc__,
        "versions": versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread used",
        "n_seeds": arguments.seeds,
    }
    if arguments.json and arguments.json.is_file() and arguments.only:
        result = json.loads(arguments.json.read_text()) | result
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only != "bonn":
            absence = Absence(source, Path(folder))
            found = everyone([absence.fitting] * arguments.seeds)
            result["absence"] = {
                **absence.about(),
                "product": absence.whole_product(arguments.seeds),
                **table_of(found, lambda seed, r: absence.judge(r.scores, r.threshold)),
            }
        if arguments.only != "absence":
            segments = Bonn(bonn.parent, Path(folder), arguments.seeds)
            result["bonn"] = table_of(everyone(segments.fittings), segments.judge)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: result[k]["summary"] for k in ("absence", "bonn") if k in result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
