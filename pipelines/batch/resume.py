"""What an earlier run left in a RUN folder, and which recordings it spares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.batch.lock import LOCK_NAME
from pipelines.batch.task import READER, STAGING, Baseline, Job
from pipelines.errors import RarewaveError, RecordingError, RunError
from pipelines.inputs import InputRecording
from pipelines.provenance import file_marks, input_hashes
from pipelines.remote.access import Remote
from pipelines.remote.address import is_url
from pipelines.remote.fetching import marks_of
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
        before = known.get(entry.recording_id, {}).get("path", entry.location)
        if before != entry.location and _is_there(before) and not _same(before, entry.location):
            raise RunError(
                f"{earlier.run.path.name} already holds another recording called "
                f"{entry.recording_id!r}; name them apart in a manifest CSV with the columns "
                "path and recording_id, or give --out a new folder"
            )


def _is_there(place: str) -> bool:
    """Return True if there is a file at a path, or at an address as far as can be told."""
    if not is_url(place):
        return Path(place).exists()
    try:
        return Remote(place).found(place) is not None
    except RarewaveError:
        return True


def _same(one: str, other: str) -> bool:
    if is_url(one) or is_url(other):
        return False
    return Path(other).exists() and Path(one).samefile(other)


def confirmed_by_reader(earlier: Earlier, recording_id: str) -> Baseline:
    """Return the part that a reader confirmed and the recording was then scored against, or None.

    See :mod:`pipelines.review.rescore`.
    """
    status = earlier.status.get(recording_id, {})
    part = status.get("baseline") if status.get("baseline_by") == READER else None
    return (float(part[0]), float(part[1])) if part else None


def is_unchanged(earlier: Earlier, entry: InputRecording, job: Job, by_marks: bool = False) -> bool:
    """Return True if the recording is done with this model and baseline, and is the same file.

    Without a baseline in `job`, the one that a reader has confirmed stays. With `by_marks`, files
    of the size and time of change that they had are taken as unchanged; those at an address
    always are, by what their store tells of them.
    """
    status = earlier.status.get(entry.recording_id, {})
    folder = earlier.run.recording_folder(entry.recording_id)
    known_input = earlier.inputs.get(entry.recording_id, {})
    same = (
        status.get("state") == "done"
        and status.get("model_sha256") == job.model_sha256
        and status.get("patient_id") == entry.patient_id
        and known_input.get("path") == entry.location
        and known_input.get("declared") == (entry.declared and asdict(entry.declared))
        and status.get("baseline") == _expected(earlier, entry, job)
        and all((folder / name).is_file() for name in _TABLES)
    )
    if not same:
        return False
    known: dict[str, str] = status.get("sha256", {})
    marks: dict[str, str | None] = {name: status.get("marks", {}).get(name) for name in known}
    told = None not in marks.values()
    paths = [entry.path.parent / name for name in known]
    try:
        if entry.url is not None:
            return told and marks_of(entry.url, list(known)) == marks
        return (by_marks and told and file_marks(paths) == marks) or input_hashes(paths) == known
    except RecordingError:
        return False


def _expected(earlier: Earlier, entry: InputRecording, job: Job) -> list[float] | None:
    """Return the baseline that the recording should have been scored against."""
    part = job.baseline or confirmed_by_reader(earlier, entry.recording_id)
    return None if part is None else list(part)
