"""Which features make a row unlikely under the flow."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from flowcore.chain import FlowChain
from flowcore.preprocessing import Whiten


def conditional_gain(log_prob: Callable[[Tensor], Tensor], chain: FlowChain, x: Tensor) -> Tensor:
    """Return how much ``log p`` of each row rises if one feature is replaced by a likely value.

    Two replacements are tried for each feature and the better one counts: its conditional mean
    given all other features (Gaussian, from the stored covariance) and its mean. The gain is
    measured under the flow itself; a feature that fits its neighbours gains nothing.

    Parameters
    ----------
    log_prob : callable
        Log-density of raw rows, (m, d) -> (m,).
    chain : FlowChain
        Whose stored steps give the conditional means.
    x : Tensor of shape (n, d)

    Returns
    -------
    Tensor of shape (n, d)
        Nats, at least 0. Costs ``2 d`` density evaluations per row.
    """
    own = log_prob(x)
    gains = torch.zeros_like(x)
    for candidates in likely_values(chain, x):
        for j in range(x.shape[1]):
            replaced = x.clone()
            replaced[:, j] = candidates[:, j]
            gains[:, j] = torch.maximum(gains[:, j], log_prob(replaced) - own)
    return gains


def likely_values(chain: FlowChain, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the conditional mean of each feature given the others, and its mean, raw units."""
    whiten = next((s for s in chain.steps if isinstance(s, Whiten)), None)
    y = chain.columns(x)
    conditional = torch.zeros_like(y)
    if whiten is not None:
        precision = (whiten.axes / whiten.axis_sd**2) @ whiten.axes.T
        conditional = y - (y @ precision) / precision.diagonal()
    return _raw(chain, conditional), _raw(chain, torch.zeros_like(y))


def _raw(chain: FlowChain, y: Tensor) -> Tensor:
    for step in reversed([s for s in chain.steps if s.by_column]):
        y = step.inverse(y)
    return y
