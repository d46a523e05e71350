"""The books of a run: ``status.jsonl`` and ``run.json``, kept while recordings are scored."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict

from pipelines import provenance
from pipelines.batch.facts import model_facts
from pipelines.batch.resume import Earlier
from pipelines.batch.task import DEVICE, STAGING, Job, Status
from pipelines.inputs import InputRecording
from pipelines.run_folder import run_id_of, write_json

NOTICE = "Research use only. Not a medical device."
_EVERY_S = 30.0
"""Seconds between two writings of ``run.json`` while recordings are scored."""


class Ledger:
    """Writes ``status.jsonl`` and ``run.json``, but nothing before a first recording is done.

    Parameters
    ----------
    job : Job
    earlier : Earlier
    entries : sequence of InputRecording
    elsewhere : bool
        True if other processes score: this one then need not load what that takes.
    """

    def __init__(
        self,
        job: Job,
        earlier: Earlier,
        entries: Sequence[InputRecording],
        *,
        elsewhere: bool = False,
    ) -> None:
        self.results: dict[str, Status] = {}
        self._job, self._earlier, self._entries = job, earlier, entries
        self._begun = bool(earlier.manifest)
        known = bool({"created", "run_id"} & set(earlier.manifest))
        self._run_id = run_id_of(earlier.manifest) if known else uuid.uuid4().hex
        self._unwritten: list[Status] = []
        self._start_s = self._written_s = time.monotonic()
        self._model = {
            DEVICE: earlier.manifest.get("device"),
            **model_facts(job, elsewhere=elsewhere),
        }

    def add(self, status: Status) -> None:
        """Take the outcome of one recording."""
        self._model[DEVICE] = status.pop(DEVICE, self._model[DEVICE])
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
            for key in ("patient_stated", "url"):
                stated.pop(key, None)
            inputs[entry.recording_id] = {**stated, "path": entry.location, "sha256": {}}
        for name, status in {**self._earlier.status, **self.results}.items():
            if name in inputs:
                inputs[name]["sha256"] = status.get("sha256", {})
        facts = {
            "notice": NOTICE,
            "run_id": self._run_id,
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
