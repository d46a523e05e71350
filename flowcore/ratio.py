"""Log-ratio of two densities from samples of each, and a test of drift by it.

Source: Xu, Cheng and Xie, Q-flow, arXiv 2305.11857, on infinitesimal density ratio estimation: a
time-score network is trained by logistic losses between consecutive marginals of a path from P
to Q and integrated along it. The map between P and Q is in :mod:`flowcore.transport`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from flowcore.errors import DataError, ParameterError
from flowcore.interpolants import TRIGONOMETRIC, Interpolant
from flowcore.training import Training, draw, minimise
from flowcore.velocity import N_TIME_FEATURES, initial, time_features

GAUSS_NODES = (0.5 - math.sqrt(3) / 6, 0.5 + math.sqrt(3) / 6)
"""Nodes of the two-point Gauss rule on [0, 1]; both weights are one half."""


class TimeScore(nn.Module):
    """``s(t, x)``, the rate of change of ``log rho_t(x)`` along the path of marginals.

    Parameters
    ----------
    dim, hidden : int
    generator : torch.Generator
        Source of the initial weights.
    """

    def __init__(self, dim: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        widths = ((hidden, dim + N_TIME_FEATURES), (hidden, hidden))
        self.w1, self.w2 = (initial(shape, shape[1], generator) for shape in widths)
        self.b1, self.b2 = (nn.Parameter(torch.zeros(hidden)) for _ in widths)
        self.w3 = nn.Parameter(torch.zeros(1, hidden))
        self.b3 = nn.Parameter(torch.zeros(1))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Return s at rows (n, d) and times of shape () or (n, 1), shape (n,)."""
        features = time_features(t).to(x).expand(len(x), -1)
        hidden = nn.functional.silu(torch.cat([x, features], 1) @ self.w1.T + self.b1)
        hidden = nn.functional.silu(hidden @ self.w2.T + self.b2)
        return (hidden @ self.w3.T + self.b3).squeeze(1)

    def between(self, start: float, stop: float, x: Tensor) -> Tensor:
        """Return ``int s dt`` from `start` to `stop` by the two-point Gauss rule, (n,)."""
        at = [start + node * (stop - start) for node in GAUSS_NODES]
        total = torch.stack([self(x.new_tensor(t), x) for t in at]).sum(0)
        return total * (stop - start) / 2


class LogRatio:
    """``log q(x) / p(x)`` of two laws, nats; positive where Q is the likelier one.

    Made by :func:`fit_ratio`. It is an estimate, trustworthy where both laws have rows.

    Attributes
    ----------
    network : TimeScore
    times : tuple of float
        Ends of the intervals between marginals.
    """

    def __init__(
        self, network: TimeScore, times: tuple[float, ...], center: Tensor, scale: Tensor
    ) -> None:
        self.network, self.times = network, times
        self._center, self._scale = center, scale

    def __call__(self, x: Tensor) -> Tensor:
        """Return the log-ratio of raw rows (n, d), shape (n,); rows are apart."""
        y = ((x - self._center) / self._scale).to(self.network.w1)
        with torch.no_grad():
            parts = [self.network.between(a, b, y) for a, b in itertools.pairwise(self.times)]
        return torch.stack(parts).sum(0).to(x)


def fit_ratio(
    p: Tensor,
    q: Tensor,
    generator: torch.Generator,
    *,
    n_intervals: int = 6,
    hidden: int = 64,
    training: Training | None = None,
    path: Interpolant = TRIGONOMETRIC,
) -> LogRatio:
    """Learn ``log q/p`` from rows of P (n, d) and of Q (m, d).

    Rows at time t are ``I_t`` of independent pairs, so that t = 0 is P and t = 1 is Q exactly.
    For each pair of consecutive times the integral r of the network is the logit that tells the
    two marginals apart: ``E softplus(r)`` on the earlier plus ``E softplus(-r)`` on the later is
    least at their log-ratio. Many small ratios are learned well where one large one is not.

    Parameters
    ----------
    p, q : Tensor of shape (n, d) and (m, d)
    generator : torch.Generator
        On the CPU.
    n_intervals : int
        1 is plain logistic regression between P and Q.
    hidden : int
    training : Training, optional
    path : Interpolant
        By default the one that keeps the spread: on straight lines the marginals in the middle
        are narrower than both ends, and their ratios are not learned where the ends lie.

    Raises
    ------
    DataError
        If there are fewer than 10 rows of either, or their widths differ, or are not finite.
    ParameterError
        If `n_intervals` or `hidden` is below 1.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> p, q = torch.randn(200, 1, generator=g), 1 + torch.randn(200, 1, generator=g)
    >>> ratio = fit_ratio(p, q, g, n_intervals=1, training=Training(steps=100))
    >>> bool(ratio(torch.tensor([[2.0]])) > ratio(torch.tensor([[-1.0]])))
    True
    """
    check_sets(p, q)
    if n_intervals < 1 or hidden < 1:
        raise ParameterError(f"n_intervals={n_intervals}, hidden={hidden} must be at least 1")
    center, scale = _common_scale(p, q)
    sets = [split_rows(((rows - center) / scale).float(), generator) for rows in (p, q)]
    network = TimeScore(p.shape[1], hidden, generator).to(p.device)
    times = tuple(k / n_intervals for k in range(n_intervals + 1))
    training = training or Training(steps=1500, batch_size=256, weight_decay=1e-3)
    (p_train, p_held), (q_train, q_held) = sets
    fixed = torch.Generator().manual_seed(20_230_511)
    state = fixed.get_state()

    def loss() -> Tensor:
        return _logistic_loss(
            network, times, p_train, q_train, training.batch_size, path, generator
        )

    def held_out_loss() -> float:
        fixed.set_state(state)
        with torch.no_grad():
            return _logistic_loss(network, times, p_held, q_held, 2048, path, fixed).item()

    minimise(network, loss, held_out_loss, training)
    return LogRatio(network.eval(), times, center, scale)


