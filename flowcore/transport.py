"""An invertible map between two sets of rows, refined towards the shortest one: Q-flow.

Source: Xu, Cheng and Xie, arXiv 2305.11857. The map starts as a flow matched between
independent pairs; its end-to-end training then lowers the transport cost while two classifiers,
one at either end, hold the moved rows to the law they should have.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from flowcore.block import Block
from flowcore.diagnostics import squared_mmd
from flowcore.errors import ParameterError
from flowcore.interpolants import LINEAR
from flowcore.ode import Solver, State, random_grid, runge_kutta
from flowcore.ratio import TimeScore, check_sets, split_rows
from flowcore.training import MovingAverage, Training, draw, minimise
from flowcore.velocity import TanhField

MOST_COMPARED = 2000
"""Held-out rows of either set whose discrepancy is measured."""


@dataclass(frozen=True)
class Shortening:
    """How to refine a map end to end.

    Attributes
    ----------
    steps : int
        Updates of the map.
    batch_size : int
        Rows of either set per update.
    learning_rate : float
        Of the map; falls to 0 along a half cosine.
    ratio_learning_rate : float
        Of the classifiers.
    ratio_steps, first_ratio_steps : int
        Updates of the classifiers per update of the map, and before the first one.
    cost : float
        First weight of the transport cost against the two divergences; it falls to a tenth, so
        that paths straighten first and the ends settle last.
    hidden : int
        Width of the classifiers.
    tolerance : float
        The refined map is kept only if its squared discrepancy at the ends rose by less.
    """

    steps: int = 300
    batch_size: int = 256
    learning_rate: float = 2e-3
    ratio_learning_rate: float = 4e-3
    ratio_steps: int = 3
    first_ratio_steps: int = 150
    cost: float = 0.1
    hidden: int = 48
    tolerance: float = 0.003

    def __post_init__(self) -> None:
        counts = (self.steps, self.batch_size, self.ratio_steps, self.hidden)
        if min(counts) < 1 or self.first_ratio_steps < 0:
            raise ParameterError(f"{self}: counts must be at least 1")
        rates = (self.learning_rate, self.ratio_learning_rate, self.cost, self.tolerance)
        if not all(0 < rate < float("inf") for rate in rates):
            raise ParameterError(f"{self}: rates, cost and tolerance must be positive and finite")


@dataclass(frozen=True)
class Shortened:
    """What :func:`shorten_bridge` did, measured on held-out rows.

    Attributes
    ----------
    cost_before, cost_after : float
        ``E int |v|^2 dt`` of rows of P: at least the squared Wasserstein-2 distance of the laws
        that the map joins, and equal to it for the optimal transport. Squared units of the rows.
    mismatch_before, mismatch_after : float
        Squared maximum mean discrepancy of moved rows from where they should be, the larger of
        the two directions; about 0 where the ends match.
    kept : bool
        False if the ends came apart, in which case the map is as it was.
    """

    cost_before: float
    cost_after: float
    mismatch_before: float
    mismatch_after: float
    kept: bool


def fit_bridge(
    p: Tensor,
    q: Tensor,
    generator: torch.Generator,
    *,
    hidden: int = 64,
    training: Training | None = None,
) -> Block:
    """Learn an invertible map that carries rows of P to rows of Q, by flow matching.

    The start of Q-flow: a field regressed on straight lines between independent pairs. It joins
    the laws, but its paths are not the shortest; :func:`shorten_bridge` goes on from here.

    Parameters
    ----------
    p, q : Tensor of shape (n, d) and (m, d)
        At least 10 finite rows each.
    generator : torch.Generator
    hidden : int
    training : Training, optional

    Returns
    -------
    Block
        For :func:`push_forward`; float32.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> p, q = torch.randn(500, 1, generator=g), 3 + torch.randn(500, 1, generator=g)
    >>> bridge = fit_bridge(p, q, g, hidden=16, training=Training(steps=150, learning_rate=1e-2))
    >>> bool(abs(push_forward(bridge, p).mean() - 3) < 0.3)
    True
    """
    check_sets(p, q)
    (p_train, p_held), (q_train, q_held) = (split_rows(r.float(), generator) for r in (p, q))
    block = Block(TanhField(p.shape[1], hidden, generator=generator).to(p.device))
    training = training or Training(steps=1000)
    fixed = torch.Generator().manual_seed(20_230_511)
    state = fixed.get_state()

    def regression(starts: Tensor, ends: Tensor, n: int, source: torch.Generator) -> Tensor:
        x0, x1 = draw(starts, None, n, source)[0], draw(ends, None, n, source)[0]
        t = torch.rand(n, 1, generator=source).to(x0)
        error: Tensor = block.field(t, LINEAR.point(t, x0, x1)) - LINEAR.rate(t, x0, x1)
        return (error**2).mean()

    def held_out_loss() -> float:
        fixed.set_state(state)
        with torch.no_grad():
            return regression(p_held, q_held, 2048, fixed).item()

    minimise(
        block,
        lambda: regression(p_train, q_train, training.batch_size, generator),
        held_out_loss,
        training,
    )
    return block


def push_forward(
    bridge: Block, x: Tensor, solver: Solver | None = None, *, backward: bool = False
) -> Tensor:
    """Carry rows of P to Q, or `backward` rows of Q to P, without gradients."""
    with torch.no_grad():
        start = x.to(next(bridge.parameters()))
        return bridge.push(start, solver or Solver(), backward=backward).to(x)


def transport_cost(bridge: Block, p: Tensor, solver: Solver | None = None) -> float:
    """Return ``E int |v|^2 dt`` of rows of P, the dynamic transport cost; squared units.

    By Benamou and Brenier (Numerische Mathematik 84 (2000) 375) its least value over maps that
    join two laws is their squared Wasserstein-2 distance.
    """
    with torch.no_grad():
        start = p.to(next(bridge.parameters()))
        return float(bridge(start, solver or Solver()).energy.mean())


def shorten_bridge(
    bridge: Block,
    p: Tensor,
    q: Tensor,
    generator: torch.Generator,
    shortening: Shortening | None = None,
) -> Shortened:
    """Refine a map between P and Q end to end, in place, towards the optimal transport.

    The training objective of Q-flow: ``KL(T P, Q) + KL(T^-1 Q, P) + cost * E int |v|^2 dt``. Each
    divergence is the mean of a log-ratio network over the moved rows; the networks are logistic
    classifiers between moved rows and rows of the law they should have, trained by turns with
    the map. The kept weights are a moving average, and the map is put back where its ends came
    apart.

    Parameters
    ----------
    bridge : Block
        From :func:`fit_bridge`.
    p, q : Tensor of shape (n, d) and (m, d)
        At least 10 finite rows each; a fifth is held out to measure on.
    generator : torch.Generator
        On the CPU.
    shortening : Shortening, optional

    Raises
    ------
    DataError
        If the sets are too small, of different width or not finite.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> p, q = torch.randn(300, 1, generator=g), 3 + torch.randn(300, 1, generator=g)
    >>> bridge = fit_bridge(p, q, g, hidden=16, training=Training(steps=150, learning_rate=1e-2))
    >>> done = shorten_bridge(bridge, p, q, g, Shortening(steps=20, first_ratio_steps=20))
    >>> done.mismatch_after < done.mismatch_before + 0.003 or not done.kept
    True
    """
    check_sets(p, q)
    how = shortening or Shortening()
    like = next(bridge.parameters())
    (p_train, p_held), (q_train, q_held) = (split_rows(r.to(like), generator) for r in (p, q))
    before = copy.deepcopy(bridge.state_dict())
    cost_before, mismatch_before = _measure(bridge, p_held, q_held)
    _train(bridge, p_train, q_train, how, generator)
    cost_after, mismatch_after = _measure(bridge, p_held, q_held)
    kept = mismatch_after < mismatch_before + how.tolerance
    if not kept:
        bridge.load_state_dict(before)
    return Shortened(cost_before, cost_after, mismatch_before, mismatch_after, kept)


class _Classifier:
    """A log-ratio network between moved rows and rows of the law they should have."""

    def __init__(self, like: Tensor, how: Shortening, generator: torch.Generator) -> None:
        self.network = TimeScore(like.shape[1], how.hidden, generator).to(like)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=how.ratio_learning_rate, betas=(0.5, 0.99)
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Return about ``log(law of moved rows / law they should have)``, shape (n,)."""
        logit: Tensor = self.network(x.new_zeros(()), x)
        return logit

    def learn(self, moved: Tensor, wanted: Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        loss = softplus(-self(moved)).mean() + softplus(self(wanted)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()


def _train(
    bridge: Block, p: Tensor, q: Tensor, how: Shortening, generator: torch.Generator
) -> None:
    at_q, at_p = (_Classifier(p, how, generator) for _ in range(2))
    parameters = list(bridge.parameters())
    optimiser = torch.optim.Adam(parameters, lr=how.learning_rate, betas=(0.5, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, how.steps)
    average = MovingAverage(parameters, 0.98)
    for step in range(how.steps):
        for _ in range(how.ratio_steps if step else how.first_ratio_steps):
            x, y = (
                draw(p, None, how.batch_size, generator)[0],
                draw(q, None, how.batch_size, generator)[0],
            )
            at_q.learn(push_forward(bridge, x, Solver("rk4", 4)), y)
            at_p.learn(push_forward(bridge, y, Solver("rk4", 4), backward=True), x)
        x, y = (
            draw(p, None, how.batch_size, generator)[0],
            draw(q, None, how.batch_size, generator)[0],
        )
        grid = random_grid(3, generator)
        there, energy = _carry(bridge, x, grid)
        back, _ = _carry(bridge, y, grid[::-1])
        cost = how.cost * (1 - 0.9 * step / how.steps)
        loss = (at_q(there).mean() + at_p(back).mean() + cost * energy.mean()) / p.shape[1]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        average.update()
    average.swap()


def _carry(bridge: Block, x: Tensor, grid: list[float]) -> tuple[Tensor, Tensor]:
    """Return where rows arrive and their kinetic energy (negative backward), with gradients."""
    velocity = bridge.field.bind().velocity

    def rate(t: Tensor, state: State) -> State:
        v = velocity(t, state[0])
        return v, (v * v).sum(1)

    end, energy = runge_kutta(rate, (x, torch.zeros_like(x[:, 0])), grid)
    return end, energy


def _measure(bridge: Block, p: Tensor, q: Tensor) -> tuple[float, float]:
    p, q = p[:MOST_COMPARED], q[:MOST_COMPARED]
    there, back = push_forward(bridge, p), push_forward(bridge, q, backward=True)
    mismatch = max(squared_mmd(there, q), squared_mmd(back, p))
    return transport_cost(bridge, p), mismatch
