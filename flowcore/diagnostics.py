"""How good a fitted chain is: distances of samples, movement, inversion, pushed-forward moments."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from flowcore.chain import FlowChain
from flowcore.errors import DataError, ParameterError
from flowcore.jko import movements
from flowcore.ratio import fit_ratio
from flowcore.training import Training

Divergence = Literal["kl", "js", "chi2"]


def squared_mmd(x: Tensor, y: Tensor, bandwidth: float | None = None) -> float:
    """Return the unbiased squared maximum mean discrepancy of two samples, no unit.

    Gaussian kernel ``exp(-|a - b|^2 / (2 w^2))``; Gretton et al., JMLR 13 (2012) 723, the unbiased
    estimate.
    About 0, and sometimes below, for samples of one law. Memory grows with the product of the
    numbers of rows.

    Parameters
    ----------
    x, y : Tensor of shape (n, d) and (m, d)
        At least two rows each.
    bandwidth : float, optional
        w; by default the median distance within the pooled rows.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(300, 2, generator=g), torch.randn(300, 2, generator=g)
    >>> squared_mmd(x, y) < 0.01 < squared_mmd(x, y + 1)
    True
    """
    if min(len(x), len(y)) < 2 or x.shape[1] != y.shape[1]:
        raise DataError(
            f"samples of shapes {tuple(x.shape)} and {tuple(y.shape)}: give at least two rows "
            "of each, of one width"
        )
    if bandwidth is None:
        bandwidth = float(torch.pdist(torch.cat([x[:1000], y[:1000]])).median())
    if not bandwidth > 0:
        raise ParameterError(f"bandwidth={bandwidth} must be positive; are all rows alike?")

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (-0.5 * (torch.cdist(a, b) / bandwidth) ** 2).exp()

    n, m = len(x), len(y)
    within_x = (kernel(x, x).sum() - n) / (n * (n - 1))
    within_y = (kernel(y, y).sum() - m) / (m * (m - 1))
    return float(within_x + within_y - 2 * kernel(x, y).mean())


def f_divergence(
    p: Tensor,
    q: Tensor,
    generator: torch.Generator,
    kind: Divergence = "kl",
    *,
    n_intervals: int = 1,
    training: Training | None = None,
) -> float:
    """Return a variational estimate of a divergence of Q from P, from rows of each; nats.

    A ratio network r ~ log q/p is fitted on half the rows and put into the dual form on the
    other half: ``kl`` (Donsker and Varadhan) ``E_q r - log E_p e^r``; ``js``, the Jensen-Shannon
    divergence, at most log 2; ``chi2`` (no unit) ``(E_q u - E_p u)^2 / Var_p u`` with u = e^r
    (Nguyen, Wainwright and Jordan, arXiv 0809.0853). Each is at most the true value for any r, up
    to the noise of the held-out rows.
    """
    if kind not in ("kl", "js", "chi2"):
        raise ParameterError(f"kind={kind!r} is unknown; choose 'kl', 'js' or 'chi2'")
    halves = []
    for rows in (p, q):
        order = torch.randperm(len(rows), generator=generator).to(rows.device)
        halves.append((rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]))
    (p_learn, p_test), (q_learn, q_test) = halves
    ratio = fit_ratio(p_learn, q_learn, generator, n_intervals=n_intervals, training=training)
    on_p, on_q = ratio(p_test), ratio(q_test)
    if kind == "kl":
        return float(on_q.mean() - on_p.logsumexp(0) + math.log(len(on_p)))
    if kind == "js":
        dual = (
            -torch.nn.functional.softplus(-on_q).mean() - torch.nn.functional.softplus(on_p).mean()
        )
        return math.log(2) + float(dual) / 2
    u_p, u_q = on_p.exp(), on_q.exp()
    return float((u_q.mean() - u_p.mean()) ** 2 / u_p.var())


def inversion_error(chain: FlowChain, x: Tensor, context: Tensor | None = None) -> float:
    """Return the root mean square of ``inverse(transform(x)) - x`` in preprocessed units.

    What the solver's steps leave; it should be far below 1, the spread of a column.
    """
    with torch.no_grad():
        back = chain.inverse(chain.transform(x, context)[0], context)
        difference = chain.preprocess(back) - chain.preprocess(x)
        return float((difference**2).mean().sqrt())


@dataclass(frozen=True)
class Moments:
    """Moments of latent rows beside those of N(0, I), as numbers of standard errors.

    Attributes
    ----------
    mean, variance, skewness, kurtosis : Tensor of shape (d,)
        Per coordinate; 0 in expectation and about 1 in spread where the law is N(0, I).
    correlation : Tensor of shape (d, d)
        Off-diagonal products of the coordinates, likewise; its diagonal is 0.
    """

    mean: Tensor
    variance: Tensor
    skewness: Tensor
    kurtosis: Tensor
    correlation: Tensor

    @property
    def worst(self) -> float:
        """The largest absolute value of all."""
        parts = (self.mean, self.variance, self.skewness, self.kurtosis, self.correlation)
        return max(float(part.abs().max()) for part in parts)


def latent_moments(z: Tensor) -> Moments:
    """Compare latent rows (n, d) with N(0, I) by Hermite moments, which are uncorrelated there.

    ``E z, E(z^2 - 1), E(z^3 - 3z), E(z^4 - 6z^2 + 3)`` have standard errors
    ``sqrt(k! / n)`` for k = 1 to 4, and ``E z_i z_j`` has ``sqrt(1 / n)``.

    Examples
    --------
    >>> z = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> latent_moments(z).worst < 4 < latent_moments(z + 1).worst
    True
    """
    n = len(z)
    products = z.T @ z / math.sqrt(n)
    return Moments(
        mean=z.mean(0) * math.sqrt(n),
        variance=(z**2 - 1).mean(0) * math.sqrt(n / 2),
        skewness=(z**3 - 3 * z).mean(0) * math.sqrt(n / 6),
        kurtosis=(z**4 - 6 * z**2 + 3).mean(0) * math.sqrt(n / 24),
        correlation=products - torch.diag(products.diagonal()),
    )


@dataclass(frozen=True)
class Diagnosis:
    """A fitted chain looked at from several sides.

    Attributes
    ----------
    movement : tuple of float
        Wasserstein-2 length of each block, :func:`flowcore.jko.movements`.
    inversion : float
        :func:`inversion_error`.
    moments : Moments
        Of the latent rows.
    squared_mmd : float
        Between the rows and as many drawn from the chain, in preprocessed units.
    """

    movement: tuple[float, ...]
    inversion: float
    moments: Moments
    squared_mmd: float


def diagnose(
    chain: FlowChain, x: Tensor, generator: torch.Generator, context: Tensor | None = None
) -> Diagnosis:
    """Return the diagnosis of a chain on raw rows (n, d) that it was not fitted on.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> found = diagnose(FlowChain(2), torch.randn(200, 2, generator=g), g)
    >>> found.movement, found.inversion, abs(found.squared_mmd) < 0.02
    ((), 0.0, True)
    """
    like = next(itertools.chain(chain.parameters(), chain.buffers()), x)
    x = x.to(like)
    with torch.no_grad():
        y = chain.preprocess(x)
        z, _ = chain.transform(x, context)
        drawn = chain.preprocess(chain.sample(len(x), generator, context).to(x))
    return Diagnosis(
        movements(chain, y, context),
        inversion_error(chain, x, context),
        latent_moments(z),
        squared_mmd(y, drawn),
    )
