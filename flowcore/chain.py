"""A chain of blocks between raw rows and the standard normal: an exact density and a sampler."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flowcore.block import Block, BlockList, Passage
from flowcore.ode import Solver
from flowcore.preprocessing import STEPS, gaussian_log_prob
from flowcore.step import Step, StepList
from flowcore.velocity import build_field


@dataclass(frozen=True)
class Trace:
    """A transform with everything it passed through.

    Attributes
    ----------
    start : Tensor of shape (n, d)
        Preprocessed rows, where the first block begins.
    passages : list of Passage
        What each block did.
    """

    start: Tensor
    passages: list[Passage]

    @property
    def z(self) -> Tensor:
        """Latent rows (n, d) after the last block."""
        return self.passages[-1].x if self.passages else self.start

    @property
    def log_det(self) -> Tensor:
        """Log-determinant of all blocks, shape (n,), without the preprocessing."""
        total = torch.zeros_like(self.start[:, 0])
        for passage in self.passages:
            total = total + passage.log_det
        return total

    @property
    def log_prob(self) -> Tensor:
        """Log-density in the preprocessed space, shape (n,), nats."""
        return gaussian_log_prob(self.z) + self.log_det


class FlowChain(nn.Module):
    """Preprocessing steps followed by blocks; the base density is N(0, I).

    ``log p(x) = log N(z; 0, I) + log_det`` with ``z, log_det = transform(x)``
    (Xie and Cheng, arXiv 2502.13394, the change of variables along a continuous flow).

    Parameters
    ----------
    dim : int
        Number of coordinates d.
    blocks : iterable of Block
        In order from data to noise.
    steps : iterable of Step
        Stored preprocessing, in order.
    solver : Solver
        The one solver for every direction.
    """

    def __init__(
        self,
        dim: int,
        blocks: Iterable[Block] = (),
        steps: Iterable[Step] = (),
        solver: Solver | None = None,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.steps = StepList(steps)
        self.blocks = BlockList(blocks)
        self.solver = solver or Solver()

    def preprocess(self, x: Tensor) -> Tensor:
        """Carry raw rows (n, d) through the stored steps."""
        for step in self.steps:
            x = step(x)
        return x

    def unprocess(self, y: Tensor) -> Tensor:
        """Carry rows back through the stored steps."""
        for step in reversed(list(self.steps)):
            y = step.inverse(y)
        return y

    def train_preprocess(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Carry raw rows through the steps with their training noise."""
        for step in self.steps:
            x = step.train_forward(x, generator)
        return x

    def steps_log_det(self, x: Tensor) -> Tensor:
        """Return the log-determinant of all stored steps at raw rows (n, d), shape (n,)."""
        total = torch.zeros_like(x[:, 0])
        for step in self.steps:
            total = total + step.log_det(x)
            x = step(x)
        return total

    def columns(self, x: Tensor) -> Tensor:
        """Carry raw rows through the stored steps that leave columns apart: standardised rows."""
        for step in itertools.takewhile(lambda s: s.by_column, self.steps):
            x = step(x)
        return x

    def flow(
        self, y: Tensor, context: Tensor | None = None, grid: Sequence[float] | None = None
    ) -> Trace:
        """Carry preprocessed rows through every block and keep what each did."""
        passages: list[Passage] = []
        x = y
        for block in self.blocks:
            passages.append(block(x, self.solver, context, grid))
            x = passages[-1].x
        return Trace(y, passages)

    def transform(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return latent rows (n, d) and the log-determinant (n,) of the whole map, nats."""
        trace = self.flow(self.preprocess(x), context)
        return trace.z, trace.log_det + self.steps_log_det(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Carry latent rows (n, d) back to raw rows with the same solver."""
        for block in reversed(list(self.blocks)):
            z = block.push(z, self.solver, context, backward=True)
        return self.unprocess(z)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the log-density of raw rows (n,) in nats, in the units of the rows."""
        z, log_det = self.transform(x, context)
        return gaussian_log_prob(z) + log_det

    def sample(
        self, n: int, generator: torch.Generator | None = None, context: Tensor | None = None
    ) -> Tensor:
        """Draw `n` rows; the same generator state gives the same rows."""
        like = next(itertools.chain(self.parameters(), self.buffers()), torch.zeros(0))
        z = torch.randn(n, self.dim, generator=generator, dtype=torch.float64).to(like)
        with torch.no_grad():
            return self.inverse(z, context)

    def config(self) -> dict[str, Any]:
        """Return what is needed, beside the tensors, to rebuild the chain (JSON-able)."""
        return {
            "dim": self.dim,
            "steps": [step.kind for step in self.steps],
            "fields": [block.field.config() for block in self.blocks],
            "solver": self.solver.config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FlowChain:
        """Build the chain that :meth:`config` describes; load its tensors afterwards."""
        dim = int(config["dim"])
        return cls(
            dim,
            [Block(build_field(c)) for c in config["fields"]],
            [STEPS[kind](dim) for kind in config["steps"]],
            Solver(**config["solver"]),
        )
