"""The sum of several fields is a field: velocities and divergences add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flowcore.errors import ParameterError
from flowcore.velocity import BoundField, VelocityField, build_field


class SumField(VelocityField):
    """``v = v_1 + ... + v_m``; the divergence is the sum of theirs, so a closed form stays one.

    The trace is linear (Xie and Cheng, arXiv 2502.13394, the continuity equation). Meant for a
    linear part beside a network, or for networks of several widths.

    Parameters
    ----------
    dim : int
        Number of coordinates d.
    parts : sequence of dict
        Configuration of each part, as :func:`flowcore.velocity.build_field` takes it.
    context_dim : int
        Number of context values per row, given to every part that takes a context.
    generator : torch.Generator, optional
        Source of the initial weights.

    Examples
    --------
    >>> tanh = {"kind": "tanh", "dim": 3, "hidden": 8}
    >>> field = SumField(3, [{"kind": "linear", "dim": 3}, tanh])
    >>> field(torch.tensor(0.0), torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """

    kind = "sum"

    def __init__(
        self,
        dim: int,
        parts: Sequence[dict[str, Any]],
        context_dim: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(dim, context_dim)
        fields = [build_field(part, generator) for part in parts]
        if not fields or any(f.dim != dim or f.context_dim not in (0, context_dim) for f in fields):
            found = [(f.dim, f.context_dim) for f in fields]
            raise ParameterError(
                f"parts of (dim, context_dim) {found} do not add up to ({dim}, {context_dim}); "
                "give one or more parts of that dim, with that context or none"
            )
        self.parts = nn.ModuleList(fields)

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this field."""
        return {
            "kind": self.kind,
            "dim": self.dim,
            "parts": [field.config() for field in self._fields()],
            "context_dim": self.context_dim,
        }

    def bind(self, context: Tensor | None = None) -> BoundField:
        """Bind every part."""
        bound = [f.bind(context if f.context_dim else None) for f in self._fields()]

        def velocity(t: Tensor, x: Tensor) -> Tensor:
            return torch.stack([b.velocity(t, x) for b in bound]).sum(0)

        def with_divergence(t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            pairs = [b.with_divergence(t, x) for b in bound]
            return torch.stack([v for v, _ in pairs]).sum(0), torch.stack(
                [divergence for _, divergence in pairs]
            ).sum(0)

        return BoundField(velocity, with_divergence)

    def _fields(self) -> list[VelocityField]:
        return [field for field in self.parts if isinstance(field, VelocityField)]
