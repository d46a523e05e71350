"""Time to a given held-out likelihood: this library beside other flows, on equal rows.

Every method gets the same whitened float32 rows, one thread and the same budget of CPU seconds.
The clock counts what a method does to train, this library's own looks at held-out rows included,
and stops while a snapshot is measured: the exact log-density of test rows, fixed fine grid,
exact trace. Targets are set before any flow is trained: shares of the way from a Gaussian to the
better of a Gaussian mixture and a kernel density, both tuned on the validation rows.
A time counts once the test likelihood has reached the target, at the first snapshot that has.

    PEERS/bin/python benchmarks/training.py --data FOLDER --json OUT.json
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zuko
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from torch import Tensor, nn
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher
from torchdiffeq import odeint

from flowcore import jko, lfm
from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.defaults import choose_recipe
from flowcore.estimator import FlowDensityEstimator
from flowcore.ode import Solver
from flowcore.preprocessing import fit_steps, gaussian_log_prob
from flowcore.refine import Refinement, refine
from flowcore.toy import moons, rings
from flowcore.training import Training
from flowcore.velocity import TanhField

SHARES = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
RATES = (5e-3,)
"""Learning rates of the peers, that of the brief recipe here; of several the best time counts."""
HIDDEN, BATCH, MOST_TEST = 64, 256, 500
LogProb = Callable[[Tensor], Tensor]


class BudgetSpentError(Exception):
    """The CPU seconds of a method are used up."""


@dataclass
class Clock:
    """CPU seconds of training, stopped while a snapshot is measured."""

    test: Tensor
    budget: float
    pause: float = 1.15
    curve: list[tuple[float, float]] = field(default_factory=list)
    started: float = field(default_factory=time.process_time)
    due: float = 0.2

    def look(self, log_prob: LogProb, *, last: bool = False) -> None:
        """Measure the test likelihood if a look is due; looks grow apart by a factor."""
        seconds = time.process_time() - self.started
        if seconds < self.due and not last:
            return
        with torch.no_grad():
            nll = -float(log_prob(self.test).double().mean())
        self.curve.append((round(seconds, 3), round(nll, 4) if math.isfinite(nll) else math.inf))
        self.due = max(seconds + 0.1, seconds * self.pause)
        self.started = time.process_time() - seconds
        if seconds > self.budget:
            raise BudgetSpentError


@dataclass(frozen=True)
class Data:
    """Whitened rows of one set."""

    train: Tensor
    validation: Tensor
    test: Tensor


Method = Callable[[Data, Clock, float], None]


def chain_log_prob(chain: FlowChain) -> LogProb:
    """Evaluate a copy in float64 on a grid of 16 steps a block."""
    fine = copy.deepcopy(chain).double()
    fine.solver = Solver("rk4", 16)
    return lambda x: fine.flow(x.double()).log_prob


def ours(how: str) -> Method:
    """Return one of this library's trainings: its default recipe, or a brief one."""

    def run(data: Data, clock: Clock, rate: float) -> None:
        del rate
        dim, generator = data.train.shape[1], torch.Generator().manual_seed(0)
        recipe = choose_recipe(
            FlowDensityEstimator(method="jko" if how == "jko" else "lfm"), len(data.train), dim
        )
        n_blocks = len(BRIEF_GAMMAS) if how == "brief" else recipe.n_blocks
        blocks = [Block(TanhField(dim, recipe.hidden, 0, generator)) for _ in range(n_blocks)]
        chain = FlowChain(dim, blocks, solver=Solver("rk4", 8))
        rows = lfm.Rows(data.train, data.validation)

        def progress(stage: str, done: int, total: int) -> None:
            del stage, done, total
            clock.look(chain_log_prob(chain))

        training, refining = recipe.training, recipe.refine_training
        if how == "jko":
            jko.train_chain(chain, rows, recipe.proximal, training, generator, progress)
        elif how == "lfm":
            lfm.train_chain(chain, rows, recipe.matching, training, generator, progress)
        elif how == "lfm+refine":
            lfm.train_chain(chain, rows, recipe.matching, training, generator, progress)
            refine(chain, rows, recipe.refinement, refining, generator, progress)
        else:
            matching = lfm.LocalFlowMatching(BRIEF_GAMMAS)
            brief = Training(steps=200, learning_rate=5e-3, evaluate_every=40)
            refining = Training(steps=500, learning_rate=5e-3, evaluate_every=15, patience=8)
            lfm.train_chain(chain, rows, matching, brief, generator, progress)
            refine(chain, rows, Refinement(max_grid_steps=4), refining, generator, progress)
        clock.look(chain_log_prob(chain), last=True)

    return run


BRIEF_GAMMAS = (0.4, math.inf)
"""Diffusion times of the brief recipe: two blocks, the second one free."""


