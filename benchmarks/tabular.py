"""Detection on tabular sets: the default estimator beside its peers, in one run.

Protocol: half of the normal rows train (at most 6,000), the other half and all anomalies test
(at most 6,000 and 6,000), columns standardised on the training rows, every method at its default,
several seeds. A set is an ``.npz`` file with ``X`` (rows, columns) and ``y`` (1 for an anomaly),
as ADBench publishes them.

    python benchmarks/tabular.py --data FOLDER --json OUT.json

With ``--rows FOLDER`` each figure is written as it comes, a file a method, and figures that are
there already are not measured again: a run can be broken off and taken up, and methods can run
side by side. Memory is the peak while fitting and scoring above what was there (peak_memory.py).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import sklearn
import torch
from numpy.typing import NDArray
from peak_memory import PeakMemory
from sklearn.metrics import average_precision_score, roc_auc_score
from tabular_methods import Floats, Method, knn, methods

import flowcore

__all__ = ["Floats", "environment", "knn", "split"]  # for tabular_parts.py
CAP = 6000
CHOSEN_ON = frozenset(
    {"12_fault", "14_glass", "15_Hepatitis", "18_Ionosphere", "19_landsat", "1_ALOI", "20_letter"}
    | {"22_magic.gamma", "26_optdigits", "27_PageBlocks", "29_Pima", "2_annthyroid"}
    | {"35_SpamBase", "37_Stamps", "41_Waveform", "44_Wilt", "46_WPBC", "6_cardio"}
)
"""Sets that were looked at while the blend of the default score was chosen (decision 0001)."""
Rows = list[dict[str, Any]]
WARM_UP = 200
"""Rows of noise that every method is run on first: loading libraries is not its time or memory."""


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


def is_set(path: Path) -> bool:
    """Tell a table with labels from other archives that lie in the same folder."""
    with np.load(path) as archive:
        return {"X", "y"} <= set(archive.files)


def measure(method: Method, train: Floats, test: Floats, labels: Any, seed: int) -> dict[str, Any]:
    """Fit, score, time and weigh one method."""
    with PeakMemory() as memory:
        started = time.process_time()  # other jobs on the machine do not count
        score = method(train, seed)
        fitted = time.process_time()
        scores = score(test)
        scored = time.process_time()
    usable = bool(np.isfinite(scores).all())
    return {
        "auroc": round(float(roc_auc_score(labels, scores)), 5) if usable else None,
        "ap": round(float(average_precision_score(labels, scores)), 5) if usable else None,
        "failed": None if usable else "scores are not finite",
        "fit_cpu_s": round(fitted - started, 3),
        "score_cpu_s": round(scored - fitted, 3),
        "peak_mb": memory.mb,
    }


def warm_up(names: list[str]) -> None:
    """Run every method once on noise."""
    rows = np.random.default_rng(0).normal(size=(WARM_UP, 4))
    labels = np.arange(WARM_UP) % 2
    for name in names:
        measure(methods()[name], rows, rows, labels, 0)


def run(paths: list[Path], seeds: list[int], names: list[str], folder: Path | None) -> Rows:
    """Return a row a set, seed and method: those in the folder, and the others measured."""
    rows = [] if folder is None else stored(folder)
    known = {(row["set"], row["seed"], row["method"]) for row in rows}
    warm_up(names)
    for seed in seeds:
        for path in paths:
            missing = [name for name in names if (path.stem, seed, name) not in known]
            if not missing:
                continue
            train, test, labels = split(path, seed)
            shape = {"n_train": len(train), "n_test": len(test), "d": train.shape[1]}
            for name in missing:
                result = measure(methods()[name], train, test, labels, seed)
                row = {"set": path.stem, "seed": seed, "method": name, **shape, **result}
                row |= {"commit": commit()} if name == "flowcore" else {}
                rows.append(row)
                print(path.stem, seed, name, result, file=sys.stderr, flush=True)
                if folder is not None:
                    with (folder / f"{name}.jsonl").open("a") as file:
                        file.write(json.dumps(row) + "\n")
    wanted = {(path.stem, seed) for path in paths for seed in seeds}
    return [row for row in rows if (row["set"], row["seed"]) in wanted]


def stored(folder: Path) -> Rows:
    """Return what earlier calls left in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [line for f in sorted(folder.glob("*.jsonl")) for line in f.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def summary(rows: Rows) -> dict[str, dict[str, Any]]:
    """Means over sets (each the mean over its seeds), worst fit, wins over kNN.

    A method is summed up over the sets it was run on; `n_sets` and `n_runs` say how many, and
    `n_failed` how many runs gave no score that could be ranked: those are left out of the means.
    """
    order = list(methods())
    names = sorted({row["method"] for row in rows}, key=order.index)
    table: dict[str, dict[str, Any]] = {}
    peer = _by_set([row for row in rows if row["method"] == "knn5"], "auroc")
    for name in names:
        own = [row for row in rows if row["method"] == name]
        auroc = _by_set(own, "auroc")
        peaks = [row["peak_mb"] for row in own if row["peak_mb"] is not None]
        table[name] = {
            "n_sets": len(auroc),
            "n_runs": len(own),
            "n_failed": sum(row["auroc"] is None for row in own),
            "auroc": round(float(np.mean(list(auroc.values()))), 4),
            "median_auroc": round(float(np.median(list(auroc.values()))), 4),
            "auroc_chosen_on": _mean_of([v for k, v in auroc.items() if k in CHOSEN_ON]),
            "auroc_others": _mean_of([v for k, v in auroc.items() if k not in CHOSEN_ON]),
            "ap": round(float(np.mean(list(_by_set(own, "ap").values()))), 4),
            "fit_cpu_s": round(float(np.mean(list(_by_set(own, "fit_cpu_s").values()))), 2),
            "longest_fit_cpu_s": max(row["fit_cpu_s"] for row in own),
            "score_cpu_s": round(float(np.mean(list(_by_set(own, "score_cpu_s").values()))), 3),
            "peak_mb": round(float(np.mean(peaks)), 1) if peaks else None,
            "largest_peak_mb": max(peaks) if peaks else None,
        }
        if peer:
            ahead = [value > peer[data] for data, value in auroc.items() if data in peer]
            table[name]["sets_ahead_of_knn5"] = sum(ahead)
    return table


def lead(rows: Rows, peer: str = "knn5") -> dict[str, Any]:
    """Return by how much the default leads a peer in AUROC over sets, with 95 % intervals."""
    ours, theirs = (
        _by_set([row for row in rows if row["method"] == m], "auroc") for m in ("flowcore", peer)
    )
    gain = {name: ours[name] - theirs[name] for name in ours if name in theirs}
    top = max(gain, key=lambda name: gain[name])
    generator = np.random.default_rng(0)

    def over(names: list[str]) -> dict[str, Any]:
        values = np.array([gain[name] for name in names])
        drawn = values[generator.integers(len(values), size=(10_000, len(values)))].mean(axis=1)
        ends = [round(float(end), 4) for end in np.quantile(drawn, [0.025, 0.975])]
        return {"n_sets": len(values), "mean": round(float(values.mean()), 4), "interval": ends}

    return {
        "peer": peer,
        "all": over(list(gain)),
        "largest": {"set": top, "gain": round(gain[top], 4)},
        "without_the_largest": over([name for name in gain if name != top]),
        "sets_not_chosen_on": over([name for name in gain if name not in CHOSEN_ON]),
    }


def _mean_of(values: list[float]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None


def _by_set(rows: Rows, what: str) -> dict[str, float]:
    """Return the mean over seeds for each set."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row[what] is not None:
            values.setdefault(row["set"], []).append(row[what])
    return {name: float(np.mean(found)) for name, found in values.items()}


def commit() -> str | None:
    """Return the commit that last changed flowcore, where git is there to tell."""
    command = ["git", "log", "-1", "--format=%h", "--", str(Path(flowcore.__file__).parent)]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


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
    parser.add_argument("--rows", type=Path, help="folder of figures to take up and add to")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sets", nargs="*", help="parts of file names; all by default")
    parser.add_argument("--methods", nargs="*", choices=list(methods()), default=list(methods()))
    arguments = parser.parse_args()
    paths = sorted(Path(arguments.data).rglob("*.npz")) if arguments.data else []
    paths = [path for path in paths if is_set(path)]
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
    rows = run(paths, list(range(arguments.seeds)), arguments.methods, arguments.rows)
    table = summary(rows)
    print(json.dumps(table, indent=2))
    if arguments.json:
        result = {"environment": environment(), "seeds": arguments.seeds, "summary": table}
        if {"flowcore", "knn5"} <= set(table):
            result["lead"] = lead(rows)
        arguments.json.write_text(json.dumps({**result, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
