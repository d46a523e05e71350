"""Paths from data (t = 0) to noise (t = 1) along which a velocity field is learned."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from flowcore.errors import ParameterError

Coefficient = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Interpolant:
    """A path ``I_t = alpha(t) x0 + beta(t) x1`` with ``I_0 = x0`` and ``I_1 = x1``.

    Source: Albergo and Vanden-Eijnden, arXiv 2209.15571; Lipman et al., arXiv 2210.02747.

    Attributes
    ----------
    name : str
    alpha, beta : callable
        Coefficients of the end points, functions of a tensor of times.
    alpha_rate, beta_rate : callable
        Their derivatives in time.
    """

    name: str
    alpha: Coefficient
    beta: Coefficient
    alpha_rate: Coefficient
    beta_rate: Coefficient

    def point(self, t: Tensor, x0: Tensor, x1: Tensor) -> Tensor:
        """Return ``I_t``; `t` has shape (n, 1), the end points (n, d)."""
        return self.alpha(t) * x0 + self.beta(t) * x1

    def rate(self, t: Tensor, x0: Tensor, x1: Tensor) -> Tensor:
        """Return ``dI_t/dt``, the regression target of flow matching."""
        return self.alpha_rate(t) * x0 + self.beta_rate(t) * x1


LINEAR = Interpolant(
    name="linear",
    alpha=lambda t: 1 - t,
    beta=lambda t: t,
    alpha_rate=lambda t: -t.new_ones(()).expand_as(t),
    beta_rate=lambda t: t.new_ones(()).expand_as(t),
)
"""Straight lines, ``(1-t) x0 + t x1``."""

TRIGONOMETRIC = Interpolant(
    name="trigonometric",
    alpha=lambda t: (math.pi / 2 * t).cos(),
    beta=lambda t: (math.pi / 2 * t).sin(),
    alpha_rate=lambda t: -math.pi / 2 * (math.pi / 2 * t).sin(),
    beta_rate=lambda t: math.pi / 2 * (math.pi / 2 * t).cos(),
)
"""Quarter circles, ``cos(pi t/2) x0 + sin(pi t/2) x1``: variance preserving."""

_BY_NAME = {i.name: i for i in (LINEAR, TRIGONOMETRIC)}


def interpolant(name: str) -> Interpolant:
    """Return the interpolant called `name`: ``"linear"`` or ``"trigonometric"``."""
    if name not in _BY_NAME:
        raise ParameterError(f"interpolant={name!r} is unknown; choose from {sorted(_BY_NAME)}")
    return _BY_NAME[name]
