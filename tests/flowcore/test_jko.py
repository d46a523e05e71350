"""Re-parametrised proximal steps: even movement, halved intervals, never worse."""

import itertools
import math

import pytest
import torch

from flowcore import jko, lfm
from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.errors import ParameterError
from flowcore.fields import LinearField
from flowcore.ode import Solver
from flowcore.training import Training
from flowcore.velocity import TanhField


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def wide_rows():
    return lfm.Rows(
        4 * torch.randn(2000, 1, generator=generator(1)),
        4 * torch.randn(1000, 1, generator=generator(2)),
    )


def trained(n_blocks=3, steps=150):
    g = generator()
    chain = FlowChain(
        1, [Block(TanhField(1, 16, generator=g)) for _ in range(n_blocks)], solver=Solver("rk4", 4)
    )
    schedule = jko.ProximalSteps(first=0.5, ratio=1.0, stop_below=0.0)
    training = Training(steps=steps, learning_rate=5e-3, batch_size=128)
    jko.train_chain(chain, wide_rows(), schedule, training, g)
    return chain, schedule, training


def test_even_steps_undo_a_known_speed():
    """Where the arc length is sqrt(t), even arcs have t_k = (k / N)^2."""
    times = [k / 200 for k in range(201)]
    lengths = [math.sqrt(b) - math.sqrt(a) for a, b in itertools.pairwise(times)]
    steps = jko.even_steps([1 / 200] * 200, lengths, damping=1.0)
    reached = torch.tensor(steps, dtype=torch.float64).cumsum(0)
    wanted = (torch.arange(1, 201, dtype=torch.float64) / 200) ** 2
    torch.testing.assert_close(reached, wanted, rtol=0, atol=2e-3)


def test_damping_goes_part_of_the_way_and_the_total_stays():
    whole, half = (jko.even_steps([1.0, 1.0, 2.0], [5.0, 2.0, 1.0], d) for d in (1.0, 0.5))
    assert sum(whole) == pytest.approx(4.0)
    assert half == pytest.approx([(w + s) / 2 for w, s in zip(whole, [1, 1, 2], strict=True)])
    assert jko.even_steps([0.3, 0.6], [1.0, 1.0]) == pytest.approx((0.3, 0.6))
    assert jko.halve_steps([1.0, 3.0]) == (0.5, 0.5, 1.5, 1.5)


@pytest.mark.parametrize(
    "wrong", [([1.0], [1.0, 2.0], 0.5), ([1.0], [0.0], 0.5), ([1.0], [1.0], 0.0)]
)
def test_steps_that_cannot_be_evened_out_are_refused(wrong):
    with pytest.raises(ParameterError, match="one length per step"):
        jko.even_steps(*wrong)


def test_a_block_that_shifts_moves_by_the_length_of_the_shift():
    chain = FlowChain(2, [Block(TanhField(2, 4))], solver=Solver("rk4", 2))
    with torch.no_grad():
        chain.blocks[0].field.b3.copy_(torch.tensor([3.0, 4.0]))
    assert jko.movements(chain, torch.randn(20, 2, generator=generator())) == pytest.approx((5.0,))


def test_reparametrised_blocks_move_more_evenly_and_the_likelihood_is_no_worse():
    chain, schedule, training = trained()
    rows = wide_rows()
    before = jko.movements(chain, rows.train)
    done = jko.reparametrise(chain, rows, schedule, training, generator(5), rounds=2, damping=1.0)
    assert min(done.held_out_nll) <= done.held_out_nll[0]
    assert done.movements == pytest.approx(jko.movements(chain, rows.train))
    assert max(done.movements) / min(done.movements) < 0.7 * max(before) / min(before)


def test_halving_doubles_the_blocks_or_keeps_the_better_chain():
    chain, schedule, training = trained(n_blocks=1, steps=100)
    done = jko.reparametrise(chain, wide_rows(), schedule, training, generator(5), halve=True)
    assert len(chain.blocks) == len(done.steps) == 2  # two steps of h/2 get further than one of h
    assert sum(done.steps) == pytest.approx(0.5)


def test_a_chain_that_cannot_be_bettered_is_kept():
    """x -> x / 4 is exact for N(0, 16); two such blocks in its place overshoot."""
    field = LinearField(1)
    with torch.no_grad():
        field.matrix.fill_(-math.log(4.0))
    chain = FlowChain(1, [Block(field)], solver=Solver("rk4", 8))
    untrained = Training(steps=1, learning_rate=0.0)
    schedule = jko.ProximalSteps(first=0.5)
    done = jko.reparametrise(chain, wide_rows(), schedule, untrained, generator(), halve=True)
    assert done.held_out_nll[1] > done.held_out_nll[0] + 0.1
    assert len(chain.blocks) == len(done.steps) == len(done.movements) == 1
    assert jko.guarded_nll(chain, wide_rows().held_out) == pytest.approx(done.held_out_nll[0])


def test_given_steps_are_used_in_order():
    schedule = jko.ProximalSteps(given=(0.3, 0.1))
    assert [schedule.step(n) for n in range(3)] == [0.3, 0.1, 0.1]
    with pytest.raises(ParameterError, match="positive"):
        jko.ProximalSteps(given=(0.3, 0.0))
