import numpy as np
import pytest
import torch

from flowcore.attribution import MOST, conditional_gain, likely_values
from flowcore.chain import FlowChain
from flowcore.preprocessing import fit_steps

DIM = 12


@pytest.fixture(scope="module")
def chain():
    """The Gaussian of the stored steps of twelve features, two of them alike."""
    rows = np.random.default_rng(0).standard_normal((4000, DIM))
    rows[:, 1] = 0.95 * rows[:, 0] + 0.3 * rows[:, 1]
    return FlowChain(DIM, [], fit_steps(torch.from_numpy(rows)))


def full_search(chain, x):
    own, gains = chain.log_prob(x), torch.zeros_like(x)
    for candidates in likely_values(chain, x):
        for j in range(DIM):
            replaced = x.clone()
            replaced[:, j] = candidates[:, j]
            gains[:, j] = torch.maximum(gains[:, j], chain.log_prob(replaced) - own)
    return gains


def test_the_features_tried_are_those_that_a_full_search_puts_first(chain):
    x = torch.from_numpy(2 * np.random.default_rng(1).standard_normal((200, DIM)))
    gains, full = conditional_gain(chain.log_prob, chain, x), full_search(chain, x)
    assert ((gains > 0).sum(dim=1) <= MOST).all()
    assert (gains <= full + 1e-9).all()
    assert (gains.argmax(dim=1) == full.argmax(dim=1)).float().mean() > 0.97
    assert (gains.max(dim=1).values > 0.95 * full.max(dim=1).values).float().mean() > 0.97


def test_what_is_tried_costs_nine_evaluations(chain):
    calls = []

    def counted(x):
        calls.append(len(x))
        return chain.log_prob(x)

    conditional_gain(counted, chain, torch.ones(3, DIM, dtype=torch.float64))
    assert calls == [3] * (1 + MOST)
