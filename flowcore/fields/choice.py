"""From what a user asks for to the configuration of a field that fits the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from flowcore.errors import FlowError, ParameterError
from flowcore.velocity import VelocityField, build_field

SETTINGS: dict[str, frozenset[str]] = {
    "tanh": frozenset({"hidden"}),
    "deep": frozenset({"hidden", "depth", "n_probes", "probe_seed"}),
    "linear": frozenset(),
    "sum": frozenset({"parts"}),
    "unet": frozenset({"n_channels", "width", "n_probes", "probe_seed"}),
}
"""What may be set of each kind of field; width of the rows and of the context are the data's."""


def field_config(
    field: str | Mapping[str, Any], dim: int, hidden: int, context_dim: int = 0
) -> dict[str, Any]:
    """Return the configuration that :func:`flowcore.velocity.build_field` builds.

    Parameters
    ----------
    field : str or dict
        A kind, or a ``"kind"`` with settings of its own: ``"tanh"`` and ``"deep"`` take
        ``hidden``, the latter also ``depth``; ``"unet"`` needs ``n_channels`` and takes
        ``width``; ``"sum"`` needs ``parts``, a list of such fields; ``"linear"`` takes none.
    dim : int
        Width of the rows.
    hidden : int
        Width of the hidden layers where `field` does not say.
    context_dim : int
        Number of context values per row.

    Raises
    ------
    ParameterError
        If the kind or a setting is unknown, or does not fit the rows.

    Examples
    --------
    >>> field_config({"kind": "deep", "depth": 4}, dim=3, hidden=64)
    {'kind': 'deep', 'dim': 3, 'context_dim': 0, 'hidden': 64, 'depth': 4}
    """
    asked = {"kind": field} if isinstance(field, str) else dict(field)
    kind = asked.pop("kind", None)
    if kind not in SETTINGS:
        raise ParameterError(f"field of kind {kind!r} is unknown; choose from {sorted(SETTINGS)}")
    unknown = sorted(set(asked) - SETTINGS[kind])
    if unknown:
        raise ParameterError(
            f"a field of kind {kind!r} has no setting {unknown[0]!r}; "
            f"it takes {sorted(SETTINGS[kind]) or 'none'}"
        )
    if kind == "linear":
        return {"kind": kind, "dim": dim}
    if kind == "unet":
        return {"kind": kind, **_windows(asked, dim), "context_dim": context_dim}
    common = {"kind": kind, "dim": dim, "context_dim": context_dim}
    if kind == "sum":
        parts = asked.get("parts")
        if not isinstance(parts, list | tuple) or not parts:
            raise ParameterError(f"field parts={parts!r} must be a list of one or more fields")
        return common | {"parts": [field_config(p, dim, hidden, context_dim) for p in parts]}
    return common | {"hidden": hidden} | asked


def new_field(
    field: str | Mapping[str, Any],
    dim: int,
    hidden: int,
    context_dim: int = 0,
    generator: torch.Generator | None = None,
) -> VelocityField:
    """Build a new field for rows of width `dim`; see :func:`field_config`."""
    config = field_config(field, dim, hidden, context_dim)
    try:
        return build_field(config, generator)
    except FlowError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(
            f"field={field!r} cannot be built ({error}); check its settings"
        ) from error


def keeps_order(config: Mapping[str, Any]) -> bool:
    """Say whether a field reads neighbouring columns as neighbouring samples of a window."""
    return config["kind"] == "unet" or any(map(keeps_order, config.get("parts", ())))


def _windows(asked: dict[str, Any], dim: int) -> dict[str, Any]:
    n_channels = asked.get("n_channels")
    if not isinstance(n_channels, int) or n_channels < 1 or dim % n_channels:
        raise ParameterError(
            f"field n_channels={n_channels!r} must be a whole number that divides the {dim} "
            "columns; rows are windows, flattened channel by channel"
        )
    return asked | {"n_times": dim // n_channels}
