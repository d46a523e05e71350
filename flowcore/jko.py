"""JKO-iFlow: train a chain block by block as proximal steps of a gradient flow.

Source: Xu, Cheng and Xie, arXiv 2212.14424: the block-wise JKO objective, its stopping rule, and
the adaptive re-parametrisation and refinement of the trajectory.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flowcore.block import Block, BlockList, Passage
from flowcore.chain import FlowChain
from flowcore.errors import ParameterError
from flowcore.lfm import Rows, push_rows
from flowcore.ode import random_grid
from flowcore.refine import guarded_nll
from flowcore.training import Outcome, Progress, Training, draw, minimise


@dataclass(frozen=True)
class ProximalSteps:
    """Step sizes of the scheme and when to stop.

    Attributes
    ----------
    first, ratio, largest : float
        Step of block n is ``min(first * ratio**(n-1), largest)``.
    stop_below : float
        No further block is trained once the relative movement ``E|x - Tx|^2 / E|Tx|^2`` of the
        last one is below this.
    max_grid_steps : int
        Training solves with 2 to this many Runge-Kutta steps at random cut points.
    given : tuple of float
        Step sizes block by block, in place of the rule; the last one serves all later blocks.
    """

    first: float = 0.75
    ratio: float = 1.2
    largest: float = 3.0
    stop_below: float = 0.01
    max_grid_steps: int = 3
    given: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        sizes = (self.first, self.ratio, self.largest, *self.given)
        if not all(size > 0 for size in sizes):
            raise ParameterError(f"step sizes {sizes} must all be positive")

    def step(self, n: int) -> float:
        """Return the step size of block `n`, counted from 0."""
        if self.given:
            return self.given[min(n, len(self.given) - 1)]
        return min(self.first * self.ratio**n, self.largest)


def proximal_loss(passage: Passage, start: Tensor, step: float) -> Tensor:
    """Return ``E[|x(1)|^2/2 - int div v dt + |x(1) - x(0)|^2/(2 h)] / d``."""
    moved = ((passage.x - start) ** 2).sum(1)
    objective = (passage.x**2).sum(1) / 2 - passage.log_det + moved / (2 * step)
    return objective.mean() / start.shape[1]


def relative_movement(start: Tensor, end: Tensor) -> float:
    """Return ``E|x - Tx|^2 / E|Tx|^2``, the papers' stopping quantity; no unit.

    Examples
    --------
    >>> relative_movement(torch.zeros(5, 2), torch.ones(5, 2))
    1.0
    """
    return float(((end - start) ** 2).sum() / (end**2).sum())


def train_chain(
    chain: FlowChain,
    rows: Rows,
    schedule: ProximalSteps,
    training: Training,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Train the blocks of `chain` in order and drop those after the flow has come to rest.

    The block-wise training of JKO-iFlow (arXiv 2212.14424).

    Examples
    --------
    >>> from flowcore.velocity import TanhField
    >>> g = torch.Generator().manual_seed(0)
    >>> rows = Rows(3 * torch.randn(300, 1, generator=g), 3 * torch.randn(100, 1, generator=g))
    >>> chain = FlowChain(1, [Block(TanhField(1, 8, generator=g))])
    >>> brief = Training(steps=40, learning_rate=1e-2)
    >>> [outcome.improved for outcome in train_chain(chain, rows, ProximalSteps(), brief, g)]
    [True]
    """
    outcomes: list[Outcome] = []
    total = training.steps * len(chain.blocks)
    for n, block in enumerate(chain.blocks):
        outcomes.append(_train_block(chain, block, rows, n, schedule, training, generator))
        before, rows = rows, push_rows(rows, block, chain)
        if progress is not None:
            progress("proximal steps", (n + 1) * training.steps, total)
        if relative_movement(before.train, rows.train) < schedule.stop_below:
            chain.blocks = BlockList(list(chain.blocks)[: n + 1])
            break
    return outcomes


def _train_block(
    chain: FlowChain,
    block: Block,
    rows: Rows,
    n: int,
    schedule: ProximalSteps,
    training: Training,
    generator: torch.Generator,
) -> Outcome:
    step = schedule.step(n)

    def loss() -> Tensor:
        x, context = draw(rows.train, rows.train_context, training.batch_size, generator)
        grid = random_grid(schedule.max_grid_steps, generator, min(2, schedule.max_grid_steps))
        return proximal_loss(block(x, chain.solver, context, grid), x, step)

    def held_out_loss() -> float:
        with torch.no_grad():
            passage = block(rows.held_out, chain.solver, rows.held_out_context)
            return proximal_loss(passage, rows.held_out, step).item()

    return minimise(block, loss, held_out_loss, training)


