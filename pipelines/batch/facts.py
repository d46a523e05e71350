"""What ``run.json`` says about the model, and whether the model can be used at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines import provenance
from pipelines.batch.task import DEVICE, Job


def model_facts(job: Job, *, elsewhere: bool) -> dict[str, Any]:
    """Return what ``run.json`` says about the model; raise before any work if it cannot be used.

    Parameters
    ----------
    job : Job
    elsewhere : bool
        True if other processes score. What they load takes seconds, which they and this process
        need not spend one after the other: the facts are then read from the files alone, whose
        hashes are checked. The device is not known before they are at work.

    Raises
    ------
    ModelError
        If the model cannot be used.
    """
    facts = _read(job) if elsewhere else None
    return _loaded(job) if facts is None else facts


def _loaded(job: Job) -> dict[str, Any]:
    from pipelines.model_folder import load_model

    model = load_model(job.model_path, device=job.device)
    promise = model.calibration.promise
    stated = None if promise is None else promise.to_json()
    device = str(next(model.estimator.chain_.buffers()).device)
    return _facts(job, model.kind, model.threshold, stated, model.sources) | {DEVICE: device}


def _read(job: Job) -> dict[str, Any] | None:
    """Return the facts without loading the model, None if anything is odd: loading it says what."""
    try:
        for name, digest in provenance.model_files(job.model_path).items():
            if Path(name).name != name or provenance.sha256_of(job.model_path / name) != digest:
                return None
        config = json.loads((job.model_path / "config.json").read_text("utf-8"))
        stored = json.loads((job.model_path / "calibration.json").read_text("utf-8"))
        pipeline, threshold = config["pipeline"], float(stored["threshold"])
        sources = dict(pipeline["sources"])
        return _facts(job, pipeline["kind"], threshold, stored.get("promise"), sources)
    except (AttributeError, KeyError, TypeError, ValueError, OSError):
        return None


def _facts(
    job: Job,
    kind: str,
    threshold: float,
    stated: dict[str, Any] | None,
    sources: dict[str, Any],
) -> dict[str, Any]:
    from pipelines.calibration.patients import Promise

    promise = None if stated is None else Promise.from_json(stated)
    return {
        "model": {
            "path": str(job.model_path),
            "kind": kind,
            "threshold": threshold,
            "promise": None
            if promise is None
            else {"sentence": promise.sentence, "caveat": promise.caveat(job.baseline)},
            "sha256": job.model_sha256,
            "files": provenance.model_files(job.model_path),
            "fitted_on": {
                "signal_sha256": sources.get("signal_sha256", []),
                "baseline": sources.get("baseline"),
            },
        },
        "seed": sources.get("seed"),
    }
