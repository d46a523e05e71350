"""The interface of one stored preprocessing step, and a list of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Step(nn.Module):
    """An invertible map ``y = f(x)`` of rows whose log-determinant is known.

    Only :meth:`train_forward` may be random: noise is for training, never for a score.

    Attributes
    ----------
    dim : int
        Number of coordinates.
    """

    kind = "identity"
    by_column = True
    """True if each column is mapped on its own; False if the step mixes columns."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Map raw-side rows (n, d) to chain-side rows (n, d)."""
        return x

    def inverse(self, y: Tensor) -> Tensor:
        """Map chain-side rows back."""
        return y

    def log_det(self, x: Tensor) -> Tensor:
        """Return ``log |det df/dx|`` at raw-side rows (n, d), nats, shape (n,)."""
        return torch.zeros_like(x[:, 0])

    def train_forward(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Map rows for training; a noise step adds its noise here and nowhere else."""
        del generator
        return self.forward(x)


class StepList(nn.ModuleList):
    """Steps in order from raw rows to the first block."""

    def __iter__(self) -> Iterator[Step]:
        return iter(self._modules.values())  # type: ignore[arg-type]
