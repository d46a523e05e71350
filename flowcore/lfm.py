"""Local flow matching: train a chain block by block, without simulating it.

Source: Xu, Xie and Cheng, Local Flow Matching, arXiv 2410.02548, block-wise training; one free block with
independent noise is global flow matching (Lipman et al., arXiv 2210.02747).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.diffusion import check_schedule, ou_step
from flowcore.errors import ParameterError
from flowcore.interpolants import LINEAR, Interpolant
from flowcore.training import Outcome, Progress, Training, draw, minimise

Coupling = Literal["dependent", "independent", "shuffled"]


@dataclass(frozen=True)
class Rows:
    """Rows to learn from and rows to stop on, already preprocessed, on one device.

    Attributes
    ----------
    train, held_out : Tensor of shape (n, d)
    train_context, held_out_context : Tensor of shape (n, context_dim), optional
    """

    train: Tensor
    held_out: Tensor
    train_context: Tensor | None = None
    held_out_context: Tensor | None = None


@dataclass(frozen=True)
class LocalFlowMatching:
    """What the blocks are trained to do.

    Attributes
    ----------
    gammas : tuple of float
        Diffusion time of each block; ``inf`` makes a block free (its target is the noise).
    interpolant : Interpolant
    coupling : str
        ``"dependent"``: the target is the diffused row itself (the papers' choice);
        ``"independent"``: the diffused version of another row drawn at random;
        ``"shuffled"``: of another row of the same minibatch.
    beta : tuple of float
        Times are drawn from Beta(a, b); (1, 1) is uniform, a < 1 < b puts more near the data.
    draws : int
        Times and noises per row and step.
    warm_start : bool
        Begin each block but the first from the weights of the one before it, where both fields
        have the same shape: neighbouring blocks do similar things, and learn faster.
    """

    gammas: tuple[float, ...]
    interpolant: Interpolant = LINEAR
    coupling: Coupling = "dependent"
    beta: tuple[float, float] = (1.0, 1.0)
    draws: int = 1
    warm_start: bool = False

    def __post_init__(self) -> None:
        check_schedule(self.gammas)
        if not all(math.isfinite(b) and b > 0 for b in self.beta):
            raise ParameterError(f"beta={self.beta} must be two positive numbers")
        if self.draws < 1:
            raise ParameterError(f"draws={self.draws} must be at least 1")
        if self.coupling not in ("dependent", "independent", "shuffled"):
            raise ParameterError(
                f"coupling={self.coupling!r} is unknown; "
                "choose 'dependent', 'independent' or 'shuffled'"
            )


def train_chain(
    chain: FlowChain,
    rows: Rows,
    method: LocalFlowMatching,
    training: Training,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Train the blocks of `chain` in order, each on the rows pushed through those before it.

    Parameters
    ----------
    chain : FlowChain
        With one block per entry of ``method.gammas``.
    rows : Rows
        Preprocessed rows.
    method : LocalFlowMatching
    training : Training
        Per block.
    generator : torch.Generator
        On the CPU; the only source of randomness.
    progress : callable, optional
        ``progress(stage, done, total)``.

    Examples
    --------
    >>> from flowcore.velocity import TanhField
    >>> g = torch.Generator().manual_seed(0)
    >>> rows = Rows(3 + torch.randn(300, 1, generator=g), 3 + torch.randn(100, 1, generator=g))
    >>> chain = FlowChain(1, [Block(TanhField(1, 8, generator=g)) for _ in range(2)])
    >>> method, brief = LocalFlowMatching((0.3, 0.6)), Training(steps=40, learning_rate=1e-2)
    >>> [outcome.improved for outcome in train_chain(chain, rows, method, brief, g)]
    [True, True]
    """
    outcomes = []
    total = training.steps * len(chain.blocks)
    for n, (block, gamma) in enumerate(zip(chain.blocks, method.gammas, strict=True)):

        def report(done: int, of: int, n: int = n) -> None:
            if progress is not None:
                progress("flow matching", n * of + done, total)

        if method.warm_start and n:
            start_from(block, list(chain.blocks)[n - 1])
        outcomes.append(train_block(block, rows, gamma, method, training, generator, report))
        rows = push_rows(rows, block, chain)
    return outcomes


def start_from(block: Block, other: Block) -> bool:
    """Copy the weights of `other` into `block` if their fields have one shape; say whether."""
    if block.field.config() != other.field.config():
        return False
    block.load_state_dict(other.state_dict())
    return True


def train_block(
    block: Block,
    rows: Rows,
    gamma: float,
    method: LocalFlowMatching,
    training: Training,
    generator: torch.Generator,
    report: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Regress one velocity field onto the rate of the path from rows to diffused rows."""

    def loss() -> Tensor:
        x, context = draw(rows.train, rows.train_context, training.batch_size, generator)
        return matching_loss(block, x, context, gamma, method, generator)

    repeats = max(1, min(16, 4096 // max(1, len(rows.held_out))))
    fixed = torch.Generator().manual_seed(20_241_002)
    state = fixed.get_state()

    def held_out_loss() -> float:
        fixed.set_state(state)
        with torch.no_grad():
            losses = [
                matching_loss(
                    block, rows.held_out, rows.held_out_context, gamma, method, fixed
                ).item()
                for _ in range(repeats)
            ]
        return math.fsum(losses) / repeats

    return minimise(block, loss, held_out_loss, training, report)


def matching_loss(
    block: Block,
    x: Tensor,
    context: Tensor | None,
    gamma: float,
    method: LocalFlowMatching,
    generator: torch.Generator,
) -> Tensor:
    """Return ``mean |v(t, I_t) - dI_t/dt|^2 / d`` over rows, times and noises."""
    if method.draws > 1:
        x = x.repeat(method.draws, 1)
        context = None if context is None else context.repeat(method.draws, 1)
    noise = torch.randn(x.shape, generator=generator).to(x)
    t = _times(len(x), method.beta, generator).to(x)
    target = ou_step(_partner(x, method.coupling, generator), gamma, noise)
    point = method.interpolant.point(t, x, target)
    rate = method.interpolant.rate(t, x, target)
    loss: Tensor = ((block.field(t, point, context) - rate) ** 2).mean()
    return loss


def push_rows(rows: Rows, block: Block, chain: FlowChain) -> Rows:
    """Carry both sets of rows through a block with the chain's own solver."""
    with torch.no_grad():
        return Rows(
            block.push(rows.train, chain.solver, rows.train_context),
            block.push(rows.held_out, chain.solver, rows.held_out_context),
            rows.train_context,
            rows.held_out_context,
        )


def _partner(x: Tensor, coupling: Coupling, generator: torch.Generator) -> Tensor:
    if coupling == "dependent":
        return x
    if coupling == "shuffled":
        return x[torch.randperm(len(x), generator=generator).to(x.device)]
    return x[torch.randint(len(x), (len(x),), generator=generator).to(x.device)]


def _times(n: int, beta: tuple[float, float], generator: torch.Generator) -> Tensor:
    if beta == (1.0, 1.0):
        return torch.rand(n, 1, generator=generator)
    draws = [torch._standard_gamma(torch.full((n, 1), b), generator=generator) for b in beta]
    share: Tensor = draws[0] / (draws[0] + draws[1])
    return share
