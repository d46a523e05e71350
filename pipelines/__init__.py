"""Recordings in, flagged segments out: readers, windows, features, fitting, scoring, exports.

The names below are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.batch import RunSummary, score_run
    from pipelines.calibration.procedure import calibrate_model
    from pipelines.config import Settings
    from pipelines.errors import RarewaveError
    from pipelines.evaluation import evaluate_run
    from pipelines.exports import EXPORT_FORMATS, export_run
    from pipelines.model import Model, fit_model
    from pipelines.model_folder import load_model, save_model
    from pipelines.readers import read_recording
    from pipelines.recording import Recording
    from pipelines.run_folder import RunFolder
    from pipelines.scoring import Scored, score_recording
    from pipelines.store import ReviewStore
    from pipelines.thresholds import envelope_threshold, resegment

_HOMES = {
    "EXPORT_FORMATS": "exports",
    "Model": "model",
    "RarewaveError": "errors",
    "Recording": "recording",
    "ReviewStore": "store",
    "RunFolder": "run_folder",
    "RunSummary": "batch",
    "Scored": "scoring",
    "Settings": "config",
    "calibrate_model": "calibration.procedure",
    "envelope_threshold": "thresholds",
    "evaluate_run": "evaluation",
    "export_run": "exports",
    "fit_model": "model",
    "load_model": "model_folder",
    "read_recording": "readers",
    "resegment": "thresholds",
    "save_model": "model_folder",
    "score_recording": "scoring",
    "score_run": "batch",
}

__all__ = [
    "EXPORT_FORMATS",
    "Model",
    "RarewaveError",
    "Recording",
    "ReviewStore",
    "RunFolder",
    "RunSummary",
    "Scored",
    "Settings",
    "calibrate_model",
    "envelope_threshold",
    "evaluate_run",
    "export_run",
    "fit_model",
    "load_model",
    "read_recording",
    "resegment",
    "save_model",
    "score_recording",
    "score_run",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use (PEP 562)."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"pipelines.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pipelines' has no attribute {name!r}")
