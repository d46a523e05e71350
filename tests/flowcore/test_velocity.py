import pytest
import torch

from flowcore.divergence import exact_divergence, hutchinson_divergence
from flowcore.ode import runge_kutta
from flowcore.tanh_march import CPU_ROWS
from flowcore.velocity import TanhField, build_field

D, H, C, N = 4, 12, 3, 25


def draws(*shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, dtype=torch.float64)


@pytest.fixture
def field():
    field = TanhField(D, H, C, torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        for n, p in enumerate(field.parameters()):
            p.copy_(0.6 * draws(*p.shape, seed=n))
    return field


@pytest.mark.parametrize("t", [torch.tensor(0.3), torch.linspace(0, 1, N)[:, None]])
def test_closed_form_divergence_is_the_autograd_trace(field, t):
    x, context, t = draws(N, D, seed=50), draws(N, C, seed=51), t.double()
    v, divergence = field.bind(context).with_divergence(t, x)
    want_v, want = exact_divergence(lambda rows: field(t, rows, context), x)
    torch.testing.assert_close(v, want_v, rtol=0, atol=1e-12)
    torch.testing.assert_close(divergence, want, rtol=0, atol=1e-12)
    assert want.abs().mean() > 0.1


def test_closed_form_divergence_is_differentiable(field):
    x, context, t = draws(3, D, seed=50), draws(3, C, seed=51), torch.tensor(0.6).double()
    field.bind(context).with_divergence(t, x)[1].sum().backward()
    gradient = field.w2.grad.clone()
    field.zero_grad()
    exact_divergence(lambda rows: field(t, rows, context), x)[1].sum().backward()
    torch.testing.assert_close(gradient, field.w2.grad, rtol=0, atol=1e-12)


def test_hutchinson_lies_within_four_standard_errors(field):
    x, context, t = draws(1, D, seed=50), draws(1, C, seed=51), torch.tensor(0.6).double()
    many = 4000
    rows, contexts = x.expand(many, D), context.expand(many, C)
    probe = torch.sign(draws(many, D, seed=52))
    _, estimates = hutchinson_divergence(lambda r: field(t, r, contexts), rows, probe)
    _, exact = exact_divergence(lambda r: field(t, r, context), x)
    standard_error = estimates.std() / many**0.5
    assert standard_error > 0
    assert abs(estimates.mean() - exact[0]) < 4 * standard_error


def test_context_and_time_matter(field):
    x, context = draws(N, D, seed=50), draws(N, C, seed=51)
    t = torch.tensor(0.2).double()
    assert not torch.allclose(field(t, x, context), field(t, x, context + 1))
    assert not torch.allclose(field(t, x, context), field(t + 0.5, x, context))


def test_a_new_field_stands_still():
    field = TanhField(D, H, generator=torch.Generator().manual_seed(0))
    v, divergence = field.bind().with_divergence(torch.tensor(0.5), torch.ones(2, D))
    assert not v.any()
    assert not divergence.any()


def test_config_rebuilds_the_field(field):
    twin = build_field(field.config()).double()
    twin.load_state_dict(field.state_dict())
    x, context, t = draws(N, D), draws(N, C), torch.tensor(0.1).double()
    assert torch.equal(field(t, x, context), twin(t, x, context))


@pytest.mark.parametrize("with_context", [True, False])
@pytest.mark.parametrize("grid", [[0.0, 0.3, 0.45, 1.0], [1.0, 0.5, 0.0]])
def test_the_march_without_gradients_is_runge_kutta(field, with_context, grid):
    many = 2 * CPU_ROWS + 7  # two whole pieces and a rest
    x = draws(many, D, seed=50)
    context = draws(many, C, seed=51) if with_context else torch.zeros(C).double()
    bound = field.bind(context)

    def rate(t, state):
        v, divergence = bound.with_divergence(t, state[0])
        return v, divergence, (v * v).sum(1)

    zero = torch.zeros(many, dtype=torch.float64)
    with torch.no_grad():
        got = bound.march(x, grid, True)
        want = runge_kutta(rate, (x, zero, zero), grid)
        for g, w in zip(got, want, strict=True):
            torch.testing.assert_close(g, w, rtol=0, atol=1e-11)
        torch.testing.assert_close(bound.march(x, grid, False)[0], want[0], rtol=0, atol=1e-11)
    assert want[1].abs().mean() > 0.1


@pytest.mark.parametrize("size", [1e-3, 1.0, 60.0])
def test_the_march_in_single_precision_is_as_good_as_the_plain_path(field, size):
    x, context, grid = size * draws(CPU_ROWS, D, seed=50), draws(CPU_ROWS, C, seed=51), [0.0, 1.0]
    with torch.no_grad():
        want = field.bind(context).march(x, grid, True)
        got = field.float().bind(context.float()).march(x.float(), grid, True)
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g.double(), w, rtol=2e-6, atol=2e-5)


def test_the_march_repeats_bit_by_bit(field):
    x, context = draws(CPU_ROWS + 30, D, seed=50).float(), draws(CPU_ROWS + 30, C, seed=51).float()
    with torch.no_grad():
        bound = field.float().bind(context)
        first, again = (bound.march(x, [0.0, 0.5, 1.0], True) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)


def test_the_march_of_a_row_does_not_depend_on_its_batch(field):
    x, context = draws(CPU_ROWS + 30, D, seed=50), draws(CPU_ROWS + 30, C, seed=51)
    with torch.no_grad():
        together = field.bind(context).march(x, [0.0, 0.5, 1.0], True)
        for row in (0, CPU_ROWS - 1, CPU_ROWS, CPU_ROWS + 29):
            one = slice(row, row + 1)
            alone = field.bind(context[one]).march(x[one], [0.0, 0.5, 1.0], True)
            for a, b in zip(alone, together, strict=True):
                torch.testing.assert_close(a, b[one], rtol=0, atol=1e-12)


def test_the_march_of_no_rows_is_no_rows(field):
    with torch.no_grad():
        x, log_det, energy = field.bind(draws(0, C)).march(draws(0, D), [0.0, 1.0], True)
    assert x.shape == (0, D)
    assert log_det.shape == energy.shape == (0,)
