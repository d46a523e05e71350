"""What was tried for the ranking of heartbeats, one change at a time (docs/decisions/0004).

Protocol of ``ecg_interpatient.py``, both directions, with the population alone and with five
confirmed minutes. The variants were compared on the labels of these records: the figures say which
was chosen and why, not how well it does on others.

    python benchmarks/ecg_variants.py --data FOLDER --json OUT.json
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ecg_interpatient import FOLDS, LEARNING_S, MOST_ROWS, Record, judge
from numpy.typing import NDArray

from flowcore import FlowDensityEstimator
from flowcore.neighbours import Neighbours
from flowcore.statistics import DENSITY, NEIGHBOURS
from pipelines.config import ECG_FLOW, ECG_PATIENTS_FLOW
from pipelines.provenance import versions

Floats = NDArray[np.float64]
Score = Callable[[Floats, Floats, bool], Floats]
"""Rows of one record, its usual rows (first five minutes), whether confirmed: scores."""
FLOWS: dict[str, dict[str, Any]] = {
    "neither": {"noise": 0.0, "soften": None},
    "noise only": {"soften": None},
    "softened only": {"noise": 0.0},
    "both (default)": {},
    "both, noise 0.5": {"noise": 0.5},
    "both, softened from 0.001": {"soften": 0.001},
}
SHRINK = 300
"""Beats that the population's spread counts as, beside those of a patient's baseline."""


class Fold:
    """Training rows of one direction, and the rows of each test record, all standardised."""

    def __init__(self, train: Sequence[Record], test: Sequence[Record], seed: int) -> None:
        rows = [record.features("population")[record.normal] for record in train]
        X, groups = np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        center = X.mean(axis=0)
        chosen = np.random.default_rng(seed).permutation(len(X))[:MOST_ROWS]
        mean, sd = X[chosen].mean(axis=0), X[chosen].std(axis=0)
        self.test, self.seed = test, seed
        self.X, self.groups = (X[chosen] - mean) / sd, groups[chosen]
        self.typical = (center - mean) / sd
        self.rows, self.usual = {}, {}
        for setting in ("population", "confirmed"):
            parts = [np.nan_to_num(record.features(setting, center)) for record in test]
            self.rows[setting] = [(part - mean) / sd for part in parts]
            self.usual[setting] = [
                part[record.baseline["confirmed"] if setting == "confirmed" else _start(record)]
                for part, record in zip(self.rows[setting], test, strict=True)
            ]

    def figures(self, score: Score) -> dict[str, dict[str, float]]:
        """Return the protocol's figures of a score under both settings."""
        return {
            setting: judge(
                self.test,
                [
                    score(rows, usual, setting == "confirmed")
                    for rows, usual in zip(parts, self.usual[setting], strict=True)
                ],
            )
            for setting, parts in self.rows.items()
        }


def _start(record: Record) -> NDArray[np.bool_]:
    start: NDArray[np.bool_] = record.ok & (record.windows.center_s < LEARNING_S)
    return start


def fitted(fold: Fold, **changed: Any) -> FlowDensityEstimator:
    """Fit the flow of an ECG model with some parameters changed."""
    parameters = ECG_FLOW | ECG_PATIENTS_FLOW | changed
    model = FlowDensityEstimator(**parameters, random_state=fold.seed)
    return model.fit(fold.X, groups=fold.groups)


def run_fold(fold: Fold) -> dict[str, dict[str, dict[str, float]]]:
    """Return the figures of every variant."""
    found = {}
    for name, changed in FLOWS.items():
        model = fitted(fold, **changed)
        found[name] = fold.figures(lambda rows, usual, confirmed, m=model: m.anomaly_score(rows))
        print(fold.seed, name, found[name], file=sys.stderr, flush=True)
        if name == "both (default)":
            default = model
    for name in (DENSITY, NEIGHBOURS):
        found[f"default, {name} alone"] = fold.figures(
            lambda rows, usual, confirmed, name=name: default.statistics(rows)[name]
        )
    found["default, scaled by the patient's spread"] = fold.figures(by_spread(fold, default))
    found["default, patient rows as references"] = fold.figures(with_references(default))
    found["conditional flow"] = fold.figures(conditional(fold))
    return found


