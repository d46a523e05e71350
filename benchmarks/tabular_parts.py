"""What the default score is made of: each statistic alone, and other weights of the two parts.

Same sets and protocol as ``tabular.py``, one seed and at most 2,000 training rows by default.

    python benchmarks/tabular_parts.py --data FOLDER --json OUT.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from tabular import Floats, environment, knn, split

from flowcore import FlowDensityEstimator
from flowcore.statistics import DENSITY, NEIGHBOURS

MOST_TESTED = 6000
BLENDS = {"1:0": (1, 0), "2:1": (2, 1), "1:1": (1, 1), "1:2": (1, 2), "1:4": (1, 4), "0:1": (0, 1)}


def parts(train: Floats, test: Floats, labels: Any, seed: int) -> dict[str, float]:
    """Return the AUROC of every statistic and of blends of density and neighbours."""
    model = FlowDensityEstimator(random_state=seed).fit(train)
    table = model.statistics(test)
    scores = {f"statistic {name}": values for name, values in table.items()}
    columns = np.stack([table[DENSITY], table[NEIGHBOURS]], 1)
    scaled = (columns - model.scorer_.center.numpy()) / model.scorer_.scale.numpy()
    scores |= {f"density:neighbours {name}": scaled @ w for name, w in BLENDS.items()}
    scores["larger of the two"] = scaled.max(1)
    scores["default"] = model.anomaly_score(test)
    scores["peer knn5"] = knn(train, seed)(test)
    return {name: round(float(roc_auc_score(labels, s)), 5) for name, s in scores.items()}


def main() -> int:
    """Run the comparison from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"), help="folder of .npz")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cap", type=int, default=2000, help="most training rows")
    arguments = parser.parse_args()
    paths = sorted(Path(arguments.data).rglob("*.npz")) if arguments.data else []
    if not paths:
        print("no data: pass --data FOLDER or set RAREWAVE_DATA", file=sys.stderr)
        return 1
    torch.set_num_threads(1)
    rows = {}
    for path in paths:
        train, test, labels = split(path, arguments.seed)
        chosen = np.random.default_rng(arguments.seed).permutation(len(test))[:MOST_TESTED]
        rows[path.stem] = parts(
            train[: arguments.cap], test[chosen], labels[chosen], arguments.seed
        )
        print(path.stem, rows[path.stem], file=sys.stderr, flush=True)
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    mean = {n: round(float(np.mean([row[n] for row in rows.values()])), 4) for n in names}
    print(json.dumps(mean, indent=2))
    if arguments.json:
        result = {"environment": environment(), "cap": arguments.cap, "seed": arguments.seed}
        result |= {"mean_auroc": mean, "sets": rows}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
