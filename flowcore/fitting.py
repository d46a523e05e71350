"""From raw rows to a fitted chain: split, preprocess, match, refine."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from flowcore import jko, lfm
from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.errors import DataError, ParameterError
from flowcore.fields import keeps_order, new_field
from flowcore.ode import Solver
from flowcore.preprocessing import fit_steps
from flowcore.refine import (
    Refinement,
    grid_error,
    guarded_mean_nll,
    guarded_nll,
    log_prob_on,
    refine,
)
from flowcore.training import Outcome, Progress, Training

METHODS = ("lfm", "jko", "fm")
MOST_TRAINED, MOST_HELD_OUT = 100_000, 5_000
"""Rows that a flow learns from and stops on; more change the density little and cost time."""
ROW_TOLERANCE = 0.05
"""Nats by which a finer grid may move the log-density of one held-out row in twenty."""
NOTHING_GAINED = 0.05
"""Nats per coordinate; a smaller loss against no flow at all is no reason to warn."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a chain is fitted, resolved for one data set.

    Attributes
    ----------
    method : str
        ``"lfm"``, ``"jko"`` or ``"fm"``.
    hidden : int
        Width of the velocity fields.
    matching : LocalFlowMatching
        For lfm and fm; its schedule fixes the number of blocks.
    proximal : ProximalSteps
        For jko.
    n_blocks : int
    training, refine_training : Training
        Per block, and of the joint refinement (None: no refinement).
    refinement : Refinement
    solver : Solver
    held_out : float
        Part of the rows, or of the groups, kept for early stopping.
    field : str or dict
        Kind of the velocity fields, with its settings: :func:`flowcore.fields.field_config`.
    noise : float
    soften : float or None
        As :func:`flowcore.preprocessing.fit_steps` takes them.
    """

    method: str
    hidden: int
    n_blocks: int
    matching: lfm.LocalFlowMatching
    training: Training
    refine_training: Training | None
    solver: Solver
    held_out: float = 0.2
    proximal: jko.ProximalSteps = field(default_factory=jko.ProximalSteps)
    refinement: Refinement = field(default_factory=Refinement)
    field: str | Mapping[str, Any] = "tanh"
    noise: float = 0.0
    soften: float | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ParameterError(f"method={self.method!r} is unknown; choose from {METHODS}")


@dataclass(frozen=True)
class FittedChain:
    """A chain with the split it was fitted on.

    Attributes
    ----------
    chain : FlowChain
    train, held_out : Tensor of int
        Row indices.
    outcomes : list of Outcome
        One per block, then one for the refinement if there was any.
    fell_back : bool
        Training made the held-out likelihood worse than that of the chain it started from, so
        the chain was put back to its start.
    moved : bool
        False if every weight is what it was before training.
    """

    chain: FlowChain
    train: Tensor
    held_out: Tensor
    outcomes: list[Outcome]
    fell_back: bool = False
    moved: bool = True


def fit_chain(
    x: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
    *,
    context: Tensor | None = None,
    groups: Tensor | None = None,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> FittedChain:
    """Fit a chain to finite rows.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Raw rows, float64, on the CPU.
    recipe : Recipe
    generator : torch.Generator
        On the CPU; the only source of randomness.
    context : Tensor of shape (n, context_dim), optional
        Standardised context.
    groups : Tensor of int of shape (n,), optional
        Rows of one group (a patient) are held out together.
    device : torch.device, optional
    progress : callable, optional
    """
    device = device or torch.device("cpu")
    train, held_out = split(len(x), recipe.held_out, generator, groups)
    context_dim = 0 if context is None else context.shape[1]
    blocks = [
        Block(new_field(recipe.field, x.shape[1], recipe.hidden, context_dim, generator))
        for _ in range(recipe.n_blocks)
    ]
    in_order = keeps_order(blocks[0].field.config())
    steps = fit_steps(x[train], keep_order=in_order, noise=recipe.noise, soften=recipe.soften)
    chain = FlowChain(x.shape[1], blocks, steps, recipe.solver)
    rows = _training_rows(chain, x, context, train, held_out, generator, device)
    chain.to(device)
    start = Start(chain, rows)
    outcomes = _match(chain, rows, recipe, generator, progress)
    _solve_finely_enough(chain, rows)
    if recipe.refine_training is not None:
        outcomes.append(
            refine(chain, rows, recipe.refinement, recipe.refine_training, generator, progress)
        )
    nll = _solve_each_row_finely_enough(chain, rows)
    fell_back = start.take_if_better(chain, rows, nll)
    return FittedChain(chain, train, held_out, outcomes, fell_back, start.left(chain))


def _solve_finely_enough(chain: FlowChain, rows: lfm.Rows) -> None:
    """Double the solver's steps, at most twice, until two grids agree on held-out rows."""
    asked = chain.solver
    for factor in (1, 2, 4):
        chain.solver = replace(asked, n_steps=factor * asked.n_steps)
        if math.isfinite(guarded_nll(chain, rows.held_out, rows.held_out_context)):
            return
    chain.solver = asked


