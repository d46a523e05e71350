"""The leaderboard says what it needs, takes up what is measured, and drops no failed run unsaid."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def test_without_data_it_says_so_before_it_installs_anything():
    own = ("RAREWAVE_DATA", "MAKEFLAGS", "MAKELEVEL")  # `make test` sets the others
    environment = {k: v for k, v in os.environ.items() if k not in own}
    done = subprocess.run(
        ["make", "leaderboard"], cwd=ROOT, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 2
    assert done.stdout.startswith("no data: set RAREWAVE_DATA to the folder that holds ")


@pytest.fixture(scope="module")
def tabular():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec = importlib.util.spec_from_file_location("tabular", ROOT / "benchmarks/tabular.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def test_a_run_is_taken_up_and_a_row_that_is_there_is_not_measured_again(tabular, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "small.npz"
    np.savez(
        path, X=rng.normal(size=(60, 3)) + (np.arange(60) >= 50)[:, None] * 4, y=np.arange(60) >= 50
    )
    rows = tabular.run([path], [0], ["knn5"], tmp_path / "rows")
    assert rows[0]["auroc"] > 0.9
    marked = {**rows[0], "auroc": 0.125}
    (tmp_path / "rows/knn5.jsonl").write_text(json.dumps(marked) + "\n")
    again = tabular.run([path], [0, 1], ["knn5", "norm"], tmp_path / "rows")
    assert [(r["method"], r["seed"]) for r in again] == [
        ("knn5", 0), ("norm", 0), ("knn5", 1), ("norm", 1)
    ]  # fmt: skip
    assert again[0]["auroc"] == 0.125


def test_a_failed_run_is_counted(tabular):
    row = {"set": "a", "seed": 0, "method": "knn5", "auroc": 0.5, "ap": 0.5, "fit_cpu_s": 1.0,
           "score_cpu_s": 1.0, "peak_mb": 2.0}  # fmt: skip
    found = tabular.summary([row, {**row, "seed": 1, "auroc": None, "ap": None}])["knn5"]
    assert (found["n_runs"], found["n_failed"], found["auroc"]) == (2, 1, 0.5)


def test_the_table_of_decision_1_is_the_benchmark_s():
    text = (ROOT / "docs/decisions/0001-default-anomaly-score.md").read_text("utf-8")
    summary = json.loads((ROOT / "benchmarks/results/tabular.json").read_text())["summary"]
    for name, row in summary.items():
        keys = ("auroc", "auroc_chosen_on", "auroc_others", "ap")
        cells = " | ".join(f"{row[key]:.4f}" for key in keys)
        assert f"| {name} | {cells} | {row['sets_ahead_of_knn5']} |" in text
