"""What the combined score is read from, and which features a row owes its score to."""

import numpy as np
import pytest
import torch

from flowcore import FlowDensityEstimator
from flowcore.attribution import conditional_gain, likely_values
from flowcore.chain import FlowChain
from flowcore.preprocessing import fit_steps, shrunk_covariance

COVARIANCE = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])


def correlated(n=2000, seed=0):
    return np.random.default_rng(seed).multivariate_normal([1.0, 2.0, 3.0], COVARIANCE, n)


@pytest.fixture(scope="module")
def model():
    return FlowDensityEstimator(max_steps=60, n_blocks=2, device="cpu").fit(correlated())


@pytest.fixture(scope="module")
def gaussian_chain():
    """No blocks: the density is the Gaussian of the stored steps."""
    return FlowChain(3, [], fit_steps(torch.from_numpy(correlated())))


def test_conditional_means_are_those_of_the_gaussian(gaussian_chain):
    x = torch.tensor([[2.0, 2.0, 5.0]], dtype=torch.float64)
    conditional, mean = likely_values(gaussian_chain, x)
    want = torch.tensor([[1.0, 2.0 + 0.9 * 1.0, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(conditional, want, rtol=0, atol=0.08)
    torch.testing.assert_close(mean[0], torch.tensor([1.0, 2.0, 3.0]).double(), rtol=0, atol=0.08)


def test_gain_of_a_gaussian_is_half_its_squared_conditional_deviation(gaussian_chain):
    x = torch.tensor([[1.0, 2.0, 7.0]], dtype=torch.float64)
    gains = conditional_gain(gaussian_chain.log_prob, gaussian_chain, x)[0]
    assert gains[2].item() == pytest.approx(4.0**2 / 2, rel=0.1)
    assert gains[:2].max() < 0.05


def test_attribution_names_the_feature_at_fault(model):
    for j in range(3):
        x = np.array([[1.0, 2.0, 3.0]])
        x[0, j] += 6
        gains = model.attribute(x)
        assert gains.shape == (1, 3)
        assert (gains >= 0).all()
        if j == 2:
            assert gains[0].argmax() == 2
        else:  # the pair contradicts itself; either of the two may be at fault
            assert gains[0].argmax() in (0, 1)
    broken = model.attribute([[2.5, 0.5, 3.0]])[0]  # each value usual, the pair is not
    assert broken[:2].min() > 3
    assert broken[2] < 1


def test_statistics_are_named_finite_and_grow_off_the_data(model):
    inside, outside = (model.statistics(rows) for rows in (correlated(300, 1), 9 + correlated(300)))
    assert list(inside) == list(outside)
    assert all(len(values) == 300 and np.isfinite(values).all() for values in inside.values())
    assert "negative_log_density" in inside
    for name, values in inside.items():
        assert np.ptp(values) > 0, name
    name = "negative_log_density"
    assert np.median(outside[name]) > np.max(inside[name])


def test_shrunk_covariance_is_ledoit_and_wolfs():
    from sklearn.covariance import ledoit_wolf

    for n in (8, 40, 4000):
        y = correlated(n) - correlated(n).mean(0)
        want, _ = ledoit_wolf(y, assume_centered=True)
        got = shrunk_covariance(torch.from_numpy(y)).numpy()
        np.testing.assert_allclose(got, want, atol=1e-10)
