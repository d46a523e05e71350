"""The worst shift of a linear risk is a translation along its slope."""

import math

import pytest
import torch

from flowcore.errors import DataError, NumericalError, ParameterError
from flowcore.training import Training
from flowcore.worst_case import worst_case

SLOPE = torch.tensor([3.0, 4.0])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows():
    return torch.randn(1500, 2, generator=generator(1))


@pytest.fixture(scope="module")
def linear():
    training = Training(steps=150, batch_size=128, learning_rate=4e-3, evaluate_every=50)
    return worst_case(rows(), lambda x: x @ SLOPE, 0.7, generator(), hidden=16, training=training)


def test_a_linear_risk_is_raised_by_a_translation_along_its_slope(linear):
    x = torch.randn(500, 2, generator=generator(3))
    moved = linear.move(x) - x
    torch.testing.assert_close(moved.mean(0), 0.7 * SLOPE / SLOPE.norm(), rtol=0, atol=0.05)
    assert moved.std(0).max() < 0.1
    assert linear.radius == pytest.approx(0.7, rel=0.05)
    assert linear.risk_after - linear.risk_before == pytest.approx(0.7 * 5, rel=0.05)
    assert linear.multiplier == pytest.approx(0.7 / 5, rel=0.1)


def test_a_false_alarm_rate_moves_as_the_normal_law_says(linear):
    """Scores are N(0, 5^2); a shift by 0.7 along the slope adds 3.5 to each."""
    x = torch.randn(20_000, 2, generator=generator(4))
    before, after = linear.exceedance(lambda r: r @ SLOPE, x, 8.0)

    def tail(threshold):
        return 0.5 * math.erfc(threshold / 5 / math.sqrt(2))

    assert before == pytest.approx(tail(8.0), abs=0.01)
    assert after == pytest.approx(tail(4.5), abs=0.02)
    assert after > before + 0.1


def test_a_quadratic_risk_stretches_by_the_closed_form():
    """r = x^2 / 2: T = x / (1 - g), so radius = g / (1 - g) for N(0, 1) rows; here g = 1/3."""
    training = Training(steps=200, batch_size=128, learning_rate=4e-3, evaluate_every=50)
    found = worst_case(
        torch.randn(2000, 1, generator=generator(1)),
        lambda x: (x**2).sum(1) / 2,
        0.5,
        generator(),
        hidden=16,
        training=training,
    )
    x = torch.tensor([[-1.0], [1.0]])
    assert found.radius == pytest.approx(0.5, rel=0.06)
    torch.testing.assert_close(found.move(x), 1.5 * x, rtol=0, atol=0.12)


def test_what_cannot_be_shifted_is_refused():
    g = generator()
    with pytest.raises(DataError):
        worst_case(rows()[:3], lambda x: x[:, 0], 1.0, g)
    with pytest.raises(ParameterError):
        worst_case(rows(), lambda x: x[:, 0], 0.0, g)
    with pytest.raises(NumericalError, match="does not change"):
        worst_case(rows(), lambda x: 0 * x[:, 0], 1.0, g)