def _solve_each_row_finely_enough(chain: FlowChain, rows: lfm.Rows) -> float:
    """Double the solver's steps, at most twice, until few rows move by :data:`ROW_TOLERANCE`.

    A mean over rows can agree between grids where single rows do not. Returns the held-out
    likelihood on the grid that is left, as :func:`guarded_nll` does.
    """

    def on(n_steps: int) -> Tensor:
        return log_prob_on(chain, rows.held_out, rows.held_out_context, n_steps)

    own, fine = on(chain.solver.n_steps), on(2 * chain.solver.n_steps)
    for _ in range(2):
        if grid_error(own, fine) <= ROW_TOLERANCE:
            break
        chain.solver = replace(chain.solver, n_steps=2 * chain.solver.n_steps)
        own, fine = fine, on(2 * chain.solver.n_steps)
    return guarded_mean_nll(own, fine, chain.dim)


class Start:
    """The chain before training: its weights and its held-out likelihood."""

    def __init__(self, chain: FlowChain, rows: lfm.Rows) -> None:
        self.nll = guarded_nll(chain, rows.held_out, rows.held_out_context)
        self.weights = [copy.deepcopy(block.state_dict()) for block in chain.blocks]

    def take_if_better(self, chain: FlowChain, rows: lfm.Rows, nll: float | None = None) -> bool:
        """Undo a training that left the chain worse on held-out rows than its own start.

        `nll` is the held-out likelihood of the chain as it is, where that is known already.
        Returns True if it was worse by more than :data:`NOTHING_GAINED`; below that, rows that
        are Gaussian once whitened simply hold nothing to learn.
        """
        if nll is None:
            nll = guarded_nll(chain, rows.held_out, rows.held_out_context)
        if nll <= self.nll:
            return False
        for block, weights in zip(chain.blocks, self.weights, strict=False):
            block.load_state_dict(weights)
        return (nll - self.nll) / chain.dim > NOTHING_GAINED

    def left(self, chain: FlowChain) -> bool:
        """Say whether any weight of the chain differs from its start."""
        return any(
            not torch.equal(value, weights[name])
            for block, weights in zip(chain.blocks, self.weights, strict=False)
            for name, value in block.state_dict().items()
        )


def split(
    n: int, part: float, generator: torch.Generator, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return shuffled (train, held-out) row indices; whole groups where `groups` are given.

    Without groups at most :data:`MOST_HELD_OUT` rows are held out.

    With fewer than ten rows, or one group, everything serves both purposes.
    """
    if groups is None:
        if n < 10:
            return torch.arange(n), torch.arange(n)
        order = torch.randperm(n, generator=generator)
        n_held_out = max(1, min(round(part * n), MOST_HELD_OUT))
        return order[n_held_out:], order[:n_held_out]
    if groups.shape != (n,):
        raise DataError(f"groups has shape {tuple(groups.shape)}; one label per row: ({n},)")
    names = torch.unique(groups)
    if len(names) < 2:
        return torch.arange(n), torch.arange(n)
    order = names[torch.randperm(len(names), generator=generator)]
    shuffled = torch.randperm(n, generator=generator)
    chosen = torch.isin(groups[shuffled], order[: max(1, round(part * len(names)))])
    return shuffled[~chosen], shuffled[chosen]


def _training_rows(
    chain: FlowChain,
    x: Tensor,
    context: Tensor | None,
    train: Tensor,
    held_out: Tensor,
    generator: torch.Generator,
    device: torch.device,
) -> lfm.Rows:
    train, held_out = train[:MOST_TRAINED], held_out[:MOST_HELD_OUT]
    copies = max(1, min(20, 2000 // len(train)))  # few rows: several draws of the training noise
    train = train.repeat(copies)
    return lfm.Rows(
        chain.train_preprocess(x[train], generator).float().to(device),
        chain.train_preprocess(x[held_out], generator).float().to(device),
        None if context is None else context[train].float().to(device),
        None if context is None else context[held_out].float().to(device),
    )


def _match(
    chain: FlowChain,
    rows: lfm.Rows,
    recipe: Recipe,
    generator: torch.Generator,
    progress: Progress | None,
) -> list[Outcome]:
    if recipe.method == "jko":
        return jko.train_chain(chain, rows, recipe.proximal, recipe.training, generator, progress)
    return lfm.train_chain(chain, rows, recipe.matching, recipe.training, generator, progress)