def movements(chain: FlowChain, y: Tensor, context: Tensor | None = None) -> tuple[float, ...]:
    """Return per block how far it moves preprocessed rows, ``(E |T x - x|^2)^(1/2)``.

    The Wasserstein-2 length of the block where it is an optimal transport, as a proximal step
    is at its optimum, and an upper bound of it otherwise. Units of the preprocessed space.
    """
    found = []
    with torch.no_grad():
        for block in chain.blocks:
            moved = block.push(y, chain.solver, context)
            found.append(float(((moved - y) ** 2).sum(1).mean().sqrt()))
            y = moved
    return tuple(found)


def even_steps(
    steps: Sequence[float], lengths: Sequence[float], damping: float = 0.5
) -> tuple[float, ...]:
    """Return step sizes under which every block would move about the same distance.

    The cumulated steps are the times t_k of the scheme and the cumulated lengths its arc length;
    the new times are where the arc length, linear in between, takes even values, approached by
    the factor `damping`. The steps add up to what they did before.

    Parameters
    ----------
    steps : sequence of float
        Step sizes in use.
    lengths : sequence of float
        What :func:`movements` measured, one per step.
    damping : float
        In (0, 1]; 1 goes all the way at once.

    Examples
    --------
    >>> even_steps([1.0, 1.0], [3.0, 1.0], damping=1.0)
    (0.6666666666666666, 1.3333333333333335)
    """
    if len(steps) != len(lengths) or not 0 < damping <= 1 or not sum(lengths) > 0:
        raise ParameterError(
            f"{len(steps)} steps, {len(lengths)} lengths and damping={damping}: give one "
            "length per step, not all zero, and a damping in (0, 1]"
        )
    times = [0.0, *itertools.accumulate(steps)]
    arcs = [0.0, *itertools.accumulate(lengths)]
    wanted = [arcs[-1] * k / len(steps) for k in range(len(steps) + 1)]
    even = [_interpolate(arc, arcs, times) for arc in wanted[:-1]] + [times[-1]]
    moved = [t + damping * (e - t) for t, e in zip(times, even, strict=True)]
    return tuple(b - a for a, b in itertools.pairwise(moved))


def halve_steps(steps: Sequence[float]) -> tuple[float, ...]:
    """Return each step as two of half the size.

    Examples
    --------
    >>> halve_steps([1.0, 3.0])
    (0.5, 0.5, 1.5, 1.5)
    """
    return tuple(step / 2 for step in steps for _ in range(2))


@dataclass(frozen=True)
class Reparametrised:
    """What :func:`reparametrise` did.

    Attributes
    ----------
    steps : tuple of float
        Step sizes of the chain that was kept.
    movements : tuple of float
        How far its blocks move the training rows.
    held_out_nll : tuple of float
        Held-out negative log-likelihood before, and after each round; nats per row.
    """

    steps: tuple[float, ...]
    movements: tuple[float, ...]
    held_out_nll: tuple[float, ...]


def reparametrise(
    chain: FlowChain,
    rows: Rows,
    schedule: ProximalSteps,
    training: Training,
    generator: torch.Generator,
    *,
    rounds: int = 1,
    damping: float = 0.5,
    halve: bool = False,
) -> Reparametrised:
    """Even out how far the blocks move, and train again from where they are.

    Each round measures the movements, moves the time steps by :func:`even_steps` and trains the
    blocks again from their own weights. With `halve`, every interval is first cut in two, both
    blocks starting from the weights of the one they replace. The chain is left with the blocks
    of the best held-out likelihood seen, those found at the start included.

    Parameters
    ----------
    chain : FlowChain
        Trained by :func:`train_chain`.
    rows : Rows
        The preprocessed rows it was trained on.
    schedule : ProximalSteps
        The schedule it was trained with.
    training : Training
        Per block and round.
    generator : torch.Generator
    rounds : int
    damping : float
    halve : bool
    """
    steps = tuple(schedule.step(n) for n in range(len(chain.blocks)))
    lengths = movements(chain, rows.train, rows.train_context)
    best = (guarded_nll(chain, rows.held_out, rows.held_out_context), steps, chain.blocks)
    history = [best[0]]
    if halve:
        steps, lengths = halve_steps(steps), halve_steps(lengths)
        chain.blocks = BlockList(copy.deepcopy(b) for b in chain.blocks for _ in range(2))
    for _ in range(rounds):
        steps = even_steps(steps, lengths, damping)
        chain.blocks = copy.deepcopy(chain.blocks)
        given = replace(schedule, given=steps, stop_below=0.0)
        train_chain(chain, rows, given, training, generator)
        lengths = movements(chain, rows.train, rows.train_context)
        history.append(guarded_nll(chain, rows.held_out, rows.held_out_context))
        if history[-1] < best[0]:
            best = (history[-1], steps, chain.blocks)
    chain.blocks = best[2]
    kept = movements(chain, rows.train, rows.train_context)
    return Reparametrised(best[1], kept, tuple(history))


def _interpolate(at: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    for (x0, y0), (x1, y1) in itertools.pairwise(zip(xs, ys, strict=True)):
        if at <= x1 and x1 > x0:
            return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
    return math.nan
