"""Velocity fields: what a block integrates, with their divergence.

The default, :class:`TanhField`, knows its exact divergence in closed form.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flowcore.ode import stage_times
from flowcore.tanh_march import TanhWeights, march

VelocityFn = Callable[[Tensor, Tensor], Tensor]
RateFn = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
MarchFn = Callable[[Tensor, Sequence[float], bool], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class BoundField:
    """A field with everything that does not depend on (t, x) worked out once.

    Attributes
    ----------
    velocity : callable
        ``(t, x) -> v``; `t` is a tensor of shape () or (n, 1), `x` and `v` are (n, d).
    with_divergence : callable
        ``(t, x) -> (v, div v)`` with the divergence of shape (n,).
    march : callable, optional
        ``(x, grid, divergence) -> (x, log_det, energy)``: the field's own Runge-Kutta, for use
        without gradients only; equal to :func:`flowcore.ode.runge_kutta` up to rounding.
    """

    velocity: VelocityFn
    with_divergence: RateFn
    march: MarchFn | None = None


class VelocityField(nn.Module, ABC):
    """The interface of every velocity field.

    Parameters
    ----------
    dim : int
        Number of coordinates d.
    context_dim : int
        Number of context values per row; 0 for an unconditional field.
    """

    def __init__(self, dim: int, context_dim: int = 0) -> None:
        super().__init__()
        self.dim = dim
        self.context_dim = context_dim

    @abstractmethod
    def bind(self, context: Tensor | None = None) -> BoundField:
        """Fix the context (n, context_dim) and precompute what one solve shares."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return the JSON-able arguments that rebuild this field, under a ``"kind"``."""

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the velocity at rows `x` (n, d) and times `t` of shape () or (n, 1)."""
        return self.bind(context).velocity(t, x)


def time_features(t: Tensor) -> Tensor:
    """Return smooth functions of time, shape (..., 5) for `t` of shape (..., 1) or ()."""
    t = t.reshape(1, 1) if t.dim() == 0 else t
    angle = math.pi * t
    return torch.cat(
        [2 * t - 1, angle.sin(), angle.cos(), (2 * angle).sin(), (2 * angle).cos()], dim=-1
    )


N_TIME_FEATURES = 5


class TanhField(VelocityField):
    """Two hidden layers whose exact divergence costs one extra matrix product.

    ``v(t, x, c) = W3 tanh(W2 tanh(W1 x + b1) + b2) + b3`` where ``b1, b2, b3`` are affine in
    smooth functions of time and (b1, b2) in the context. With ``d1, d2`` the derivatives of the
    two activations, ``div v = d2' M d1`` where ``M = W2 * (W1 W3)'`` elementwise. The output
    layer starts at zero, so a new field stands still.

    Parameters
    ----------
    dim : int
        Number of coordinates d.
    hidden : int
        Width h of both hidden layers.
    context_dim : int
        Number of context values per row.
    generator : torch.Generator, optional
        Source of the initial weights.
    """

    kind = "tanh"

    def __init__(
        self,
        dim: int,
        hidden: int,
        context_dim: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(dim, context_dim)
        self.hidden = hidden
        self.w1 = initial((hidden, dim), dim, generator)
        self.w2 = initial((hidden, hidden), hidden, generator)
        self.w3 = nn.Parameter(torch.zeros(dim, hidden))
        self.time1 = initial((hidden, N_TIME_FEATURES), N_TIME_FEATURES, generator)
        self.time2 = initial((hidden, N_TIME_FEATURES), N_TIME_FEATURES, generator)
        self.time3 = nn.Parameter(torch.zeros(dim, N_TIME_FEATURES))
        self.b1 = nn.Parameter(torch.empty(hidden).uniform_(-1, 1, generator=generator))
        self.b2 = nn.Parameter(torch.empty(hidden).uniform_(-1, 1, generator=generator))
        self.b3 = nn.Parameter(torch.zeros(dim))
        if context_dim:
            self.context1 = initial((hidden, context_dim), context_dim, generator)
            self.context2 = initial((hidden, context_dim), context_dim, generator)

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this field."""
        return {
            "kind": self.kind,
            "dim": self.dim,
            "hidden": self.hidden,
            "context_dim": self.context_dim,
        }

    def bind(self, context: Tensor | None = None) -> BoundField:
        """Fix the context and form the matrix M of the closed-form divergence."""
        bias1: Tensor = self.b1
        bias2: Tensor = self.b2
        if self.context_dim:
            if context is None:
                raise TypeError("this field was built with a context; pass context")
            bias1 = bias1 + context @ self.context1.T
            bias2 = bias2 + context @ self.context2.T
        mixing = self.w2 * (self.w1 @ self.w3).T
        mixing_total = mixing.sum(1)

        def hidden_layers(t: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            features = time_features(t)
            a1 = torch.tanh(x @ self.w1.T + (bias1 + features @ self.time1.T))
            a2 = torch.tanh(a1 @ self.w2.T + (bias2 + features @ self.time2.T))
            v = a2 @ self.w3.T + (self.b3 + features @ self.time3.T)
            return a1, a2, v

        def velocity(t: Tensor, x: Tensor) -> Tensor:
            return hidden_layers(t, x)[2]

        def with_divergence(t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            a1, a2, v = hidden_layers(t, x)
            pulled = mixing_total - (a1 * a1) @ mixing.T  # M d1 with d1 = 1 - a1^2
            return v, ((1 - a2 * a2) * pulled).sum(1)

        def own_march(
            x: Tensor, grid: Sequence[float], divergence: bool
        ) -> tuple[Tensor, Tensor, Tensor]:
            times = [grid[0]]
            for start, stop in itertools.pairwise(grid):
                times.extend(stage_times(start, stop)[1:])
            weights = self._march_weights(bias1, bias2, mixing)
            features = time_features(x.new_tensor(times)[:, None])
            return march(weights, x, grid, features, divergence)

        return BoundField(velocity, with_divergence, own_march)

    def _march_weights(self, bias1: Tensor, bias2: Tensor, mixing: Tensor) -> TanhWeights:
        """Put the factors and constants of ``tanh(y) = 2 sigmoid(2 y) - 1`` into the weights."""
        return TanhWeights(
            w1=2 * self.w1,
            w2=4 * self.w2,
            w3=2 * self.w3,
            mixing=mixing,
            bias1=2 * bias1,
            bias2=2 * (bias2 - self.w2.sum(1)),
            bias3=self.b3 - self.w3.sum(1),
            time1=2 * self.time1.T,
            time2=2 * self.time2.T,
            time3=self.time3.T,
        )


def initial(shape: tuple[int, ...], fan_in: int, generator: torch.Generator | None) -> nn.Parameter:
    """Return weights of variance ``1 / fan_in``."""
    return nn.Parameter(torch.randn(shape, generator=generator) / math.sqrt(fan_in))


def build_field(config: dict[str, Any], generator: torch.Generator | None = None) -> VelocityField:
    """Build the field that :meth:`VelocityField.config` describes."""
    from flowcore.fields import MORE_FIELDS  # they build on this module

    arguments = {k: v for k, v in config.items() if k != "kind"}
    return (FIELDS | MORE_FIELDS)[config["kind"]](**arguments, generator=generator)


FIELDS: dict[str, Callable[..., VelocityField]] = {TanhField.kind: TanhField}
"""Every kind of field that can be built from a configuration."""
