"""What each method of the ECG benchmark takes in memory: one fit and its rows scored, one seed.

The features, rows and methods of ``ecg_interpatient.py``, population setting, first direction;
peak above what the process held before (peak_memory.py), after a first small fit that loads libraries.

    python benchmarks/ecg_memory.py --data FOLDER --json OUT.json
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
from ecg_interpatient import FOLDS, MOST_ROWS, Record, methods
from peak_memory import PeakMemory

from pipelines.provenance import versions


def main() -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = {p.stem: p for p in Path(arguments.data).rglob("*.hea")} if arguments.data else {}
    if not all(name in found for fold in FOLDS for name in fold):
        print(
            "no data: pass --data FOLDER (or set RAREWAVE_DATA) with the MIT-BIH records of DS1",
            file=sys.stderr,
        )
        return 1
    torch.set_num_threads(1)
    rows = []
    for name in FOLDS[0]:
        record = Record(found[name])
        rows.append(record.features("population")[record.normal])
    X = np.concatenate(rows)
    groups = np.concatenate([np.full(len(part), k) for k, part in enumerate(rows)])
    chosen = np.random.default_rng(0).permutation(len(X))[:MOST_ROWS]
    X, groups = (X[chosen] - X[chosen].mean(axis=0)) / X[chosen].std(axis=0), groups[chosen]
    peaks: dict[str, Any] = {}
    for name, fit in methods().items():
        fit(X[:300], groups[:300], 0)(X[:300])
        with PeakMemory() as memory:
            fit(X, groups, 0)(X)
        peaks[name] = memory.mb
        print(name, memory.mb, file=sys.stderr, flush=True)
    result = {"protocol": __doc__, "versions": versions(), "n_rows": len(X), "peak_mb": peaks}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(peaks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
