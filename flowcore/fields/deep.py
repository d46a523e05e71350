"""A multilayer perceptron of any depth as a velocity field."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from flowcore.errors import DataError, ParameterError
from flowcore.fields.probed import ProbedField
from flowcore.velocity import N_TIME_FEATURES, VelocityFn, initial, time_features


class DeepField(ProbedField):
    """`depth` hidden tanh layers; time and context enter the bias of each.

    ``h_0 = x``, ``h_k = tanh(W_k h_(k-1) + U_k f(t) + C_k c + b_k)``, ``v = W h_depth + b``
    (Chen et al., arXiv 1806.07366, with time in the biases). Exact divergence up to 64
    coordinates at the cost of `d` Jacobian products, Hutchinson's estimate beyond. The output
    layer starts at zero, so a new field stands still. For two layers
    :class:`flowcore.velocity.TanhField` is the same function with a far cheaper divergence.

    Parameters
    ----------
    dim, hidden, depth : int
    context_dim : int
    n_probes, probe_seed : int
        As :class:`ProbedField`.
    generator : torch.Generator, optional
        Source of the initial weights.

    Examples
    --------
    >>> field = DeepField(3, hidden=8, depth=3)
    >>> v, divergence = field.bind().with_divergence(torch.tensor(0.5), torch.ones(2, 3))
    >>> divergence.tolist()
    [0.0, 0.0]
    """

    kind = "deep"

    def __init__(
        self,
        dim: int,
        hidden: int,
        depth: int = 3,
        context_dim: int = 0,
        n_probes: int = 8,
        probe_seed: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(dim, context_dim, n_probes, probe_seed)
        if depth < 1 or hidden < 1:
            raise ParameterError(f"depth={depth} and hidden={hidden} must be at least 1")
        self.hidden, self.depth = hidden, depth
        n_biases = N_TIME_FEATURES + context_dim
        widths = [dim, *[hidden] * (depth - 1)]
        self.weights = nn.ParameterList(initial((hidden, w), w, generator) for w in widths)
        self.inputs = nn.ParameterList(
            initial((hidden, n_biases), n_biases, generator) for _ in widths
        )
        self.biases = nn.ParameterList(torch.zeros(hidden) for _ in widths)
        self.last = nn.Parameter(torch.zeros(dim, hidden))
        self.last_bias = nn.Parameter(torch.zeros(dim))

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this field."""
        names = ("kind", "dim", "hidden", "depth", "context_dim", "n_probes", "probe_seed")
        return {name: getattr(self, name) for name in names}

    def bind_velocity(self, context: Tensor | None) -> VelocityFn:
        """Return the network for one context."""

        def velocity(t: Tensor, x: Tensor) -> Tensor:
            inputs = bias_inputs(t, x, context, self.context_dim)
            for weight, entry, bias in zip(self.weights, self.inputs, self.biases, strict=True):
                x = torch.tanh(x @ weight.T + inputs @ entry.T + bias)
            return x @ self.last.T + self.last_bias

        return velocity


def bias_inputs(t: Tensor, x: Tensor, context: Tensor | None, context_dim: int) -> Tensor:
    """Return what enters the biases: functions of time and the context, (n, number)."""
    features = time_features(t).to(x).expand(len(x), -1)
    if not context_dim:
        return features
    if context is None:
        raise DataError("this field was built with a context; pass context")
    return torch.cat([features, context.expand(len(x), -1)], 1)
