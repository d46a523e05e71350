"""The hardest plausible rows: a flow that raises a risk as far as a shift of given size allows.

Source: Xu, Lee, Cheng and Xie, FlowDRO, arXiv 2310.19253: the worst law within a
Wasserstein-2 ball, by its Lagrangian ``max_T E r(T(x)) - E|T(x) - x|^2 / (2 g)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flowcore.block import Block
from flowcore.errors import DataError, NumericalError, ParameterError
from flowcore.ode import Solver
from flowcore.ratio import split_rows
from flowcore.training import Training, draw, minimise
from flowcore.velocity import TanhField

Risk = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class WorstCase:
    """A transport towards higher risk, with what it does to held-out rows.

    Attributes
    ----------
    block : Block
        The transport; see :meth:`move`.
    solver : Solver
    radius : float
        ``(E|T(x) - x|^2)^(1/2)`` on held-out rows: the Wasserstein-2 size of the shift, or an
        upper bound of it. Units of the rows.
    multiplier : float
        The g of the Lagrangian.
    risk_before, risk_after : float
        Mean risk of held-out rows and of where they are moved.
    """

    block: Block
    solver: Solver
    radius: float
    multiplier: float
    risk_before: float
    risk_after: float

    def move(self, x: Tensor) -> Tensor:
        """Return where rows (n, d) are moved."""
        with torch.no_grad():
            return self.block.push(x, self.solver)

    def exceedance(self, score: Risk, x: Tensor, threshold: float) -> tuple[float, float]:
        """Return the share of rows whose score is above `threshold`, before and after the move.

        For normal rows: how far a false-alarm rate moves under a shift of size ``radius``.
        """
        with torch.no_grad():
            rates = [float((score(rows) > threshold).double().mean()) for rows in (x, self.move(x))]
        return rates[0], rates[1]


def worst_case(
    x: Tensor,
    risk: Risk,
    radius: float,
    generator: torch.Generator,
    *,
    hidden: int = 64,
    rounds: int = 6,
    training: Training | None = None,
    solver: Solver | None = None,
) -> WorstCase:
    """Find a shift of Wasserstein-2 size about `radius` that raises the mean risk the most.

    For a linear risk ``a'x`` the answer is known: ``T(x) = x + radius a / |a|``. The multiplier g
    is set by fixed-point steps, each of which trains on from the transport before it.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Rows of the law to shift; a fifth is held out to measure on.
    risk : callable
        Differentiable, rows (n, d) to (n,); for example the negative log-density of a chain.
    radius : float
        Positive, units of the rows; standardise them first.
    generator : torch.Generator
    hidden : int
    rounds : int
        Fixed-point steps of g; look at ``WorstCase.radius`` for what was reached.
    training : Training, optional
        Per round.
    solver : Solver, optional

    Raises
    ------
    DataError, ParameterError
        Fewer than 10 rows, a number that is not finite, or a radius that is not positive.
    NumericalError
        The risk does not change with the rows.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> x, brief = torch.randn(200, 2, generator=g), Training(steps=40)
    >>> found = worst_case(x, lambda x: x[:, 0], 0.5, g, rounds=1, training=brief)
    >>> found.risk_after > found.risk_before
    True
    """
    if x.dim() != 2 or len(x) < 10 or not x.isfinite().all():
        raise DataError(f"rows of shape {tuple(x.shape)}: give at least 10 finite rows (n, d)")
    if not 0 < radius < float("inf") or rounds < 1:
        raise ParameterError(f"radius={radius}, rounds={rounds} must be positive")
    solver = solver or Solver("rk4", 4)
    training = training or Training(steps=150, learning_rate=4e-3, evaluate_every=50)
    train, held_out = split_rows(x, generator)
    block = Block(TanhField(x.shape[1], hidden, generator=generator).to(x))
    multiplier, reached = radius / _steepness(risk, train), 0.0
    for _ in range(rounds):
        _raise_risk(block, train, held_out, risk, multiplier, training, solver, generator)
        reached = _distance(block.push(held_out, solver).detach(), held_out)
        if abs(reached / radius - 1) < 0.02:
            break
        used = multiplier
        multiplier *= min(4.0, max(0.25, radius / max(reached, 1e-12)))
    else:
        multiplier = used
    with torch.no_grad():
        after = float(risk(block.push(held_out, solver)).mean())
        before = float(risk(held_out).mean())
    return WorstCase(block, solver, reached, multiplier, before, after)


def _raise_risk(
    block: Block,
    train: Tensor,
    held_out: Tensor,
    risk: Risk,
    multiplier: float,
    training: Training,
    solver: Solver,
    generator: torch.Generator,
) -> None:
    def objective(rows: Tensor) -> Tensor:
        moved = block.push(rows, solver)
        distance = ((moved - rows) ** 2).sum(1)
        return (distance / 2 - multiplier * risk(moved)).mean()  # times g, and turned round

    def held_out_loss() -> float:
        with torch.no_grad():
            return objective(held_out).item()

    minimise(
        block,
        lambda: objective(draw(train, None, training.batch_size, generator)[0]),
        held_out_loss,
        training,
    )


def _steepness(risk: Risk, x: Tensor) -> float:
    rows = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(risk(rows).sum(), rows)
    size = _distance(slope, torch.zeros_like(slope))
    if not 0 < size < float("inf"):
        raise NumericalError("the risk does not change with the rows; give a differentiable one")
    return size


def _distance(a: Tensor, b: Tensor) -> float:
    return float(((a - b) ** 2).sum(1).mean().sqrt())
