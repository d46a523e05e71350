"""Joint refinement of all blocks by exact likelihood, which makes a matched chain a density.

Ours, on the exact divergence of :mod:`flowcore.velocity`; the movement term is that of
JKO-iFlow (Xu, Cheng and Xie, arXiv 2212.14424).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flowcore.chain import FlowChain
from flowcore.errors import ParameterError
from flowcore.lfm import Rows
from flowcore.ode import random_grid
from flowcore.training import Outcome, Progress, Training, draw, minimise

GRID_TOLERANCE = 0.02
"""Largest disagreement of the held-out likelihood between two grids, nats per coordinate."""


@dataclass(frozen=True)
class Refinement:
    """How to refine.

    Attributes
    ----------
    movement : float
        Weight of the movement penalty ``mean sum_n int |v_n|^2 dt``, per coordinate.
    min_grid_steps, max_grid_steps : int
        Training solves with so many Runge-Kutta steps at random cut points. A single step has no
        cut point, and its error is learned in place of the density.
    """

    movement: float = 0.02
    min_grid_steps: int = 2
    max_grid_steps: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.min_grid_steps <= self.max_grid_steps or not self.movement >= 0:
            raise ParameterError(
                f"{self}: give a movement of at least 0 and 1 <= min_grid_steps <= max_grid_steps"
            )


def refine(
    chain: FlowChain,
    rows: Rows,
    refinement: Refinement,
    training: Training,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> Outcome:
    """Train all blocks together on the exact likelihood; keep the better of before and after.

    Better means a higher mean likelihood of ``rows.held_out`` on the chain's own grid. A state
    whose likelihood differs between that grid and one twice as fine counts as infinitely bad:
    a discretisation must not be fitted in place of a density.

    Examples
    --------
    >>> from flowcore.block import Block
    >>> from flowcore.velocity import TanhField
    >>> g = torch.Generator().manual_seed(0)
    >>> rows = Rows(3 + torch.randn(300, 1, generator=g), 3 + torch.randn(100, 1, generator=g))
    >>> chain = FlowChain(1, [Block(TanhField(1, 8, generator=g))])
    >>> brief = Training(steps=40, learning_rate=1e-2, evaluate_every=20)
    >>> outcome = refine(chain, rows, Refinement(), brief, g)
    >>> outcome.after == guarded_nll(chain, rows.held_out) < outcome.before
    True
    """

    def loss() -> Tensor:
        x, context = draw(rows.train, rows.train_context, training.batch_size, generator)
        grid = random_grid(refinement.max_grid_steps, generator, refinement.min_grid_steps)
        return likelihood_loss(chain, x, context, grid, refinement.movement)

    def held_out_loss() -> float:
        return guarded_nll(chain, rows.held_out, rows.held_out_context)

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress("refining", done, total)

    return minimise(chain, loss, held_out_loss, training, report)


def likelihood_loss(
    chain: FlowChain,
    x: Tensor,
    context: Tensor | None,
    grid: Sequence[float],
    movement: float,
) -> Tensor:
    """Return the negative log-likelihood plus the movement penalty, both per coordinate."""
    trace = chain.flow(x, context, grid)
    loss = -trace.log_prob.mean()
    for passage in trace.passages:
        loss = loss + movement * passage.energy.mean()
    return loss / chain.dim


def guarded_nll(chain: FlowChain, x: Tensor, context: Tensor | None = None) -> float:
    """Return the mean negative log-likelihood on the chain's grid, nats per row.

    ``inf`` where it is not finite or where a grid twice as fine disagrees.
    """
    n = chain.solver.n_steps
    own, fine = (log_prob_on(chain, x, context, steps) for steps in (n, 2 * n))
    return guarded_mean_nll(own, fine, chain.dim)


def guarded_mean_nll(own: Tensor, fine: Tensor, dim: int) -> float:
    """Return :func:`guarded_nll` from the log-density (n,) on the two grids."""
    own_nll, fine_nll = -own.mean(), -fine.mean()
    if not torch.isfinite(own_nll) or abs(own_nll - fine_nll) > GRID_TOLERANCE * dim:
        return float("inf")
    return own_nll.item()


def grid_error(own: Tensor, fine: Tensor) -> float:
    """Return the 95 % quantile over rows (n,) of what a grid twice as fine changes, nats."""
    return torch.quantile((own - fine).abs().nan_to_num(torch.inf, torch.inf), 0.95).item()


def log_prob_on(chain: FlowChain, x: Tensor, context: Tensor | None, n_steps: int) -> Tensor:
    """Return the log-density of preprocessed rows on an even grid of `n_steps`, (n,), float64."""
    grid = replace(chain.solver, n_steps=n_steps).grid()
    with torch.no_grad():
        return chain.flow(x, context, grid).log_prob.double()
