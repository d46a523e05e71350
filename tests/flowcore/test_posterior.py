"""Posterior draws have the moments of the closed form, and say how many they are worth."""

import math

import pytest
import torch

from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.errors import DataError, ParameterError
from flowcore.fields import LinearField
from flowcore.ode import Solver
from flowcore.posterior import (
    Sampling,
    effective_size,
    fill_in,
    nearest_normal,
    sample_posterior,
)
from flowcore.preprocessing import Standardise

CENTER = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
SCALE = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
BRIEF = Sampling(n_chains=40, n_warmup=120, n_draws=120, n_leapfrog=6)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian_chain():
    """x = center + scale * expm(-A) z: a Gaussian whose block turns and stretches."""
    field = LinearField(3).double()
    matrix = torch.randn(3, 3, generator=generator(4), dtype=torch.float64) / 2
    with torch.no_grad():
        field.matrix.copy_(matrix)
    step = Standardise(3)
    step.center.copy_(CENTER)
    step.scale.copy_(SCALE)
    root = SCALE[:, None] * torch.linalg.matrix_exp(-matrix)
    return FlowChain(3, [Block(field)], [step], Solver("rk4", 4)).double(), root @ root.T


def exact_posterior(covariance, operator, observed, sd):
    gain = covariance @ operator.T
    gain = gain @ torch.linalg.inv(operator @ gain + torch.diag(sd**2))
    return CENTER + gain @ (observed - operator @ CENTER), covariance - gain @ operator @ covariance


@pytest.mark.parametrize("n_leapfrog", [1, 6])
def test_draws_have_the_mean_and_covariance_of_the_closed_form(n_leapfrog):
    chain, covariance = gaussian_chain()
    operator = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, -1.0]], dtype=torch.float64)
    observed = torch.tensor([3.0, -1.0], dtype=torch.float64)
    sd = torch.tensor([0.5, 0.8], dtype=torch.float64)
    sampling = Sampling(60, 150, 150, n_leapfrog, 0.6 if n_leapfrog == 1 else 0.8)
    found = sample_posterior(chain, observed, operator, sd, generator(), sampling=sampling)
    mean, spread = exact_posterior(covariance, operator, observed, sd)
    error = spread.diagonal().sqrt() / found.effective_size.sqrt()
    assert ((found.mean - mean).abs() < 4 * error).all()
    got = found.draws.flatten(0, 1).T.cov()
    assert (got - spread).abs().max() < 0.15 * spread.diagonal().max()
    assert (found.sd / spread.diagonal().sqrt() - 1).abs().max() < 0.15
    assert abs(found.acceptance - sampling.accept) < 0.15
    assert found.effective_size.min() > 60
    torch.testing.assert_close(chain.inverse(found.latent[3]), found.draws[3])


def test_filling_in_is_the_conditional_law():
    chain, covariance = gaussian_chain()
    row = torch.tensor([2.0, math.nan, 1.0], dtype=torch.float64)
    found = fill_in(chain, row, 0.05, generator(), sampling=BRIEF)
    known = [0, 2]
    mean, spread = exact_posterior(
        covariance, torch.eye(3).double()[known], row[known], torch.full((2,), 0.05).double()
    )
    error = spread[1, 1].sqrt() / found.effective_size[1].sqrt()
    assert abs(found.mean[1] - mean[1]) < 4 * error
    assert float(found.sd[1]) == pytest.approx(float(spread[1, 1].sqrt()), rel=0.15)
    assert (found.mean[known] - row[known]).abs().max() < 0.05


def test_the_nearest_normal_lies_between_the_row_and_the_law_by_the_noise():
    chain, covariance = gaussian_chain()
    row = CENTER + 6 * SCALE
    density, distance = [], []
    for sd in (0.2, 5.0):
        found = nearest_normal(chain, row, sd, generator(), sampling=BRIEF)
        mean, spread = exact_posterior(
            covariance, torch.eye(3).double(), row, torch.full((3,), sd).double()
        )
        error = spread.diagonal().sqrt() / found.effective_size.sqrt()
        assert ((found.mean - mean).abs() < 4.5 * error).all()
        density.append(float(chain.log_prob(found.mean[None]).detach()))
        distance.append(float((found.mean - row).norm()))
    assert density[0] < density[1]
    assert distance[0] < distance[1]


def test_the_same_seed_gives_the_same_draws_and_context_is_passed_on():
    chain, _ = gaussian_chain()
    row = CENTER + 1
    brief = Sampling(4, 10, 10, 2)
    first, second = (nearest_normal(chain, row, 1.0, generator(3), sampling=brief) for _ in "ab")
    assert torch.equal(first.draws, second.draws)


@pytest.mark.parametrize("memory", [0.0, 0.6, 0.9])
def test_effective_size_of_an_autoregression_is_the_known_one(memory):
    """n (1 - a) / (1 + a) for x' = a x + noise."""
    n, m = 1500, 8
    noise = torch.randn(n, m, 2, generator=generator(), dtype=torch.float64)
    rows = [noise[0] / math.sqrt(1 - memory**2)]
    for k in range(1, n):
        rows.append(memory * rows[-1] + noise[k])
    got = effective_size(torch.stack(rows))
    wanted = n * m * (1 - memory) / (1 + memory)
    torch.testing.assert_close(got, torch.full((2,), wanted).double(), rtol=0.15, atol=0)


def test_chains_that_disagree_are_worth_little():
    draws = torch.randn(200, 4, 1, generator=generator()) + 10 * torch.arange(4.0)[None, :, None]
    assert effective_size(draws) < 20


def test_what_cannot_be_sampled_is_refused():
    chain, g = FlowChain(2), generator()
    eye, y = torch.eye(2), torch.zeros(2)
    for wrong in (
        lambda: sample_posterior(chain, y, torch.ones(2, 3), 1.0, g),
        lambda: sample_posterior(chain, y, eye, torch.ones(3), g),
        lambda: sample_posterior(chain, y * math.nan, eye, 1.0, g),
        lambda: sample_posterior(chain, y, eye, 0.0, g),
        lambda: fill_in(chain, y * math.nan, 1.0, g),
    ):
        with pytest.raises(DataError):
            wrong()
    with pytest.raises(ParameterError):
        Sampling(n_chains=0)
