"""Interpolants and the diffusion step."""

import math

import pytest
import torch

from flowcore.diffusion import geometric_schedule, ou_step, schedule_to_reach
from flowcore.errors import ParameterError
from flowcore.interpolants import interpolant

X0, X1 = (
    torch.randn(6, 3, generator=torch.Generator().manual_seed(s), dtype=torch.float64)
    for s in (0, 1)
)


@pytest.mark.parametrize("name", ["linear", "trigonometric"])
def test_path_joins_its_ends_and_its_rate_is_its_derivative(name):
    path = interpolant(name)
    zero, one = torch.zeros(6, 1).double(), torch.ones(6, 1).double()
    torch.testing.assert_close(path.point(zero, X0, X1), X0)
    torch.testing.assert_close(path.point(one, X0, X1), X1)
    t = torch.linspace(0.1, 0.9, 6).double()[:, None]
    by_difference = (path.point(t + 1e-6, X0, X1) - path.point(t - 1e-6, X0, X1)) / 2e-6
    torch.testing.assert_close(path.rate(t, X0, X1), by_difference, rtol=0, atol=1e-7)


def test_trigonometric_path_keeps_the_variance():
    path, t = interpolant("trigonometric"), torch.linspace(0, 1, 9).double()
    torch.testing.assert_close(path.alpha(t) ** 2 + path.beta(t) ** 2, torch.ones(9).double())


def test_diffusion_has_the_ornstein_uhlenbeck_mean_and_variance():
    n, gamma = 200_000, 0.4
    noise = torch.randn(n, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    moved = ou_step(torch.full((n, 1), 3.0, dtype=torch.float64), gamma, noise)
    assert moved.mean().item() == pytest.approx(3 * math.exp(-gamma), abs=0.01)
    assert moved.var().item() == pytest.approx(1 - math.exp(-2 * gamma), abs=0.01)


def test_two_short_diffusions_are_one_long_one():
    total = ou_step(ou_step(X0, 0.3, torch.zeros_like(X0)), 0.5, torch.zeros_like(X0))
    torch.testing.assert_close(total, ou_step(X0, 0.8, torch.zeros_like(X0)))


def test_a_free_block_lands_on_the_noise():
    assert torch.equal(ou_step(X0, math.inf, X1), X1)


def test_schedules():
    assert geometric_schedule(0.1, 2.0, 3) == pytest.approx((0.1, 0.2, 0.4))
    reached = schedule_to_reach(3.0, 0.1, 1.5)
    assert sum(reached) >= 3.0 > sum(reached[:-1])
    for wrong in (
        lambda: geometric_schedule(0.1, 1.0, 0),
        lambda: geometric_schedule(-0.1, 1.0, 2),
        lambda: geometric_schedule(math.nan, 1.0, 2),
        lambda: schedule_to_reach(10.0, 0.1, 0.5),
    ):
        with pytest.raises(ParameterError):
            wrong()
    with pytest.raises(ParameterError, match="linear"):
        interpolant("cubic")
