"""Divergence of any differentiable field: the exact trace, and Hutchinson's estimate of it.

The closed form of :class:`flowcore.velocity.TanhField` is much faster; these serve other fields
and check it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Field = Callable[[Tensor], Tensor]


def exact_divergence(field: Field, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(v, div v)`` with the trace of the Jacobian by `d` backward passes.

    Parameters
    ----------
    field : callable
        Maps rows (n, d) to rows (n, d), each row on its own.
    x : Tensor of shape (n, d)

    Returns
    -------
    v : Tensor of shape (n, d)
    divergence : Tensor of shape (n,)
        Differentiable where gradients are enabled.

    Examples
    --------
    >>> exact_divergence(lambda x: x**2, torch.tensor([[1.0, 3.0]]))[1].tolist()
    [8.0]
    """
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        v = field(x)
        trace = torch.zeros_like(x[:, 0])
        for j in range(x.shape[1]):
            (row,) = torch.autograd.grad(v[:, j].sum(), x, create_graph=keep, retain_graph=True)
            trace = trace + row[:, j]
    return (v, trace) if keep else (v.detach(), trace.detach())


def hutchinson_divergence(field: Field, x: Tensor, probe: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(v, e' J e)``, an unbiased estimate of the divergence for a random probe `e`.

    Source: Grathwohl et al., FFJORD, arXiv 1810.01367, unbiased log-density estimation.

    Parameters
    ----------
    field : callable
        Maps rows (n, d) to rows (n, d), each row on its own.
    x : Tensor of shape (n, d)
    probe : Tensor of shape (n, d)
        Independent entries of mean 0 and variance 1; signs (Rademacher) vary least.
    """
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        v = field(x)
        (product,) = torch.autograd.grad(v, x, probe, create_graph=keep, retain_graph=keep)
    estimate = (product * probe).sum(1)
    return (v, estimate) if keep else (v.detach(), estimate.detach())
