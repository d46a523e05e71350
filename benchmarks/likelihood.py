"""Exact log-likelihood of one continuous flow: this library beside others, in one run.

Every method gets the same network (two tanh layers, same weights) and float32 rows; repetitions
alternate, so that ratios hold on a busy machine. Fixed grids have 8 Runge-Kutta steps; zuko
brings its own adaptive solver, and is marked. Error is against float64 dopri5 at 1e-8.

    PEERS/bin/python benchmarks/likelihood.py --json OUT.json --threads 1
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from flow_matching.solver import ODESolver
from torch import Tensor
from torchdiffeq import odeint
from zuko.transforms import FreeFormJacobianTransform

from flowcore.block import Block
from flowcore.divergence import exact_divergence, hutchinson_divergence
from flowcore.ode import Solver, runge_kutta
from flowcore.preprocessing import gaussian_log_prob
from flowcore.velocity import TanhField

Method = Callable[[Tensor], Tensor]
STEPS = 8


def make_field(dim: int, hidden: int) -> TanhField:
    """Return a field with every weight alive and a smooth, moderate flow."""
    g = torch.Generator().manual_seed(0)
    field = TanhField(dim, hidden, generator=g)
    with torch.no_grad():
        for p in (field.w3, field.time3):
            p.copy_(torch.randn(p.shape, generator=g) * 0.5 / p.shape[1] ** 0.5)
    return field.requires_grad_(False)


def flowcore_marched(field: TanhField) -> Method:
    """The library as it scores."""
    block = Block(field)

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            out = block(x, Solver("rk4", STEPS))
        return gaussian_log_prob(out.x) + out.log_det

    return run


def flowcore_plain(field: TanhField) -> Method:
    """The library's differentiable path: how it scored before the march."""

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            bound, zero = field.bind(), torch.zeros_like(x[:, 0])

            def rate(t: Tensor, s: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                v, div = bound.with_divergence(t, s[0])
                return v, div, (v * v).sum(1)

            z, log_det, _ = runge_kutta(rate, (x, zero, zero), Solver("rk4", STEPS).grid())
        return gaussian_log_prob(z) + log_det

    return run


def ffjord(field: TanhField, exact: bool) -> Method:
    """Torchdiffeq with the trace by a loop of backward passes, or one random probe."""

    def run(x: Tensor) -> Tensor:
        probe = torch.randn_like(x).sign()

        def rate(t: Tensor, s: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            def at(rows: Tensor) -> Tensor:
                return field(t, rows)

            return exact_divergence(at, s[0]) if exact else hutchinson_divergence(at, s[0], probe)

        with torch.no_grad():
            z, log_det = odeint(
                rate,
                (x, torch.zeros_like(x[:, 0])),
                torch.tensor([0.0, 1.0]),
                method="rk4",
                options={"step_size": 1 / STEPS},
            )
        return gaussian_log_prob(z[-1]) + log_det[-1]

    return run


def flow_matching(field: TanhField, exact: bool) -> Method:
    """flow_matching's compute_likelihood; its time runs from noise at 0 to data at 1."""
    solver = ODESolver(velocity_model=lambda x, t: -field(1 - t, x))

    def run(x: Tensor) -> Tensor:
        return solver.compute_likelihood(
            x_1=x,
            log_p0=gaussian_log_prob,
            step_size=1 / STEPS,
            method="rk4",
            exact_divergence=exact,
        )[1].detach()

    return run


def zuko_cnf(field: TanhField, exact: bool) -> Method:
    """Zuko's free-form transform on the same network, adaptive at its default tolerances."""

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            flow = FreeFormJacobianTransform(f=lambda t, y: field(t, y), exact=exact)
            z, log_det = flow.call_and_ladj(x)
        return gaussian_log_prob(z) + log_det

    return run


def reference(field: TanhField, x: Tensor) -> Tensor:
    """float64 dopri5 at 1e-8, differentiable path."""
    double = make_field(field.dim, field.hidden)
    double.load_state_dict(field.state_dict())
    with torch.no_grad():
        out = Block(double.double())(x.double(), Solver("dopri5", rtol=1e-8, atol=1e-8))
    return gaussian_log_prob(out.x) + out.log_det


def peak_flops() -> float:
    """Best rate of a 1024-square float32 product, operations per second."""
    a = torch.randn(1024, 1024)
    best = float("inf")
    for _ in range(15):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * 1024**3 / best


def compare(dim: int, hidden: int, batch: int, repeats: int) -> dict[str, Any]:
    """Time every method in turn, `repeats` times."""
    field = make_field(dim, hidden)
    x = torch.randn(batch, dim, generator=torch.Generator().manual_seed(1))
    truth = reference(field, x)
    methods = {
        "flowcore": flowcore_marched(field),
        "flowcore_differentiable_path": flowcore_plain(field),
        "torchdiffeq_exact": ffjord(field, True),
        "torchdiffeq_hutchinson": ffjord(field, False),
        "flow_matching_exact": flow_matching(field, True),
        "flow_matching_hutchinson": flow_matching(field, False),
        "zuko_exact_adaptive": zuko_cnf(field, True),
        "zuko_hutchinson_adaptive": zuko_cnf(field, False),
    }
    wall: dict[str, list[float]] = {name: [] for name in methods}
    cpu: dict[str, list[float]] = {name: [] for name in methods}
    error = {n: (m(x).double() - truth).abs().max().item() for n, m in methods.items()}
    for _ in range(repeats):
        for name, method in methods.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            method(x)
            cpu[name].append(time.process_time() - start_cpu)
            wall[name].append(time.perf_counter() - start)
    ours = statistics.median(cpu["flowcore"])
    operations = batch * 4 * STEPS * (4 * dim * hidden + 4 * hidden * hidden)
    return {
        "dim": dim,
        "hidden": hidden,
        "batch": batch,
        "repeats": repeats,
        "share_of_peak": operations / ours / peak_flops() / torch.get_num_threads(),
        "methods": {
            name: {
                "wall_s": statistics.median(wall[name]),
                "cpu_s": statistics.median(cpu[name]),
                "cpu_ratio": statistics.median(
                    [a / b for a, b in zip(cpu[name], cpu["flowcore"], strict=True)]
                ),
                "largest_error_nats": error[name],
            }
            for name in methods
        },
    }


def main() -> None:
    """Run and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dims", type=int, nargs="+", default=[8, 32, 64, 128])
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result: dict[str, Any] = {
        "machine": {"platform": platform.platform(), "processor": platform.processor()},
        "threads": args.threads,
        "versions": {n: version(n) for n in ("torch", "torchdiffeq", "flow_matching", "zuko")},
        "runs": [],
    }
    for dim in args.dims:
        run = compare(dim, 256, args.batch, args.repeats)
        result["runs"].append(run)
        print(f"d={dim}  share of peak {run['share_of_peak']:.2f}", flush=True)
        for name, row in run["methods"].items():
            print(
                f"  {name:30s} {row['cpu_s']:.4f} s  x{row['cpu_ratio']:.1f}  "
                f"error {row['largest_error_nats']:.1e}"
            )
        if args.json:
            args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
