"""MIT-BIH DS1, two folds by patient: flow and peers on the same features.

Fitted on beats annotated N of the training patients (at most 6,000); scored on the other patients
after their first five minutes; classes S, V and F against N, class Q left out. Three settings: the
population alone; the normal beats of the first five minutes confirmed as baseline; the whole first
five minutes as baseline, unlooked at. Nothing is chosen on test labels here, but the features were
developed on these records: other patients will be harder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

from flowcore import FlowDensityEstimator
from pipelines.baseline import typical_row
from pipelines.extraction import extract, feature_matrix
from pipelines.label_rules import aami_class
from pipelines.provenance import versions
from pipelines.readers import read_recording

Floats = NDArray[np.float64]
FOLDS = (
    ["101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122"],
    ["124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230"],
)
LEARNING_S, MOST_ROWS, TOLERANCE_S = 300.0, 6000, 0.15
SETTINGS = ("population", "confirmed", "unconfirmed")


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
        self.baseline = {"confirmed": start & self.normal, "unconfirmed": start}

    def features(self, setting: str, center: Floats | None = None) -> Floats:
        """Return the feature rows; relative to the record's own baseline where there is one."""
        usual = self.baseline.get(setting)
        if usual is None or center is None or usual.sum() < 30:
            return feature_matrix(self.windows, "ecg")
        X = feature_matrix(self.windows, "ecg", usual)
        return X + (center - typical_row(X[usual]))


Scorer = Callable[[Floats], Floats]


def flow(X: Floats, groups: NDArray[np.int64], seed: int) -> Scorer:
    """Fit the default estimator, whole patients held out for stopping."""
    return FlowDensityEstimator(random_state=seed).fit(X, groups=groups).anomaly_score


def peers() -> dict[str, Callable[[Floats, NDArray[np.int64], int], Scorer]]:
    """Return every peer as ``fit(X, groups, seed) -> score``, X standardised."""

    def knn(X: Floats, groups: NDArray[np.int64], seed: int) -> Scorer:
        tree = NearestNeighbors(n_neighbors=5).fit(X)
        return lambda rows: tree.kneighbors(rows)[0].mean(axis=1)

    def sklearn(make: Callable[[int], Any]) -> Callable[..., Scorer]:
        def fit(X: Floats, groups: NDArray[np.int64], seed: int) -> Scorer:
            model = make(seed).fit(X)
            return lambda rows: -model.score_samples(rows)

        return fit

    def mahalanobis(X: Floats, groups: NDArray[np.int64], seed: int) -> Scorer:
        return LedoitWolf().fit(X).mahalanobis

    return {
        "flow": flow,
        "knn5": knn,
        "lof": sklearn(lambda seed: LocalOutlierFactor(novelty=True)),
        "mahalanobis": mahalanobis,
        "gmm": sklearn(lambda seed: GaussianMixture(8, reg_covar=1e-3, random_state=seed)),
        "isolation_forest": sklearn(lambda seed: IsolationForest(random_state=seed)),
        "ocsvm": sklearn(lambda seed: OneClassSVM(nu=0.05)),
        "norm": lambda X, groups, seed: lambda rows: np.linalg.norm(rows, axis=1),
        "random": lambda X, groups, seed: (
            lambda rows: np.random.default_rng(seed).random(len(rows))
        ),
    }


def run_fold(train: Sequence[Record], test: Sequence[Record], seed: int) -> list[dict[str, Any]]:
    """Fit every method once and score the test patients under each setting."""
    rows = [record.features("population")[record.normal] for record in train]
    X = np.concatenate(rows)
    groups = np.concatenate([np.full(len(part), k) for k, part in enumerate(rows)])
    center = X.mean(axis=0)
    chosen = np.random.default_rng(seed).permutation(len(X))[:MOST_ROWS]
    mean, sd = X[chosen].mean(axis=0), X[chosen].std(axis=0)
    results = []
    tests = {setting: [record.features(setting, center) for record in test] for setting in SETTINGS}
    for name, fit in peers().items():
        start = time.process_time()
        score = fit((X[chosen] - mean) / sd, groups[chosen], seed)
        fit_s = time.process_time() - start
        for setting in SETTINGS:
            figures = judge(
                test, [score((part - mean) / sd) for part in map(_filled, tests[setting])]
            )
            results.append({"method": name, "setting": setting, "fit_cpu_s": fit_s, **figures})
    return results


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
            for name in peers()
        }
        for setting in SETTINGS
    }


def main() -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"))
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    found = {p.stem: p for p in Path(arguments.data).rglob("*.hea")} if arguments.data else {}
    if not all(name in found for fold in FOLDS for name in fold):
        print(
            "no data: pass --data FOLDER (or set RAREWAVE_DATA) with the MIT-BIH records of DS1",
            file=sys.stderr,
        )
        return 1
    torch.set_num_threads(1)
    records = [[Record(found[name]) for name in fold] for fold in FOLDS]
    rows = []
    for seed in range(arguments.seeds):
        for train, test in ((0, 1), (1, 0)):
            found_rows = run_fold(records[train], records[test], seed)
            rows += [{"seed": seed, "test_fold": test, **row} for row in found_rows]
    result = {
        "protocol": __doc__,
        "versions": versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread used",
        "n_beats_not_detected": sum(record.n_missed for fold in records for record in fold),
        "summary": summary(rows),
        "rows": rows,
    }
    print(json.dumps(result["summary"], indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
