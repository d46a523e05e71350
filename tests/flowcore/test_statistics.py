"""What the combined score is read from, and which features a row owes its score to."""

import numpy as np
import pytest
import torch

from flowcore import FlowDensityEstimator
from flowcore.attribution import conditional_gain, likely_values
from flowcore.chain import FlowChain
from flowcore.heavy_tails import Soften, Squash
from flowcore.neighbours import Neighbours
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
    for name in ("negative_log_density", "log_neighbour_distance"):
        assert np.ptp(inside[name]) > 0
        assert outside[name].min() > np.max(inside[name])


def test_rows_held_out_together_are_references_like_all_others():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 60)
    rows = rng.standard_normal((600, 2)) + 40 * np.stack([groups, groups % 3], 1)
    model = FlowDensityEstimator(max_steps=5, n_blocks=1, device="cpu").fit(rows, groups=groups)
    distance = model.statistics(rows + 1e-3)["log_neighbour_distance"]
    by_group = np.array([np.median(distance[groups == g]) for g in range(10)])
    assert np.ptp(by_group) < 1  # two groups were held out; they are 40 away from any other


def test_the_score_is_the_weighted_mean_of_scaled_statistics(model):
    new, scorer = correlated(50, 3), model.scorer_
    table = np.stack([model.statistics(new)[name] for name in scorer.weights], 1)
    scaled = (table - scorer.center.numpy()) / scorer.scale.numpy()
    scaled[:, 0] = np.arcsinh(scaled[:, 0])  # a log-density grows with the square of a distance
    want = scaled @ np.array([1.0, 2.0]) / 3
    np.testing.assert_allclose(model.anomaly_score(new), want, rtol=1e-12)
    held_out_like = model.anomaly_score(correlated(4000, 4))
    assert abs(np.median(held_out_like)) < 0.1
    assert 0.75 < np.quantile(held_out_like, 0.975) < 1.25


def test_neighbour_distance_is_the_mean_log_of_the_five_smallest():
    reference, x = correlated(400), correlated(30, 1) * 3
    got = Neighbours(torch.from_numpy(reference)).log_distance(torch.from_numpy(x)).numpy()
    exact = reference.astype(np.float32).astype(np.float64)
    distance = np.sort(np.linalg.norm(x[:, None] - exact[None], axis=2), axis=1)[:, :5]
    np.testing.assert_allclose(got, np.log(distance).mean(1), rtol=1e-10)


def test_neighbour_distance_of_repeated_few_and_absurd_rows_is_finite():
    reference = Neighbours(torch.ones(3, 2))
    x = torch.tensor([[1.0, 1.0], [1e200, -1e200], [2.0, 1.0]], dtype=torch.float64)
    got = reference.log_distance(x)
    assert got.isfinite().all()
    assert got[0] == pytest.approx(np.log(1e-3))
    assert got[1] > 400
    assert got[2] == pytest.approx(0.0, abs=1e-12)


def test_squashing_spares_usual_columns_and_tames_heavy_ones():
    generator = np.random.default_rng(0)
    y = np.c_[generator.normal(size=2000), generator.standard_t(1.2, size=2000)]
    rows = torch.from_numpy((y - y.mean(0)) / y.std(0))
    step = Squash.fit(rows)
    assert step.heavy.tolist() == [0, 1]
    out = step(rows)
    assert torch.equal(out[:, 0], rows[:, 0])
    assert out[:, 1].std() == pytest.approx(1, abs=1e-3)
    assert (out[:, 1] ** 4).mean() < 9
    assert (out[:, 1].argsort() == rows[:, 1].argsort()).all()
    far = torch.tensor([[0.0, 1e150]], dtype=torch.float64)
    assert step(far).isfinite().all()
    assert step.log_det(far).isfinite().all()


def test_softening_keeps_what_was_seen_and_draws_in_what_lies_beyond():
    rows = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    step = Soften.fit(rows, 0.01)
    new = torch.linspace(-40, 40, 2001, dtype=torch.float64)[:, None].expand(-1, 2)
    out = step(new)
    inside = (new >= step.low) & (new <= step.high)
    assert torch.equal(out[inside], new[inside])
    assert 0.97 < ((rows >= step.low) & (rows <= step.high)).double().mean() < 0.99
    assert (out.diff(dim=0) > 0).all()
    assert out.abs().max() < step.high.max() + 6


def test_softened_one_column_far_off_does_not_outrank_several_that_are_odd():
    several = np.full((1, 10), 4.0)
    one = np.zeros((1, 10))
    one[0, 3] = 60.0
    usual = np.random.default_rng(0).normal(size=(800, 10))
    given = {"max_steps": 5, "n_blocks": 1, "refine": False, "device": "cpu"}
    plain = FlowDensityEstimator(**given).fit(usual)
    soft = FlowDensityEstimator(**given, soften=0.005).fit(usual)
    assert plain.anomaly_score(one) > plain.anomaly_score(several)
    assert soft.anomaly_score(one) < soft.anomaly_score(several)
    assert soft.anomaly_score(one) > soft.anomaly_score(usual).max()


def test_shrunk_covariance_is_ledoit_and_wolfs():
    from sklearn.covariance import ledoit_wolf

    for n in (8, 40, 4000):
        y = correlated(n) - correlated(n).mean(0)
        want, _ = ledoit_wolf(y, assume_centered=True)
        got = shrunk_covariance(torch.from_numpy(y)).numpy()
        np.testing.assert_allclose(got, want, atol=1e-10)


def test_a_row_of_the_reference_is_not_its_own_neighbour():
    rows = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    others = Neighbours(rows[1:])
    own = Neighbours(rows).log_distance(rows[:1])
    torch.testing.assert_close(own, others.log_distance(rows[:1]), rtol=0, atol=1e-6)
    assert own > -4  # not dragged down by a distance of zero
