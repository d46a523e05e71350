"""Laws with known answers, in float64, on fields whose divergence is not zero."""

import itertools
import math

import pytest
import torch

from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.heavy_tails import Soften, Squash
from flowcore.ode import Solver
from flowcore.preprocessing import Dequantise, Standardise, Whiten, fit_steps
from flowcore.velocity import BoundField, TanhField, VelocityField

FINE = Solver("rk4", 64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


class RateField(VelocityField):
    """v = rate(t) x with a matrix-valued rate, whose flow is known."""

    def __init__(self, rate):
        matrix = rate(torch.tensor(0.0, dtype=torch.float64))
        super().__init__(len(matrix))
        self.rate = rate

    def config(self):
        return {}

    def bind(self, context=None):
        def with_divergence(t, x):
            matrix = self.rate(t.double())
            return x @ matrix.T, matrix.trace().expand(len(x))

        return BoundField(lambda t, x: with_divergence(t, x)[0], with_divergence)


def live_field(dim, hidden=16, seed=0, context_dim=0):
    """A TanhField with every weight random, so that it moves and stretches."""
    field = TanhField(dim, hidden, context_dim, generator(seed)).double()
    with torch.no_grad():
        for n, p in enumerate(field.parameters()):
            p.copy_(0.5 * normal(*p.shape, seed=seed + n + 1))
    return field


def live_chain(dim=3, n_blocks=2, steps=32, seed=0):
    rows = normal(50, dim, seed=9) @ normal(dim, dim, seed=8) + 3
    blocks = [Block(live_field(dim, seed=seed + 20 * k)) for k in range(n_blocks)]
    return FlowChain(dim, blocks, fit_steps(rows), Solver("rk4", steps)).double(), rows


A = torch.tensor([[0.3, -1.1, 0.2], [0.7, 0.5, 0.0], [-0.4, 0.1, 0.25]], dtype=torch.float64)


@pytest.mark.parametrize("solver", [FINE, Solver("dopri5", rtol=1e-10, atol=1e-12)])
def test_linear_field_has_the_matrix_exponential_and_the_trace(solver):
    x = normal(7, 3)
    passage = Block(RateField(lambda t: A))(x, solver)
    torch.testing.assert_close(passage.x, x @ torch.linalg.matrix_exp(A).T, rtol=0, atol=1e-8)
    torch.testing.assert_close(passage.log_det, A.trace().expand(7), rtol=0, atol=1e-8)


def test_runge_kutta_is_of_fourth_order():
    x, exact = normal(5, 3), torch.linalg.matrix_exp(A)
    errors = [
        (Block(RateField(lambda t: A))(x, Solver("rk4", n)).x - x @ exact.T).abs().max()
        for n in (4, 8, 16)
    ]
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(4, abs=0.3)


def test_one_step_weighs_its_stages_by_the_three_eighths_rule():
    (end,) = Solver("rk4", 1).solve(
        lambda t, s: (t.expand_as(s[0]) ** 4,), (torch.zeros(1, dtype=torch.float64),)
    )
    assert end.item() == pytest.approx((3 / 81 + 3 * 16 / 81 + 1) / 8, abs=1e-14)


def gaussian_pair_block(covariance, gamma):
    """The exact block between N(0, C) and its diffused version along the linear path."""
    a = math.exp(-gamma)
    identity = torch.eye(len(covariance), dtype=torch.float64)

    def rate(t):
        variance = (1 - t + t * a) ** 2 * covariance + t**2 * (1 - a * a) * identity
        growth = 2 * (1 - t + t * a) * (a - 1) * covariance + 2 * t * (1 - a * a) * identity
        return 0.5 * torch.linalg.solve(variance, growth)

    return Block(RateField(rate)), a * a * covariance + (1 - a * a) * identity


def test_gaussian_pairs_compose_to_the_exact_density():
    root = torch.tensor([[1.5, 0.0], [0.8, 0.3]], dtype=torch.float64)
    start = covariance = root @ root.T
    blocks = []
    for gamma in (0.2, 0.4, 0.8, 1.6, 3.2):
        block, covariance = gaussian_pair_block(covariance, gamma)
        blocks.append(block)
    x = normal(40, 2) @ root.T
    density = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), start)
    # what the last block leaves of the covariance, exactly
    last = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), covariance)
    chain = FlowChain(2, blocks, solver=FINE)
    z, log_det = chain.transform(x)
    torch.testing.assert_close(last.log_prob(z) + log_det, density.log_prob(x), rtol=0, atol=1e-6)
    torch.testing.assert_close(chain.log_prob(x), density.log_prob(x), rtol=0, atol=1e-3)


