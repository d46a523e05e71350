"""MIT-BIH DS1, two folds by patient: flow and peers on the same features.

Fitted on beats annotated N of the training patients (at most 6,000); scored on the other patients
after their first five minutes; classes S, V and F against N, class Q left out. Five settings: the
population alone; the normal beats of the first five minutes, of the first minute, or the first 30
normal beats, confirmed as baseline; the whole first five minutes as baseline, unlooked at. A record
with fewer than 30 such beats is scored with the population alone (207 in its first minute). Nothing
is chosen on test labels here, but features and score were developed on these records: other
patients will be harder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ecg_peers import Fit, Scorer, peers
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from flowcore import FlowDensityEstimator
from pipelines.baseline import FEWEST_BASELINE_WINDOWS, typical_row
from pipelines.config import Settings, settings_for
from pipelines.label_rules import aami_class
from pipelines.provenance import versions
from pipelines.readers import read_recording
from pipelines.signals.extraction import extract, feature_matrix

Floats = NDArray[np.float64]
Known = set[tuple[str, str]]
FOLDS = (
    ["101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122"],
    ["124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230"],
)
LEARNING_S, MINUTE_S, MOST_ROWS, TOLERANCE_S = 300.0, 60.0, 6000, 0.15
SETTINGS = ("population", "confirmed", "confirmed_minute", "confirmed_30_beats", "unconfirmed")


class Record:
    """Windows of one record, their labels, and their features under each setting."""

    def __init__(self, path: Path) -> None:
        recording = read_recording(path)
        self.windows = extract(recording, "ecg")
        beats = [(a.onset, aami_class(a.description)) for a in recording.annotations if a.is_beat]
        times = np.array([onset for onset, _ in beats])
        center = self.windows.center_s
        after = np.clip(np.searchsorted(times, center), 1, len(times) - 1)
        nearest = np.where(center - times[after - 1] < times[after] - center, after - 1, after)
        near = np.abs(times[nearest] - center) <= TOLERANCE_S
        self.label = np.where(near, np.array([c for _, c in beats])[nearest], "?")
        self.n_missed = len(beats) - len(np.unique(nearest[near]))
        self.ok = self.windows.scorable
        start = self.ok & (center < LEARNING_S)
        self.normal = self.ok & (self.label == "N")
        first = np.zeros(len(center), dtype=bool)
        first[np.flatnonzero(self.normal)[:FEWEST_BASELINE_WINDOWS]] = True
        self.baseline = {
            "confirmed": start & self.normal,
            "confirmed_minute": start & self.normal & (center < MINUTE_S),
            "confirmed_30_beats": first,
            "unconfirmed": start,
        }

    def features(self, setting: str, center: Floats | None = None) -> Floats:
        """Return the feature rows; relative to the record's own baseline where there is one."""
        usual = self.baseline.get(setting)
        if usual is None or center is None or usual.sum() < FEWEST_BASELINE_WINDOWS:
            return feature_matrix(self.windows, "ecg")
        X = feature_matrix(self.windows, "ecg", usual)
        return X + (center - typical_row(X[usual]))


def flow(X: Floats, groups: NDArray[np.int64], seed: int) -> Scorer:
    """Fit the estimator as an ECG model has it, whole patients held out for stopping."""
    settings = settings_for(Settings(), "ecg", by_patient=True).flow.model_dump()
    return FlowDensityEstimator(**settings, random_state=seed).fit(X, groups=groups).anomaly_score


def methods() -> dict[str, Fit]:
    """Return ours and every peer."""
    return {"flow": flow, **peers()}


def run_fold(
    train: Sequence[Record], test: Sequence[Record], seed: int, known: Known
) -> list[dict[str, Any]]:
    """Fit every method once and score the test patients under each setting not known."""
    rows = [record.features("population")[record.normal] for record in train]
    X = np.concatenate(rows)
    groups = np.concatenate([np.full(len(part), k) for k, part in enumerate(rows)])
    center = X.mean(axis=0)
    chosen = np.random.default_rng(seed).permutation(len(X))[:MOST_ROWS]
    mean, sd = X[chosen].mean(axis=0), X[chosen].std(axis=0)
    results = []
    tests = {setting: [record.features(setting, center) for record in test] for setting in SETTINGS}
    for name, fit in methods().items():
        missing = [setting for setting in SETTINGS if (name, setting) not in known]
        if not missing:
            continue
        start = time.process_time()
        score = fit((X[chosen] - mean) / sd, groups[chosen], seed)
        fit_s = time.process_time() - start
        for setting in missing:
            figures = judge(
                test, [score((part - mean) / sd) for part in map(_filled, tests[setting])]
            )
            results.append({"method": name, "setting": setting, "fit_cpu_s": fit_s, **figures})
    return results


