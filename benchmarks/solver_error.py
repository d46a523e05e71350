"""Error of the log-density by Runge-Kutta rule and by where the divergence is evaluated.

Random fields in float64 against dopri5 at 1e-10; `--json OUT.json`. Decision 0003 reads it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from flowcore.block import Block
from flowcore.ode import Solver
from flowcore.preprocessing import gaussian_log_prob
from flowcore.velocity import BoundField, TanhField

RULES = {
    "classical": (
        (0, 0.5, 0.5, 1),
        ((), (0.5,), (0, 0.5), (0, 0, 1)),
        (1 / 6, 1 / 3, 1 / 3, 1 / 6),
    ),
    "three_eighths": (
        (0, 1 / 3, 2 / 3, 1),
        ((), (1 / 3,), (-1 / 3, 1), (1, -1, 1)),
        (1 / 8, 3 / 8, 3 / 8, 1 / 8),
    ),
}
FIELDS = [  # d, hidden, size of the output weights, of time in the biases
    (2, 64, 0.5, 1.0),
    (8, 256, 0.5, 1.0),
    (8, 64, 1.0, 1.0),
    (32, 256, 0.5, 1.0),
    (32, 256, 0.25, 1.0),
    (32, 256, 0.5, 0.3),
    (32, 256, 0.5, 3.0),
    (32, 256, 2.0, 1.0),
    (128, 256, 0.5, 1.0),
]


def random_field(dim: int, hidden: int, out: float, time: float) -> TanhField:
    """Return a float64 field with every weight alive."""
    g = torch.Generator().manual_seed(3)
    field = TanhField(dim, hidden, generator=g)
    with torch.no_grad():
        for p in (field.w3, field.time3):
            p.copy_(torch.randn(p.shape, generator=g) * out / p.shape[1] ** 0.5)
        for p in (field.time1, field.time2):
            p.mul_(time)
    return field.double().requires_grad_(False)


def integrate(bound: BoundField, x: Tensor, n: int, rule: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return arrivals and the log-determinant by all stages and by the ends of steps alone."""
    nodes, rows, weights = RULES[rule]
    log_det, ends = torch.zeros_like(x[:, 0]), []
    for step in range(n):
        slopes: list[Tensor] = []
        for node, row, weight in zip(nodes, rows, weights, strict=True):
            at = x + sum((a * k for a, k in zip(row, slopes, strict=True)), torch.zeros_like(x)) / n
            v, divergence = bound.with_divergence(x.new_tensor((step + node) / n), at)
            if not slopes:
                ends.append(divergence)
            slopes.append(v)
            log_det = log_det + weight * divergence / n
        x = x + sum((w * k for w, k in zip(weights, slopes, strict=True)), torch.zeros_like(x)) / n
    ends.append(bound.with_divergence(x.new_tensor(1.0), x)[1])
    grid = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    by_ends = CubicSpline(grid, torch.stack(ends)).integrate(0.0, 1.0)
    return x, log_det, torch.as_tensor(by_ends)


def compare(shape: tuple[int, int, float, float], steps: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return errors of one field for every rule and number of steps."""
    field = random_field(*shape)
    x = torch.randn(256, shape[0], generator=torch.Generator().manual_seed(1)).double()
    truth = Block(field)(x, Solver("dopri5", rtol=1e-10, atol=1e-11))
    exact = gaussian_log_prob(truth.x) + truth.log_det
    found = []
    for n in steps:
        for rule in RULES:
            z, by_stages, by_ends = integrate(field.bind(), x, n, rule)
            off = (gaussian_log_prob(z) + by_stages - exact).abs()
            ends_off = (gaussian_log_prob(z) + by_ends - exact).abs()
            found.append(
                dict(zip(("dim", "hidden", "out", "time"), shape, strict=True))
                | {"steps": n, "rule": rule}
                | {"largest": off.max().item(), "mean": off.mean().item()}
                | {"largest_ends_only": ends_off.max().item()}
            )
            print(found[-1], flush=True)
    return found


def main() -> None:
    """Run and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with torch.no_grad():
        runs = [run for shape in FIELDS for run in compare(shape, (2, 4, 8, 16))]
    if args.json:
        args.json.write_text(json.dumps({"runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
