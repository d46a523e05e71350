"""Distance to the nearest rows of a stored reference."""

from __future__ import annotations

import torch
from torch import Tensor

N_NEAREST = 5
DISTANCE_FLOOR = 1e-3
"""Distances below this count as equal to it (repeated rows have distance 0)."""
SAME = 1e-4
"""Rows closer than this are the same row, which is stored in single precision."""


class Neighbours:
    """Rows to measure the distance to; kept in single precision, measured in double.

    Parameters
    ----------
    rows : Tensor of shape (m, d)
        The reference.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows.float()
        self._exact = self.rows.double()
        self._squares = (self._exact**2).sum(1)

    def to(self, device: torch.device) -> Neighbours:
        """Return the same reference on a device."""
        return Neighbours(self.rows.to(device))

    def log_distance(self, x: Tensor) -> Tensor:
        """Return the mean logarithm of the distances to the five nearest rows, shape (n,).

        A row that is itself in the reference does not count as its own neighbour, so that rows
        the model was fitted on score like others. The nearest are found from inner products;
        their distances are then taken exactly, so that a row's value does not depend on the rows
        it is computed with.
        """
        closeness = torch.addmm(self._squares, x, self._exact.T, alpha=-2)
        nearest = closeness.topk(min(N_NEAREST + 1, len(self.rows)), largest=False).indices
        apart = self._exact[nearest] - x[:, None, :]
        largest = apart.abs().amax(2).clamp_min(1e-150)  # scaled: squares of far rows overflow
        length = largest * ((apart / largest[:, :, None]) ** 2).sum(2).sqrt()
        logs = length.clamp_min(DISTANCE_FLOOR).log()
        if len(self.rows) <= N_NEAREST:
            return logs.mean(1)
        return torch.where(length[:, 0] < SAME, logs[:, 1:].mean(1), logs[:, :-1].mean(1))