def run_task(
    paths: Sequence[Sequence[Path]], seed: int, test: int, stored: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], int]:
    """Run one direction with one seed; return its rows and the labelled beats not detected."""
    torch.set_num_threads(1)
    records = [[Record(path) for path in fold] for fold in paths]
    kept = [row for row in stored if (row["seed"], row["test_fold"]) == (seed, test)]
    known = {(row["method"], row["setting"]) for row in kept}
    found = run_fold(records[1 - test], records[test], seed, known)
    rows = kept + [{"seed": seed, "test_fold": test, **row} for row in found]
    return rows, sum(record.n_missed for fold in records for record in fold)


def _filled(X: Floats) -> Floats:
    return np.nan_to_num(X)  # rows that are not scorable are left out of every figure


def judge(test: Sequence[Record], scores: Sequence[Floats]) -> dict[str, Any]:
    """Return the protocol's figures over all test beats after the learning period."""
    y, s, who = [], [], []
    for k, (record, score) in enumerate(zip(test, scores, strict=True)):
        counted = record.ok & np.isin(record.label, list("NSVF"))
        counted &= record.windows.center_s >= LEARNING_S
        y.append(record.label[counted] != "N")
        s.append(score[counted])
        who.append(np.full(counted.sum(), k))
    truth, values, group = map(np.concatenate, (y, s, who))
    per = [
        roc_auc_score(truth[group == k], values[group == k])
        for k in np.unique(group)
        if 0 < truth[group == k].sum() < (group == k).sum()
    ]
    limit = np.quantile(values[~truth], 0.95)
    return {
        "auroc": roc_auc_score(truth, values),
        "ap": average_precision_score(truth, values),
        "per_record_auroc": float(np.mean(per)),
        "sensitivity_at_5_percent": float((values[truth] > limit).mean()),
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the mean of each figure over folds and seeds, by setting and method."""
    keys = ("auroc", "ap", "per_record_auroc", "sensitivity_at_5_percent", "fit_cpu_s")
    return {
        setting: {
            name: {
                key: round(
                    float(
                        np.mean(
                            [
                                row[key]
                                for row in rows
                                if row["setting"] == setting and row["method"] == name
                            ]
                        )
                    ),
                    4,
                )
                for key in keys
            }
            for name in {row["method"]: None for row in rows}
        }
        for setting in SETTINGS
    }


def main() -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"))
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="figures of an earlier run on the same features")
    parser.add_argument("--again", nargs="*", default=["flow"], help="methods not kept from it")
    parser.add_argument("--workers", type=int, default=1, help="processes, one thread each")
    arguments = parser.parse_args()
    found = {p.stem: p for p in Path(arguments.data).rglob("*.hea")} if arguments.data else {}
    if not all(name in found for fold in FOLDS for name in fold):
        print(
            "no data: pass --data FOLDER (or set RAREWAVE_DATA) with the MIT-BIH records of DS1",
            file=sys.stderr,
        )
        return 1
    paths = [[found[name] for name in fold] for fold in FOLDS]
    stored = [
        row
        for row in (json.loads(arguments.keep.read_text())["rows"] if arguments.keep else [])
        if row["method"] not in arguments.again
    ]
    tasks = [(paths, seed, test, stored) for seed in range(arguments.seeds) for test in (1, 0)]
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(arguments.workers) as pool:
        for part, n_missed in pool.map(run_task, *zip(*tasks, strict=True)):
            rows += part
            result = report(rows, n_missed)
            if arguments.json:
                arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["summary"], indent=1))
    return 0


def report(rows: Sequence[dict[str, Any]], n_missed: int) -> dict[str, Any]:
    """Return everything that is stored."""
    return {
        "protocol": __doc__,
        "versions": versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread used",
        "n_seeds": len({row["seed"] for row in rows}),
        "n_beats_not_detected": n_missed,
        "summary": summary(rows),
        "rows": list(rows),
    }


if __name__ == "__main__":
    sys.exit(main())
