"""Posterior draws given part of a row, or a noisy one: nearest normal, and filling in.

Source: Hamiltonian Monte Carlo (Neal, arXiv 1206.1901) in the latent space of a chain, where the
prior is N(0, I): Xie and Cheng, arXiv 2502.13394, on posterior sampling. One leapfrog step makes
it the Metropolis-adjusted Langevin algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flowcore.chain import FlowChain
from flowcore.errors import DataError, NumericalError, ParameterError
from flowcore.preprocessing import normal_like

Target = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Sampling:
    """How long and how to sample.

    Attributes
    ----------
    n_chains : int
        Independent Markov chains, run side by side.
    n_warmup, n_draws : int
        Draws of each that adapt the step size and are thrown away, and that are kept.
    n_leapfrog : int
        Steps of a trajectory; 1 is Langevin.
    accept : float
        Acceptance that the step size aims at.
    """

    n_chains: int = 16
    n_warmup: int = 150
    n_draws: int = 150
    n_leapfrog: int = 8
    accept: float = 0.8

    def __post_init__(self) -> None:
        counts = (self.n_chains, self.n_warmup, self.n_leapfrog)
        if min(counts) < 1 or self.n_draws < 4 or not 0 < self.accept < 1:
            raise ParameterError(
                f"{self}: give counts of at least 1, at least 4 draws and accept in (0, 1)"
            )


@dataclass(frozen=True)
class Posterior:
    """Draws with how far to trust them.

    Attributes
    ----------
    draws : Tensor of shape (n_draws, n_chains, d)
        Raw rows.
    latent : Tensor of shape (n_draws, n_chains, d)
        The same in the latent space.
    acceptance : float
        Mean acceptance of the kept draws.
    step_size : float
    effective_size : Tensor of shape (d,)
        Number of independent draws that would be worth as much, per raw coordinate.
    """

    draws: Tensor
    latent: Tensor
    acceptance: float
    step_size: float
    effective_size: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean of all draws, shape (d,)."""
        return self.draws.mean((0, 1))

    @property
    def sd(self) -> Tensor:
        """Standard deviation of all draws, shape (d,)."""
        return self.draws.flatten(0, 1).std(0)


