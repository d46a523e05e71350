"""Maps between two laws: the ends match, and refinement brings the cost down to the optimum."""

import copy
import math

import pytest
import torch

from flowcore.errors import DataError, ParameterError
from flowcore.toy import gaussian
from flowcore.training import Training
from flowcore.transport import (
    Shortening,
    fit_bridge,
    push_forward,
    shorten_bridge,
    transport_cost,
)

S1 = torch.tensor([[2.0, 0.9], [0.9, 0.6]], dtype=torch.float64)
S2 = torch.tensor([[0.5, -0.5], [-0.5, 1.5]], dtype=torch.float64)
SHIFT = torch.tensor([1.0, 0.5], dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def root(matrix):
    values, axes = torch.linalg.eigh(matrix)
    return axes @ torch.diag(values.sqrt()) @ axes.T


MIDDLE = root(root(S1) @ S2 @ root(S1))
SQUARED_W2 = float(SHIFT @ SHIFT + torch.trace(S1 + S2 - 2 * MIDDLE))
OPTIMAL = torch.linalg.inv(root(S1)) @ MIDDLE @ torch.linalg.inv(root(S1))


@pytest.fixture(scope="module")
def laws():
    return gaussian(4000, S1, generator(1)), gaussian(4000, S2, generator(2)) + SHIFT


@pytest.fixture(scope="module")
def bridge(laws):
    training = Training(steps=400, learning_rate=5e-3, batch_size=128)
    return fit_bridge(*laws, generator(), hidden=32, training=training)


def map_error(block):
    x = gaussian(4000, S1, generator(9))
    return float(((push_forward(block, x) - x @ OPTIMAL.T - SHIFT) ** 2).sum(1).mean())


def test_a_bridge_carries_one_law_to_the_other_and_back(bridge, laws):
    there = push_forward(bridge, gaussian(4000, S1, generator(5)))
    torch.testing.assert_close(there.mean(0), SHIFT, rtol=0, atol=0.15)
    torch.testing.assert_close(torch.cov(there.T), S2, rtol=0, atol=0.2)
    back = push_forward(bridge, laws[1], backward=True)
    torch.testing.assert_close(torch.cov(back.T), S1, rtol=0, atol=0.25)
    assert transport_cost(bridge, laws[0]) > 1.1 * SQUARED_W2  # independent pairs: a detour


def test_refinement_brings_cost_and_map_to_the_optimal_transport(bridge, laws):
    """The optimal map of Gaussians is linear, and the cost its squared Wasserstein distance."""
    block = copy.deepcopy(bridge)
    done = shorten_bridge(block, *laws, generator(3), Shortening(steps=200))
    assert done.kept
    assert done.mismatch_after < done.mismatch_before + 0.002
    x = gaussian(4000, S1, generator(5))
    before, after = (transport_cost(b, x) for b in (bridge, block))
    assert after < before
    assert abs(after - SQUARED_W2) < 0.4 * (before - SQUARED_W2)
    assert map_error(block) < 0.75 * map_error(bridge)
    torch.testing.assert_close(torch.cov(push_forward(block, x).T), S2, rtol=0, atol=0.2)


def test_a_map_whose_ends_come_apart_is_put_back(bridge, laws):
    block = copy.deepcopy(bridge)
    greedy = Shortening(steps=25, first_ratio_steps=10, cost=1e3, learning_rate=0.05)
    done = shorten_bridge(block, *laws, generator(3), greedy)
    assert not done.kept
    assert done.mismatch_after > done.mismatch_before + 0.05
    assert done.cost_after < done.cost_before
    for name, value in bridge.state_dict().items():
        assert torch.equal(value, block.state_dict()[name])


def test_what_cannot_be_joined_is_refused(bridge):
    with pytest.raises(DataError, match="one width"):
        fit_bridge(torch.zeros(20, 2), torch.zeros(20, 3), generator())
    with pytest.raises(DataError, match="finite"):
        shorten_bridge(bridge, torch.zeros(20, 2), math.nan * torch.zeros(20, 2), generator())
    for wrong in ({"steps": 0}, {"cost": 0.0}, {"learning_rate": math.inf}):
        with pytest.raises(ParameterError):
            Shortening(**wrong)
