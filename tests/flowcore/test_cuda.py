"""The same density on an accelerator as in float64 on the processor."""

import pytest
import torch

from flowcore.block import Block
from flowcore.chain import FlowChain
from flowcore.ode import Solver
from flowcore.velocity import TanhField

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DIM = 32


@pytest.fixture
def chain():
    g = torch.Generator().manual_seed(0)
    fields = [TanhField(DIM, 128, generator=g) for _ in range(2)]
    with torch.no_grad():
        for field in fields:
            field.w3.copy_(torch.randn(field.w3.shape, generator=g) * 0.5 / 128**0.5)
    return FlowChain(DIM, [Block(f) for f in fields], solver=Solver("rk4", 8))


@pytest.fixture(params=[False, True], ids=["full", "tf32"])
def tf32(request):
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = request.param
    yield request.param
    torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.usefixtures("tf32")
@pytest.mark.parametrize("with_gradients", [False, True])
def test_the_density_is_that_of_float64_on_the_processor(chain, with_gradients):
    x = torch.randn(500, DIM, generator=torch.Generator().manual_seed(1))
    with torch.set_grad_enabled(with_gradients):
        got = chain.to("cuda").log_prob(x.to("cuda")).detach().cpu().double()
    want = chain.to("cpu").double().log_prob(x.double()).detach()
    assert (got - want).abs().max() / DIM < 1e-3
    assert want.std() > 0.1