@dataclass(frozen=True)
class Drift:
    """Whether new rows come from the law that reference rows come from.

    Attributes
    ----------
    statistic : float
        Difference of the mean log-ratio between new and reference, nats: an estimate of the
        symmetrised Kullback-Leibler divergence; near 0 or below without drift.
    p_value : float
        Share of label permutations with a difference at least as large, in (0, 1]; 1 where the
        network found nothing that tells the sets apart.
    n_units : tuple of int
        Exchangeable units of either kind that were compared.
    """

    statistic: float
    p_value: float
    n_units: tuple[int, int]


def drift_test(
    reference: Tensor,
    new: Tensor,
    generator: torch.Generator,
    *,
    reference_groups: Tensor | None = None,
    new_groups: Tensor | None = None,
    n_permutations: int = 999,
    training: Training | None = None,
) -> Drift:
    """Test whether the rows `new` (m, d) follow the law of the rows `reference` (n, d).

    Half the units of each teach :func:`fit_ratio`; the mean log-ratios of the other half are
    compared by permuting labels, which is exact whatever the network learned. A unit is a row,
    or a group where groups are given: rows of one patient are not exchangeable with another's.

    Raises
    ------
    DataError
        If either set has fewer than four units, or groups do not match the rows.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> reference, new = torch.randn(80, 1, generator=g), 2 + torch.randn(80, 1, generator=g)
    >>> brief = Training(steps=60, learning_rate=1e-2)
    >>> drift_test(reference, new, g, n_permutations=99, training=brief).p_value
    0.01
    """
    if n_permutations < 1:
        raise ParameterError(f"n_permutations={n_permutations} must be at least 1")
    learn, test = [], []
    for rows, groups in ((reference, reference_groups), (new, new_groups)):
        unit = _units(rows, groups)
        chosen = torch.randperm(int(unit.max()) + 1, generator=generator).to(unit.device)
        first = torch.isin(unit, chosen[: len(chosen) // 2])
        learn.append(rows[first])
        test.append((rows[~first], unit[~first]))
    ratio = fit_ratio(learn[0], learn[1], generator, training=training)
    means = [_unit_means(ratio(rows), unit) for rows, unit in test]
    pooled, n = torch.cat(means), len(means[0])

    def difference(values: Tensor) -> float:
        return float(values[n:].mean() - values[:n].mean())

    observed = difference(pooled)
    permuted = (
        difference(pooled[torch.randperm(len(pooled), generator=generator).to(pooled.device)])
        for _ in range(n_permutations)
    )
    as_large = sum(value >= observed - 1e-12 for value in permuted)
    return Drift(observed, (1 + as_large) / (1 + n_permutations), (n, len(pooled) - n))


def _logistic_loss(
    network: TimeScore,
    times: tuple[float, ...],
    p: Tensor,
    q: Tensor,
    n: int,
    path: Interpolant,
    generator: torch.Generator,
) -> Tensor:
    x0, x1 = draw(p, None, n, generator)[0], draw(q, None, n, generator)[0]
    marginals = [path.point(x0.new_full((n, 1), t), x0, x1) for t in times]  # the same pairs:
    # their noise cancels between neighbouring marginals
    losses = [
        softplus(network.between(a, b, earlier)).mean()
        + softplus(-network.between(a, b, later)).mean()
        for (a, b), (earlier, later) in zip(
            itertools.pairwise(times), itertools.pairwise(marginals), strict=True
        )
    ]
    return torch.stack(losses).mean()


def check_sets(p: Tensor, q: Tensor) -> None:
    """Refuse two sets of rows that cannot be compared."""
    if p.dim() != 2 or q.dim() != 2 or p.shape[1] != q.shape[1] or min(len(p), len(q)) < 10:
        raise DataError(
            f"two sets of shapes {tuple(p.shape)} and {tuple(q.shape)} cannot be compared; give "
            "at least 10 rows of each, of one width"
        )
    if not (p.isfinite().all() and q.isfinite().all()):
        raise DataError("rows hold numbers that are not finite; remove or repair them")


def _common_scale(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Return one centre and scale, giving both sets the same weight."""
    center = (p.mean(0) + q.mean(0)) / 2
    variance = (((p - center) ** 2).mean(0) + ((q - center) ** 2).mean(0)) / 2
    scale = variance.sqrt()
    return center, torch.where(scale > 0, scale, torch.ones_like(scale))


def split_rows(rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return rows to learn from and a fifth of them, at least two, held out."""
    order = torch.randperm(len(rows), generator=generator).to(rows.device)
    n_held_out = max(2, len(rows) // 5)
    return rows[order[n_held_out:]], rows[order[:n_held_out]]


def _units(rows: Tensor, groups: Tensor | None) -> Tensor:
    if groups is None:
        unit = torch.arange(len(rows), device=rows.device)
    elif groups.shape == (len(rows),):
        unit = torch.unique(groups, return_inverse=True)[1]
    else:
        raise DataError(f"groups of shape {tuple(groups.shape)} do not match {len(rows)} rows")
    if not len(unit) or int(unit.max()) < 3:
        raise DataError("fewer than four rows or groups on one side; a drift test needs four each")
    return unit


def _unit_means(values: Tensor, unit: Tensor) -> Tensor:
    number = torch.unique(unit, return_inverse=True)[1]
    total = values.new_zeros(int(number.max()) + 1)
    return total.index_add(0, number, values) / torch.bincount(number)
