"""Training reaches what is known exactly, and never makes a model worse."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from flowcore import FlowDensityEstimator, jko, lfm
from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.ode import Solver, random_grid
from flowcore.refine import Refinement, guarded_nll, likelihood_loss, refine
from flowcore.toy import gaussian, gaussian_log_prob, moons
from flowcore.training import MovingAverage, Training, draw, minimise
from flowcore.velocity import TanhField

COVARIANCE = torch.tensor([[1.6, 0.7], [0.7, 0.5]], dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def new_chain(n_blocks, dim=2, hidden=32, seed=0, steps=4):
    g = generator(seed)
    blocks = [Block(TanhField(dim, hidden, generator=g)) for _ in range(n_blocks)]
    return FlowChain(dim, blocks, solver=Solver("rk4", steps))


def rows_of(sample, n=4000):
    return lfm.Rows(sample(n, generator(1)).float(), sample(1000, generator(2)).float())


def gaussian_rows(n, g):
    return gaussian(n, COVARIANCE, g)


def analytic_velocity(t, x, covariance, gamma):
    """v* = (1/2) d/dt log Var(I_t) x for the linear path with dependent coupling."""
    a = math.exp(-gamma)
    identity = torch.eye(2, dtype=torch.float64)
    variance = (1 - t + t * a) ** 2 * covariance + t * t * (1 - a * a) * identity
    growth = 2 * (1 - t + t * a) * (a - 1) * covariance + 2 * t * (1 - a * a) * identity
    return x @ (0.5 * torch.linalg.solve(variance, growth)).T


@pytest.fixture(scope="module")
def matched():
    """A chain matched, not refined, to a correlated Gaussian, by gammas that sum to 3.1."""
    gammas = (0.1, 0.3, 0.9, 1.8)
    chain = new_chain(len(gammas))
    outcomes = lfm.train_chain(
        chain,
        rows_of(gaussian_rows),
        lfm.LocalFlowMatching(gammas),
        Training(steps=700, learning_rate=5e-3),
        generator(3),
    )
    return chain.double(), gammas, outcomes


def test_matching_approaches_the_analytic_velocity(matched):
    chain, gammas, outcomes = matched
    assert all(outcome.improved for outcome in outcomes)
    x = gaussian_rows(500, generator(7))  # close to the law of I_t of a short first block
    off = size = 0.0
    for t in (0.1, 0.3, 0.5, 0.7, 0.9):
        wanted = analytic_velocity(t, x, COVARIANCE, gammas[0])
        got = chain.blocks[0].field(torch.tensor(t, dtype=torch.float64), x).detach()
        off += float(((got - wanted) ** 2).sum(1).mean())
        size += float((wanted**2).sum(1).mean())
    assert off < 0.1 * size


def test_matching_approaches_the_analytic_density(matched):
    chain, _, _ = matched
    x = gaussian_rows(2000, generator(8))
    with torch.no_grad():
        difference = gaussian_log_prob(x, COVARIANCE) - chain.log_prob(x)
    assert abs(difference.mean()) < 0.03  # the Kullback-Leibler divergence, nats
    assert difference.abs().mean() < 0.1
    standing = FlowChain(2)
    assert (gaussian_log_prob(x, COVARIANCE) - standing.log_prob(x)).mean() > 0.15


def test_refining_sharpens_a_matched_chain_and_is_the_same_on_finer_grids():
    chain, rows = new_chain(3), rows_of(moons)
    matching = lfm.LocalFlowMatching((0.1, 0.3, 0.9))
    lfm.train_chain(chain, rows, matching, Training(steps=150), generator(3))
    before = guarded_nll(chain, rows.held_out)
    training = Training(steps=100, batch_size=128, learning_rate=4e-3, evaluate_every=25)
    outcome = refine(chain, rows, Refinement(), training, generator(4))
    after = guarded_nll(chain, rows.held_out)
    assert outcome.after == pytest.approx(after)
    assert after < before - 0.1
    chain.solver = Solver("rk4", 64)
    assert guarded_nll(chain, rows.held_out) == pytest.approx(after, abs=0.02)


@pytest.mark.parametrize("rate", [1e-3, 0.3])
@pytest.mark.parametrize("seed", [0, 1])
def test_refining_never_raises_the_fine_grid_likelihood_loss(rate, seed):
    rows = lfm.Rows(
        moons(40, generator(seed)).float(), moons(200, generator(seed + 9)).float()
    )  # few rows invite overfitting; the high rate invites divergence
    chain = new_chain(2, seed=seed)
    matching = lfm.LocalFlowMatching((0.2, 0.6))
    lfm.train_chain(chain, rows, matching, Training(steps=60), generator(seed))
    fine = [k / 16 for k in range(17)]

    def fine_nll():
        with torch.no_grad():
            return -chain.flow(rows.held_out, None, fine).log_prob.mean().item()

    before = fine_nll()
    refine(
        chain,
        rows,
        Refinement(movement=0.0),
        Training(steps=80, learning_rate=rate, evaluate_every=10),
        generator(seed),
    )
    assert fine_nll() <= before + 0.02 * chain.dim


def test_a_chain_on_which_two_grids_disagree_counts_as_infinitely_bad():
    chain = new_chain(1, steps=1)
    with torch.no_grad():
        for p in chain.parameters():
            p.normal_(0, 3.0, generator=generator())
    assert guarded_nll(chain, moons(100, generator()).float()) == math.inf


def test_the_movement_penalty_counts_kinetic_energy():
    chain, x = new_chain(1), moons(50, generator()).float()
    with torch.no_grad():
        chain.blocks[0].field.b3.fill_(2.0)  # v = (2, 2): energy 8, no divergence
    grid = [0.0, 0.5, 1.0]
    plain, charged = (likelihood_loss(chain, x, None, grid, m) for m in (0.0, 0.5))
    assert (charged - plain).item() == pytest.approx(0.5 * 8 / 2, rel=1e-5)


def test_a_proximal_step_on_a_gaussian_has_the_known_optimum():
    """For N(0, s^2) and step h the best map is x -> a x with a s^2 + (a - 1) s^2 / h = 1 / a."""
    variance, h = 4.0, 0.75
    scale = (variance / h + math.sqrt((variance / h) ** 2 + 4 * variance * (1 + 1 / h))) / (
        2 * variance * (1 + 1 / h)
    )
    rows = rows_of(lambda n, g: 2 * torch.randn(n, 1, generator=g))
    chain = new_chain(1, dim=1)
    schedule = jko.ProximalSteps(first=h)
    jko.train_chain(chain, rows, schedule, Training(steps=400, learning_rate=5e-3), generator(1))
    x = torch.linspace(-3, 3, 7)[:, None]
    with torch.no_grad():
        got = chain.blocks[0].push(x, chain.solver)
    slope = float((got[-1] - got[0]) / 6)
    assert slope == pytest.approx(scale, abs=0.03)


def test_proximal_steps_come_to_rest_at_the_normal_law():
    rows = rows_of(lambda n, g: torch.randn(n, 2, generator=g))
    chain = new_chain(3)
    jko.train_chain(chain, rows, jko.ProximalSteps(), Training(steps=30), generator(1))
    assert len(chain.blocks) == 1  # nothing left to move
    assert jko.relative_movement(torch.zeros(3, 2), torch.ones(3, 2)) == 1.0


def test_training_keeps_the_best_weights_and_survives_divergence():
    module = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(1.0)

    def loss():  # pushes the weight away from what held-out rows want
        return -module.weight.sum() * 10

    outcome = minimise(
        module, loss, lambda: float(module.weight.detach() ** 2), Training(50, learning_rate=0.5)
    )
    assert outcome.after == outcome.before == 1.0
    assert not outcome.improved
    assert float(module.weight.detach()) == 1.0
    nan = minimise(
        module,
        lambda: module.weight.sum() * math.nan,
        lambda: float(module.weight.detach() ** 2),
        Training(50, evaluate_every=1),
    )
    assert float(module.weight.detach()) == 1.0
    assert nan.steps <= 4


def test_moving_average_of_a_constant_is_the_constant_and_swap_is_its_own_inverse():
    p = torch.nn.Parameter(torch.ones(2))
    average = MovingAverage([p], 0.9)
    with torch.no_grad():
        p.fill_(3.0)
    for _ in range(300):
        average.update()
    average.swap()
    torch.testing.assert_close(p.data, torch.full((2,), 3.0))
    torch.testing.assert_close(average.average[0], torch.full((2,), 3.0))


def test_drawing_keeps_rows_and_context_together():
    rows = torch.arange(50.0)[:, None]
    drawn, context = draw(rows, 2 * rows, 200, generator())
    assert torch.equal(context, 2 * drawn)
    assert len(drawn.unique()) > 30


def test_random_grids_are_increasing_and_of_varying_length():
    grids = [random_grid(3, generator(seed)) for seed in range(60)]
    assert {len(g) for g in grids} == {2, 3, 4}
    assert all(g[0] == 0 and g[-1] == 1 and g == sorted(set(g)) for g in grids)


def test_a_grid_of_one_step_has_no_cut_point_and_refinement_takes_none():
    grids = [random_grid(3, generator(seed), 2) for seed in range(60)]
    assert {len(g) for g in grids} == {3, 4}
    assert len({g[1] for g in grids}) == 60
    assert Refinement().min_grid_steps == 2
    for wrong in ({"min_grid_steps": 4}, {"min_grid_steps": 0}, {"movement": -1.0}):
        with pytest.raises(ValueError, match="grid_steps"):
            Refinement(**wrong)


def test_couplings_draw_what_they_say():
    block, x = new_chain(1).blocks[0], torch.arange(8.0)[:, None] * torch.ones(1, 2)
    for coupling, worse in (("dependent", False), ("independent", True), ("shuffled", True)):
        method = lfm.LocalFlowMatching((1e-9,), coupling=coupling)
        with torch.no_grad():  # the field stands still: the loss is the mean squared rate
            loss = lfm.matching_loss(block, x, None, 1e-9, method, generator())
        assert (loss > 1) == worse, coupling
    with pytest.raises(ValueError, match="dependent"):
        lfm.LocalFlowMatching((0.1,), coupling="magic")


def test_times_follow_their_beta_law():
    times = lfm._times(20_000, (1.0, 2.0), generator())
    assert float(times.mean()) == pytest.approx(1 / 3, abs=0.01)
    assert torch.equal(times, lfm._times(20_000, (1.0, 2.0), generator()))


def test_the_density_of_single_rows_is_solved_finely_enough():
    """Columns that are sums of others: means over rows agree between grids, single rows do not."""
    g = np.random.default_rng(0)
    free = g.normal(size=(400, 4))
    X = np.column_stack([free, np.ones(400), free[:, 0], free.sum(1)])
    model = FlowDensityEstimator(random_state=0).fit(X[:200])
    own = model.score_samples(X[200:])
    model.chain_.solver = replace(model.chain_.solver, n_steps=64)
    assert np.quantile(np.abs(own - model.score_samples(X[200:])), 0.95) < 0.05