def spread_of(rows: Floats) -> Floats:
    """Return the logarithm of the robust spread of each column."""
    low, high = np.quantile(rows, (0.16, 0.84), axis=0)
    spread: Floats = np.log((high - low) / 2 + 1e-3)
    return spread


def by_spread(fold: Fold, model: FlowDensityEstimator) -> Score:
    """Divide by the spread of the baseline over that of a usual patient, shrunk towards one."""
    usual_spread = np.mean(
        [spread_of(fold.X[fold.groups == g]) for g in np.unique(fold.groups)], axis=0
    )

    def score(rows: Floats, usual: Floats, confirmed: bool) -> Floats:
        if not confirmed:
            return model.anomaly_score(rows)
        share = len(usual) / (len(usual) + SHRINK)
        scale = np.exp(share * (spread_of(usual) - usual_spread)).clip(0.5, 2)
        return model.anomaly_score(fold.typical + (rows - fold.typical) / scale)

    return score


def with_references(model: FlowDensityEstimator) -> Score:
    """Let the rows of the baseline be neighbours too."""

    def score(rows: Floats, usual: Floats, confirmed: bool) -> Floats:
        if not confirmed:
            return model.anomaly_score(rows)
        own = copy.copy(model)
        own.scorer_ = copy.copy(model.scorer_)
        with torch.no_grad():
            added = model.chain_.columns(torch.from_numpy(usual))
        known = model.scorer_.reference.rows
        own.scorer_.reference = Neighbours(torch.cat([known, added.to(known)]))
        return own.anomaly_score(rows)

    return score


def conditional(fold: Fold) -> Score:
    """Fit a flow given the patient's spread of rhythm and of shape, and score given it."""

    def describe(rows: Floats) -> Floats:
        spread = spread_of(rows)
        return np.array([spread[:4].mean(), spread[5:].mean()])

    each = {g: describe(fold.X[fold.groups == g]) for g in np.unique(fold.groups)}
    context = np.stack([each[g] for g in fold.groups])
    model = FlowDensityEstimator(**(ECG_FLOW | ECG_PATIENTS_FLOW), random_state=fold.seed)
    model.fit(fold.X, context=context, groups=fold.groups)

    def score(rows: Floats, usual: Floats, confirmed: bool) -> Floats:
        return model.anomaly_score(rows, np.tile(describe(usual), (len(rows), 1)))

    return score


def main() -> int:
    """Run the comparison from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"))
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    found = {p.stem: p for p in Path(arguments.data).rglob("*.hea")} if arguments.data else {}
    if not all(name in found for fold in FOLDS for name in fold):
        print("no data: pass --data FOLDER with the MIT-BIH records of DS1", file=sys.stderr)
        return 1
    torch.set_num_threads(1)
    records = [[Record(found[name]) for name in names] for names in FOLDS]
    rows = []
    for seed in range(arguments.seeds):
        for test in (1, 0):
            fold = Fold(records[1 - test], records[test], seed)
            rows += [
                {"seed": seed, "test_fold": test, "variant": variant, **figures}
                for variant, figures in run_fold(fold).items()
            ]
            arguments.json.write_text(json.dumps(report(rows), indent=1) + "\n")
    return 0


def report(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return everything that is stored; the summary is the mean over seeds and directions."""
    summary = {
        variant: {
            setting: {
                key: round(
                    float(np.mean([r[setting][key] for r in rows if r["variant"] == variant])), 4
                )
                for key in ("auroc", "ap", "sensitivity_at_5_percent")
            }
            for setting in ("population", "confirmed")
        }
        for variant in {row["variant"]: None for row in rows}
    }
    n_seeds = len({row["seed"] for row in rows})
    return {
        "protocol": __doc__,
        "versions": versions(),
        "n_seeds": n_seeds,
        "summary": summary,
        "rows": list(rows),
    }


if __name__ == "__main__":
    sys.exit(main())