def sample_posterior(
    chain: FlowChain,
    observed: Tensor,
    operator: Tensor,
    noise_sd: float | Tensor,
    generator: torch.Generator,
    *,
    context: Tensor | None = None,
    sampling: Sampling | None = None,
) -> Posterior:
    """Draw rows x from ``p(x) N(y; A x, s^2 I)`` with p the density of `chain`.

    Parameters
    ----------
    chain : FlowChain
        Differentiable; float64 is advised.
    observed : Tensor of shape (m,)
        y, raw units.
    operator : Tensor of shape (m, d)
        A.
    noise_sd : float or Tensor of shape (m,)
        s, raw units, positive.
    generator : torch.Generator
        On the CPU; the same state gives the same draws.
    context : Tensor of shape (context_dim,), optional
    sampling : Sampling, optional

    Raises
    ------
    DataError
        If the shapes do not fit, or a number is not finite, or a noise is not positive.
    NumericalError
        If no draw was accepted.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> standing = FlowChain(1)  # N(0, 1): the posterior given y = 2, s = 1 is N(1, 1/2)
    >>> found = sample_posterior(standing, torch.tensor([2.0]), torch.ones(1, 1), 1.0, g)
    >>> bool(abs(found.mean - 1) < 0.15)
    True
    """
    sd = torch.as_tensor(noise_sd).to(observed)
    _check(chain, observed, operator, sd)
    sampling = sampling or Sampling()
    repeated = None if context is None else context.expand(sampling.n_chains, -1)

    def target(z: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            misfit = (observed - chain.inverse(z, repeated) @ operator.T) / sd
            log_density = -0.5 * (z * z).sum(1) - 0.5 * (misfit * misfit).sum(1)
            (gradient,) = torch.autograd.grad(log_density.sum(), z)
        return log_density.detach(), gradient

    like = operator.new_zeros(sampling.n_chains, chain.dim)
    start = normal_like(like, generator)
    latent, acceptance, step = _hamiltonian(target, start, sampling, generator)
    if acceptance == 0:
        raise NumericalError(
            "no posterior draw was accepted: the noise is too small for this chain's solver; "
            "raise noise_sd or n_warmup"
        )
    with torch.no_grad():
        draws = torch.stack([chain.inverse(z, repeated) for z in latent])
    return Posterior(draws, latent, acceptance, step, effective_size(draws))


def nearest_normal(
    chain: FlowChain,
    x: Tensor,
    noise_sd: float | Tensor,
    generator: torch.Generator,
    *,
    context: Tensor | None = None,
    sampling: Sampling | None = None,
) -> Posterior:
    """Draw what the row `x` (d,) would look like if it came from the density of `chain`.

    The posterior with A = I: `noise_sd` (raw units, one number or one per coordinate) says how
    far from `x` the answer may lie. A picture of the model, no finding about a person.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> found = nearest_normal(FlowChain(2), torch.tensor([4.0, 0.0]), 1.0, g)
    >>> bool(abs(found.mean[0] - 2) < 0.3)  # half way to the mean of N(0, I)
    True
    """
    identity = torch.eye(chain.dim).to(x)
    return sample_posterior(
        chain, x, identity, noise_sd, generator, context=context, sampling=sampling
    )


def fill_in(
    chain: FlowChain,
    x: Tensor,
    noise_sd: float | Tensor,
    generator: torch.Generator,
    *,
    context: Tensor | None = None,
    sampling: Sampling | None = None,
) -> Posterior:
    """Draw rows that agree with the finite coordinates of `x` (d,) within `noise_sd`.

    NaN marks what is missing; A selects the rest. `noise_sd` is one number or one per
    coordinate of `x`, in raw units.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> found = fill_in(FlowChain(2), torch.tensor([1.5, float("nan")]), 0.1, g)
    >>> bool(abs(found.mean[0] - 1.5) < 0.1 and abs(found.mean[1]) < 0.3)
    True
    """
    known = ~x.isnan()
    if not known.any():
        raise DataError("every coordinate is missing; give at least one finite one")
    sd = torch.as_tensor(noise_sd).to(x).expand(len(x))[known]
    selector = torch.eye(len(x)).to(x)[known]
    return sample_posterior(
        chain, x[known], selector, sd, generator, context=context, sampling=sampling
    )


def effective_size(draws: Tensor) -> Tensor:
    """Return the effective number of draws (n_draws, n_chains, d) per coordinate, shape (d,).

    Autocorrelations pooled over the Markov chains with the variance between them, summed in
    pairs as long as the pairs stay positive: Geyer's rule as in Vehtari et al., arXiv 1903.08008,
    on the effective sample size. Chains that disagree lower it.
    """
    n, m, d = draws.shape
    centred = draws - draws.mean(0)
    spectrum = torch.fft.rfft(centred, n=2 * n, dim=0)
    covariance = torch.fft.irfft(spectrum.abs() ** 2, n=2 * n, dim=0)[:n].mean(1) / n
    within = covariance[0] * n / (n - 1)
    between = draws.mean(0).var(0) if m > 1 else torch.zeros_like(within)
    total = covariance[0] + between
    correlation = 1 - (within - covariance * n / (n - 1)) / total
    pairs = correlation[: n // 2 * 2].reshape(n // 2, 2, d).sum(1)
    positive = (pairs > 0).cumprod(0)
    falling = pairs.cummin(0).values * positive
    length = (2 * falling.sum(0) - 1).clamp_min(1 / math.log10(max(10, n * m)))
    size: Tensor = n * m / length
    return size


def _hamiltonian(
    target: Target, z: Tensor, sampling: Sampling, generator: torch.Generator
) -> tuple[Tensor, float, float]:
    """Return the draws, their mean acceptance and the step size they were made with."""
    log_density, gradient = target(z)
    log_step, scale = math.log(0.1), torch.ones_like(z[0])
    kept: list[Tensor] = []
    seen: list[Tensor] = []
    rates = 0.0
    for k in range(sampling.n_warmup + sampling.n_draws):
        jitter = 0.8 + 0.4 * float(torch.rand((), generator=generator))
        step = math.exp(log_step) * jitter * scale
        momentum = normal_like(z, generator)
        moved, p, new_density, new_gradient = z, momentum, log_density, gradient
        for _ in range(sampling.n_leapfrog):
            p = p + 0.5 * step * new_gradient
            moved = moved + step * p
            new_density, new_gradient = target(moved)
            p = p + 0.5 * step * new_gradient
        change = new_density - log_density - 0.5 * (p**2 - momentum**2).sum(1)
        rate = change.nan_to_num(-math.inf, -math.inf, -math.inf).clamp_max(0).exp()
        chosen = torch.rand(len(z), generator=generator).to(rate) < rate
        z = torch.where(chosen[:, None], moved, z)
        gradient = torch.where(chosen[:, None], new_gradient, gradient)
        log_density = torch.where(chosen, new_density, log_density)
        if k >= sampling.n_warmup:
            kept.append(z)
            rates += float(rate.mean()) / sampling.n_draws
            continue
        log_step += 2.0 * (k + 2) ** -0.6 * (float(rate.mean()) - sampling.accept)
        seen.append(z)
        if k + 1 in (sampling.n_warmup // 4, sampling.n_warmup // 2) and len(seen) * len(z) > 50:
            rescaled = torch.cat(seen[len(seen) // 2 :]).std(0).clamp_min(1e-3)
            log_step += float((scale / rescaled).log().mean())
            scale = rescaled
    return torch.stack(kept), rates, math.exp(log_step)


def _check(chain: FlowChain, observed: Tensor, operator: Tensor, sd: Tensor) -> None:
    shape = (len(observed), chain.dim)
    if observed.dim() != 1 or operator.shape != shape or sd.shape not in ((), observed.shape):
        raise DataError(
            f"observed {tuple(observed.shape)}, operator {tuple(operator.shape)} and noise_sd "
            f"{tuple(sd.shape)} do not fit; give (m,), (m, {chain.dim}) and one number or (m,)"
        )
    if not (observed.isfinite().all() and operator.isfinite().all()):
        raise DataError("observed or operator hold numbers that are not finite; leave them out")
    if not (sd > 0).all():
        raise DataError("noise_sd must be positive; give the spread of the measurement")
