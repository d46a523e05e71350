"""What a strange row would look like if it came from the model, with how far to trust it.

A picture of the model. Research use only; no finding about a person.
"""

from __future__ import annotations

import numpy as np
import torch

from flowcore import FlowDensityEstimator
from flowcore.posterior import Sampling, nearest_normal


def main() -> dict[str, float]:
    """Fit a curve and draw, by Hamiltonian steps, rows of it near a row that is off it."""
    generator = np.random.default_rng(0)
    t = generator.uniform(-2, 2, 800)
    rows = np.c_[t, t**2] + 0.1 * generator.normal(size=(800, 2))
    model = FlowDensityEstimator(n_blocks=2, max_steps=150, random_state=0, device="cpu").fit(rows)
    off = torch.tensor([0.0, 2.0], dtype=torch.float64)
    found = nearest_normal(
        model.chain_,
        off,
        1.0,
        torch.Generator().manual_seed(0),
        sampling=Sampling(n_warmup=30, n_draws=30, n_leapfrog=4),
    )
    draws = found.draws.flatten(0, 1)
    return {
        "distance of the row from the curve": 2.0,
        "mean distance of the draws from it": float((draws[:, 1] - draws[:, 0] ** 2).abs().mean()),
        "acceptance": found.acceptance,
        "smallest effective number of draws": float(found.effective_size.min()),
    }


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name}: {value:.2f}")
