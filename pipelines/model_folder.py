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
from pipelines.calibration import Calibration, Promise
from pipelines.config import parse_settings
from pipelines.domain import Domain
from pipelines.errors import ModelError
from pipelines.features import eeg_pattern
from pipelines.features.registry import check_versions, describe, versions_of
from pipelines.model import Model
from pipelines.rhythm.storing import about as about_rhythm
from pipelines.rhythm.storing import from_state as rhythm_from_state
from pipelines.rhythm.storing import to_state as rhythm_to_state

PIPELINE_VERSION = 1
CALIBRATION, CARD = "calibration.json", "card.md"
_DOMAIN = ("medians", "spreads", "patients")


def save_model(model: Model, path: str | Path) -> None:
    """Write a model folder; every file appears whole or not at all, the manifest last."""
    tensors, config = model.estimator.to_state()
    tensors["pipeline.center"] = torch.from_numpy(model.center)
    if model.domain is not None:
        tensors |= {
            f"domain.{name}": torch.from_numpy(getattr(model.domain, name)) for name in _DOMAIN
        }
    pattern: dict[str, Any] | None = None
    if model.pattern is not None:
        of_pattern, pattern = eeg_pattern.to_state(model.pattern)
        tensors |= {name: torch.from_numpy(array) for name, array in of_pattern.items()}
    rhythm: dict[str, Any] | None = None
    if model.rhythm is not None:
        of_rhythm, rhythm = rhythm_to_state(model.rhythm)
        tensors |= of_rhythm
    config["pipeline"] = {
        "version": PIPELINE_VERSION,
        "kind": model.kind,
        "sfreq": model.sfreq,
        "channels": list(model.channels),
        "features": list(model.names),
        "feature_versions": versions_of(
            [*model.names, *(model.rhythm.names if model.rhythm is not None else ())]
        ),
        "pattern": pattern,
        "domain": None if model.domain is None else list(model.domain.names),
        "rhythm": rhythm,
        "settings": model.settings.model_dump(),
        "n_fitted": model.n_fitted,
        "n_trimmed": model.n_trimmed,
        "sources": model.sources,
        "versions": provenance.versions(),
    }
    facts = _calibration_facts(model.calibration)
    if model.rhythm is not None:
        facts["rhythm"] = _calibration_facts(model.rhythm.calibration)
    documents = {
        CALIBRATION: json.dumps(facts, indent=1) + "\n",
        CARD: model_card(model),
    }
    try:
        write_model(path, tensors, config, documents)
    except OSError as error:
        raise ModelError(
            f"cannot write the model: {error.strerror}; choose another --out"
        ) from error


def _calibration_facts(calibration: Calibration) -> dict[str, Any]:
    promise = calibration.promise
    unit = "window; windows of one recording are dependent, so no patient-level promise"
    return {
        "threshold": calibration.threshold,
        "window_rate": calibration.window_rate,
        "extrapolated": calibration.extrapolated,
        "unit": unit if promise is None else "patient",
        "promise": None if promise is None else promise.to_json(),
        "scores": calibration.scores.tolist(),
    }


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
        return _model(pipeline, tensors, estimator, folder, device)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise ModelError(
            f"{folder.name} is incomplete ({type(error).__name__}); fit it again"
        ) from error


def _model(
    pipeline: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    estimator: FlowDensityEstimator,
    folder: Path,
    device: str,
) -> Model:
    versions = pipeline.get("feature_versions")
    check_versions(pipeline["features"], versions)
    of_minutes = (pipeline.get("rhythm") or {}).get("features", ())
    check_versions([name for name in of_minutes if name in (versions or ())], versions)
    stored = json.loads((folder / CALIBRATION).read_text("utf-8"))
    pattern = pipeline.get("pattern")
    of_rhythm = stored.get("rhythm")
    return Model(
        kind=pipeline["kind"],
        sfreq=float(pipeline["sfreq"]),
        names=tuple(pipeline["features"]),
        center=tensors["pipeline.center"].numpy(),
        estimator=estimator,
        calibration=_calibration(stored),
        settings=parse_settings(pipeline["settings"], "the model's config.json"),
        n_fitted=int(pipeline["n_fitted"]),
        n_trimmed=int(pipeline["n_trimmed"]),
        sources=dict(pipeline["sources"]),
        channels=tuple(pipeline.get("channels", ())),
        domain=_domain(pipeline, tensors),
        pattern=None
        if pattern is None
        else eeg_pattern.from_state({k: t.numpy() for k, t in tensors.items()}, pattern),
        rhythm=rhythm_from_state(
            tensors,
            pipeline.get("rhythm"),
            None if of_rhythm is None else _calibration(of_rhythm),
            device,
        ),
    )


