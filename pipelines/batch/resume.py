"""What an earlier run left in a RUN folder, and which recordings it spares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.batch.lock import LOCK_NAME
from pipelines.batch.task import STAGING, Baseline, Job
from pipelines.errors import RecordingError, RunError
from pipelines.inputs import InputRecording
from pipelines.provenance import input_hashes
from pipelines.run_folder import RunFolder

_TABLES = ("windows.parquet", "segments.parquet", "features.parquet")
_OURS = {"run.json", "status.jsonl", "recordings", STAGING}


@dataclass(frozen=True)
class Earlier:
    """The state of a RUN folder before scoring.

    Attributes
    ----------
    run : RunFolder
    manifest : dict
        The parsed ``run.json``; empty if there is none.
    status : dict of str to dict
        The last status line of each recording.
    """

    run: RunFolder
    manifest: dict[str, Any]
    status: dict[str, dict[str, Any]]

    @cached_property
    def inputs(self) -> dict[str, dict[str, Any]]:
        """Entries of ``run.json`` by recording_id."""
        return {entry["recording_id"]: entry for entry in self.manifest.get("inputs", ())}

    @property
    def is_complete(self) -> bool:
        """False if ``run.json`` lacks hashes that ``status.jsonl`` has: the call was cut short."""
        done = [line for line in self.status.values() if line["state"] == "done"]
        inputs = self.inputs
        return all(
            inputs.get(line["recording_id"], {}).get("sha256") == line.get("sha256")
            for line in done
        )


def read_earlier(run: RunFolder) -> Earlier:
    """Return what `run` holds; refuse a folder that is something else."""
    if not run.path.exists():
        return Earlier(run, {}, {})
    if not run.path.is_dir():
        raise RunError(f"{run.path.name} is a file; give --out the name of a folder")
    manifest = run.manifest() if run.manifest_path.is_file() else {}
    names = {path.name for path in run.path.iterdir()} - {LOCK_NAME}
    if not manifest and names and not (_OURS & names):
        raise RunError(
            f"{run.path.name} exists and is no run folder (no run.json); give --out a new folder"
        )
    return Earlier(run, manifest, {entry["recording_id"]: entry for entry in run.status()})


def check_model(
    earlier: Earlier, model_sha256: str, entries: Sequence[InputRecording], resume: bool
) -> None:
    """Refuse to mix the scores of two models in one run.

    Raises
    ------
    RunError
        If the run was scored with another model, unless all its recordings are scored again.
    """
    known = earlier.manifest.get("model", {}).get("sha256", model_sha256)
    if known != model_sha256:
        _refuse_mixing(earlier, "with another model", entries, resume)


def check_baseline(
    earlier: Earlier, baseline: Baseline, entries: Sequence[InputRecording], resume: bool
) -> None:
    """Refuse to mix scores that are relative to different parts of recordings in one run.

    Raises
    ------
    RunError
        If the run was scored with another baseline, or with one and now none, unless all its
        recordings are scored again.
    """
    known = earlier.manifest.get("baseline")
    if not earlier.manifest or known == (None if baseline is None else list(baseline)):
        return
    part = f"with the baseline {known[0]:g}:{known[1]:g}" if known else "without a baseline"
    _refuse_mixing(earlier, part, entries, resume)


def _refuse_mixing(
    earlier: Earlier, how: str, entries: Sequence[InputRecording], resume: bool
) -> None:
    """Raise unless every recording of the run is scored again; `how` is how they were scored."""
    name = earlier.run.path.name
    if resume:
        raise RunError(
            f"{name} was scored {how}; give --out a new folder, or score it all "
            "again with --no-resume"
        )
    left = set(earlier.run.recording_ids()) - {entry.recording_id for entry in entries}
    if left:
        raise RunError(
            f"{name} was scored {how} and holds {len(left)} recordings that are not "
            "given now; give all of them, or give --out a new folder"
        )


def check_sources(earlier: Earlier, entries: Sequence[InputRecording]) -> None:
    """Refuse a recording_id that this run uses for another file which is still there."""
    known = earlier.inputs
    for entry in entries:
        before = Path(known.get(entry.recording_id, {}).get("path", entry.path))
        if before != entry.path and before.exists() and not _same(before, entry.path):
            raise RunError(
                f"{earlier.run.path.name} already holds another recording called "
                f"{entry.recording_id!r}; name them apart in a manifest CSV with the columns "
                "path and recording_id, or give --out a new folder"
            )


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)


def is_unchanged(earlier: Earlier, entry: InputRecording, job: Job) -> bool:
    """Return True if the recording is done with this model and baseline, and is the same file."""
    status = earlier.status.get(entry.recording_id, {})
    folder = earlier.run.recording_folder(entry.recording_id)
    known_input = earlier.inputs.get(entry.recording_id, {})
    same = (
        status.get("state") == "done"
        and status.get("model_sha256") == job.model_sha256
        and status.get("patient_id") == entry.patient_id
        and known_input.get("path") == str(entry.path)
        and known_input.get("declared") == (entry.declared and asdict(entry.declared))
        and status.get("baseline") == (None if job.baseline is None else list(job.baseline))
        and all((folder / name).is_file() for name in _TABLES)
    )
    if not same:
        return False
    known: dict[str, str] = status.get("sha256", {})
    try:
        return input_hashes(entry.path.parent / name for name in known) == known
    except RecordingError:
        return False
