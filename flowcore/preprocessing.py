"""Invertible steps between raw rows and the space in which a chain lives, stored with it.

Only :meth:`Step.train_forward` may be random: noise is for training, never for a score.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowcore.heavy_tails import Soften, Squash
from flowcore.step import Step

EIGENVALUE_FLOOR = 1e-3
DEQUANTISING_SD = 0.04
MOST_LOOKED_AT = 10_000
"""Rows in which a column's distinct values are counted."""


class Standardise(Step):
    """Subtract a centre and divide by a scale, column by column."""

    kind = "standardise"
    center: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.register_buffer("center", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(dim, dtype=torch.float64))

    @classmethod
    def fit(cls, x: Tensor) -> Standardise:
        """Take mean and standard deviation of rows (n, d).

        A constant column gets the scale ``|mean|``, or 1 if the mean is 0: a deviation from it
        then counts as large as the value itself.
        """
        step = cls(x.shape[1])
        mean, sd = x.mean(0), x.std(0, unbiased=False)
        constant = sd <= 1e-12 * mean.abs().clamp_min(torch.finfo(x.dtype).tiny)
        fallback = torch.where(mean != 0, mean.abs(), torch.ones_like(mean))
        step.center.copy_(mean)
        step.scale.copy_(torch.where(constant, fallback, sd))
        return step

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(x - center) / scale``."""
        return (x - self.center) / self.scale

    def inverse(self, y: Tensor) -> Tensor:
        """Return ``y * scale + center``."""
        return y * self.scale + self.center

    def log_det(self, x: Tensor) -> Tensor:
        """Return ``-sum log scale`` for every row."""
        return -self.scale.log().sum().expand(len(x))


class Dequantise(Step):
    """Gaussian noise on columns while training; the identity at every other time.

    A column counts as discrete where fewer than a quarter of its values differ. Its noise has
    standard deviation 0.04 of the column's own (methods.md section 3). All columns may be given
    more: the density is then that of the rows smoothed so far.
    """

    kind = "dequantise"
    noise_sd: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.register_buffer("noise_sd", torch.zeros(dim, dtype=torch.float64))

    @classmethod
    def fit(cls, y: Tensor, noise: float = 0.0) -> Dequantise:
        """Find the discrete columns of standardised rows (n, d); give every column `noise`."""
        step = cls(y.shape[1])
        looked_at = y[:MOST_LOOKED_AT]
        n_distinct = torch.tensor([len(column.unique()) for column in looked_at.T])
        discrete = DEQUANTISING_SD * (n_distinct < len(looked_at) / 4)
        step.noise_sd.copy_(discrete.clamp_min(noise))
        return step

    def train_forward(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return `x` with the noise added."""
        return x + self.noise_sd * normal_like(x, generator)


