"""The Ornstein-Uhlenbeck step that gives each block of local flow matching its target.

Source: Xu, Xie and Cheng, Local Flow Matching, arXiv 2410.02548, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from flowcore.errors import ParameterError


def ou_step(x: Tensor, gamma: float, noise: Tensor) -> Tensor:
    """Diffuse rows for a time `gamma` towards N(0, I).

    Returns ``exp(-gamma) x + sqrt(1 - exp(-2 gamma)) noise``; ``gamma = inf`` gives the noise
    itself (a *free* block, which maps straight onto the base density).

    Parameters
    ----------
    x : Tensor of shape (n, d)
    gamma : float
        Diffusion time, positive; no unit.
    noise : Tensor of shape (n, d)
        Standard normal draws.
    """
    shrink = math.exp(-gamma)
    return shrink * x + math.sqrt(-math.expm1(-2 * gamma)) * noise


def geometric_schedule(first: float, ratio: float, n_blocks: int) -> tuple[float, ...]:
    """Return ``gamma_n = first * ratio**(n-1)`` for ``n = 1..n_blocks``."""
    if n_blocks < 1:
        raise ParameterError(f"n_blocks={n_blocks} must be at least 1")
    return check_schedule([first * ratio**n for n in range(n_blocks)])


def schedule_to_reach(total: float, first: float, ratio: float) -> tuple[float, ...]:
    """Return the shortest geometric schedule whose diffusion times add up to at least `total`.

    After a total time G the mean of the data has shrunk by ``exp(-G)``: ``total=3`` leaves 5 %.
    """
    schedule = [*check_schedule([first])]
    while sum(schedule) < total:
        schedule.append(schedule[-1] * ratio)
        if len(schedule) > 1000:
            raise ParameterError(
                f"first={first}, ratio={ratio} do not reach total={total} in 1000 blocks; "
                "raise first or ratio"
            )
    return tuple(schedule)


def check_schedule(gammas: Sequence[float]) -> tuple[float, ...]:
    """Return `gammas` as a tuple of floats; refuse an empty list or a value that is not > 0."""
    schedule = tuple(float(g) for g in gammas)
    if not schedule or not all(g > 0 for g in schedule):
        raise ParameterError(f"gammas={list(gammas)} must be one or more positive numbers")
    return schedule
