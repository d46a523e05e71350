"""Every field: its divergence is the trace, its estimate covers it, its sum adds up."""

import math

import pytest
import torch

from flowcore import FlowDensityEstimator, load
from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.errors import DataError, ParameterError
from flowcore.fields import DeepField, LinearField, SumField, UNetField, log_prob_with_error
from flowcore.ode import Solver
from flowcore.preprocessing import SymmetricWhiten, Whiten
from flowcore.toy import moons
from flowcore.velocity import TanhField, build_field

LARGE = 100


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def alive(field, size=0.4):
    """Return the field in float64 with every weight drawn, the output layer included."""
    field = field.double().eval()
    with torch.no_grad():
        for n, p in enumerate(field.parameters()):
            fan_in = max(1, p[0].numel()) if p.dim() > 1 else 1
            p.copy_(3 * size * normal(*p.shape, seed=n + 1) / math.sqrt(fan_in))
    return field


def traced(field, t, x, context=None):
    """The divergence from the whole Jacobian of each row."""
    jacobian = torch.autograd.functional.jacobian(
        lambda rows: field(t, rows, context).sum(0), x, vectorize=True
    )
    return jacobian.diagonal(dim1=0, dim2=2).sum(1)


PARTS = [
    {"kind": "linear", "dim": 6},
    {"kind": "tanh", "dim": 6, "hidden": 8, "context_dim": 2},
    {"kind": "tanh", "dim": 6, "hidden": 5},
]
SMALL = {
    "linear": lambda: LinearField(6),
    "sum": lambda: SumField(6, PARTS, context_dim=2),
    "deep": lambda: DeepField(6, 7, depth=3, context_dim=2),
    "unet": lambda: UNetField(2, 9, width=2, context_dim=2),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("t", [torch.tensor(0.3), torch.linspace(0, 1, 5)[:, None]])
def test_divergence_is_the_trace_and_both_ways_give_one_velocity(name, t):
    field, t = alive(SMALL[name]()), t.double()
    x, context = normal(5, field.dim), normal(5, 2, seed=3)
    bound = field.bind(context)
    v, divergence = bound.with_divergence(t, x)
    wanted = traced(field, t, x, context)
    assert wanted.abs().min() > 1e-3
    torch.testing.assert_close(divergence, wanted, rtol=0, atol=1e-10)
    torch.testing.assert_close(v, bound.velocity(t, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_a_row_is_on_its_own_and_a_field_is_rebuilt_from_its_configuration(name):
    field = alive(SMALL[name]())
    x, context, t = normal(5, field.dim), normal(5, 2, seed=3), torch.tensor(0.4).double()
    together = field.bind(context).with_divergence(t, x)
    again = build_field(field.config(), generator(5)).double()
    again.load_state_dict(field.state_dict())
    alone = again.bind(context[2:3]).with_divergence(t, x[2:3])
    for one, many in zip(alone, together, strict=True):
        torch.testing.assert_close(one[0], many[2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_a_new_field_stands_still_and_time_and_context_matter(name):
    x, context, t = normal(4, 18 if name == "unet" else 6), normal(4, 2, seed=3), torch.tensor(0.4)
    new = SMALL[name]().double()
    assert new(t.double(), x, context).abs().max() == 0
    field = alive(SMALL[name]())
    now = field(t.double(), x, context)
    assert (now - field(torch.tensor(0.9).double(), x, context)).abs().max() > 1e-3
    if name != "linear":
        assert (now - field(t.double(), x, context + 1)).abs().max() > 1e-3


def test_a_sum_adds_velocities_and_divergences():
    field = alive(SumField(6, PARTS, context_dim=2))
    x, context, t = normal(5, 6), normal(5, 2, seed=3), torch.tensor(0.6).double()
    total = field.bind(context).with_divergence(t, x)
    parts = [f.bind(context if f.context_dim else None).with_divergence(t, x) for f in field.parts]
    for k in (0, 1):
        torch.testing.assert_close(total[k], sum(part[k] for part in parts))


def test_a_linear_field_carries_rows_by_the_matrix_exponential():
    field = LinearField(3).double()
    matrix = normal(3, 3) / 2
    with torch.no_grad():
        field.matrix.copy_(matrix)
    x = normal(5, 3, seed=2)
    passage = Block(field)(x, Solver("rk4", 64))
    torch.testing.assert_close(passage.x, x @ torch.linalg.matrix_exp(matrix).T)
    torch.testing.assert_close(passage.log_det, matrix.trace().expand(5))


def wide_field(kind, seed, n_probes=8):
    if kind == "deep":
        return alive(DeepField(LARGE, 16, n_probes=n_probes, probe_seed=seed))
    return alive(UNetField(2, LARGE // 2, width=2, n_probes=n_probes, probe_seed=seed))


@pytest.mark.parametrize("kind", ["deep", "unet"])
def test_the_stated_error_of_the_log_density_covers_it(kind):
    """Over many draws of the probes, z = (estimate - exact) / error has spread one and mean 0."""
    x, solver = normal(1, LARGE), Solver("rk4", 2)
    exact_field = wide_field(kind, 0)
    exact_field.exact, exact_field.probes = True, torch.eye(LARGE)
    exact = FlowChain(LARGE, [Block(exact_field)], solver=solver).log_prob(x).detach()
    shares, widths = [], []
    for seed in range(60):
        chain = FlowChain(LARGE, [Block(wide_field(kind, 1000 * seed + 7, 16))], solver=solver)
        found = log_prob_with_error(chain, x)
        shares.append(float((found.log_prob - exact) / found.standard_error))
        widths.append(float(found.standard_error))
    z = torch.tensor(shares)
    assert min(widths) > 0
    assert abs(z.mean()) < 4 / math.sqrt(60)
    assert 0.8 < float(z.std()) < 1.35  # Student's t of 15 degrees of freedom: 1.07


def test_the_error_belongs_to_the_chains_own_log_density_and_is_zero_where_exact():
    x, solver = normal(3, LARGE), Solver("rk4", 2)
    chain = FlowChain(
        LARGE, [Block(wide_field("deep", 1)), Block(wide_field("unet", 2))], solver=solver
    )
    found = log_prob_with_error(chain, x)
    torch.testing.assert_close(found.log_prob, chain.log_prob(x))
    assert torch.equal(chain.log_prob(x), chain.log_prob(x))
    torch.testing.assert_close(chain.log_prob(x[1:2]), chain.log_prob(x)[1:2])
    small = FlowChain(6, [Block(alive(TanhField(6, 4))), Block(alive(DeepField(6, 4)))])
    exact = log_prob_with_error(small, normal(3, 6))
    torch.testing.assert_close(exact.log_prob, small.log_prob(normal(3, 6)))
    assert exact.standard_error.abs().max() == 0


def test_probes_are_fresh_while_training_and_gradients_reach_every_weight():
    field = wide_field("unet", 3).train()
    x, t = normal(4, LARGE), torch.tensor(0.5).double()
    first, second = (field.bind().with_divergence(t, x)[1] for _ in range(2))
    assert (first - second).abs().min() > 0
    first.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in field.parameters())
    with torch.no_grad():
        held = [field.bind().with_divergence(t, x)[1] for _ in range(2)]
    assert torch.equal(*held)


def test_what_cannot_be_built_is_refused():
    for wrong in (
        lambda: SumField(3, []),
        lambda: SumField(3, PARTS),
        lambda: UNetField(1, 3),
        lambda: DeepField(3, 4, depth=0),
        lambda: DeepField(3, 4, n_probes=1),
    ):
        with pytest.raises(ParameterError):
            wrong()
    with pytest.raises(DataError, match="context"):
        SMALL["deep"]()(torch.tensor(0.1), torch.zeros(2, 6))


@pytest.mark.parametrize("field", ["tanh", {"kind": "deep", "depth": 3, "hidden": 32}])
def test_a_chosen_field_learns_and_is_saved(field, tmp_path):
    new = moons(400, generator(2)).numpy()
    model = FlowDensityEstimator(
        n_blocks=2, max_steps=200, refine=False, gamma=0.3, ratio=2.0, field=field, device="cpu"
    ).fit(moons(1000, generator(1)).numpy())
    chain = model.chain_
    start = FlowChain(2, [], chain.steps, chain.solver)
    with torch.no_grad():
        before = start.log_prob(torch.from_numpy(new)).mean()
    assert model.score(new) > float(before) + 0.15
    model.save(tmp_path / "model")
    twin = load(tmp_path / "model", device="cpu")
    assert twin.get_params() == model.get_params()
    assert (twin.score_samples(new) == model.score_samples(new)).all()


def spikes(n, seed):
    """Windows of 72 samples: a bump of unknown place in noise. A Gaussian sees only its mean."""
    g, times = generator(seed), torch.arange(72.0, dtype=torch.float64)
    places = 6 + 60 * torch.rand(n, 1, generator=g, dtype=torch.float64)
    noise = 0.3 * torch.randn(n, 72, generator=g, dtype=torch.float64)
    return 2 * (-0.5 * ((times - places) / 2) ** 2).exp() + noise


@pytest.mark.slow
def test_a_unet_learns_windows_that_a_gaussian_does_not_know():
    """Its gain on held-out windows is beyond the stated error of the estimated log-density."""
    chosen = {"kind": "unet", "n_channels": 1, "width": 6, "n_probes": 4}
    model = FlowDensityEstimator(
        n_blocks=1,
        max_steps=60,
        refine=False,
        gamma=0.3,
        solver_steps=2,
        field=chosen,
        device="cpu",
    ).fit(spikes(500, 1).numpy())
    chain, new = model.chain_, spikes(100, 2)
    assert isinstance(list(chain.steps)[-1], SymmetricWhiten)
    found = log_prob_with_error(chain, new)
    with torch.no_grad():
        gain = found.log_prob - FlowChain(72, [], chain.steps, chain.solver).log_prob(new)
    error = torch.cat([gain.std()[None] / 10, found.standard_error.mean()[None]]).norm()
    assert float(gain.mean()) > max(0.5, 2 * float(error))


def test_symmetric_whitening_keeps_the_order_of_samples_and_its_volume():
    x = spikes(300, 3)
    step, plain = (kind.fit(x, torch.zeros(72).double()) for kind in (SymmetricWhiten, Whiten))
    y = step(x)
    torch.testing.assert_close(step.inverse(y), x)
    torch.testing.assert_close(step.log_det(x), plain.log_det(x))
    torch.testing.assert_close(torch.cov(y.T), torch.cov(y.T).T)
    own = torch.corrcoef(torch.cat([x, y], 1).T)[:72, 72:].diagonal()
    assert own.min() > 0.7  # each coordinate is still mostly itself
    g = generator(1)
    assert (step.train_forward(x, g) - y).abs().max() < 0.2


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("transformer", "choose from"),
        ({"depth": 3}, "unknown"),
        ({"kind": "tanh", "depth": 3}, "no setting 'depth'"),
        ({"kind": "unet"}, "divides"),
        ({"kind": "unet", "n_channels": 5}, "divides"),
        ({"kind": "sum", "parts": []}, "list of one or more"),
        ({"kind": "deep", "hidden": "wide"}, "cannot be built"),
        ({"kind": "deep", "depth": 0}, "at least 1"),
        (3, "name of a kind"),
    ],
)
def test_a_field_that_cannot_be_is_refused_in_words(field, said):
    with pytest.raises(ParameterError, match=said):
        FlowDensityEstimator(field=field, device="cpu").fit(moons(50, generator()).numpy())
