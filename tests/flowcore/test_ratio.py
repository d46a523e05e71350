"""Ratios of known laws, and a drift test that keeps its level."""

import math

import pytest
import torch

from flowcore.errors import DataError, ParameterError
from flowcore.ratio import GAUSS_NODES, drift_test, fit_ratio
from flowcore.training import Training

BRIEF = Training(steps=120, batch_size=128, learning_rate=5e-3, evaluate_every=40)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=generator(seed), dtype=torch.float64)


def test_the_log_ratio_of_two_gaussians_is_the_exact_one():
    """log N(1.5, 0.8^2)/N(0, 1) in the first coordinate; the second is alike in both."""
    p, q = normal(4000, 2, 1), normal(4000, 2, 2)
    q[:, 0] = 1.5 + 0.8 * q[:, 0]
    training = Training(steps=600, batch_size=256, learning_rate=4e-3)
    ratio = fit_ratio(p, q, generator(), n_intervals=4, training=training)
    x = torch.cat([normal(300, 2, 3), normal(300, 2, 4) * 0.8 + torch.tensor([1.5, 0.0])])
    first = x[:, 0]
    exact = 0.5 * first**2 - 0.5 * ((first - 1.5) / 0.8) ** 2 - math.log(0.8)
    assert float(exact.std()) > 1.5
    error = (ratio(x) - exact)[exact.abs() < 5]  # where both laws have rows
    assert len(error) > 450
    assert float(error.abs().mean()) < 0.25
    assert abs(float(error.mean())) < 0.15
    torch.testing.assert_close(ratio(x[5:6]), ratio(x)[5:6])


def test_the_two_point_rule_is_exact_for_cubics():
    assert sum(node**3 for node in GAUSS_NODES) / 2 == pytest.approx(1 / 4)
    assert sum(node**4 for node in GAUSS_NODES) / 2 != pytest.approx(1 / 5, abs=1e-3)


def test_swapping_the_sets_swaps_the_sign():
    p, q = normal(1500, 1, 1), 1 + normal(1500, 1, 2)
    x = torch.tensor([[-1.0], [2.0]], dtype=torch.float64)
    there, back = (
        fit_ratio(*sets, generator(), n_intervals=1, training=BRIEF)(x) for sets in ((p, q), (q, p))
    )
    assert there[0] < -0.8
    assert there[1] > 0.8
    torch.testing.assert_close(there, -back, rtol=0, atol=0.5)


def test_drift_is_found_where_it_is_and_the_level_is_kept_where_it_is_not():
    def p_value(shift, seed):
        rows = [normal(120, 1, 10 * seed + k) for k in (0, 1)]
        return drift_test(
            rows[0],
            rows[1] + shift,
            generator(seed),
            n_permutations=99,
            training=Training(steps=25, batch_size=64, learning_rate=1e-2, evaluate_every=25),
        ).p_value

    still = [p_value(0.0, seed) for seed in range(20)]
    assert sum(p <= 0.2 for p in still) <= 9  # binomial(20, .2): P(more) < .01
    assert all(p_value(1.5, seed) == pytest.approx(0.01) for seed in range(3))


def test_groups_are_the_units_of_the_test():
    """One law, but each patient has a level of its own: by rows a drift, by patients none."""
    levels = 2 * normal(12, 1, 3)
    rows = (levels[:, None] + 0.2 * normal(12 * 40, 1, 4).reshape(12, 40, 1)).reshape(-1, 1)
    groups = torch.arange(12).repeat_interleave(40)
    result = {}
    for name, given in (("rows", None), ("patients", groups)):
        parts = (None, None) if given is None else (given[:240], given[240:])
        result[name] = drift_test(
            rows[:240],
            rows[240:],
            generator(1),
            reference_groups=parts[0],
            new_groups=parts[1],
            n_permutations=99,
            training=BRIEF,
        )
    assert result["rows"].p_value <= 0.02
    assert result["patients"].p_value > 0.05
    assert result["patients"].n_units == (3, 3)


def test_sets_that_cannot_be_compared_are_refused():
    g = generator()
    with pytest.raises(DataError, match="one width"):
        fit_ratio(normal(20, 2), normal(20, 3), g)
    with pytest.raises(DataError, match="finite"):
        fit_ratio(normal(20, 2), normal(20, 2) * math.nan, g)
    with pytest.raises(ParameterError):
        fit_ratio(normal(20, 2), normal(20, 2), g, n_intervals=0)
    with pytest.raises(DataError, match="four"):
        drift_test(normal(20, 2), normal(20, 2), g, new_groups=torch.zeros(20))