@pytest.mark.parametrize("dim", [1, 2])
def test_density_integrates_to_one(dim):
    chain, rows = live_chain(dim, n_blocks=2)
    z = torch.linspace(-7, 7, 161 if dim == 2 else 2001, dtype=torch.float64)
    lattice = torch.cartesian_prod(*[z] * dim).reshape(-1, dim)
    spread = rows.std(0) * 2.0
    with torch.no_grad():
        density = chain.log_prob(rows.mean(0) + lattice * spread).exp()
    cell = (z[1] - z[0]) ** dim * spread.prod()
    assert float(density.sum() * cell) == pytest.approx(1.0, abs=2e-3)


def test_inverse_undoes_transform():
    chain, rows = live_chain(steps=64)
    z, _ = chain.transform(rows)
    torch.testing.assert_close(chain.inverse(z), rows, rtol=0, atol=1e-6)


def test_log_det_is_that_of_the_jacobian():
    chain, rows = live_chain()
    jacobian = torch.func.vmap(torch.func.jacrev(lambda r: chain.transform(r[None])[0][0]))(
        rows[:5]
    )
    _, log_det = chain.transform(rows[:5])
    torch.testing.assert_close(log_det, torch.linalg.slogdet(jacobian)[1], rtol=0, atol=1e-5)


def test_density_along_the_samplers_path_is_the_density_of_the_sample():
    chain, _ = live_chain(steps=64)
    z = normal(20, 3, seed=5)
    log_prob = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    x = z
    for block in reversed(list(chain.blocks)):
        bound = block.field.bind()
        x, gained = chain.solver.solve(
            lambda t, s, b=bound: b.with_divergence(t, s[0]),
            (x, torch.zeros(20, dtype=torch.float64)),
            backward=True,
        )
        log_prob = log_prob - gained
    log_prob = log_prob + chain.steps_log_det(chain.unprocess(x))
    torch.testing.assert_close(chain.log_prob(chain.unprocess(x)), log_prob, rtol=0, atol=1e-6)


def test_sample_repeats_with_its_generator_and_has_the_density_it_claims():
    chain, _ = live_chain()
    first, again = (chain.sample(4000, generator(3)) for _ in range(2))
    assert torch.equal(first, again)
    with torch.no_grad():
        z, _ = chain.transform(first)
    assert z.mean(0).abs().max() < 0.06
    assert (z.var(0) - 1).abs().max() < 0.1


def test_rk4_agrees_with_adaptive_dopri5():
    chain, rows = live_chain(steps=32)
    ours = chain.log_prob(rows)
    chain.solver = Solver("dopri5", rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(ours, chain.log_prob(rows), rtol=0, atol=5e-5)


@pytest.mark.parametrize("step_type", ["standardise", "squash", "soften", "whiten", "dequantise"])
def test_steps_invert_and_know_their_volume(step_type):
    rows = normal(60, 3) @ A.T + torch.tensor([1.0, -2.0, 5.0], dtype=torch.float64)
    rows[:, 1] = rows[:, 1] ** 5  # heavy tails
    step = {
        "standardise": lambda: Standardise.fit(rows),
        "squash": lambda: Squash.fit(rows),
        "soften": lambda: Soften.fit(rows, 0.1),
        "whiten": lambda: Whiten.fit(rows, torch.zeros(3, dtype=torch.float64)),
        "dequantise": lambda: Dequantise.fit(rows),
    }[step_type]()
    torch.testing.assert_close(step.inverse(step(rows)), rows, rtol=0, atol=1e-10)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda r: step(r[None])[0]))(rows)
    volume = torch.linalg.slogdet(jacobian)[1]
    torch.testing.assert_close(step.log_det(rows), volume, rtol=0, atol=1e-9)


def test_training_noise_smooths_the_density_by_its_variance():
    rows = normal(20_000, 3) @ A.T
    chain = FlowChain(3, [], fit_steps(rows, noise=1.0))
    drawn = chain.sample(20_000, generator())
    expected = torch.cov(rows.T) + torch.diag(rows.var(0))
    torch.testing.assert_close(torch.cov(drawn.T), expected, rtol=0.1, atol=0.1)
    assert torch.equal(chain.preprocess(rows), chain.preprocess(rows))


def test_training_noise_never_touches_a_score():
    rows = torch.round(normal(200, 2))
    rows = torch.cat([rows, rows[:, :1]], 1)  # discrete and collinear
    steps = fit_steps(rows)
    chain = FlowChain(3, [], steps)
    noisy = chain.train_preprocess(rows, generator())
    assert not torch.equal(noisy, chain.preprocess(rows))
    assert torch.equal(chain.preprocess(rows), chain.preprocess(rows))
    assert chain.preprocess(rows).std(0).min() < 1e-6  # the collinear axis
    assert noisy.std(0).min() > 0.1
