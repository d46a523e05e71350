"""A model that is none is said to be none, and pure noise is left in peace."""

import warnings

import pytest
import torch

from flowcore import FlowDensityEstimator
from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.errors import FlowWarning
from flowcore.fitting import FittedChain, Start
from flowcore.lfm import Rows
from flowcore.neighbours import Neighbours
from flowcore.ode import Solver
from flowcore.preprocessing import fit_steps
from flowcore.scorer import Scorer
from flowcore.self_check import check_model, is_structured
from flowcore.toy import moons
from flowcore.velocity import TanhField


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(n, d=3, seed=0):
    return torch.randn(n, d, generator=generator(seed), dtype=torch.float64)


def whitened(x):
    for step in fit_steps(x):
        x = step(x)
    return x


def check(rows, moved=True, fell_back=False, scale=1.0):
    chain = FlowChain(rows.shape[1], [], fit_steps(rows))
    part = torch.arange(len(rows))
    fitted = FittedChain(chain, part, part, [], fell_back, moved)
    center = torch.zeros(2, dtype=torch.float64)
    reference = Neighbours(chain.columns(rows))
    scorer = Scorer(chain, (), reference, center, center + scale, conditional=False)
    check_model(fitted, scorer, rows, rows, None)


@pytest.mark.parametrize(("scale", "said"), [(1e30, "score alike"), (0.0, "no finite")])
def test_scores_that_tell_nothing_are_warned_of(scale, said):
    with pytest.warns(FlowWarning, match=said):
        check(noise(20), scale=scale)


@pytest.mark.parametrize(
    ("fell_back", "said"), [(False, "did not help"), (True, "made held-out rows less likely")]
)
def test_a_flow_that_stands_still_before_a_structure_is_warned_of(fell_back, said):
    with pytest.warns(FlowWarning, match=f"{said}.*not Gaussian"):
        check(moons(100, generator()), moved=False, fell_back=fell_back)


def test_a_sound_model_and_pure_noise_are_not_warned_of():  # a warning would be an error
    check(moons(100, generator()))
    check(noise(100), moved=False)
    check(noise(100), moved=False, fell_back=True)


def test_noise_of_any_shape_has_no_structure_and_a_curve_has_one():
    found = [
        is_structured(whitened(noise(n, d, seed)))
        for n in (20, 50, 300)
        for d in (1, 3, 60)
        for seed in range(4)
    ]
    assert not any(found)
    curved = noise(60, 12, 1)
    curved[:, 3] = curved[:, 2] ** 2
    assert is_structured(whitened(moons(100, generator())))
    assert not is_structured(torch.ones(50, 2, dtype=torch.float64))


@pytest.mark.parametrize("method", ["lfm", "jko"])
def test_fifty_rows_are_fitted_in_silence_or_with_a_true_word(method):
    brief = {"max_steps": 60, "n_blocks": 2, "device": "cpu", "random_state": 2}
    FlowDensityEstimator(method, **brief).fit(noise(50, 2, 2))
    rows = moons(50, generator(2)).numpy()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = FlowDensityEstimator(method, **brief).fit(rows)
    still = all(float(b.field.w3.detach().abs().max()) == 0 for b in model.chain_.blocks)
    assert still == bool([w for w in caught if "not Gaussian" in str(w.message)])


def test_a_chain_that_got_worse_is_put_back_to_its_start():
    g = generator()
    chain = FlowChain(2, [Block(TanhField(2, 8, generator=g))], solver=Solver("rk4", 4))
    rows = Rows(torch.randn(50, 2, generator=g), torch.randn(50, 2, generator=g))
    start = Start(chain, rows)
    assert not start.left(chain)
    with torch.no_grad():
        chain.blocks[0].field.b3.fill_(3.0)  # moves everything away
    assert start.left(chain)
    assert start.take_if_better(chain, rows)
    assert not start.left(chain)
    assert torch.equal(chain.transform(rows.train)[0], rows.train)
    assert not start.take_if_better(chain, rows)
