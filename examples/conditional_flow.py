"""A density that depends on a context: what is usual at one value is not at another."""

from __future__ import annotations

import numpy as np

from flowcore import FlowDensityEstimator


def main() -> dict[str, float]:
    """Fit rows whose place follows a context; score one row under two contexts."""
    generator = np.random.default_rng(0)
    context = generator.uniform(-1, 1, (800, 1))
    rows = np.c_[3 * context[:, 0], np.zeros(800)] + 0.5 * generator.normal(size=(800, 2))
    model = FlowDensityEstimator(n_blocks=2, max_steps=150, random_state=0, device="cpu")
    model.fit(rows, context=context)
    row = [[2.4, 0.0]]
    return {
        f"log-density of (2.4, 0) at context {c}, nats": float(
            model.score_samples(row, context=[[c]])[0]
        )
        for c in (0.8, -0.8)
    }


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name}: {value:.2f}")
