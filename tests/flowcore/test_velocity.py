import pytest
import torch

from flowcore.divergence import exact_divergence, hutchinson_divergence
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
