"""Conformal p-values and thresholds against laws with known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from flowcore import central_threshold, conformal_p_values, tail_threshold
from flowcore.errors import DataError, ParameterError

numbers = st.floats(-1e6, 1e6)


def test_p_value_counts_calibration_scores_at_least_as_high():
    calibration = np.array([3.0, 1.0, 2.0, 2.0])
    p = conformal_p_values(np.array([0.0, 1.0, 2.0, 2.5, 3.0, 4.0]), calibration)
    np.testing.assert_allclose(p, np.array([5, 5, 4, 2, 2, 1]) / 5)


@given(st.lists(numbers, min_size=1, max_size=40), st.lists(numbers, min_size=1, max_size=40))
def test_p_values_lie_in_zero_one_and_fall_as_the_score_rises(calibration, scores):
    p = conformal_p_values(np.sort(scores), np.array(calibration))
    assert ((p > 0) & (p <= 1)).all()
    assert (np.diff(p) <= 0).all()


def test_p_values_are_super_uniform():
    generator = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        calibration, new = generator.normal(size=19), generator.normal(size=50)
        shares.append((conformal_p_values(new, calibration) <= 0.1).mean())
    assert np.mean(shares) == pytest.approx(0.1, abs=0.012)  # exact at multiples of 1/20


def test_a_score_that_is_nan_stays_nan():
    assert np.isnan(conformal_p_values(np.array([np.nan]), np.array([1.0])))


@pytest.mark.parametrize("calibration", [[], [np.nan], [np.inf, 1.0], [[1.0]]])
def test_unusable_calibration_scores_are_refused(calibration):
    with pytest.raises(DataError, match="finite"):
        conformal_p_values(np.array([1.0]), np.array(calibration))


@pytest.mark.parametrize("rate", [0.2, 0.05])
def test_threshold_inside_the_data_is_the_quantile(rate):
    scores = np.random.default_rng(0).normal(size=1000)
    assert tail_threshold(scores, rate) == pytest.approx(np.quantile(scores, 1 - rate))


@pytest.mark.parametrize(
    "law",
    [stats.expon(), stats.norm(), stats.genpareto(0.2), stats.uniform()],
    ids=["exponential", "normal", "heavy", "uniform"],
)
def test_threshold_beyond_the_data_is_near_the_laws_own(law):
    rate, ratios = 1e-4, []
    for seed in range(20):
        scores = law.rvs(size=2000, random_state=seed)
        ratios.append(tail_threshold(scores, rate) / law.isf(rate))
    assert np.median(ratios) == pytest.approx(1, abs=0.25)


@given(st.lists(numbers, min_size=10, max_size=200))
def test_threshold_is_finite_and_falls_as_the_rate_rises(scores):
    values = np.array(scores)
    thresholds = [tail_threshold(values, rate) for rate in (1e-4, 1e-3)]
    assert np.isfinite(thresholds).all()
    assert thresholds[0] >= thresholds[1]


def test_threshold_of_ties_is_the_tie():
    assert tail_threshold(np.ones(50), 1e-3) == 1.0


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, 2.0])
def test_a_rate_outside_zero_one_is_refused(rate):
    with pytest.raises(ParameterError, match="between 0 and 1"):
        tail_threshold(np.arange(20.0), rate)


def test_too_few_scores_are_refused():
    with pytest.raises(DataError, match="at least 10"):
        tail_threshold(np.arange(9.0), 0.1)


def test_central_threshold_does_not_see_the_largest_scores():
    scores = np.random.default_rng(0).exponential(size=20_000)
    want = central_threshold(scores, 0.001)
    assert want == pytest.approx(np.log(1000), rel=0.05)
    scores[np.argsort(scores)[-1000:]] += 1e6  # 5 % that are not normal
    assert central_threshold(scores, 0.001) == want
    with pytest.raises(ParameterError, match="rate <= 1 - upper"):
        central_threshold(scores, 0.4)
