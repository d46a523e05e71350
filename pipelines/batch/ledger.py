"""The books of a run: ``status.jsonl`` and ``run.json``, kept while recordings are scored."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipelines import provenance
from pipelines.batch.resume import Earlier
from pipelines.batch.task import STAGING, Job, Status
from pipelines.inputs import InputRecording
from pipelines.run_folder import write_json

NOTICE = "Research use only. Not a medical device."
_EVERY_S = 30.0
"""Seconds between two writings of ``run.json`` while recordings are scored."""


class Ledger:
    """Writes ``status.jsonl`` and ``run.json``, but nothing before a first recording is done."""

    def __init__(self, job: Job, earlier: Earlier, entries: Sequence[InputRecording]) -> None:
        self.results: dict[str, Status] = {}
        self._job, self._earlier, self._entries = job, earlier, entries
        self._begun = bool(earlier.manifest)
        self._unwritten: list[Status] = []
        self._start_s = self._written_s = time.monotonic()
        self._model = _model_facts(job)

    def add(self, status: Status) -> None:
        """Take the outcome of one recording."""
        self.results[status["recording_id"]] = status
        self._unwritten.append(status)
        if status["state"] != "done":
            name = status["recording_id"]
            shutil.rmtree(self._earlier.run.recording_folder(name), ignore_errors=True)
        if status["state"] == "done" and not self._begun:
            self._begun = True
            self._write_manifest()
        if self._begun:
            for waiting in self._unwritten:
                self._append(waiting)
            self._unwritten.clear()
            if time.monotonic() - self._written_s > _EVERY_S:
                self._write_manifest()

    def close(self) -> None:
        """Write the final ``run.json``, or leave nothing of a run that was not there before."""
        path = self._earlier.run.path
        shutil.rmtree(path / STAGING, ignore_errors=True)
        if self._begun:
            self._write_manifest()
            return
        recordings = path / "recordings"
        if recordings.is_dir() and not any(recordings.iterdir()):
            recordings.rmdir()

    def _append(self, status: Status) -> None:
        known = self._earlier.status.get(status["recording_id"], {})
        same = all(known.get(key) == status[key] for key in ("state", "reason", "sha256"))
        if status["state"] == "done" or not same:
            self._earlier.run.append_status(status)

    def _write_manifest(self) -> None:
        before = self._earlier.manifest
        inputs = self._earlier.inputs
        for entry in self._entries:
            stated = {key: value for key, value in asdict(entry).items() if value is not None}
            del stated["patient_stated"]
            inputs[entry.recording_id] = {**stated, "path": str(entry.path), "sha256": {}}
        for name, status in {**self._earlier.status, **self.results}.items():
            if name in inputs:
                inputs[name]["sha256"] = status.get("sha256", {})
        facts = {
            "notice": NOTICE,
            "created": before.get("created", provenance.now()),
            "updated": provenance.now(),
            "versions": provenance.versions(),
            "machine": provenance.machine(),
            "baseline": None if self._job.baseline is None else list(self._job.baseline),
            "inputs": list(inputs.values()),
            "timings": {"last_call_s": round(time.monotonic() - self._start_s, 3)},
            **self._model,
        }
        write_json(self._earlier.run.manifest_path, facts)
        self._written_s = time.monotonic()


def _model_facts(job: Job) -> dict[str, Any]:
    """Return what run.json says about the model; raise before any work if it cannot be used."""
    from pipelines.model_folder import load_model

    model = load_model(job.model_path, device=job.device)
    promise = model.calibration.promise
    return {
        "model": {
            "path": str(job.model_path),
            "kind": model.kind,
            "threshold": model.threshold,
            "promise": None
            if promise is None
            else {"sentence": promise.sentence, "caveat": promise.caveat(job.baseline)},
            "sha256": job.model_sha256,
            "files": provenance.model_files(job.model_path),
            "fitted_on": {
                "signal_sha256": model.sources.get("signal_sha256", []),
                "baseline": model.sources.get("baseline"),
            },
        },
        "seed": model.sources.get("seed"),
        "device": str(next(model.estimator.chain_.buffers()).device),
    }