def _calibration(stored: dict[str, Any]) -> Calibration:
    promise = stored.get("promise")
    return Calibration(
        np.asarray(stored["scores"], dtype=np.float64),
        float(stored["window_rate"]),
        float(stored["threshold"]),
        bool(stored["extrapolated"]),
        None if promise is None else Promise.from_json(promise),
    )


def _domain(pipeline: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Domain | None:
    names = pipeline.get("domain")
    if names is None:
        return None
    return Domain(tuple(names), *(tensors[f"domain.{name}"].numpy() for name in _DOMAIN))


def model_card(model: Model) -> str:
    """Return what a person should know about a model before using it, as Markdown."""
    sources = model.sources
    part = sources["baseline"]
    stretch = f"seconds {part[0]:g} to {part[1]:g} of each" if part else "the whole of each"
    annotated = (
        "Windows that touch an abnormal annotation were left out."
        if sources["use_annotations"]
        else "No annotations were used."
    )
    eeg = model.settings.eeg
    window = "heartbeat" if model.kind == "ecg" else f"stretch of {eeg.window_s:g} seconds"
    features = "\n".join(f"- `{name}`: {describe(name)}" for name in model.names)
    return f"""# Rarewave {model.kind.upper()} model

**Research use only. Not a medical device.**

- Window: one {window}, at {model.sfreq:g} Hz; recordings of another rate are resampled.
- Channels: {_about_channels(model)}.
- Fitted on {model.n_fitted} windows of {sources["n_recordings"]} recording(s), {stretch}; seed
  {sources["seed"]}. {annotated}
- {_about_trimming(model)}
- Threshold: a score above {model.threshold:.6g} is flagged.
{_about_threshold(model)}

A high score says that a window does not fit these data. It is not a diagnosis, and a window that
is not flagged is not thereby normal.

## Features

{features}
{about_rhythm(model.rhythm, sources.get("n_rhythm_windows"))}"""


def _about_trimming(model: Model) -> str:
    """Return which windows were left out before fitting, and where most of them lie."""
    if not model.settings.trim:
        return "Trimming was switched off: every usable window was fitted on."
    n = model.n_fitted + model.n_trimmed
    text = (
        f"{model.n_trimmed} of {n} windows ({100 * model.n_trimmed / n:.1f} %) lie outside the "
        "densest of the rest\n  and were left out before fitting (at most a tenth is). Some of "
        "them may be usual."
    )
    trimmed = np.array(model.sources.get("n_trimmed_by_recording", ()))
    if len(trimmed) < 2 or not trimmed.any():
        return text
    of = np.array(model.sources["n_windows_by_recording"])
    most = int(np.argmax(trimmed / np.maximum(of, 1)))
    return text + f"\n  The largest share of one recording: {trimmed[most]} of {of[most]}."


def _about_channels(model: Model) -> str:
    """Return what the model looks at; names from files are printable, not trusted."""
    if not model.channels:
        return "as recorded"
    names = ", ".join(name.replace("`", "'") or "any lead" for name in model.channels)
    reference = "" if model.kind == "ecg" else f"; reference: {model.settings.eeg.reference}"
    return f"`{names}`{reference}"


def _about_threshold(model: Model) -> str:
    """Return what the threshold rests on, as lines that continue the item before."""
    calibration, n_held_out = model.calibration, model.sources.get("n_calibration_patients", 0)
    promise = calibration.promise
    if promise is not None:
        counted = (
            "An event that shares time with an annotation of something abnormal did not count."
            if promise.use_annotations
            else "Every flagged event counted as false."
        )
        relative = (
            f"scores relative to seconds {promise.baseline[0]:g} to {promise.baseline[1]:g} of each"
            if promise.baseline
            else "scores without a baseline of the patient"
        )
        return (
            f"  {promise.sentence}\n  {promise.tested_length}\n  {counted} It holds for {relative}, "
            "on average over calibration sets,\n  and for nothing but patients and recordings "
            "like those."
        )
    basis = (
        "It lies beyond the held-out scores: an extrapolation of their tail, without a guarantee."
        if calibration.extrapolated
        else "It lies within the held-out scores."
    )
    whom = (
        f"of {n_held_out} patients that were not fitted on, each with equal weight"
        if n_held_out
        else "of the same patients that it was fitted on"
    )
    return (
        f"  It is meant for {calibration.window_rate:g} of usual windows, from "
        f"{len(calibration.scores)} held-out windows\n  {whom}.\n  {basis}\n"
        "  It makes no promise about other patients; 'rarewave calibrate' can."
    )
