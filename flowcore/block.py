"""One block of a chain: a velocity field integrated over t in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowcore.ode import Rate, Solver, State, runge_kutta
from flowcore.velocity import BoundField, VelocityField


@dataclass(frozen=True)
class Passage:
    """What a block did to each row on its way from data to noise.

    Attributes
    ----------
    x : Tensor of shape (n, d)
        Where the rows arrive.
    log_det : Tensor of shape (n,)
        ``int div v dt``, the logarithm of the volume change, nats.
    energy : Tensor of shape (n,)
        ``int |v|^2 dt``, the kinetic energy of the passage (squared units of x).
    """

    x: Tensor
    log_det: Tensor
    energy: Tensor


class Block(nn.Module):
    """An invertible map: the flow of one velocity field.

    Parameters
    ----------
    field : VelocityField
    """

    def __init__(self, field: VelocityField) -> None:
        super().__init__()
        self.field = field

    def forward(
        self,
        x: Tensor,
        solver: Solver,
        context: Tensor | None = None,
        grid: Sequence[float] | None = None,
    ) -> Passage:
        """Carry rows from t = 0 to 1 with log-determinant and energy.

        Parameters
        ----------
        x : Tensor of shape (n, d)
        solver : Solver
        context : Tensor of shape (n, context_dim), optional
        grid : sequence of float, optional
            Times for Runge-Kutta instead of the solver's grid (refinement randomises it).
        """
        bound = self.field.bind(context)
        if bound.march is not None and _marches(solver, grid):
            return Passage(*bound.march(x, solver.grid() if grid is None else grid, True))
        rate = _full_rate(bound)
        zero = torch.zeros_like(x[:, 0])
        start = (x, zero, zero)
        end = solver.solve(rate, start) if grid is None else runge_kutta(rate, start, grid)
        return Passage(*end)

    def push(
        self,
        x: Tensor,
        solver: Solver,
        context: Tensor | None = None,
        *,
        backward: bool = False,
    ) -> Tensor:
        """Carry rows to t = 1, or back to t = 0, without the log-determinant."""
        bound = self.field.bind(context)
        if bound.march is not None and _marches(solver):
            return bound.march(x, solver.grid(backward=backward), False)[0]
        velocity = bound.velocity
        (end,) = solver.solve(lambda t, s: (velocity(t, s[0]),), (x,), backward=backward)
        return end


class BlockList(nn.ModuleList):
    """Blocks in order from data to noise."""

    def __iter__(self) -> Iterator[Block]:
        return iter(self._modules.values())  # type: ignore[arg-type]


def _marches(solver: Solver, grid: Sequence[float] | None = None) -> bool:
    """Say whether the field's own Runge-Kutta serves: fixed grid, no gradients wanted."""
    return (solver.method == "rk4" or grid is not None) and not torch.is_grad_enabled()


def _full_rate(bound: BoundField) -> Rate:
    def rate(t: Tensor, state: State) -> State:
        v, divergence = bound.with_divergence(t, state[0])
        return v, divergence, (v * v).sum(1)

    return rate
