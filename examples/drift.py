"""Is this still the population the model was fitted on? A test by density ratio."""

from __future__ import annotations

import torch

from flowcore.ratio import drift_test
from flowcore.training import Training


def main() -> dict[str, float]:
    """Compare a reference with rows of its own law, and with rows that are more correlated."""
    generator = torch.Generator().manual_seed(0)
    reference, same, other = (torch.randn(400, 2, generator=generator) for _ in range(3))
    other[:, 1] = 0.8 * other[:, 0] + 0.6 * other[:, 1]  # both columns are as they were
    brief = Training(steps=150, learning_rate=4e-3)
    return {
        f"p-value, {name}": drift_test(
            reference, rows, generator, n_permutations=199, training=brief
        ).p_value
        for name, rows in (("same law", same), ("columns now correlated", other))
    }


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name}: {value:.3f}")
