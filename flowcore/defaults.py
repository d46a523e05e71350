"""One default for every data set: the recipe that the shape of the data calls for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from flowcore.diffusion import geometric_schedule
from flowcore.errors import ParameterError
from flowcore.fitting import Recipe
from flowcore.interpolants import interpolant
from flowcore.lfm import Coupling, LocalFlowMatching
from flowcore.ode import Solver
from flowcore.training import Training

MANY = 2_000
"""Rows from which training may take longer and larger steps."""


class Parameters(Protocol):
    """The constructor parameters of the estimator that shape a recipe."""

    method: str
    n_blocks: int
    refine: bool
    hidden: int | None
    gamma: float
    ratio: float
    interpolant: str
    max_steps: int | None
    solver_steps: int
    field: str | Mapping[str, Any]
    noise: float
    soften: float | None


def choose_recipe(parameters: Parameters, n: int, d: int) -> Recipe:
    """Resolve the estimator's parameters for `n` rows of width `d`.

    Raises
    ------
    ParameterError
        If a parameter is unknown or out of range.
    """
    p = parameters
    for name in ("n_blocks", "hidden", "max_steps", "solver_steps"):
        value = getattr(p, name)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ParameterError(f"{name}={value!r} must be a whole number of at least 1")
    if not 0 <= p.noise < math.inf:
        raise ParameterError(f"noise={p.noise!r} must be a finite number of at least 0")
    if p.soften is not None and not 0 < p.soften < 0.5:
        raise ParameterError(f"soften={p.soften!r} must be None or a share between 0 and 0.5")
    if not isinstance(p.field, str | Mapping):
        raise ParameterError(f"field={p.field!r} must be the name of a kind or a dict with one")
    n_blocks = 1 if p.method == "fm" else p.n_blocks
    gammas = (math.inf,) if p.method == "fm" else geometric_schedule(p.gamma, p.ratio, n_blocks)
    coupling: Coupling = "independent" if p.method == "fm" else "dependent"
    steps = p.max_steps or _steps(n)
    refining = Training(
        steps=max(1, steps // 3), batch_size=256, learning_rate=_rate(n), evaluate_every=25
    )
    return Recipe(
        method=p.method,
        hidden=p.hidden or _width(d),
        n_blocks=n_blocks,
        matching=LocalFlowMatching(gammas, interpolant(p.interpolant), coupling),
        training=Training(steps=steps),
        refine_training=refining if p.refine else None,
        solver=Solver("rk4", p.solver_steps),
        field=p.field,
        noise=p.noise,
        soften=p.soften,
    )


def _steps(n: int) -> int:
    return 600 if n < MANY else 1_000


def _rate(n: int) -> float:
    """Refinement: fast where rows abound, careful where a fast one would fit them by heart."""
    return 1e-3 if n < MANY else 3e-3


def _width(d: int) -> int:
    return 64 if d <= 64 else 128
