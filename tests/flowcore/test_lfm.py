"""Schedules, warm start and the refusal of what cannot be trained."""

import math

import pytest
import torch

from flowcore import lfm
from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.diffusion import geometric_schedule, schedule_of_count, with_free_end
from flowcore.errors import ParameterError
from flowcore.ode import Solver
from flowcore.training import Training
from flowcore.velocity import TanhField


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_schedule_of_a_given_count_reaches_its_total():
    gammas = schedule_of_count(3.0, 5, 1.4)
    assert len(gammas) == 5
    assert sum(gammas) == pytest.approx(3.0)
    assert gammas == pytest.approx(geometric_schedule(gammas[0], 1.4, 5))
    for total, n, ratio in ((0.0, 2, 1.0), (math.inf, 2, 1.0), (1.0, 0, 1.0), (1.0, 2, -1.0)):
        with pytest.raises(ParameterError):
            schedule_of_count(total, n, ratio)


def test_a_free_end_replaces_the_last_time():
    assert with_free_end((0.1, 0.2)) == (0.1, math.inf)
    with pytest.raises(ParameterError):
        with_free_end(())


@pytest.mark.parametrize(
    "wrong",
    [{"gammas": ()}, {"gammas": (0.1, -1.0)}, {"beta": (0.0, 1.0)}, {"draws": 0}],
)
def test_what_cannot_be_trained_is_refused(wrong):
    with pytest.raises(ParameterError):
        lfm.LocalFlowMatching(**({"gammas": (0.1,)} | wrong))


def test_a_short_schedule_with_a_free_end_lands_on_the_base_density():
    shifted = lfm.Rows(
        torch.randn(2000, 1, generator=generator(1)) + 3,
        torch.randn(500, 1, generator=generator(2)) + 3,
    )
    left = {}
    for gammas in ((0.1, 0.1), with_free_end((0.1, 0.1))):
        g = generator()
        blocks = [Block(TanhField(1, 16, generator=g)) for _ in gammas]
        chain = FlowChain(1, blocks, solver=Solver("rk4", 4))
        training = Training(steps=150, learning_rate=5e-3, batch_size=128)
        lfm.train_chain(chain, shifted, lfm.LocalFlowMatching(gammas), training, g)
        with torch.no_grad():
            left[gammas[-1]] = float(chain.transform(shifted.held_out)[0].mean())
    assert left[0.1] == pytest.approx(3 * math.exp(-0.2), abs=0.2)  # only diffused for 0.2
    assert abs(left[math.inf]) < 0.15


def test_a_warm_start_begins_with_the_weights_of_the_block_before():
    rows = lfm.Rows(
        torch.randn(200, 2, generator=generator(1)) + 2, torch.randn(99, 2, generator=generator(2))
    )
    standing = Training(steps=1, learning_rate=0.0)
    for warm in (True, False):
        g = generator()
        blocks = [Block(TanhField(2, 8, generator=g)) for _ in range(2)]
        with torch.no_grad():
            blocks[0].field.w3.fill_(0.1)
        chain = FlowChain(2, blocks, solver=Solver("rk4", 2))
        method = lfm.LocalFlowMatching((0.1, 0.1), warm_start=warm)
        lfm.train_chain(chain, rows, method, standing, g)
        assert torch.equal(blocks[0].field.w3, blocks[1].field.w3) == warm
    other = Block(TanhField(2, 9, generator=generator()))
    assert not lfm.start_from(other, blocks[0])


def test_several_draws_per_row_estimate_the_same_loss_with_less_noise():
    block = Block(TanhField(1, 4, generator=generator()))
    x = torch.randn(64, 1, generator=generator(3))

    def losses(draws):
        method, g = lfm.LocalFlowMatching((0.5,), draws=draws), generator(4)
        with torch.no_grad():
            return torch.stack(
                [lfm.matching_loss(block, x, None, 0.5, method, g) for _ in range(200)]
            )

    one, many = losses(1), losses(16)
    assert float(one.mean()) == pytest.approx(float(many.mean()), abs=0.05)
    assert float(many.std()) < 0.5 * float(one.std())


def test_the_divergence_shrinks_by_the_known_factor_with_every_block():
    """N(3, 1) diffused for G is N(3 e^-G, 1): KL from N(0, 1) is 4.5 e^-2G, the theory's rate."""
    rows = lfm.Rows(
        torch.randn(4000, 1, generator=generator(1)) + 3,
        torch.randn(1000, 1, generator=generator(2)) + 3,
    )
    g = generator()
    chain = FlowChain(
        1, [Block(TanhField(1, 16, generator=g)) for _ in range(3)], solver=Solver("rk4", 4)
    )
    training = Training(steps=200, learning_rate=5e-3, batch_size=256)
    lfm.train_chain(chain, rows, lfm.LocalFlowMatching((0.4,) * 3), training, g)
    x = torch.randn(5000, 1, generator=generator(3)) + 3
    log_p = -0.5 * (x - 3).square().sum(1)
    with torch.no_grad():
        trace = chain.flow(x)
    log_det = torch.zeros(len(x))
    for n, passage in enumerate(trace.passages, start=1):
        log_det = log_det + passage.log_det
        found = float((log_p + 0.5 * passage.x.square().sum(1) - log_det).mean())
        assert found == pytest.approx(4.5 * math.exp(-0.8 * n), rel=0.15), n
