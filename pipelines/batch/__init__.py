"""Scoring many recordings: one that fails is set aside, the rest goes on, and it can be resumed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pipelines import provenance
from pipelines.batch.engines import check_engine, score_with
from pipelines.batch.ledger import Ledger
from pipelines.batch.limits import NO_LIMITS, Limits
from pipelines.batch.lock import locked
from pipelines.batch.resume import (
    Earlier,
    check_baseline,
    check_model,
    check_sources,
    confirmed_by_reader,
    is_unchanged,
    read_earlier,
)
from pipelines.batch.task import Baseline, Job, Status
from pipelines.errors import InputError, ReviewError, RunError
from pipelines.inputs import InputRecording, resolve_inputs
from pipelines.remote.address import refuse_url
from pipelines.run_folder import RunFolder

Progress = Callable[[str, int, int], None]
DEVICES = ("auto", "cpu", "cuda")
_SHOWN = 3


class Quarantined(NamedTuple):
    """A recording that was set aside, and why in one line."""

    recording_id: str
    reason: str


@dataclass(frozen=True)
class RunSummary:
    """What :func:`score_run` did.

    Attributes
    ----------
    done : tuple of str
        Recordings scored now.
    quarantined : tuple of Quarantined
        Recordings that could not be scored.
    skipped : tuple of str
        Recordings that an earlier call had scored and that have not changed.
    kept : dict of str to tuple of float
        Of those skipped: the part that a reader has confirmed, and that they stay scored against.
    replaced : dict of str to tuple of float
        Of those done: the part that a reader had confirmed and that no longer counts.
    """

    done: tuple[str, ...]
    quarantined: tuple[Quarantined, ...]
    skipped: tuple[str, ...]
    kept: dict[str, tuple[float, float]] = field(default_factory=dict)
    replaced: dict[str, tuple[float, float]] = field(default_factory=dict)


def score_run(
    model_path: str | Path,
    inputs: Sequence[str | Path],
    run_path: str | Path,
    *,
    baseline: Baseline = None,
    engine: str = "local",
    workers: int = 1,
    device: str = "auto",
    limits: Limits = NO_LIMITS,
    resume: bool = True,
    by_marks: bool = False,
    progress: Progress | None = None,
) -> RunSummary:
    """Score recordings with a model and write a run folder.

    Parameters
    ----------
    model_path : str or pathlib.Path
        Folder written by :func:`pipelines.save_model`.
    inputs : sequence of str or pathlib.Path
        Files, folders, globs or manifests; see :func:`pipelines.inputs.resolve_inputs`.
    run_path : str or pathlib.Path
        Created if needed. Reviews in it are never touched.
    baseline : tuple of float, optional
        ``(start_s, stop_s)`` of each recording, confirmed as usual for its patient.
    engine : str
        ``"local"``, or ``"ray"`` for Ray actors on this computer or on the cluster that the
        environment variable ``RAY_ADDRESS`` names, whose computers see the same folders.
    workers : int
        More than 1: that many processes, started by spawn, so a script that calls this needs
        ``if __name__ == "__main__":``. The results do not depend on it.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    limits : Limits
        Time and memory of one recording; one that needs more is set aside. With limits, more than
        one worker or Ray, each recording is scored in another process, and for an hour at most.
    resume : bool
        Skip recordings that are done and whose files, model and baseline have not changed. One
        that a reader has had scored against a confirmed part stays so unless `baseline` is given
        or its files have changed.
    by_marks : bool
        Take a file for unchanged by its size and time of change, without reading it.
    progress : callable, optional
        ``progress(stage, done, total)``.

    Returns
    -------
    RunSummary
        Recordings in the order of `inputs`.

    Raises
    ------
    RarewaveError
        If an argument is wrong, another call writes into the run, it belongs to another model
        or baseline, or not one recording could be scored; a new run folder is then not left behind.
    """
    _check_arguments(baseline, workers, device)
    limits.check()
    check_engine(engine)
    refuse_url(run_path, "--out")
    entries = resolve_inputs(inputs)
    model_sha256 = provenance.model_hash(model_path)
    run = RunFolder(Path(run_path).absolute())
    read_earlier(run)  # refuses a place that is no run before anything is written there
    results: dict[str, Status] = {}
    with locked(run.path):
        earlier = read_earlier(run)
        check_model(earlier, model_sha256, entries, resume)
        check_baseline(earlier, baseline, entries, resume)
        check_sources(earlier, entries)
        model = Path(model_path).absolute()
        job = Job(model, model_sha256, run.path, baseline, device, limits.memory_bytes)
        todo = [e for e in entries if not (resume and is_unchanged(earlier, e, job, by_marks))]
        if todo or not earlier.is_complete:
            how = (engine, min(workers, max(1, len(todo))), limits)
            results = _score_all(job, earlier, todo, how, progress)
        _create_reviews(run)
    failed = [Quarantined(r["recording_id"], r["reason"]) for r in results.values() if r["reason"]]
    if failed and len(failed) == len(entries):
        raise RunError(_all_failed(failed))
    done = tuple(name for name, status in results.items() if not status["reason"])
    skipped = tuple(e.recording_id for e in entries if e.recording_id not in results)
    return RunSummary(
        done=done,
        quarantined=tuple(failed),
        skipped=skipped,
        kept=_confirmed(earlier, skipped, baseline),
        replaced=_confirmed(earlier, done, baseline),
    )


def _confirmed(
    earlier: Earlier, names: Sequence[str], baseline: Baseline
) -> dict[str, tuple[float, float]]:
    """Return what readers had confirmed of some recordings, but for what was given all the same."""
    parts = {name: confirmed_by_reader(earlier, name) for name in names}
    return {name: part for name, part in parts.items() if part is not None and part != baseline}


def _create_reviews(run: RunFolder) -> None:
    """Make the empty review log of a run in which something is scored."""
    if run.manifest_path.is_file() and not run.reviews_path.is_file():
        from pipelines.store import ReviewStore

        with suppress(ReviewError):  # the scores are there; the first decision says what is wrong
            ReviewStore(run.reviews_path).create()


def _check_arguments(baseline: Baseline, workers: int, device: str) -> None:
    if workers < 1:
        raise InputError(f"workers={workers} must be at least 1")
    if device not in DEVICES:
        raise InputError(f"device={device!r} is unknown; choose from {', '.join(DEVICES)}")
    if baseline is not None and not (0 <= baseline[0] < baseline[1] < math.inf):
        raise InputError(
            f"baseline={baseline} must be (start_s, stop_s) with 0 <= start_s < stop_s"
        )


def _all_failed(failed: Sequence[Quarantined]) -> str:
    if len(failed) == 1:
        return failed[0].reason
    shown = "; ".join(f"{name}: {reason}" for name, reason in failed[:_SHOWN])
    more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    return f"none of the {len(failed)} recordings could be scored: {shown}{more}"


def _score_all(
    job: Job,
    earlier: Earlier,
    entries: Sequence[InputRecording],
    how: tuple[str, int, Limits],
    progress: Progress | None,
) -> dict[str, Status]:
    """Score recordings and record each as it is done; return their status lines, in order."""
    report = progress or (lambda stage, done, total: None)
    stage = "scoring recordings"
    engine, workers, limits = how
    elsewhere = engine != "local" or workers > 1 or limits.any
    ledger = Ledger(job, earlier, entries, elsewhere=elsewhere)
    report(stage, 0, len(entries))

    def add(status: Status) -> None:
        ledger.add(status)
        if elsewhere:  # this process has nothing to do until they are done
            _create_reviews(earlier.run)
        report(stage, len(ledger.results), len(entries))

    try:
        if entries:
            score_with(engine, job, entries, workers, limits, add)
    finally:
        ledger.close()
    return {entry.recording_id: ledger.results[entry.recording_id] for entry in entries}
