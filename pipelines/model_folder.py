"""A model on disk: tensors, configuration, calibration and a card that a person can read.

::

    MODEL/
      model.safetensors   every number of the flow and of the pipeline around it
      config.json         the resolved configuration: signal, features, settings, flow
      calibration.json    held-out scores and the threshold read off them
      card.md             what the model is, in words
      manifest.json       sha256 of each of the above

The folder is also a plain flowcore model: ``flowcore.load(MODEL)`` gives the estimator.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flowcore import FlowDensityEstimator, FlowError
from flowcore.persistence import read_model, write_model
from pipelines import provenance
from pipelines.calibration import Calibration
from pipelines.config import parse_settings
from pipelines.errors import ModelError
from pipelines.features.registry import describe
from pipelines.model import Model

PIPELINE_VERSION = 1
CALIBRATION, CARD = "calibration.json", "card.md"


def save_model(model: Model, path: str | Path) -> None:
    """Write a model folder; every file appears whole or not at all, the manifest last."""
    tensors, config = model.estimator.to_state()
    tensors["pipeline.center"] = torch.from_numpy(model.center)
    config["pipeline"] = {
        "version": PIPELINE_VERSION,
        "kind": model.kind,
        "sfreq": model.sfreq,
        "features": list(model.names),
        "settings": model.settings.model_dump(),
        "n_fitted": model.n_fitted,
        "n_trimmed": model.n_trimmed,
        "sources": model.sources,
        "versions": provenance.versions(),
    }
    calibration = {
        "threshold": model.calibration.threshold,
        "window_rate": model.calibration.window_rate,
        "extrapolated": model.calibration.extrapolated,
        "unit": "window; windows of one recording are dependent, so no patient-level promise",
        "scores": model.calibration.scores.tolist(),
    }
    documents = {
        CALIBRATION: json.dumps(calibration, indent=1) + "\n",
        CARD: model_card(model),
    }
    try:
        write_model(path, tensors, config, documents)
    except OSError as error:
        raise ModelError(
            f"cannot write the model: {error.strerror}; choose another --out"
        ) from error


def load_model(path: str | Path, device: str = "auto") -> Model:
    """Read a model folder after checking every file against the manifest.

    Raises
    ------
    ModelError
        If the folder is missing, damaged, of another version, or holds a flow without a pipeline.
    """
    folder = Path(path)
    try:
        tensors, config = read_model(folder)
        estimator = FlowDensityEstimator.from_state(tensors, config, device)
    except FlowError as error:
        raise ModelError(str(error)) from error
    pipeline = config.get("pipeline")
    if not isinstance(pipeline, dict):
        raise ModelError(
            f"{folder.name} is a flow without a signal pipeline; make one with 'rarewave fit'"
        )
    if pipeline.get("version") != PIPELINE_VERSION:
        raise ModelError(
            f"{folder.name} is of pipeline version {pipeline.get('version')}, this version reads "
            f"{PIPELINE_VERSION}; fit it again or update rarewave"
        )
    try:
        return _model(pipeline, tensors["pipeline.center"].numpy(), estimator, folder)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise ModelError(
            f"{folder.name} is incomplete ({type(error).__name__}); fit it again"
        ) from error


def _model(
    pipeline: dict[str, Any],
    center: np.ndarray[Any, np.dtype[np.float64]],
    estimator: FlowDensityEstimator,
    folder: Path,
) -> Model:
    stored = json.loads((folder / CALIBRATION).read_text("utf-8"))
    return Model(
        kind=pipeline["kind"],
        sfreq=float(pipeline["sfreq"]),
        names=tuple(pipeline["features"]),
        center=center,
        estimator=estimator,
        calibration=Calibration(
            np.asarray(stored["scores"], dtype=np.float64),
            float(stored["window_rate"]),
            float(stored["threshold"]),
            bool(stored["extrapolated"]),
        ),
        settings=parse_settings(pipeline["settings"], "the model's config.json"),
        n_fitted=int(pipeline["n_fitted"]),
        n_trimmed=int(pipeline["n_trimmed"]),
        sources=dict(pipeline["sources"]),
    )


def model_card(model: Model) -> str:
    """Return what a person should know about a model before using it, as Markdown."""
    sources, calibration = model.sources, model.calibration
    part = sources["baseline"]
    stretch = f"seconds {part[0]:g} to {part[1]:g} of each" if part else "the whole of each"
    annotated = (
        "Windows that touch an abnormal annotation were left out."
        if sources["use_annotations"]
        else "No annotations were used."
    )
    basis = (
        "It lies beyond the held-out scores: an extrapolation of their tail, without a guarantee."
        if calibration.extrapolated
        else "It lies within the held-out scores."
    )
    window = "heartbeat" if model.kind == "ecg" else "stretch of two seconds"
    features = "\n".join(f"- `{name}`: {describe(name)}" for name in model.names)
    return f"""# Rarewave {model.kind.upper()} model

**Research use only. Not a medical device.**

- Window: one {window}, at {model.sfreq:g} Hz.
- Fitted on {model.n_fitted} windows of {sources["n_recordings"]} recording(s), {stretch}; seed
  {sources["seed"]}. {annotated}
- {model.n_trimmed} windows lay far from all others and were left out before fitting.
- Threshold: a score above {calibration.threshold:.6g} is flagged, which is meant for
  {calibration.window_rate:g} of usual windows, from {len(calibration.scores)} held-out windows.
  {basis} It makes no promise about patients other than those fitted on.

A high score says that a window does not fit these data. It is not a diagnosis, and a window that
is not flagged is not thereby normal.

## Features

{features}
"""
