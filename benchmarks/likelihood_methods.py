"""The ways to an exact log-likelihood that `likelihood.py` times: this library and its peers.

All of them integrate one network: two tanh layers with time in the biases, the same weights. This
library is given it as its own field; peers as the plain module that their user would write.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from flow_matching.solver import ODESolver
from torch import Tensor, nn
from torch.nn.functional import linear
from torchdiffeq import odeint
from zuko.transforms import FreeFormJacobianTransform

from flowcore.block import Block
from flowcore.divergence import exact_divergence, hutchinson_divergence
from flowcore.ode import Solver, runge_kutta
from flowcore.preprocessing import gaussian_log_prob
from flowcore.velocity import TanhField, time_features

Method = Callable[[Tensor], Tensor]
STEPS = 8
LOOSE = {"atol": 1e-5, "rtol": 1e-5}
"""Tolerances at which zuko's error is still below 1e-3 nats; its own are atol 1e-6, rtol 1e-5."""


class Network(nn.Module):
    """The velocity of a field, as a module that knows nothing of this library's shortcuts."""

    def __init__(self, field: TanhField) -> None:
        super().__init__()
        self.weights = [field.w1, field.w2, field.w3]
        self.biases = [field.b1, field.b2, field.b3]
        self.times = [field.time1, field.time2, field.time3]

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the velocity at rows `x` (n, d) and a time of shape ()."""
        features = time_features(t)[0]
        for layer, (weight, bias, time) in enumerate(
            zip(self.weights, self.biases, self.times, strict=True)
        ):
            x = linear(x, weight, bias + time @ features)
            if layer < 2:
                x = torch.tanh(x)
        return x


def make_field(dim: int, hidden: int) -> TanhField:
    """Return a field with every weight alive and a smooth, moderate flow."""
    g = torch.Generator().manual_seed(0)
    field = TanhField(dim, hidden, generator=g)
    with torch.no_grad():
        for p in (field.w3, field.time3):
            p.copy_(torch.randn(p.shape, generator=g) * 0.5 / p.shape[1] ** 0.5)
    return field.requires_grad_(False)


def flowcore_marched(field: TanhField) -> Method:
    """The library as it scores."""
    block = Block(field)

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            out = block(x, Solver("rk4", STEPS))
        return gaussian_log_prob(out.x) + out.log_det

    return run


def flowcore_plain(field: TanhField) -> Method:
    """The library's differentiable path, without gradients."""

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            bound, zero = field.bind(), torch.zeros_like(x[:, 0])

            def rate(t: Tensor, s: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                v, div = bound.with_divergence(t, s[0])
                return v, div, (v * v).sum(1)

            z, log_det, _ = runge_kutta(rate, (x, zero, zero), Solver("rk4", STEPS).grid())
        return gaussian_log_prob(z) + log_det

    return run


def ffjord(network: Network, exact: bool) -> Method:
    """Torchdiffeq with the trace by a loop of backward passes, or one random probe."""

    def run(x: Tensor) -> Tensor:
        probe = torch.randn_like(x).sign()

        def rate(t: Tensor, s: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            def at(rows: Tensor) -> Tensor:
                return network(t, rows)

            return exact_divergence(at, s[0]) if exact else hutchinson_divergence(at, s[0], probe)

        with torch.no_grad():
            z, log_det = odeint(
                rate,
                (x, torch.zeros_like(x[:, 0])),
                torch.tensor([0.0, 1.0]),
                method="rk4",
                options={"step_size": 1 / STEPS},
            )
        return gaussian_log_prob(z[-1]) + log_det[-1]

    return run


def flow_matching(network: Network, exact: bool) -> Method:
    """flow_matching's compute_likelihood; its time runs from noise at 0 to data at 1."""
    solver = ODESolver(velocity_model=lambda x, t: -network(1 - t, x))

    def run(x: Tensor) -> Tensor:
        return solver.compute_likelihood(
            x_1=x,
            log_p0=gaussian_log_prob,
            step_size=1 / STEPS,
            method="rk4",
            exact_divergence=exact,
        )[1].detach()

    return run


def zuko_cnf(network: Network, exact: bool, **tolerances: float) -> Method:
    """Zuko's free-form transform; its solver is adaptive, at default tolerances if none given."""

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            flow = FreeFormJacobianTransform(f=network, exact=exact, **tolerances)
            z, log_det = flow.call_and_ladj(x)
        return gaussian_log_prob(z) + log_det

    return run


def methods(field: TanhField) -> dict[str, Method]:
    """Return everything that is compared, by name."""
    network = Network(field)
    return {
        "flowcore": flowcore_marched(field),
        "flowcore_differentiable_path": flowcore_plain(field),
        "torchdiffeq_exact": ffjord(network, True),
        "torchdiffeq_hutchinson": ffjord(network, False),
        "flow_matching_exact": flow_matching(network, True),
        "flow_matching_hutchinson": flow_matching(network, False),
        "zuko_exact_adaptive": zuko_cnf(network, True),
        "zuko_exact_adaptive_loose": zuko_cnf(network, True, **LOOSE),
        "zuko_hutchinson_adaptive": zuko_cnf(network, False),
    }


def reference(field: TanhField, x: Tensor) -> Tensor:
    """float64 dopri5 at 1e-8, differentiable path."""
    double = make_field(field.dim, field.hidden)
    double.load_state_dict(field.state_dict())
    with torch.no_grad():
        out = Block(double.double())(x.double(), Solver("dopri5", rtol=1e-8, atol=1e-8))
    return gaussian_log_prob(out.x) + out.log_det
