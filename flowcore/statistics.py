"""What a fitted chain and its training rows say about a row, one number a statistic.

Likelihood alone fails in known ways: simple rows are likely, and ranks of density change with
the representation. After Morningstar et al. (Density of States Estimation, arXiv 2006.09273) the
anomaly score is therefore read from more than one statistic, see :mod:`flowcore.scorer`.
A row's statistics use fixed noise, so they never depend on its batch mates.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowcore.chain import FlowChain, Trace
from flowcore.diffusion import ou_step

N_TIMES = 8
NOISE_SEED = 20_060_928

DENSITY = "negative_log_density"
NEIGHBOURS = "log_neighbour_distance"
LATENT_NEIGHBOURS = "log_latent_neighbour_distance"


def audit_names(gammas: Sequence[float]) -> list[str]:
    """Return the names of the columns of :func:`audit_statistics`."""
    mismatches = [f"log_mismatch_{n}" for n in range(len(gammas))]
    return ["log_latent_energy", "log_kinetic_energy", *mismatches]


def audit_statistics(
    chain: FlowChain, trace: Trace, gammas: Sequence[float], context: Tensor | None = None
) -> Tensor:
    """Return statistics that are kept for audit only, shape (n, n_statistics).

    The logarithms of the latent energy ``|z|^2`` and of the kinetic energy
    ``sum_n int |v_n|^2 dt``, and per matched block the logarithm of the velocity mismatch
    ``E |v(t, I_t) - dI_t/dt|^2``, which is the error of the block as a denoiser around the row.
    """
    energy = sum((p.energy for p in trace.passages), torch.zeros_like(trace.start[:, 0]))
    columns = [_log((trace.z**2).sum(1)), _log(energy)]
    columns += [_log(m) for m in _mismatches(chain, trace, gammas, context)]
    return torch.stack(columns, 1)


def _mismatches(
    chain: FlowChain, trace: Trace, gammas: Sequence[float], context: Tensor | None
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(NOISE_SEED)
    starts = [trace.start, *(p.x for p in trace.passages[:-1])]
    mismatches = []
    for block, gamma, x in zip(chain.blocks, gammas, starts, strict=False):
        velocity = block.field.bind(context).velocity
        total = torch.zeros_like(x[:, 0])
        for k in range(N_TIMES):
            t = torch.tensor((k + 0.5) / N_TIMES).to(x)
            noise = torch.randn(1, chain.dim, generator=generator, dtype=torch.float64).to(x)
            target = ou_step(x, gamma, noise)
            point = x + t * (target - x)
            total += ((velocity(t, point) - (target - x)) ** 2).sum(1)
        mismatches.append(total / N_TIMES)
    return mismatches


def _log(positive: Tensor) -> Tensor:
    return positive.clamp_min(1e-12).log()
