"""Exact log-likelihood of one continuous flow: this library beside others, in one run.

Every method gets the same network (two tanh layers, same weights) and float32 rows; repetitions
alternate, so that ratios hold on a busy machine. Fixed grids have 8 Runge-Kutta steps; zuko
brings its own adaptive solver, and is marked. Error is against float64 dopri5 at 1e-8.

    PEERS/bin/python benchmarks/likelihood.py --json OUT.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from likelihood_methods import LOOSE, STEPS, make_field, methods, reference
from torch import Tensor

SQUARES = (256, 512, 1024, 2048)
Timing = dict[str, list[float]]
SLOW_S, SLOW_REPEATS = 2.5, 2


def processor() -> str:
    """Name the processor: the model in /proc/cpuinfo where there is one."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def peak_flops(tries: int = 20) -> float:
    """Best rate of a square float32 product over several sizes, operations per second."""
    best = 0.0
    for size in SQUARES:
        a, out = torch.randn(size, size), torch.empty(size, size)
        for _ in range(tries):
            start = time.perf_counter()
            torch.mm(a, a, out=out)
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def errors(run: Tensor, truth: Tensor) -> dict[str, float]:
    """Return the largest and the mean distance from the reference, nats."""
    off = (run.double() - truth).abs()
    return {"largest_error_nats": off.max().item(), "mean_error_nats": off.mean().item()}


def median_ratio(timing: Timing, name: str) -> float:
    """Return the median over repetitions of a method's time in units of this library's."""
    return statistics.median(a / b for a, b in zip(timing[name], timing["flowcore"], strict=False))


def compare(dim: int, hidden: int, batch: int, repeats: int) -> dict[str, Any]:
    """Time every method in turn, `repeats` times; the first call of each is not timed.

    A method that needs more than :data:`SLOW_S` a call is timed only as often as the result says.
    """
    field = make_field(dim, hidden)
    x = torch.randn(batch, dim, generator=torch.Generator().manual_seed(1))
    truth = reference(field, x)
    compared = methods(field)
    wall: Timing = {name: [] for name in compared}
    cpu: Timing = {name: [] for name in compared}
    error = {name: errors(method(x), truth) for name, method in compared.items()}
    for turn in range(repeats):
        for name, method in compared.items():
            if turn >= SLOW_REPEATS and wall[name][0] > SLOW_S:
                continue
            start, start_cpu = time.perf_counter(), time.process_time()
            method(x)
            cpu[name].append(time.process_time() - start_cpu)
            wall[name].append(time.perf_counter() - start)
    operations = batch * 4 * STEPS * (4 * dim * hidden + 4 * hidden * hidden)
    peak, threads = peak_flops(), torch.get_num_threads()
    return {
        "dim": dim,
        "hidden": hidden,
        "batch": batch,
        "repeats": repeats,
        "threads": threads,
        "peak_gflops": peak / 1e9,
        "share_of_peak": operations / statistics.median(wall["flowcore"]) / peak,
        "share_of_peak_by_cpu_time": operations
        * threads
        / statistics.median(cpu["flowcore"])
        / peak,
        "methods": {
            name: {
                "repeats": len(wall[name]),
                "wall_s": statistics.median(wall[name]),
                "cpu_s": statistics.median(cpu[name]),
                "wall_ratio": median_ratio(wall, name),
                "cpu_ratio": median_ratio(cpu, name),
                **error[name],
            }
            for name in compared
        },
    }


def show(run: dict[str, Any]) -> None:
    """Print one run as a table."""
    print(
        f"d={run['dim']}  threads {run['threads']}  peak {run['peak_gflops']:.0f} GFLOP/s  "
        f"share {run['share_of_peak']:.2f} (by CPU time {run['share_of_peak_by_cpu_time']:.2f})"
    )
    for name, row in run["methods"].items():
        print(
            f"  {name:30s} {row['wall_s']:.4f} s  wall x{row['wall_ratio']:.1f}  "
            f"cpu x{row['cpu_ratio']:.1f}  error {row['largest_error_nats']:.1e}  "
            f"mean {row['mean_error_nats']:.1e}",
            flush=True,
        )


def main() -> None:
    """Run and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--dims", type=int, nargs="+", default=[32, 8, 64, 128])
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    result: dict[str, Any] = {
        "machine": {
            "platform": platform.platform(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "load_at_start": os.getloadavg()[0],
        },
        "versions": {
            name: version(name) for name in ("torch", "torchdiffeq", "flow_matching", "zuko")
        },
        "steps": STEPS,
        "zuko_loose": LOOSE,
        "runs": [],
    }
    for dim in args.dims:
        for threads in args.threads:
            torch.set_num_threads(threads)
            result["runs"].append(compare(dim, 256, args.batch, args.repeats))
            show(result["runs"][-1])
            if args.json:
                args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
