"""Runge-Kutta for :class:`flowcore.velocity.TanhField` without gradients, made for speed.

The numbers are those of :func:`flowcore.ode.runge_kutta` up to rounding. What is saved: times
are shared by all rows, so every bias of the grid is worked out once; rows pass through the whole
block in pieces whose activations stay in the processor's cache; every product and every
elementwise step writes into a buffer that is used again; because the rates of log-determinant
and energy do not depend on their own values, both are weighted sums over stages; and the
hyperbolic tangent is taken as ``2 sigmoid(2 y) - 1``, which processors work out eight times faster
(docs/decisions/0003).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CPU_ROWS = 256
DEVICE_ROWS = 65_536
"""Rows per piece for each thread of a processor, and on an accelerator, which has no use for
small pieces."""


@dataclass(frozen=True)
class TanhWeights:
    """The weights of one bound field, laid out for products with rows from the left.

    Attributes
    ----------
    w1, w2, w3 : Tensor of shape (d, h), (h, h), (h, d)
        Transposed layers, contiguous.
    minus_mixing : Tensor of shape (h, h)
        Transpose of -M, contiguous.
    mixing_total : Tensor of shape (h,)
        Row sums of M.
    bias1, bias2 : Tensor of shape (h,) or (n, h)
        With the context, if there is one, already in them.
    bias3 : Tensor of shape (d,)
    time1, time2, time3 : Tensor of shape (n_features, h), (n_features, h), (n_features, d)
        From features of time to what they add to each bias.
    """

    w1: Tensor
    w2: Tensor
    w3: Tensor
    minus_mixing: Tensor
    mixing_total: Tensor
    bias1: Tensor
    bias2: Tensor
    bias3: Tensor
    time1: Tensor
    time2: Tensor
    time3: Tensor


def march(
    weights: TanhWeights, x: Tensor, grid: Sequence[float], features: Tensor, divergence: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Integrate rows along a grid and return where they arrive, log-determinant and energy.

    Parameters
    ----------
    weights : TanhWeights
    x : Tensor of shape (n, d)
    grid : sequence of float
        Times t_0, ..., t_k, rising or falling.
    features : Tensor of shape (3 k + 1, n_features)
        Features of t_0, of the two times inside the first step, of t_1, and so on.
    divergence : bool
        False leaves log-determinant and energy at zero and saves their cost.
    """
    stage_biases = (features @ weights.time1, features @ weights.time2, features @ weights.time3)
    end = torch.empty_like(x)
    log_det, energy = torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0])
    rows = min(len(x), _rows_of_a_piece(x.device))
    buffers = _Buffers(rows, weights.w1, divergence)
    for start in range(0, len(x), rows or 1):
        piece = slice(start, min(start + rows, len(x)))
        stage = _Stage(weights, stage_biases, buffers.first(piece.stop - start), piece)
        end[piece] = _integrate(stage, x[piece], grid)
        if divergence:
            torch.sum(stage.buffers.volume, 1, out=log_det[piece])
            torch.sum(stage.buffers.motion, 1, out=energy[piece])
    return end, log_det, energy


def _rows_of_a_piece(device: torch.device) -> int:
    """Return how many rows go together; each thread shares out a product's rows with the others."""
    return CPU_ROWS * torch.get_num_threads() if device.type == "cpu" else DEVICE_ROWS


class _Buffers:
    """Scratch for one piece of rows."""

    state: Tensor

    def __init__(self, rows: int, like: Tensor, divergence: bool) -> None:
        dim, hidden = like.shape
        self.divergence = divergence
        self.a1, self.a2 = like.new_empty(2, rows, hidden)
        self.state, self.at = like.new_empty(2, rows, dim)
        self.k1, self.k2, self.k3, self.k4 = like.new_empty(4, rows, dim)
        if divergence:
            self.pulled, self.volume = like.new_empty(2, rows, hidden)
            self.motion = like.new_empty(rows, dim)

    def first(self, rows: int) -> _Buffers:
        """Return a view of the first rows, set to start a piece."""
        view = object.__new__(_Buffers)
        for name, value in vars(self).items():
            setattr(view, name, value if isinstance(value, bool) else value[:rows])
        if view.divergence:
            view.volume.zero_()
            view.motion.zero_()
        return view


class _Stage:
    """One evaluation of the velocity of a piece, with its part of the two integrals."""

    def __init__(
        self,
        weights: TanhWeights,
        stage_biases: tuple[Tensor, Tensor, Tensor],
        buffers: _Buffers,
        piece: slice,
    ) -> None:
        self.weights = weights
        self.buffers = buffers
        own1, own2 = weights.bias1, weights.bias2
        self.by_row = own1.dim() == 2
        self.own = (own1[piece], own2[piece]) if self.by_row else (own1, own2)
        time1, time2, time3 = stage_biases
        if not self.by_row:
            time1, time2 = time1 + own1, time2 + own2
        self.times = (time1, time2, time3 + weights.bias3)
        self.minus_one = weights.w1.new_tensor(-1.0)

    def __call__(self, k: int, x: Tensor, weight: float, out: Tensor) -> Tensor:
        """Return the velocity at the k-th time, in `out`; `weight` is that of this stage."""
        w, b = self.weights, self.buffers
        self._layer(0, k, x, w.w1, b.a1)
        self._layer(1, k, b.a1, w.w2, b.a2)
        torch.addmm(self.times[2][k], b.a2, w.w3, out=out)
        if b.divergence:
            b.a1.mul_(b.a1)
            torch.addmm(w.mixing_total, b.a1, w.minus_mixing, out=b.pulled)  # M (1 - a1^2)
            b.volume.add_(b.pulled, alpha=weight)
            b.pulled.mul_(b.a2)
            b.volume.addcmul_(b.pulled, b.a2, value=-weight)
            b.motion.addcmul_(out, out, value=weight)
        return out

    def _layer(self, layer: int, k: int, x: Tensor, weight: Tensor, out: Tensor) -> None:
        time = self.times[layer][k]
        if self.by_row:
            torch.add(self.own[layer], time, out=out)
            out.addmm_(x, weight, beta=2, alpha=2)
        else:
            torch.addmm(time, x, weight, beta=2, alpha=2, out=out)
        torch.add(self.minus_one, out.sigmoid_(), alpha=2, out=out)


def _integrate(stage: _Stage, x: Tensor, grid: Sequence[float]) -> Tensor:
    b = stage.buffers
    state, at = b.state.copy_(x), b.at
    for n, (start, stop) in enumerate(itertools.pairwise(grid)):
        h = stop - start
        k1 = stage(3 * n, state, h / 8, b.k1)
        k2 = stage(3 * n + 1, torch.add(state, k1, alpha=h / 3, out=at), 3 * h / 8, b.k2)
        torch.add(state, k1, alpha=-h / 3, out=at)
        k3 = stage(3 * n + 2, at.add_(k2, alpha=h), 3 * h / 8, b.k3)
        torch.add(state, k1, alpha=h, out=at).sub_(k2, alpha=h)
        k4 = stage(3 * n + 3, at.add_(k3, alpha=h), h / 8, b.k4)
        k1.add_(k4).add_(k2.add_(k3), alpha=3)
        state.add_(k1, alpha=h / 8)
    return state
