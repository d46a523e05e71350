"""Stored squashing of columns: of those with heavy tails, and of what lies beyond the fit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flowcore.step import Step

HEAVY_KURTOSIS = 20.0
"""Kurtosis above which a column counts as heavy-tailed (normal 3, exponential 9, lognormal of unit
shape 114). Squashing a column that is merely long-tailed magnifies its middle, where patients
differ."""


class Squash(Step):
    """The inverse hyperbolic sine on columns with heavy tails; the identity on all others.

    ``y = (asinh((x - center) / scale) - shift) / spread``: linear within about one robust
    standard deviation of the median, logarithmic beyond, smooth and invertible. Without it a few
    extreme values set the scale of a column and all others look alike.
    """

    kind = "squash"
    heavy: Tensor
    center: Tensor
    scale: Tensor
    shift: Tensor
    spread: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        for name, value in (("heavy", 0), ("center", 0), ("scale", 1), ("shift", 0), ("spread", 1)):
            self.register_buffer(name, torch.full((dim,), float(value), dtype=torch.float64))

    @classmethod
    def fit(cls, y: Tensor) -> Squash:
        """Find the heavy columns of standardised rows (n, d) and their robust scale."""
        step = cls(y.shape[1])
        deviation = y - y.mean(0)
        sd = deviation.std(0, unbiased=False)
        safe = torch.where(sd > 0, sd, torch.ones_like(sd))
        step.heavy.copy_(((deviation / safe) ** 4).mean(0) > HEAVY_KURTOSIS)
        low, middle, high = torch.from_numpy(np.quantile(y.numpy(), (0.16, 0.5, 0.84), axis=0))
        half = (high - low) / 2
        step.center.copy_(middle)
        step.scale.copy_(torch.where(half > 1e-6 * safe, half, safe))
        squashed = torch.asinh((y - step.center) / step.scale)
        width = squashed.std(0, unbiased=False)
        step.shift.copy_(squashed.mean(0))
        step.spread.copy_(torch.where(width > 0, width, torch.ones_like(width)))
        return step

    def forward(self, x: Tensor) -> Tensor:
        """Return the rows with their heavy columns squashed to mean 0 and variance 1."""
        squashed = (torch.asinh((x - self.center) / self.scale) - self.shift) / self.spread
        return torch.where(self.heavy > 0, squashed, x)

    def inverse(self, y: Tensor) -> Tensor:
        """Return the rows in the original coordinates."""
        angle = (y * self.spread + self.shift).clamp(-700, 700)  # sinh stays finite
        return torch.where(self.heavy > 0, torch.sinh(angle) * self.scale + self.center, y)

    def log_det(self, x: Tensor) -> Tensor:
        """Return ``-sum log(scale spread sqrt(1 + u^2))`` over the heavy columns."""
        u = (x - self.center) / self.scale
        slope = torch.hypot(torch.ones_like(u), u) * self.scale * self.spread
        return -(slope.log() * (self.heavy > 0)).sum(1)


class Soften(Step):
    """Columns as they are within what was seen, and logarithmic beyond.

    ``y = c + s asinh((x - c) / s)`` with c the nearest value between two stored quantiles: the
    identity between them, smooth and invertible. Unlike :class:`Squash` it leaves the middle of a
    column as it is. A column in which new rows differ as a whole then counts as beyond all that
    was seen, and hardly more for being far beyond: without it that column alone outranks rows
    that are odd in several.
    """

    kind = "soften"
    low: Tensor
    high: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        for name, value in (("low", -1.0), ("high", 1.0), ("scale", 1.0)):
            self.register_buffer(name, torch.full((dim,), value, dtype=torch.float64))

    @classmethod
    def fit(cls, y: Tensor, beyond: float) -> Soften:
        """Store the quantiles of standardised rows (n, d) that leave out `beyond` on each side.

        The scale s is that of the columns, one standard deviation.
        """
        step = cls(y.shape[1])
        low, high = torch.from_numpy(np.quantile(y.numpy(), (beyond, 1 - beyond), axis=0))
        step.low.copy_(low)
        step.high.copy_(high)
        return step

    def forward(self, x: Tensor) -> Tensor:
        """Return the rows with what lies beyond drawn in."""
        inside = x.clamp(self.low, self.high)
        return inside + self.scale * torch.asinh((x - inside) / self.scale)

    def inverse(self, y: Tensor) -> Tensor:
        """Return the rows in the original coordinates."""
        inside = y.clamp(self.low, self.high)
        angle = ((y - inside) / self.scale).clamp(-700, 700)  # sinh stays finite
        return inside + self.scale * torch.sinh(angle)

    def log_det(self, x: Tensor) -> Tensor:
        """Return ``-sum log sqrt(1 + u^2)`` with u how far beyond, in units of the scale."""
        u = (x - x.clamp(self.low, self.high)) / self.scale
        return -torch.hypot(torch.ones_like(u), u).log().sum(1)
