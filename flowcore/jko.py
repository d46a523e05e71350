"""JKO-iFlow: train a chain block by block as proximal steps of a gradient flow.

Source: Xu, Cheng and Xie, arXiv 2212.14424, equation 9 and algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from flowcore.block import Block, BlockList, Passage
from flowcore.chain import FlowChain
from flowcore.lfm import Rows, push_rows
from flowcore.ode import random_grid
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
        Training solves with 1 to this many Runge-Kutta steps at random cut points.
    """

    first: float = 0.75
    ratio: float = 1.2
    largest: float = 3.0
    stop_below: float = 0.01
    max_grid_steps: int = 3

    def step(self, n: int) -> float:
        """Return the step size of block `n`, counted from 0."""
        return min(self.first * self.ratio**n, self.largest)


def proximal_loss(passage: Passage, start: Tensor, step: float) -> Tensor:
    """Return ``E[|x(1)|^2/2 - int div v dt + |x(1) - x(0)|^2/(2 h)] / d``."""
    moved = ((passage.x - start) ** 2).sum(1)
    objective = (passage.x**2).sum(1) / 2 - passage.log_det + moved / (2 * step)
    return objective.mean() / start.shape[1]


def relative_movement(start: Tensor, end: Tensor) -> float:
    """Return ``E|x - Tx|^2 / E|Tx|^2``, the papers' stopping quantity; no unit."""
    return float(((end - start) ** 2).sum() / (end**2).sum())


def train_chain(
    chain: FlowChain,
    rows: Rows,
    schedule: ProximalSteps,
    training: Training,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Train the blocks of `chain` in order and drop those after the flow has come to rest."""
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
        grid = random_grid(schedule.max_grid_steps, generator)
        return proximal_loss(block(x, chain.solver, context, grid), x, step)

    def held_out_loss() -> float:
        with torch.no_grad():
            passage = block(rows.held_out, chain.solver, rows.held_out_context)
            return proximal_loss(passage, rows.held_out, step).item()

    return minimise(block, loss, held_out_loss, training)
