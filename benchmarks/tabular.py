"""Detection on tabular sets: the default estimator beside its peers, in one run.

Protocol: half of the normal rows train (at most 6,000), the other half and all anomalies test
(at most 6,000 and 6,000), columns standardised on the training rows, every method at its default,
several seeds. A set is an ``.npz`` file with ``X`` (rows, columns) and ``y`` (1 for an anomaly),
as ADBench publishes them.

    python benchmarks/tabular.py --data FOLDER --json OUT.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import sklearn
import torch
from numpy.typing import NDArray
from sklearn.covariance import EmpiricalCovariance
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

import flowcore
from flowcore import FlowDensityEstimator

Floats = NDArray[np.float64]
Scorer = Callable[[Floats], Floats]
Method = Callable[[Floats, int], Scorer]
CAP = 6000


def ours(train: Floats, seed: int) -> Scorer:
    """The estimator as anybody gets it."""
    model = FlowDensityEstimator(random_state=seed).fit(train)
    return model.anomaly_score


def knn(train: Floats, seed: int) -> Scorer:
    """Distance to the fifth nearest training row."""
    del seed
    index = NearestNeighbors(n_neighbors=min(5, len(train))).fit(train)
    return lambda rows: index.kneighbors(rows)[0][:, -1]


def lof(train: Floats, seed: int) -> Scorer:
    """Local outlier factor, 20 neighbours."""
    del seed
    model = LocalOutlierFactor(n_neighbors=min(20, len(train) - 1), novelty=True).fit(train)
    return lambda rows: -model.score_samples(rows)


def mahalanobis(train: Floats, seed: int) -> Scorer:
    """Distance under the covariance of the training rows (pseudo-inverse)."""
    del seed
    return EmpiricalCovariance().fit(train).mahalanobis


def gmm(train: Floats, seed: int) -> Scorer:
    """Gaussian mixture of four components."""
    n = max(1, min(4, len(train) // 10))
    model = GaussianMixture(n, reg_covar=1e-3, random_state=seed).fit(train)
    return lambda rows: -model.score_samples(rows)


def isolation_forest(train: Floats, seed: int) -> Scorer:
    """Isolation forest, 100 trees."""
    model = IsolationForest(random_state=seed).fit(train)
    return lambda rows: -model.score_samples(rows)


def ocsvm(train: Floats, seed: int) -> Scorer:
    """One-class support vector machine, radial kernel."""
    del seed
    model = OneClassSVM().fit(train)
    return lambda rows: -model.score_samples(rows)


class Chance:
    """Random scores: the floor."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed + 10_000)

    def __call__(self, rows: Floats) -> Floats:
        """Return one random number a row."""
        return self.generator.random(len(rows))


METHODS: dict[str, Method] = {
    "flowcore": ours,
    "knn5": knn,
    "lof": lof,
    "mahalanobis": mahalanobis,
    "gmm": gmm,
    "isolation_forest": isolation_forest,
    "ocsvm": ocsvm,
    "random": lambda train, seed: Chance(seed),
}


def split(path: Path, seed: int) -> tuple[Floats, Floats, NDArray[np.int_]]:
    """Return standardised training rows, test rows and test labels of one set."""
    with np.load(path) as archive:
        X, y = archive["X"].astype(np.float64), archive["y"].reshape(-1).astype(int)
    generator = np.random.default_rng(seed)
    normal = generator.permutation(np.flatnonzero(y == 0))
    odd = generator.permutation(np.flatnonzero(y == 1))[:CAP]
    half = len(normal) // 2
    train, rest = X[normal[:half][:CAP]], normal[half:][:CAP]
    center, scale = train.mean(0), train.std(0)
    scale[scale == 0] = 1.0
    test = np.concatenate([X[rest], X[odd]])
    labels = np.concatenate([np.zeros(len(rest), int), np.ones(len(odd), int)])
    return (train - center) / scale, (test - center) / scale, labels


def measure(method: Method, train: Floats, test: Floats, labels: Any, seed: int) -> dict[str, Any]:
    """Fit, score and time one method."""
    started = time.process_time()  # other jobs on the machine do not count
    score = method(train, seed)
    fitted = time.process_time()
    scores = score(test)
    scored = time.process_time()
    if not np.isfinite(scores).all():
        raise ValueError("scores are not finite")
    return {
        "auroc": round(float(roc_auc_score(labels, scores)), 5),
        "ap": round(float(average_precision_score(labels, scores)), 5),
        "fit_cpu_s": round(fitted - started, 3),
        "score_cpu_s": round(scored - fitted, 3),
    }


def rows_of(paths: list[Path], seeds: int, names: list[str]) -> Iterator[dict[str, Any]]:
    """Measure every method on every set and seed."""
    for path in paths:
        for seed in range(seeds):
            train, test, labels = split(path, seed)
            for name in names:
                result = measure(METHODS[name], train, test, labels, seed)
                shape = {"n_train": len(train), "n_test": len(test), "d": train.shape[1]}
                yield {"set": path.stem, "seed": seed, "method": name, **shape, **result}
                print(path.stem, seed, name, result, file=sys.stderr, flush=True)


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Means over sets (each the mean over its seeds), worst fit, wins over kNN."""
    names = list(dict.fromkeys(r["method"] for r in rows))
    sets = list(dict.fromkeys(r["set"] for r in rows))

    def mean(method: str, data: str, what: str) -> float:
        return float(np.mean([r[what] for r in rows if (r["method"], r["set"]) == (method, data)]))

    table = {}
    for name in names:
        auroc = [mean(name, data, "auroc") for data in sets]
        table[name] = {
            "auroc": round(float(np.mean(auroc)), 4),
            "median_auroc": round(float(np.median(auroc)), 4),
            "ap": round(float(np.mean([mean(name, data, "ap") for data in sets])), 4),
            "fit_cpu_s": round(float(np.mean([mean(name, data, "fit_cpu_s") for data in sets])), 2),
            "longest_fit_cpu_s": max(r["fit_cpu_s"] for r in rows if r["method"] == name),
            "score_cpu_s": round(
                float(np.mean([mean(name, data, "score_cpu_s") for data in sets])), 3
            ),
        }
        if "knn5" in names:
            ahead = [a > mean("knn5", data, "auroc") for a, data in zip(auroc, sets, strict=True)]
            table[name]["sets_ahead_of_knn5"] = sum(ahead)
    return table


def environment() -> dict[str, Any]:
    """Where and with what the figures were measured."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "sklearn": sklearn.__version__,
        "flowcore": flowcore.__version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")


def main() -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"), help="folder of .npz")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sets", nargs="*", help="parts of file names; all by default")
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), default=list(METHODS))
    arguments = parser.parse_args()
    paths = sorted(Path(arguments.data).rglob("*.npz")) if arguments.data else []
    if arguments.sets:
        paths = [p for p in paths if any(part in p.stem for part in arguments.sets)]
    if not paths:
        print(
            "no data: pass --data FOLDER or set RAREWAVE_DATA to a folder that holds ADBench's "
            "classical sets as .npz files",
            file=sys.stderr,
        )
        return 1
    torch.set_num_threads(arguments.threads)
    rows = list(rows_of(paths, arguments.seeds, arguments.methods))
    table = summary(rows)
    print(json.dumps(table, indent=2))
    if arguments.json:
        result = {"environment": environment(), "seeds": arguments.seeds, "summary": table}
        arguments.json.write_text(json.dumps({**result, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
