"""A few-step map follows its teacher and offers no likelihood."""

import pytest
import torch

from flowcore import load
from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.distill import FewStepMap, distill
from flowcore.errors import DataError, ParameterError, PersistenceError
from flowcore.fields import LinearField
from flowcore.ode import Solver
from flowcore.persistence import read_model, write_model
from flowcore.preprocessing import Standardise
from flowcore.training import Training
from flowcore.velocity import TanhField

BRIEF = Training(steps=300, learning_rate=5e-3, batch_size=128, evaluate_every=50)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=generator(seed), dtype=torch.float64)


def turning_teacher():
    """Four quarter-size turns and stretches; the whole is one known matrix."""
    matrix = torch.tensor([[0.1, 0.3], [-0.3, -0.2]], dtype=torch.float64)
    blocks = []
    for _ in range(4):
        field = LinearField(2)
        field.matrix.data.copy_(matrix)
        blocks.append(Block(field))
    step = Standardise(2)
    step.center.copy_(torch.tensor([5.0, -3.0]))
    step.scale.copy_(torch.tensor([2.0, 0.5]))
    chain = FlowChain(2, blocks, [step], Solver("rk4", 4)).double()
    return chain, step, torch.linalg.matrix_exp(4 * matrix)


@pytest.mark.parametrize("n_steps", [1, 2])
def test_the_map_is_the_teachers_at_fresh_rows(n_steps):
    chain, step, whole = turning_teacher()
    rows = step.inverse(normal(1500, 2, 1))
    done = distill(chain, rows, generator(), n_steps=n_steps, hidden=32, training=BRIEF)
    fresh = step.inverse(normal(500, 2, 2))
    with torch.no_grad():
        off = done.map(fresh) - step(fresh) @ whole.T
    standing = step(fresh) @ (whole - torch.eye(2).double()).T
    measured = float((off**2).mean().sqrt())
    assert len(done.map.steps) == n_steps
    assert measured < 0.12 * float((standing**2).mean().sqrt())
    assert done.error == pytest.approx(measured, rel=0.6)


def test_context_reaches_the_map():
    field = TanhField(2, 8, 1, generator()).double()
    with torch.no_grad():
        field.w3.copy_(normal(2, 8))
    chain = FlowChain(2, [Block(field)], solver=Solver("rk4", 2)).double()
    context = normal(1200, 1, 5)
    done = distill(chain, normal(1200, 2), generator(), hidden=32, context=context, training=BRIEF)
    with torch.no_grad():
        low, high = (done.map(normal(300, 2, 7), torch.full((300, 1), c).double()) for c in (-1, 1))
        wanted = [
            chain.transform(normal(300, 2, 7), torch.full((300, 1), c).double())[0] for c in (-1, 1)
        ]
    torch.testing.assert_close(
        (high - low).mean(0), (wanted[1] - wanted[0]).mean(0), rtol=0, atol=0.15
    )
    assert (wanted[1] - wanted[0]).mean(0).abs().max() > 0.3


def test_it_offers_no_likelihood_and_refuses_what_it_cannot_do():
    chain, _, _ = turning_teacher()
    done = distill(chain, normal(50, 2), generator(), training=Training(steps=2))
    assert not any("log" in name or "prob" in name for name in dir(done.map))
    for n_steps in (0, 5):
        with pytest.raises(ParameterError, match="4 blocks"):
            distill(chain, normal(50, 2), generator(), n_steps=n_steps)
    with pytest.raises(DataError, match="width 2"):
        distill(chain, normal(50, 3), generator())


def test_a_saved_map_gives_the_same_rows_and_a_damaged_or_foreign_one_is_refused(tmp_path):
    chain, step, _ = turning_teacher()
    rows, training = step.inverse(normal(100, 2)), Training(steps=5)
    done = distill(chain, rows, generator(), n_steps=2, hidden=8, training=training)
    done.map.save(tmp_path / "map")
    twin = FewStepMap.load(tmp_path / "map")
    with torch.no_grad():
        assert torch.equal(twin(rows), done.map(rows))
        assert (twin(rows) - step(rows)).abs().max() > 1e-3
    write_model(tmp_path / "other", {}, {"model": "another"})
    with pytest.raises(PersistenceError, match="no few-step map"):
        FewStepMap.load(tmp_path / "other")
    with pytest.raises(PersistenceError, match="fit it again"):
        load(tmp_path / "map")
    tensors, config = read_model(tmp_path / "map")
    write_model(tmp_path / "map", tensors, config | {"fields": [{"kind": "spell"}]})
    with pytest.raises(PersistenceError, match="distil it again"):
        FewStepMap.load(tmp_path / "map")
