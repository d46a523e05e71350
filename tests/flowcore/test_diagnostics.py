"""Diagnostics of laws whose distances are known."""

import math

import pytest
import torch

from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.diagnostics import (
    diagnose,
    f_divergence,
    inversion_error,
    latent_moments,
    squared_mmd,
)
from flowcore.errors import DataError, ParameterError
from flowcore.fields import LinearField
from flowcore.jko import movements
from flowcore.ode import Solver
from flowcore.training import Training


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=generator(seed), dtype=torch.float64)


def stretching_chain(rate, steps=8):
    field = LinearField(2)
    field.matrix.data.copy_(rate * torch.eye(2))
    return FlowChain(2, [Block(field)], solver=Solver("rk4", steps)).double()


def test_mmd_of_two_gaussians_is_the_closed_form():
    """E k(a, b) = (w^2 / (w^2 + 2))^(d/2) exp(-m^2 / (2 (w^2 + 2))) for unit normals m apart."""
    w, shift = 1.3, 1.2
    y = normal(3000, 2, 2)
    y[:, 0] += shift
    factor = w**2 / (w**2 + 2)
    wanted = 2 * factor - 2 * factor * math.exp(-(shift**2) / (2 * (w**2 + 2)))
    assert squared_mmd(normal(3000, 2, 1), y, w) == pytest.approx(wanted, rel=0.08)


def test_mmd_of_one_law_is_unbiased():
    values = [squared_mmd(normal(60, 2, s), normal(60, 2, 500 + s), 1.0) for s in range(60)]
    values = torch.tensor(values)
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(60)
    assert values.min() < 0


def test_a_block_moves_a_gaussian_by_its_wasserstein_distance():
    """x -> e^a x between N(0, I) and N(0, e^2a I): W2 = (e^a - 1) sqrt(2)."""
    found = movements(stretching_chain(0.4), normal(40_000, 2))
    assert found[0] == pytest.approx((math.exp(0.4) - 1) * math.sqrt(2), rel=0.02)


def test_divergences_of_two_gaussians():
    """N(1, 1) from N(0, 1): KL = 1/2, chi2 = e - 1; Jensen-Shannon by quadrature."""
    grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    p, q = ((-0.5 * (grid - m) ** 2).exp() / math.sqrt(2 * math.pi) for m in (0.0, 1.0))
    middle = (p + q) / 2
    terms = 0.5 * (p * (p / middle).log() + q * (q / middle).log()).nan_to_num(0.0)
    exact = {"kl": 0.5, "js": float(torch.trapezoid(terms, grid)), "chi2": math.e - 1}
    training = Training(steps=250, batch_size=256, learning_rate=4e-3, evaluate_every=50)
    for kind, wanted in exact.items():
        q_rows = normal(6000, 1, 2) + 1
        found = f_divergence(normal(6000, 1, 1), q_rows, generator(), kind, training=training)
        assert found == pytest.approx(wanted, rel=0.2), kind
        assert found > 0.08


def test_inversion_error_is_what_coarse_steps_leave():
    x = normal(200, 2)
    coarse, fine = (inversion_error(stretching_chain(1.5, steps), x) for steps in (1, 4))
    forward, backward = (sum((s * 1.5) ** k / math.factorial(k) for k in range(5)) for s in (1, -1))
    assert coarse == pytest.approx(abs(forward * backward - 1) * float((x**2).mean().sqrt()))
    assert fine < coarse / 100


def test_moments_of_the_normal_law_are_within_their_errors_and_others_are_not():
    z = normal(20_000, 3)
    good = latent_moments(z)
    assert good.worst < 4.5
    spread = torch.stack([latent_moments(normal(400, 1, s)).kurtosis[0] for s in range(300)])
    assert float(spread.std()) == pytest.approx(1.0, abs=0.35)
    shifted, wide = latent_moments(z + 0.1), latent_moments(1.1 * z)
    assert shifted.mean.min() > 8
    assert wide.variance.min() > 8
    assert latent_moments(z.exp()).skewness.min() > 8
    assert latent_moments(z[:, [0, 0]]).correlation[0, 1] > 50


def test_a_true_chain_passes_and_a_wrong_one_does_not():
    x = math.exp(-0.5) * normal(1500, 2, 3)
    true, wrong = (diagnose(stretching_chain(rate), x, generator(1)) for rate in (0.5, 0.0))
    assert true.moments.worst < 4.5 < wrong.moments.worst
    assert abs(true.squared_mmd) < 0.004 < wrong.squared_mmd
    assert true.inversion < 1e-4
    assert wrong.movement == (0.0,)
    assert true.movement[0] > 0.3


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError):
        squared_mmd(normal(1, 2), normal(5, 2))
    with pytest.raises(ParameterError):
        squared_mmd(torch.zeros(5, 2), torch.zeros(5, 2))
    with pytest.raises(ParameterError, match="kl"):
        f_divergence(normal(20, 2), normal(20, 2), generator(), "tv")
