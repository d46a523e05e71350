"""Where recordings are scored: in this process, in processes of their own, or on Ray actors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial

from pipelines.batch.limits import DEFAULT_TIME_S, Limits
from pipelines.batch.ray_actors import check_ray, in_ray
from pipelines.batch.task import STAGING, Job, Status, died, make_scorer
from pipelines.batch.workers import Died, in_processes
from pipelines.errors import InputError
from pipelines.inputs import InputRecording
from pipelines.run_folder import write_atomically

ENGINES = ("local", "ray")
AT_WORK = "at_work"
"""File that names the recording which this very process scores: it stays if that kills it."""


def check_engine(engine: str) -> None:
    """Raise :class:`InputError` if there is no such engine, or what it needs is not installed."""
    if engine not in ENGINES:
        raise InputError(f"engine={engine!r} is unknown; choose from {', '.join(ENGINES)}")
    if engine == "ray":
        check_ray()


def score_with(
    engine: str,
    job: Job,
    entries: Sequence[InputRecording],
    workers: int,
    limits: Limits,
    add: Callable[[Status], None],
) -> None:
    """Score recordings and hand each status line to `add` as soon as it is there.

    Parameters
    ----------
    engine : str
        One of :data:`ENGINES`. The results do not depend on it.
    job : Job
    entries : sequence of InputRecording
    workers : int
        Processes or actors. One, with the engine ``"local"`` and without limits: this process.
    limits : Limits
        A process of its own has :data:`~pipelines.batch.limits.DEFAULT_TIME_S` if none is given.
    add : callable
    """
    make = partial(make_scorer, job)
    limit_s = limits.time_s or DEFAULT_TIME_S
    if engine == "ray":
        gpus = _share_of_gpu(workers) if job.device == "cuda" else 0
        with closing(in_ray(make, entries, workers, limit_s, gpus)) as answers:
            _collect(answers, add)
        return
    if workers == 1 and not limits.any:
        entries = _score_here(job, entries, add)
        if not entries:
            return
    with closing(in_processes(make, entries, workers, limit_s)) as answers:
        _collect(answers, add)


def _collect(
    answers: Iterator[tuple[InputRecording, Status | Died]], add: Callable[[Status], None]
) -> None:
    for entry, answer in answers:
        add(died(entry, answer) if isinstance(answer, Died) else answer)


def _score_here(
    job: Job, entries: Sequence[InputRecording], add: Callable[[Status], None]
) -> list[InputRecording]:
    """Score in this process; return what an earlier call did not survive, for another process."""
    marker = job.run_path / STAGING / AT_WORK
    suspect = marker.read_text("utf-8") if marker.is_file() else None
    from threadpoolctl import threadpool_limits

    from pipelines.model import one_thread

    with threadpool_limits(1), one_thread():
        score = None
        for entry in entries:
            if entry.recording_id != suspect:
                score = score or make_scorer(job)
                write_atomically(marker, entry.recording_id.encode())
                add(score(entry))
    return [entry for entry in entries if entry.recording_id == suspect]


def _share_of_gpu(workers: int) -> float:
    """Return the share of a GPU for each actor, so that all of them run at once."""
    import torch

    n_gpus = max(1, torch.cuda.device_count())
    return min(1.0, round(n_gpus / workers, 4))
