"""Small distributions for examples, tests and benchmarks; some with a known density."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def moons(n: int, generator: torch.Generator, noise: float = 0.1) -> Tensor:
    """Return two interleaved half circles, (n, 2).

    Examples
    --------
    >>> moons(5, torch.Generator().manual_seed(0)).shape
    torch.Size([5, 2])
    """
    angle = math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    upper = torch.rand(n, generator=generator) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return torch.stack([x, y], 1) + noise * _normal(n, 2, generator)


def rings(n: int, generator: torch.Generator, noise: float = 0.08) -> Tensor:
    """Return three circles about the origin, of radius 1, 2 and 3, (n, 2)."""
    angle = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    circle = torch.randint(1, 4, (n,), generator=generator)
    radius = circle + noise * torch.randn(n, generator=generator, dtype=torch.float64)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


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
