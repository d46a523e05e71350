"""A few large steps in place of many small ones: fast latent rows, never a likelihood.

Source: Xu, Xie and Cheng, Local Flow Matching, arXiv 2410.02548, on distillation: each step
is regressed on the end points of its teachers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from flowcore.chain import FlowChain
from flowcore.errors import DataError, ParameterError, PersistenceError
from flowcore.persistence import read_model, write_model
from flowcore.preprocessing import STEPS
from flowcore.step import Step, StepList
from flowcore.training import Training, draw, minimise
from flowcore.velocity import TanhField, VelocityField, build_field

MODEL = "few_step_map"
"""What ``config.json`` of a saved map calls itself."""


class FewStepMap(nn.Module):
    """``x -> x + u_1(x) -> ... ``, one network evaluation for each group of blocks.

    It gives latent rows only. It has no log-density on purpose: the steps need not be
    invertible, and the number would not be that of the teacher.

    Parameters
    ----------
    preprocessing : sequence of Step
        Stored preprocessing, that of the teacher.
    steps : sequence of VelocityField
        One for each group of blocks.
    """

    def __init__(self, preprocessing: Iterable[Step], steps: Iterable[VelocityField]) -> None:
        super().__init__()
        self.preprocessing = StepList(preprocessing)
        self.steps = nn.ModuleList(steps)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return about the latent rows of the teacher for raw rows (n, d)."""
        for step in self.preprocessing:
            x = step(x)
        for field in self.steps:
            x = _step(field, x, context)
        return x

    def save(self, path: str | Path) -> None:
        """Write the map as a folder of safetensors, JSON and hashes."""
        fields = [f.config() for f in self.steps if isinstance(f, VelocityField)]
        config = {
            "model": MODEL,
            "dim": fields[0]["dim"],
            "preprocessing": [step.kind for step in self.preprocessing],
            "fields": fields,
            "dtype": str(next(self.parameters()).dtype).removeprefix("torch."),
        }
        write_model(path, dict(self.state_dict()), config)

    @classmethod
    def load(cls, path: str | Path) -> FewStepMap:
        """Read a folder written by :meth:`save`; the map gives the same rows bit for bit.

        Raises
        ------
        PersistenceError
            If a file is missing, altered, cut short or no few-step map.
        """
        tensors, config = read_model(path)
        if config.get("model") != MODEL:
            raise PersistenceError(
                f"{Path(path).name!r} holds no few-step map; read an estimator with flowcore.load"
            )
        try:
            dtype = {"float32": torch.float32, "float64": torch.float64}[config["dtype"]]
            steps = [STEPS[kind](int(config["dim"])) for kind in config["preprocessing"]]
            found = cls(steps, [build_field(c).to(dtype) for c in config["fields"]])
            found.load_state_dict(tensors)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise PersistenceError(
                f"the stored map is incomplete or of another version ({error}); distil it again"
            ) from error
        return found.eval()


@dataclass(frozen=True)
class Distilled:
    """A few-step map and how far it is from its teacher.

    Attributes
    ----------
    map : FewStepMap
    error : float
        Root mean square distance of its latent rows from the teacher's on held-out rows, per
        coordinate; the teacher's have spread about 1.
    """

    map: FewStepMap
    error: float


def distill(
    chain: FlowChain,
    x: Tensor,
    generator: torch.Generator,
    *,
    n_steps: int = 1,
    hidden: int = 128,
    context: Tensor | None = None,
    training: Training | None = None,
) -> Distilled:
    """Regress `n_steps` maps on what as many groups of neighbouring blocks do to rows.

    Parameters
    ----------
    chain : FlowChain
        The teacher.
    x : Tensor of shape (n, d)
        Raw rows; a fifth is held out.
    generator : torch.Generator
    n_steps : int
        From 1 to the number of blocks.
    hidden : int
    context : Tensor of shape (n, context_dim), optional
    training : Training, optional
        Per step.

    Examples
    --------
    >>> from flowcore.block import Block
    >>> g = torch.Generator().manual_seed(0)
    >>> teacher = FlowChain(2, [Block(TanhField(2, 8))])
    >>> brief = Training(steps=20)
    >>> distill(teacher, torch.randn(50, 2, generator=g), g, training=brief).error
    0.0
    """
    n_blocks = len(chain.blocks)
    if not 1 <= n_steps <= n_blocks:
        raise ParameterError(f"n_steps={n_steps} must be from 1 to the {n_blocks} blocks there are")
    if len(x) < 10 or x.shape[1] != chain.dim:
        raise DataError(f"rows of shape {tuple(x.shape)}: give at least 10 of width {chain.dim}")
    training = training or Training(steps=1500)
    context_dim = 0 if context is None else context.shape[1]
    order = torch.randperm(len(x), generator=generator).to(x.device)
    held_out, train = order[: len(x) // 5], order[len(x) // 5 :]
    with torch.no_grad():
        teacher_rows = student_rows = chain.preprocess(x)
    fields: list[TanhField] = []
    blocks = list(chain.blocks)
    for k in range(n_steps):
        with torch.no_grad():
            for block in blocks[k * n_blocks // n_steps : (k + 1) * n_blocks // n_steps]:
                teacher_rows = block.push(teacher_rows, chain.solver, context)
        field = TanhField(chain.dim, hidden, context_dim, generator).to(x)
        _regress(field, student_rows, teacher_rows, context, train, held_out, training, generator)
        with torch.no_grad():
            student_rows = _step(field, student_rows, context)
        fields.append(field)
    error = float(((student_rows - teacher_rows)[held_out] ** 2).mean().sqrt())
    return Distilled(FewStepMap(chain.steps, fields).eval(), error)


def _regress(
    field: TanhField,
    starts: Tensor,
    ends: Tensor,
    context: Tensor | None,
    train: Tensor,
    held_out: Tensor,
    training: Training,
    generator: torch.Generator,
) -> None:
    def error(index: Tensor) -> Tensor:
        given = None if context is None else context[index]
        return ((_step(field, starts[index], given) - ends[index]) ** 2).mean()

    def held_out_loss() -> float:
        with torch.no_grad():
            return error(held_out).item()

    minimise(
        field,
        lambda: error(draw(train, None, training.batch_size, generator)[0]),
        held_out_loss,
        training,
    )


def _step(field: nn.Module, x: Tensor, context: Tensor | None) -> Tensor:
    moved: Tensor = x + field(x.new_zeros(()), x, context)
    return moved