class Whiten(Step):
    """Rotate to principal axes and divide each by its standard deviation, with a floor.

    Axes along which the rows vary less than the floor are filled up with Gaussian noise to the
    floor while training, so that no density is ever concentrated on a lower dimension.
    """

    kind = "whiten"
    by_column = False
    axes: Tensor
    axis_sd: Tensor
    fill_sd: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.register_buffer("axes", torch.eye(dim, dtype=torch.float64))
        self.register_buffer("axis_sd", torch.ones(dim, dtype=torch.float64))
        self.register_buffer("fill_sd", torch.zeros(dim, dtype=torch.float64))

    @classmethod
    def fit(cls, y: Tensor, noise_sd: Tensor) -> Whiten:
        """Take axes and spread from standardised rows (n, d) that carry noise of `noise_sd`.

        The covariance is shrunk towards a multiple of the identity by the rule of Ledoit and
        Wolf (2004), which matters where rows are few.
        """
        step = cls(y.shape[1])
        covariance = shrunk_covariance(y) + torch.diag(noise_sd**2)
        values, axes = torch.linalg.eigh(covariance)
        floored = values.clamp_min(EIGENVALUE_FLOOR)
        step.axes.copy_(axes)
        step.axis_sd.copy_(floored.sqrt())
        step.fill_sd.copy_((1 - values.clamp_min(0) / floored).clamp_min(0).sqrt())
        return step

    def forward(self, x: Tensor) -> Tensor:
        """Return the rows along the axes, each of unit variance."""
        return (x @ self.axes) / self.axis_sd

    def inverse(self, y: Tensor) -> Tensor:
        """Return the rows in the original coordinates."""
        return (y * self.axis_sd) @ self.axes.T

    def log_det(self, x: Tensor) -> Tensor:
        """Return ``-sum log axis_sd`` for every row."""
        return -self.axis_sd.log().sum().expand(len(x))

    def train_forward(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the whitened rows with deficient axes filled up to the floor."""
        y = self.forward(x)
        return y + self.fill_sd * normal_like(y, generator)


class SymmetricWhiten(Whiten):
    """Whiten, and rotate back: each coordinate stays as near as it can to where it came from.

    The symmetric root of the inverse covariance. Of all whitenings it moves the rows least, so
    that a window stays a window and convolutions keep their meaning.
    """

    kind = "whiten_symmetric"

    def forward(self, x: Tensor) -> Tensor:
        """Return whitened rows in the coordinates they came in."""
        return super().forward(x) @ self.axes.T

    def inverse(self, y: Tensor) -> Tensor:
        """Return the rows before whitening."""
        return super().inverse(y @ self.axes)

    def train_forward(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the whitened rows with deficient axes filled up to the floor."""
        y = super().forward(x)
        return (y + self.fill_sd * normal_like(y, generator)) @ self.axes.T


def shrunk_covariance(y: Tensor) -> Tensor:
    """Return the Ledoit-Wolf covariance of centred rows (n, d).

    Source: Ledoit and Wolf, J. Multivariate Analysis 88 (2004) 365.
    """
    n, d = y.shape
    y = y - y.mean(0)
    sample = y.T @ y / n
    mean_variance = sample.trace() / d
    target = mean_variance * torch.eye(d, dtype=y.dtype, device=y.device)
    distance = ((sample - target) ** 2).sum()
    if distance <= 0:
        return sample
    spread = (((y**2).sum(1) ** 2).mean() - (sample**2).sum()).clamp_min(0) / n
    weight = min(1.0, float(spread / distance))
    return weight * target + (1 - weight) * sample


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard normal numbers of the shape, type and device of `x`, drawn on the CPU."""
    return torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)


STEPS: dict[str, type[Step]] = {
    s.kind: s for s in (Standardise, Squash, Soften, Dequantise, Whiten, SymmetricWhiten)
}
"""Every kind of step that can be rebuilt from a configuration."""


def fit_steps(
    x: Tensor, *, keep_order: bool = False, noise: float = 0.0, soften: float | None = None
) -> list[Step]:
    """Fit the standard preprocessing of rows (n, d): standardise, squash, dequantise, whiten.

    Parameters
    ----------
    x : Tensor of shape (n, d)
    keep_order : bool
        For rows that are windows of a signal: whiten by :class:`SymmetricWhiten`.
    noise : float
        Standard deviation of training noise on every standardised column.
    soften : float, optional
        Draw columns in beyond the quantiles that leave out this share on each side.
    """
    steps: list[Step] = [Standardise.fit(x)]
    y = steps[0](x)
    steps.append(Squash.fit(y))
    y = steps[1](y)
    if soften is not None:
        steps.append(Soften.fit(y, soften))
        y = steps[2](y)
    dequantise = Dequantise.fit(y, noise)
    whiten = SymmetricWhiten if keep_order else Whiten
    return [*steps, dequantise, whiten.fit(y, dequantise.noise_sd)]


def gaussian_log_prob(z: Tensor) -> Tensor:
    """Return ``log N(z; 0, I)`` of rows (n, d), nats.

    Examples
    --------
    >>> round(float(gaussian_log_prob(torch.zeros(1, 2))), 4)
    -1.8379
    """
    return -0.5 * (z * z).sum(1) - 0.5 * math.log(2 * math.pi) * z.shape[1]
