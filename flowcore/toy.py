"""Small distributions for examples, tests and benchmarks; some with a known density."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from flowcore.errors import ParameterError


def moons(n: int, generator: torch.Generator, noise: float = 0.1) -> Tensor:
    """Return two interleaved half circles, (n, 2)."""
    angle = math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    upper = torch.rand(n, generator=generator) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return torch.stack([x, y], 1) + noise * _normal(n, 2, generator)


def rings(n: int, generator: torch.Generator, noise: float = 0.05) -> Tensor:
    """Return two concentric circles of radius 1 and 2, (n, 2)."""
    angle = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    radius = torch.randint(1, 3, (n,), generator=generator)
    circle = torch.stack([angle.cos(), angle.sin()], 1) * radius[:, None]
    return circle + noise * _normal(n, 2, generator)


def checkerboard(n: int, generator: torch.Generator) -> Tensor:
    """Return rows uniform on the black fields of a 4 by 4 board on [-2, 2]^2, (n, 2)."""
    x = 4 * torch.rand(n, generator=generator, dtype=torch.float64) - 2
    field = torch.randint(0, 2, (n,), generator=generator) * 2 - 2
    y = torch.rand(n, generator=generator, dtype=torch.float64) + field + (x.floor() % 2)
    return torch.stack([x, y], 1)


def checkerboard_log_prob(x: Tensor) -> Tensor:
    """Return the log-density of :func:`checkerboard`, ``-log 8`` on black, ``-inf`` elsewhere."""
    inside = (x.abs() < 2).all(1)
    black = (x[:, 0].floor() + x[:, 1].floor()) % 2 == 0
    return torch.where(inside & black, -math.log(8.0), -math.inf)


def gaussian(n: int, covariance: Tensor, generator: torch.Generator) -> Tensor:
    """Return rows of N(0, covariance), (n, d)."""
    root = torch.linalg.cholesky(covariance)
    rows: Tensor = _normal(n, len(covariance), generator).to(covariance) @ root.T
    return rows


def gaussian_log_prob(x: Tensor, covariance: Tensor) -> Tensor:
    """Return the log-density of :func:`gaussian`, nats."""
    root = torch.linalg.cholesky(covariance)
    z = torch.linalg.solve_triangular(root, x.T, upper=False).T
    d = x.shape[1]
    log_volume = root.diagonal().log().sum()
    log_prob: Tensor = -0.5 * (z * z).sum(1) - log_volume - 0.5 * d * math.log(2 * math.pi)
    return log_prob


def _normal(n: int, d: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


TWO_DIMENSIONAL: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    "moons": moons,
    "rings": rings,
    "checkerboard": checkerboard,
}


def two_dimensional(name: str, n: int, generator: torch.Generator) -> Tensor:
    """Draw `n` rows of the two-dimensional set called `name`."""
    if name not in TWO_DIMENSIONAL:
        raise ParameterError(f"set {name!r} is unknown; choose from {sorted(TWO_DIMENSIONAL)}")
    return TWO_DIMENSIONAL[name](n, generator)
