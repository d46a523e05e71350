"""A field linear in the rows, whose flow carries Gaussians to Gaussians."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from flowcore.velocity import N_TIME_FEATURES, BoundField, VelocityField, time_features


class LinearField(VelocityField):
    """``v(t, x) = (A + sum_k f_k(t) A_k) x + b + sum_k f_k(t) b_k``; divergence: the trace.

    ``f_k`` are the smooth functions of time of :func:`flowcore.velocity.time_features`. Between
    Gaussians it is all that is needed (Xu, Xie and Cheng, arXiv 2410.02548: the minimiser of the
    matching loss is linear in x there); in a :class:`SumField` it takes the linear part off the
    networks. It starts at zero and knows no context.

    Parameters
    ----------
    dim : int
        Number of coordinates d.
    generator : torch.Generator, optional
        Unused: nothing is drawn.

    Examples
    --------
    >>> field = LinearField(2)
    >>> with torch.no_grad():
    ...     _ = field.matrix.copy_(torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
    >>> v, divergence = field.bind().with_divergence(torch.tensor(0.5), torch.ones(1, 2))
    >>> v.tolist(), divergence.tolist()
    ([[3.0, 3.0]], [4.0])
    """

    kind = "linear"

    def __init__(self, dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__(dim)
        del generator
        self.matrix = nn.Parameter(torch.zeros(dim, dim))
        self.matrix_rates = nn.Parameter(torch.zeros(N_TIME_FEATURES, dim, dim))
        self.offset = nn.Parameter(torch.zeros(dim))
        self.offset_rates = nn.Parameter(torch.zeros(dim, N_TIME_FEATURES))

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this field."""
        return {"kind": self.kind, "dim": self.dim}

    def bind(self, context: Tensor | None = None) -> BoundField:
        """Ignore the context and form the traces."""
        del context
        trace = self.matrix.trace()
        trace_rates = self.matrix_rates.diagonal(dim1=1, dim2=2).sum(1)

        def velocity(t: Tensor, x: Tensor) -> Tensor:
            features = time_features(t).to(x)
            in_time = torch.einsum("kij,nj->nki", self.matrix_rates, x)
            changing = (features[:, :, None] * in_time).sum(1)
            offset = self.offset + features @ self.offset_rates.T
            return x @ self.matrix.T + changing + offset

        def with_divergence(t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            divergence = trace + time_features(t).to(x) @ trace_rates
            return velocity(t, x), divergence.expand(len(x))

        return BoundField(velocity, with_divergence)
