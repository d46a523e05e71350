"""The combined anomaly score: likelihood together with other statistics of the model.

Likelihood alone fails in known ways: simple rows are likely, and ranks of density change with
the representation. After Morningstar et al. (Density of States Estimation, arXiv 2006.09273) the
score is therefore read from several statistics of the fitted chain, on the scale of held-out
normal rows. A row's statistics use fixed noise, so they never depend on its batch mates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flowcore.chain import FlowChain, Trace
from flowcore.diffusion import ou_step

N_TIMES = 8
NOISE_SEED = 20_060_928


def statistic_names(gammas: Sequence[float]) -> list[str]:
    """Return the names of the columns of :func:`model_statistics`."""
    return [
        "negative_log_density",
        "log_latent_energy",
        "log_kinetic_energy",
        *(f"log_mismatch_{n}" for n in range(len(gammas))),
    ]


def model_statistics(
    chain: FlowChain, x: Tensor, gammas: Sequence[float], context: Tensor | None = None
) -> Tensor:
    """Return the statistics of each raw row, higher is stranger, shape (n, n_statistics).

    The columns are the negative log-density in the preprocessed space, the logarithms of the
    latent energy ``|z|^2`` and of the kinetic energy ``sum_n int |v_n|^2 dt``, and per matched
    block the logarithm of the velocity mismatch ``E |v(t, I_t) - dI_t/dt|^2``, which is the error
    of the block as a denoiser around the row.
    """
    with torch.no_grad():
        trace = chain.flow(chain.preprocess(x), context)
        energy = sum((p.energy for p in trace.passages), torch.zeros_like(x[:, 0]))
        columns = [
            -trace.log_prob,
            _log((trace.z**2).sum(1)),
            _log(energy),
            *(_log(m) for m in _mismatches(chain, trace, gammas, context)),
        ]
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


class CombinedScore:
    """One number from several statistics, on the scale of held-out normal rows.

    Each statistic is centred at its held-out median and divided by its held-out upper spread
    (97.5 % quantile less median); the score is their mean.

    Parameters
    ----------
    center, scale : Tensor of shape (n_statistics,)
    """

    def __init__(self, center: Tensor, scale: Tensor) -> None:
        self.center = center
        self.scale = scale

    @classmethod
    def fit(cls, statistics: Tensor) -> CombinedScore:
        """Take the scale from the statistics of held-out normal rows (n, n_statistics)."""
        center = statistics.median(0).values
        spread = torch.quantile(statistics, 0.975, dim=0) - center
        return cls(center, torch.where(spread > 1e-9, spread, torch.ones_like(spread)))

    def __call__(self, statistics: Tensor) -> Tensor:
        """Return the score of each row, shape (n,); higher is more abnormal, no unit."""
        return ((statistics - self.center) / self.scale).mean(1)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that rebuild the score."""
        return {"center": self.center, "scale": self.scale}

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], config: dict[str, Any]) -> CombinedScore:
        """Rebuild the score from :meth:`state`."""
        del config
        return cls(tensors["center"], tensors["scale"])
