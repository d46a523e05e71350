"""The one solver that serves training hand-over, likelihood and sampling alike.

This is the only file that imports torchdiffeq.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torchdiffeq import odeint

from flowcore.errors import ParameterError

State = tuple[Tensor, ...]
Rate = Callable[[Tensor, State], State]


@dataclass(frozen=True)
class Solver:
    """How every block of a chain is integrated.

    Attributes
    ----------
    method : str
        ``"rk4"``: fourth-order Runge-Kutta (3/8 rule) on a fixed grid, in which each row is
        on its own.
        ``"dopri5"``: adaptive; its steps depend on the whole batch, so a row's result moves
        within the tolerance with its batch mates. Meant as a reference.
    n_steps : int
        Steps per block of the fixed grid.
    rtol, atol : float
        Tolerances of the adaptive method.
    """

    method: Literal["rk4", "dopri5"] = "rk4"
    n_steps: int = 8
    rtol: float = 1e-6
    atol: float = 1e-8

    def __post_init__(self) -> None:
        if self.method not in ("rk4", "dopri5"):
            raise ParameterError(f"method={self.method!r} is unknown; choose 'rk4' or 'dopri5'")
        if self.n_steps < 1:
            raise ParameterError(f"n_steps={self.n_steps} must be at least 1")

    def config(self) -> dict[str, Any]:
        """Return the JSON-able arguments that rebuild this solver."""
        return asdict(self)

    def grid(self, *, backward: bool = False) -> list[float]:
        """Return the fixed grid over [0, 1], from 1 to 0 if `backward`."""
        grid = [k / self.n_steps for k in range(self.n_steps + 1)]
        return grid[::-1] if backward else grid

    def solve(self, rate: Rate, state: State, *, backward: bool = False) -> State:
        """Integrate ``d state/dt = rate(t, state)`` from t = 0 to 1, or from 1 to 0.

        Parameters
        ----------
        rate : callable
            ``(t, state) -> rates``; `t` is a tensor of shape ().
        state : tuple of Tensor
            Any number of tensors, integrated together.
        backward : bool
            From 1 to 0, on the same grid.
        """
        if self.method == "rk4":
            return runge_kutta(rate, state, self.grid(backward=backward))
        ends = torch.tensor([1.0, 0.0] if backward else [0.0, 1.0])
        ends = ends.to(state[0])
        path = odeint(rate, state, ends, method="dopri5", rtol=self.rtol, atol=self.atol)
        return tuple(component[-1] for component in path)


def runge_kutta(rate: Rate, state: State, grid: Sequence[float]) -> State:
    """Integrate along `grid` with the fourth-order Runge-Kutta method of the 3/8 rule.

    Differentiable; four evaluations of `rate` per step. Of the two methods of Kutta (1901) this
    has the smaller error on the fields here, at the same cost (docs/decisions/0003).
    """
    like = state[0]
    for start, stop in itertools.pairwise(grid):
        h = stop - start
        t1, t2, t3, t4 = (like.new_tensor(t) for t in stage_times(start, stop))
        k1 = rate(t1, state)
        k2 = rate(t2, _moved(state, (k1,), (h / 3,)))
        k3 = rate(t3, _moved(state, (k1, k2), (-h / 3, h)))
        k4 = rate(t4, _moved(state, (k1, k2, k3), (h, -h, h)))
        state = tuple(
            s + (h / 8) * (a + 3 * (b + c) + d)
            for s, a, b, c, d in zip(state, k1, k2, k3, k4, strict=True)
        )
    return state


def stage_times(start: float, stop: float) -> tuple[float, float, float, float]:
    """Return the times at which one step from `start` to `stop` evaluates the rate."""
    third = (stop - start) / 3
    return start, start + third, stop - third, stop


def random_grid(max_steps: int, generator: torch.Generator, min_steps: int = 1) -> list[float]:
    """Return 0 = t_0 < ... < t_k = 1 with `min_steps` to `max_steps` steps.

    Cut points are random, no step shorter than a quarter of the even one. Training on such grids
    leaves no fixed discretisation that the likelihood could exploit; a single step, where
    `min_steps` allows it, is one.
    """
    n = int(torch.randint(min_steps, max_steps + 1, (), generator=generator))
    lengths = 0.25 + 0.75 * torch.rand(n, generator=generator, dtype=torch.float64)
    cuts = (lengths / lengths.sum()).cumsum(0).tolist()
    return [0.0, *cuts[:-1], 1.0]


def _moved(state: State, rates: Sequence[State], lengths: Sequence[float]) -> State:
    for rate, length in zip(rates, lengths, strict=True):
        state = tuple(s + length * r for s, r in zip(state, rate, strict=True))
    return state
