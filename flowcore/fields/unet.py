"""A one-dimensional convolutional U-Net on raw windows as a velocity field."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

from flowcore.errors import ParameterError
from flowcore.fields.deep import bias_inputs
from flowcore.fields.probed import ProbedField
from flowcore.velocity import N_TIME_FEATURES, VelocityFn, initial

KERNEL = 5


class UNetField(ProbedField):
    """Rows are windows ``(n_channels, n_times)``, flattened channel by channel.

    Two levels of strided convolutions down and two up with skip connections (Ronneberger et al.,
    arXiv 1505.04597, in one dimension), tanh throughout, time and context in the biases. Beyond
    64 values a window the divergence is Hutchinson's estimate;
    :func:`flowcore.fields.log_prob_with_error` states the error of the log-density. The output
    starts at zero, so a new field stands still.

    Parameters
    ----------
    n_channels, n_times : int
        Shape of a window; d is their product. At least 4 times.
    width : int
        Feature channels at full resolution; twice and four times as many below.
    context_dim : int
    n_probes, probe_seed : int
        As :class:`ProbedField`.
    generator : torch.Generator, optional
        Source of the initial weights.

    Examples
    --------
    >>> field = UNetField(2, 50, width=4)
    >>> field(torch.tensor(0.5), torch.zeros(3, 100)).shape
    torch.Size([3, 100])
    """

    kind = "unet"

    def __init__(
        self,
        n_channels: int,
        n_times: int,
        width: int = 16,
        context_dim: int = 0,
        n_probes: int = 8,
        probe_seed: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        if n_channels < 1 or n_times < 4 or width < 1:
            raise ParameterError(
                f"n_channels={n_channels}, n_times={n_times}, width={width}: give at least one "
                "channel, four times and a width of one"
            )
        super().__init__(n_channels * n_times, context_dim, n_probes, probe_seed)
        self.n_channels, self.n_times, self.width = n_channels, n_times, width
        n_inputs = N_TIME_FEATURES + context_dim
        w1, w2, w3 = width, 2 * width, 4 * width

        def layer(fan_in: int, out: int) -> _Convolution:
            return _Convolution(fan_in, out, n_inputs, generator)

        self.enter, self.down1, self.down2 = layer(n_channels, w1), layer(w1, w2), layer(w2, w3)
        self.middle = layer(w3, w3)
        self.up1, self.up2 = layer(w3 + w2, w2), layer(w2 + w1, w1)
        self.leave = nn.Parameter(torch.zeros(n_channels, w1, KERNEL))

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this field."""
        names = ("kind", "n_channels", "n_times", "width", "context_dim", "n_probes", "probe_seed")
        return {name: getattr(self, name) for name in names}

    def bind_velocity(self, context: Tensor | None) -> VelocityFn:
        """Return the network for one context."""

        def velocity(t: Tensor, x: Tensor) -> Tensor:
            inputs = bias_inputs(t, x, context, self.context_dim)
            windows = x.reshape(len(x), self.n_channels, self.n_times)
            full = self.enter(windows, inputs)
            half = self.down1(full, inputs, 2)
            low = self.middle(self.down2(half, inputs, 2), inputs)
            half = self.up1(_join(low, half), inputs)
            full = self.up2(_join(half, full), inputs)
            return conv1d(full, self.leave, padding=KERNEL // 2).reshape(x.shape)

        return velocity


class _Convolution(nn.Module):
    """Convolution, a bias from time and context, tanh."""

    def __init__(
        self, fan_in: int, out: int, n_inputs: int, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        self.weight = initial((out, fan_in, KERNEL), fan_in * KERNEL, generator)
        self.entry = initial((out, n_inputs), n_inputs, generator)
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor, inputs: Tensor, stride: int = 1) -> Tensor:
        bias = inputs @ self.entry.T + self.bias
        filtered = conv1d(x, self.weight, stride=stride, padding=KERNEL // 2)
        return torch.tanh(filtered + bias[:, :, None])


def _join(low: Tensor, skip: Tensor) -> Tensor:
    """Double the times of `low`, cut them to those of `skip`, and put both together."""
    raised = low.repeat_interleave(2, dim=2)[:, :, : skip.shape[2]]
    return torch.cat([raised, skip], 1)
