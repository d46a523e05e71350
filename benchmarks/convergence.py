"""Kullback-Leibler divergence against the number of blocks, beside what theory predicts.

Block by block, a chain carries the data law p_0 towards N(0, I). The maps are invertible, so the
divergence of the model from the data is that of the carried law p_N from N(0, I), and the number
of blocks that reaches a given one is of order log(1/eps):

* local flow matching: the Ornstein-Uhlenbeck flow gives KL_N <= KL_0 exp(-2 sum gamma)
  (arXiv 2410.02548; the logarithmic Sobolev inequality of N(0, I));
* JKO-iFlow: the evolution variational inequality of the proximal scheme for a 1-convex energy
  gives KL_N <= W2(p_0, N(0, I))^2 (1 + h)^-(N-1) / (2 h) (arXiv 2310.17582).

Both are for exact steps; trained blocks leave a floor. Targets have known densities; a chain of
eight blocks is trained once per method, target and seed, and its first N blocks are measured.

    python benchmarks/convergence.py --json OUT.json --figure docs/figures/convergence.svg
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from pathlib import Path
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from flowcore import jko, lfm
from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.ode import Solver
from flowcore.preprocessing import gaussian_log_prob
from flowcore.training import Training
from flowcore.velocity import TanhField

GAMMA = 0.4
STEP = math.expm1(GAMMA)  # the proximal step that shrinks a mean as much as the diffusion does
N_BLOCKS = 8


def targets() -> dict[str, Any]:
    """Return laws on the plane with a known density."""
    root = torch.tensor([[1.5, 0.0], [0.8, 0.4]], dtype=torch.float64)
    shift = torch.tensor([2.0, -1.0], dtype=torch.float64)
    corners = 2.0 * torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    spread = 0.25 * torch.eye(2, dtype=torch.float64).expand(4, 2, 2)
    weights = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    return {
        "Gaussian": MultivariateNormal(shift, scale_tril=root),
        "four Gaussians": MixtureSameFamily(
            Categorical(weights), MultivariateNormal(corners, spread)
        ),
    }


def train(method: str, rows: lfm.Rows, steps: int, seed: int) -> FlowChain:
    """Train a chain of eight blocks by one of the two methods."""
    generator = torch.Generator().manual_seed(seed)
    blocks = [Block(TanhField(2, 64, generator=generator)) for _ in range(N_BLOCKS)]
    chain = FlowChain(2, blocks, solver=Solver("rk4", 8))
    training = Training(steps=steps, learning_rate=4e-3)
    if method == "lfm":
        matching = lfm.LocalFlowMatching((GAMMA,) * N_BLOCKS)
        lfm.train_chain(chain, rows, matching, training, generator)
    else:
        schedule = jko.ProximalSteps(first=STEP, ratio=1.0, stop_below=0.0)
        jko.train_chain(chain, rows, schedule, training, generator)
    return chain.double().eval()


def divergences(chain: FlowChain, x: Tensor, log_p: Tensor) -> list[tuple[float, float]]:
    """Return (KL, standard error) of the model with the first N blocks, N = 0, 1, ..."""
    with torch.no_grad():
        trace = chain.flow(x)
    states, log_det = [trace.start], torch.zeros_like(log_p)
    found = []
    for n in range(len(trace.passages) + 1):
        if n:
            states.append(trace.passages[n - 1].x)
            log_det = log_det + trace.passages[n - 1].log_det
        gap = log_p - gaussian_log_prob(states[n]) - log_det
        found.append((float(gap.mean()), float(gap.std() / math.sqrt(len(gap)))))
    return found


def squared_w2(x: Tensor, generator: torch.Generator) -> float:
    """Return the squared Wasserstein-2 distance from N(0, I), by optimal pairs of samples."""
    z = torch.randn(len(x), x.shape[1], generator=generator, dtype=x.dtype)
    cost = torch.cdist(x, z) ** 2
    pairs = linear_sum_assignment(cost.numpy())
    return float(cost[pairs].mean())


def predicted(method: str, kl_0: float, w2: float) -> list[float]:
    """Return the bound on the divergence after 1, 2, ... exact blocks."""
    blocks = range(1, N_BLOCKS + 1)
    if method == "lfm":
        return [kl_0 * math.exp(-2 * GAMMA * n) for n in blocks]
    return [w2 * (1 + STEP) ** -(n - 1) / (2 * STEP) for n in blocks]


def measure(seeds: int, steps: int) -> list[dict[str, Any]]:
    """Train and measure every method on every target."""
    results = []
    for name, law in targets().items():
        for method in ("lfm", "jko"):
            for seed in range(seeds):
                torch.manual_seed(1000 + seed)  # the laws of torch draw from the global source
                sets = [law.sample((n,)) for n in (20_000, 4_000, 50_000, 1_000)]
                started = time.process_time()
                chain = train(method, lfm.Rows(sets[0].float(), sets[1].float()), steps, seed)
                seconds = time.process_time() - started
                found = divergences(chain, sets[2], law.log_prob(sets[2]))
                w2 = squared_w2(sets[3], torch.Generator().manual_seed(seed))
                results.append(
                    {
                        "target": name,
                        "method": method,
                        "seed": seed,
                        "kl": [kl for kl, _ in found],
                        "standard_error": [error for _, error in found],
                        "bound_from_1_block": predicted(method, found[0][0], w2),
                        "squared_w2": w2,
                        "cpu_seconds": seconds,
                    }
                )
                print(name, method, seed, " ".join(f"{kl:.4f}" for kl, _ in found), flush=True)
    return results


def draw_figure(results: list[dict[str, Any]], path: Path) -> None:
    """Draw measured divergences and bounds, one panel a target."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "convergence"
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(r["target"] for r in results))
    figure, axes = plt.subplots(1, len(names), figsize=(9, 3.6), sharey=True)
    for axis, name in zip(axes, names, strict=True):
        for method, colour in (("lfm", "#1b6ca8"), ("jko", "#c8553d")):
            runs = [r for r in results if (r["target"], r["method"]) == (name, method)]
            for k, run in enumerate(runs):
                label = f"{'LFM' if method == 'lfm' else 'JKO-iFlow'}, measured"
                axis.plot(
                    range(N_BLOCKS + 1), run["kl"], "o-", c=colour, ms=4, label=None if k else label
                )
            bound = runs[0]["bound_from_1_block"]
            label = "exp(-2 sum gamma) KL_0" if method == "lfm" else "W2^2 (1+h)^-(N-1) / 2h"
            axis.plot(range(1, N_BLOCKS + 1), bound, "--", c=colour, lw=1, label=label)
        axis.set(title=name, xlabel="blocks N", yscale="log")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("KL(data || model), nats")
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--figure", type=Path, help="where to write the figure (needs matplotlib)")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=500, help="optimiser steps per block")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = measure(arguments.seeds, arguments.steps)
    if arguments.json:
        machine = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "processor": platform.machine(),
            "threads": 1,
        }
        settings = {"gamma": GAMMA, "step": STEP, "steps_per_block": arguments.steps}
        content = {"machine": machine, "settings": settings, "results": results}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    if arguments.figure:
        draw_figure(results, arguments.figure)


if __name__ == "__main__":
    main()
