"""The rhythm part of a model folder, and what the model's card says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, from_numpy

from flowcore import FlowDensityEstimator
from pipelines.calibration import Calibration
from pipelines.features.registry import describe
from pipelines.rhythm.model import FEWEST_WINDOWS, RhythmModel
from pipelines.rhythm.windows import HOP_S, WINDOW_S

_PREFIX, _CENTER = "rhythm.", "rhythm.center"


def to_state(model: RhythmModel) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors, named apart from those of the beats, and JSON-able facts."""
    tensors, config = model.estimator.to_state()
    tensors = {f"{_PREFIX}flow.{name}": tensor for name, tensor in tensors.items()}
    facts = {
        "features": list(model.names),
        "window_s": WINDOW_S,
        "hop_s": HOP_S,
        "slope": model.slope,
        "offset": model.offset,
        "n_fitted": model.n_fitted,
        "n_trimmed": model.n_trimmed,
        "note": model.note,
        "flow": config,
    }
    return tensors | {_CENTER: from_numpy(model.center)}, facts


def from_state(
    tensors: Mapping[str, Tensor],
    facts: Mapping[str, Any] | None,
    calibration: Calibration | None,
    device: str,
) -> RhythmModel | None:
    """Return what :func:`to_state` describes; None for a model without that part.

    A model of windows of another length or on another grid keeps its part, which then refuses to
    score: see :meth:`RhythmModel.features`.
    """
    if facts is None or calibration is None:
        return None
    prefix = f"{_PREFIX}flow."
    own = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
    return RhythmModel(
        names=tuple(facts["features"]),
        center=tensors[_CENTER].numpy(),
        estimator=FlowDensityEstimator.from_state(own, facts["flow"], device),
        calibration=calibration,
        slope=float(facts["slope"]),
        offset=float(facts["offset"]),
        n_fitted=int(facts["n_fitted"]),
        n_trimmed=int(facts["n_trimmed"]),
        note=str(facts["note"]),
    )


def about(model: RhythmModel | None, n_windows: int | None) -> str:
    """Return what the card says of the rhythm, as Markdown with a heading.

    Parameters
    ----------
    model : RhythmModel or None
    n_windows : int or None
        Windows of rhythm that were there to fit on; None: it was not asked for.
    """
    if model is None and n_windows is None:
        return ""
    head = f"## Rhythm\n\nWindows of {WINDOW_S:g} seconds, every {HOP_S:g}, beside the beats. "
    if model is None:
        return head + (
            f"Not modelled: {n_windows} windows could be measured, {FEWEST_WINDOWS} are needed. An "
            "irregular\nrhythm without odd beats is then not flagged.\n"
        )
    calibration = model.calibration
    rests = "extrapolated beyond" if calibration.extrapolated else "within"
    features = "\n".join(f"- `{name}`: {describe(name)}" for name in model.names)
    note = f"\nThe fit said: {model.note}.\n" if model.note else ""
    return head + (
        f"Fitted on {model.n_fitted} of them; {model.n_trimmed} that lay far from all others were "
        f"left out before.\nThe threshold is meant for {calibration.window_rate:g} of usual "
        f"windows, {rests} {len(calibration.scores)} held-out ones, and is\nthe same as that of "
        f"the beats: the scores are brought to their scale. It makes no promise.\n{note}\n"
        f"{features}\n"
    )
