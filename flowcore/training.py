"""The one training loop: minibatches drawn on the device, moving average, early stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Training:
    """How long and how fast to train.

    Attributes
    ----------
    steps : int
        Most optimiser steps.
    batch_size : int
        Rows per step, drawn with replacement.
    learning_rate : float
        Peak of a cosine schedule.
    ema : float
        Decay of the moving average of the weights, per step.
    evaluate_every : int
        Steps between two looks at the held-out loss.
    patience : int
        Looks without an improvement after which training stops.
    weight_decay : float
        Decoupled weight decay.
    """

    steps: int = 1500
    batch_size: int = 256
    learning_rate: float = 2e-3
    ema: float = 0.99
    evaluate_every: int = 100
    patience: int = 4
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What a training run did.

    Attributes
    ----------
    before, after : float
        Held-out loss of the weights found at the start and of those kept.
    steps : int
        Optimiser steps taken.
    """

    before: float
    after: float
    steps: int

    @property
    def improved(self) -> bool:
        """True if the kept weights are better than those found."""
        return self.after < self.before


class MovingAverage:
    """Exponential moving average of parameters, with early values forgotten faster."""

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters = list(parameters)
        self.decay = decay
        self.average = [p.detach().clone() for p in self.parameters]
        self._n = 0

    def update(self) -> None:
        """Take the current weights into the average."""
        self._n += 1
        decay = min(self.decay, (1 + self._n) / (10 + self._n))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)

    def swap(self) -> None:
        """Exchange the current weights and their average."""
        for p, average in zip(self.parameters, self.average, strict=True):
            kept = p.detach().clone()
            p.data.copy_(average)
            average.copy_(kept)


def minimise(
    module: nn.Module,
    loss: Callable[[], Tensor],
    held_out_loss: Callable[[], float],
    training: Training,
    report: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Train `module` and leave it with the best averaged weights seen on held-out rows.

    The weights found at the start are the first candidate, so the held-out loss never rises.
    Training stops early when the held-out loss stops falling or is no longer finite.

    Parameters
    ----------
    module : nn.Module
    loss : callable
        Returns the loss of one fresh minibatch.
    held_out_loss : callable
        Returns the loss of the current weights on held-out rows, always on the same draws.
    training : Training
    report : callable, optional
        Called with (steps done, steps at most), while the module holds its averaged weights.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, lr=training.learning_rate, weight_decay=training.weight_decay
    )
    average = MovingAverage(parameters, training.ema)
    before = best = held_out_loss()
    best_weights = [p.detach().clone() for p in parameters]
    worse, step = 0, 0
    for step in range(1, training.steps + 1):
        _set_rate(optimiser, training.learning_rate, step / training.steps)
        optimiser.zero_grad(set_to_none=True)
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 10.0)
        optimiser.step()
        average.update()
        if step % training.evaluate_every and step != training.steps:
            continue
        average.swap()
        if report is not None:
            report(step, training.steps)
        current = held_out_loss()
        if current < best:
            best, worse = current, 0
            best_weights = [p.detach().clone() for p in parameters]
        else:
            worse += 1
        average.swap()
        if worse >= training.patience or not math.isfinite(current):
            break
    for p, weights in zip(parameters, best_weights, strict=True):
        p.data.copy_(weights)
    return Outcome(before, best, step)


def draw(
    rows: Tensor, context: Tensor | None, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Draw `n` rows with replacement, with their context, without leaving the device."""
    index = torch.randint(len(rows), (n,), generator=generator).to(rows.device)
    return rows[index], None if context is None else context[index]


def _set_rate(optimiser: torch.optim.Optimizer, peak: float, done: float) -> None:
    warm = min(1.0, done / 0.03)
    rate = peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
    for group in optimiser.param_groups:
        group["lr"] = rate