class Network(nn.Module):
    """The network of the peers that bring none: two tanh layers, time as one more input."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim + 1, HIDDEN),
            nn.Tanh(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.Tanh(),
            nn.Linear(HIDDEN, dim),
        )

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the velocity at rows (n, d)."""
        return self.layers(torch.cat([x, t.expand(len(x), 1)], 1))


def traced(network: nn.Module, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Velocity and exact divergence, differentiable, by one vector-Jacobian product a column."""
    v, pull = torch.func.vjp(lambda rows: network(t, rows), x)
    axes = torch.eye(x.shape[1], dtype=x.dtype)[:, None].expand(-1, *x.shape)
    products = torch.func.vmap(lambda axis: pull(axis)[0])(axes)
    return v, (products * axes).sum((0, 2))


def network_log_prob(network: nn.Module) -> LogProb:
    """Evaluate a copy in float64: Runge-Kutta, 20 steps, exact trace."""
    fine = copy.deepcopy(network).double()

    def run(x: Tensor) -> Tensor:
        x = x.double()
        z, log_det = odeint(
            lambda t, s: traced(fine, t, s[0]),
            (x, torch.zeros(len(x), dtype=x.dtype)),
            torch.tensor([0.0, 1.0], dtype=x.dtype),
            method="rk4",
            options={"step_size": 1 / 20},
        )
        return gaussian_log_prob(z[-1]) + log_det[-1]

    return run


def descend(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    log_prob: Callable[[], LogProb],
    data: Data,
    clock: Clock,
    rate: float,
) -> None:
    """Train with Adam at a constant rate until the budget is spent, from minibatches."""
    generator = torch.Generator().manual_seed(1)
    optimiser = torch.optim.Adam(module.parameters(), lr=rate)
    while True:
        x = data.train[torch.randint(len(data.train), (BATCH,), generator=generator)]
        optimiser.zero_grad(set_to_none=True)
        loss(x).backward()
        nn.utils.clip_grad_norm_(module.parameters(), 10.0)
        optimiser.step()
        if time.process_time() - clock.started >= clock.due:
            clock.look(log_prob())


def ffjord(data: Data, clock: Clock, rate: float) -> None:
    """Torchdiffeq: adaptive dopri5, Hutchinson's trace, backpropagation through the solver."""
    network = Network(data.train.shape[1])

    def loss(x: Tensor) -> Tensor:
        probe = torch.randn_like(x).sign()

        def rates(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            v, pull = torch.func.vjp(lambda rows: network(t, rows), state[0])
            return v, (pull(probe)[0] * probe).sum(1)

        start = (x, torch.zeros_like(x[:, 0]))
        ends = torch.tensor([0.0, 1.0])
        z, log_det = odeint(rates, start, ends, method="dopri5", rtol=1e-3, atol=1e-3)
        return -(gaussian_log_prob(z[-1]) + log_det[-1]).mean()

    descend(network, loss, lambda: network_log_prob(network), data, clock, rate)


def zuko_flow(kind: str) -> Method:
    """Zuko's flows, widths of 64 and otherwise at their defaults."""

    def run(data: Data, clock: Clock, rate: float) -> None:
        dim = data.train.shape[1]
        made = {"nsf": zuko.flows.NSF, "cnf": zuko.flows.CNF}[kind]
        flow = made(dim, hidden_features=(HIDDEN, HIDDEN))

        def log_prob() -> LogProb:
            fine = copy.deepcopy(flow).double()
            for part in fine.modules():
                if hasattr(part, "exact"):
                    part.exact, part.atol, part.rtol = True, 1e-6, 1e-5
            return lambda x: fine().log_prob(x.double())

        descend(flow, lambda x: -flow().log_prob(x).mean(), log_prob, data, clock, rate)

    return run


def torchcfm(data: Data, clock: Clock, rate: float) -> None:
    """Torchcfm's conditional flow matching from rows to noise, independent pairs."""
    network, matcher = Network(data.train.shape[1]), ConditionalFlowMatcher(sigma=0.0)

    def loss(x: Tensor) -> Tensor:
        t, point, velocity = matcher.sample_location_and_conditional_flow(x, torch.randn_like(x))
        return ((network(t[:, None], point) - velocity) ** 2).mean()

    descend(network, loss, lambda: network_log_prob(network), data, clock, rate)


METHODS: dict[str, tuple[Method, tuple[float, ...]]] = {
    "flowcore lfm+refine, brief": (ours("brief"), (0.0,)),
    "flowcore lfm+refine, default": (ours("lfm+refine"), (0.0,)),
    "flowcore lfm": (ours("lfm"), (0.0,)),
    "flowcore jko": (ours("jko"), (0.0,)),
    "torchcfm": (torchcfm, RATES),
    "torchdiffeq ffjord": (ffjord, RATES),
    "zuko cnf": (zuko_flow("cnf"), RATES),
    "zuko nsf (discrete)": (zuko_flow("nsf"), RATES),
}


def load(name: str, folder: Path | None) -> Data:
    """Draw or read one set, cut it and whiten it by the training rows."""
    generator = torch.Generator().manual_seed(0)
    if name in ("moons", "rings"):
        x = {"moons": moons, "rings": rings}[name](12_000, generator)
    else:
        if folder is None:
            raise SystemExit("pass --data FOLDER or set RAREWAVE_DATA for the tabular sets")
        with np.load(next(folder.rglob(f"*{name}*.npz"))) as archive:
            inliers = archive["X"][archive["y"].reshape(-1) == 0].astype(np.float64)
        x = torch.from_numpy(inliers)[torch.randperm(len(inliers), generator=generator)[:12_000]]
    part = min(1000, len(x) // 6)
    test, validation, train = x[:part], x[part : 2 * part], x[2 * part :]
    steps = fit_steps(train)

    def whiten(rows: Tensor) -> Tensor:
        for step in steps:  # training noise for all: it is part of the law to learn
            rows = step.train_forward(rows, generator)
        return rows.float()

    return Data(whiten(train), whiten(validation), whiten(test[:MOST_TEST]))


def reference(data: Data) -> dict[str, float]:
    """Return test NLL of a Gaussian and of the tuned mixture and kernel density, nats a row."""
    train, validation, test = (rows.double().numpy() for rows in vars(data).values())
    few = train[:4000]
    models: list[Any] = [
        GaussianMixture(k, reg_covar=1e-4, random_state=0).fit(few) for k in (4, 8, 16, 32)
    ]
    kernels = [KernelDensity(bandwidth=h).fit(few) for h in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)]
    best = {
        name: max(tried, key=lambda m: float(m.score_samples(validation).mean()))
        for name, tried in (("mixture", models), ("kernels", kernels))
    }
    return {
        "gaussian": float(-gaussian_log_prob(data.test.double()).mean()),
        **{name: -float(m.score_samples(test).mean()) for name, m in best.items()},
    }


def reached(curves: list[list[tuple[float, float]]], target: float) -> float | None:
    """Return the first time at which any of the curves is at the target, or None."""
    times = [t for curve in curves for t, nll in curve if nll <= target]
    return min(times, default=None)


def measure(name: str, folder: Path | None, budget: float, names: list[str]) -> dict[str, Any]:
    """Train every method on one set."""
    data = load(name, folder)
    levels = reference(data)
    goal = min(levels["mixture"], levels["kernels"])
    targets = {s: levels["gaussian"] - s * (levels["gaussian"] - goal) for s in SHARES}
    shape = {"n_train": len(data.train), "n_test": len(data.test), "d": data.train.shape[1]}
    result: dict[str, Any] = {"set": name, **shape, "reference_nll": levels, "targets": targets}
    result["methods"] = {}
    for method in names:
        run, rates = METHODS[method]
        curves = []
        for rate in rates:
            torch.manual_seed(0)
            clock = Clock(data.test, budget)
            try:
                run(data, clock, rate)
            except BudgetSpentError:
                pass
            except (AssertionError, FloatingPointError) as error:  # a solver gave up
                print(name, method, rate, f"stopped: {error}", flush=True)
            curves.append(clock.curve)
        times = {s: reached(curves, target) for s, target in targets.items()}
        best = min(nll for curve in curves for _, nll in curve)
        result["methods"][method] = {"seconds_to": times, "best_nll": best, "curves": curves}
        print(f"{name:10s} {method:38s} best {best:8.3f}  {times}", flush=True)
    return result


def warm_up() -> None:
    """Let torch import what the first optimiser step needs, so that no method pays for it."""
    layer = nn.Linear(2, 2)
    for kind in (torch.optim.Adam, torch.optim.AdamW):
        optimiser = kind(layer.parameters())
        layer(torch.ones(1, 2)).sum().backward()
        optimiser.step()
    traced(Network(2), torch.tensor(0.0), torch.ones(1, 2))


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"), help="folder of .npz")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--budget", type=float, default=6.0, help="CPU seconds a training")
    parser.add_argument("--sets", nargs="+", default=["moons", "rings", "magic", "Waveform"])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warm_up()
    folder = Path(arguments.data) if arguments.data else None
    packages = ("torch", "torchdiffeq", "zuko", "torchcfm")
    content: dict[str, Any] = {
        "machine": {"python": platform.python_version(), "processor": platform.machine()},
        "threads": 1,
        "versions": {name: version(name) for name in packages},
        "budget_cpu_s": arguments.budget,
        "peer_learning_rates": RATES,
        "sets": [],
    }
    for name in arguments.sets:
        content["sets"].append(measure(name, folder, arguments.budget, arguments.methods))
        if arguments.json:
            arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
