"""The Ornstein-Uhlenbeck step that gives each block of local flow matching its target.

Source: Xu, Xie and Cheng, Local Flow Matching, arXiv 2410.02548.
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

    Examples
    --------
    >>> import torch
    >>> ou_step(torch.ones(1, 2), math.inf, torch.zeros(1, 2)).tolist()
    [[0.0, 0.0]]
    """
    shrink = math.exp(-gamma)
    return shrink * x + math.sqrt(-math.expm1(-2 * gamma)) * noise


def geometric_schedule(first: float, ratio: float, n_blocks: int) -> tuple[float, ...]:
    """Return ``gamma_n = first * ratio**(n-1)`` for ``n = 1..n_blocks``.

    Examples
    --------
    >>> geometric_schedule(0.25, 2.0, 3)
    (0.25, 0.5, 1.0)
    """
    if n_blocks < 1:
        raise ParameterError(f"n_blocks={n_blocks} must be at least 1")
    return check_schedule([first * ratio**n for n in range(n_blocks)])


def schedule_to_reach(total: float, first: float, ratio: float) -> tuple[float, ...]:
    """Return the shortest geometric schedule whose diffusion times add up to at least `total`.

    After a total time G the mean of the data has shrunk by ``exp(-G)``: ``total=3`` leaves 5 %.

    Examples
    --------
    >>> schedule_to_reach(3.0, 0.5, 2.0)
    (0.5, 1.0, 2.0)
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


def schedule_of_count(total: float, n_blocks: int, ratio: float = 1.0) -> tuple[float, ...]:
    """Return the geometric schedule of exactly `n_blocks` times that add up to `total`.

    The way to ask for a number of blocks and an end point and leave the first step to arithmetic.

    Examples
    --------
    >>> [round(g, 3) for g in schedule_of_count(3.5, 3, ratio=2.0)]
    [0.5, 1.0, 2.0]
    """
    if not (total > 0 and ratio > 0 and math.isfinite(total) and math.isfinite(ratio)):
        raise ParameterError(f"total={total}, ratio={ratio} must be positive and finite numbers")
    unit = geometric_schedule(1.0, ratio, n_blocks)
    return tuple(total * g / math.fsum(unit) for g in unit)


def with_free_end(gammas: Sequence[float]) -> tuple[float, ...]:
    """Return `gammas` with the last one made free: that block's target is the noise itself.

    The chain then ends on the base density however short the schedule was.

    Examples
    --------
    >>> with_free_end((0.1, 0.2))
    (0.1, inf)
    """
    return (*check_schedule(gammas)[:-1], math.inf)


def check_schedule(gammas: Sequence[float]) -> tuple[float, ...]:
    """Return `gammas` as a tuple of floats; refuse an empty list or a value that is not > 0."""
    schedule = tuple(float(g) for g in gammas)
    if not schedule or not all(g > 0 for g in schedule):
        raise ParameterError(f"gammas={list(gammas)} must be one or more positive numbers")
    return schedule
