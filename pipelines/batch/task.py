"""Scoring one recording from the file to its tables; whatever goes wrong stays with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa

from pipelines import provenance
from pipelines.batch.limits import limit_memory
from pipelines.batch.workers import Died
from pipelines.errors import describe_error
from pipelines.inputs import InputRecording
from pipelines.retry import with_retries
from pipelines.run_folder import (
    DRIFT,
    RHYTHM,
    SEGMENT_SCHEMA,
    WINDOW_SCHEMA,
    ParquetParts,
    replacing_folder,
    write_json,
    write_parquet,
)

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.model import Model
    from pipelines.scoring import Outcome, Scored

STAGING = ".scoring"
"""Folder in a run where tables are written before they are renamed into place."""
READER = "reader"
"""Says in a status line who chose the baseline; otherwise it is that of the call."""
_NO_MEMORY = ("can't allocate memory", "bad_alloc", "Cannot allocate memory", "out of memory")
DEVICE = "device"
"""Of a status line that is handed on: what the recording was scored on. Kept in ``run.json``."""
Baseline = tuple[float, float] | None
_SCHEMAS = {"windows": WINDOW_SCHEMA, "features": None}
Status = dict[str, Any]
"""One line of ``status.jsonl``."""


@dataclass(frozen=True)
class Job:
    """What is the same for all recordings of a call; can be sent to another process."""

    model_path: Path
    model_sha256: str
    run_path: Path
    baseline: Baseline
    device: str
    memory_bytes: int | None = None


def make_scorer(job: Job) -> Callable[[InputRecording], Status]:
    """Load the model once and return what scores a recording; also called in child processes.

    Everything runs on one thread: sums then do not depend on how many processors or workers
    there are, and workers do not fight over processors.
    """
    import torch
    from threadpoolctl import threadpool_limits

    from pipelines.model_folder import load_model

    threadpool_limits(1)
    torch.set_num_threads(1)
    model = load_model(job.model_path, device=job.device)
    limit_memory(job.memory_bytes)
    return partial(_score_one, job, model)


def _score_one(job: Job, model: Model, entry: InputRecording) -> Status:
    """Score one recording and put its tables in place; whatever goes wrong is a status line."""
    start_s = time.monotonic()
    hashes: dict[str, str] = {}
    marks: dict[str, str | None] = {}
    try:
        outcome, duration_s = with_retries(
            partial(_read_and_score, job, model, entry, hashes, marks)
        )
    except Exception as error:
        return _set_aside(entry, _describe(error), hashes)
    return {
        **scored_status(job, entry, outcome, duration_s, hashes),
        "marks": marks,
        "took_s": round(time.monotonic() - start_s, 3),
        DEVICE: str(next(model.estimator.chain_.buffers()).device),
    }


def scored_status(
    job: Job,
    entry: InputRecording,
    outcome: Scored | Outcome,
    duration_s: float,
    hashes: dict[str, str],
) -> Status:
    """Return the status line of a recording whose tables are in place."""
    return {
        "recording_id": entry.recording_id,
        "patient_id": entry.patient_id,
        "state": "done",
        "reason": None,
        "n_windows": outcome.n_windows,
        "n_flagged": outcome.n_flagged,
        "n_segments": len(outcome.segments),
        "n_not_scorable": outcome.n_not_scorable,
        "differs": outcome.drift["differs"],
        "duration_s": duration_s,
        "sha256": hashes,
        "model_sha256": job.model_sha256,
        "baseline": None if job.baseline is None else list(job.baseline),
        "at": provenance.now(),
    }


def _read_and_score(
    job: Job,
    model: Model,
    entry: InputRecording,
    hashes: dict[str, str],
    marks: dict[str, str | None],
) -> tuple[Outcome, float]:
    """Score a recording and put its tables in place; fill in hashes and marks of its files."""
    from pipelines.scoring import score_in_parts

    hashes.clear()
    marks.clear()
    recording = entry.open()
    copy = recording.fetched
    marks.update(copy.marks if copy else provenance.file_marks(recording.files))
    hashes.update(provenance.input_hashes(recording.files))
    with _tables(job.run_path, entry.recording_id) as staged:
        with ParquetParts(staged) as parts:
            outcome = score_in_parts(
                model,
                recording,
                lambda name, part: parts.write(name, as_arrow(part, _SCHEMAS[name])),
                recording_id=entry.recording_id,
                patient_id=entry.patient_id,
                baseline=job.baseline,
                folder=staged.parent,
            )
        _write_rest(staged, outcome)
    return outcome, recording.duration_s


def _describe(error: Exception) -> str:
    """Return one line; libraries say in their own ways that there is no memory."""
    text = str(error)
    if any(words in text for words in _NO_MEMORY):
        return describe_error(MemoryError())
    return describe_error(error)


def _set_aside(entry: InputRecording, reason: str, hashes: dict[str, str]) -> Status:
    return {
        "recording_id": entry.recording_id,
        "patient_id": entry.patient_id,
        "state": "quarantined",
        "reason": reason,
        "sha256": hashes,
        "at": provenance.now(),
    }


def died(entry: InputRecording, death: Died) -> Status:
    """Return the status line of a recording whose process ended without an answer."""
    if death.overtime_s is not None:
        reason = (
            f"it took longer than the {death.overtime_s / 60:g} minutes that a recording may take; "
            "look at it with 'rarewave info', or give a longer --time-limit"
        )
    else:
        code = "" if death.exit_code is None else f" (exit code {death.exit_code})"
        reason = (
            f"the process that scored it ended unexpectedly{code}, perhaps for want of memory; "
            "try it alone with fewer --workers"
        )
    return _set_aside(entry, reason, {})


def put_tables(run_path: Path, recording_id: str, scored: Scored) -> None:
    """Write the tables aside and rename their folder, replacing earlier ones as a whole."""
    with _tables(run_path, recording_id) as staged:
        for name, schema in _SCHEMAS.items():
            write_parquet(staged / f"{name}.parquet", as_arrow(getattr(scored, name), schema))
        _write_rest(staged, scored)


@contextmanager
def _tables(run_path: Path, recording_id: str) -> Iterator[Path]:
    """Give a folder for the tables of a recording; it takes the place of earlier ones at the end."""
    final = run_path / "recordings" / recording_id
    with replacing_folder(final, run_path / STAGING / uuid4().hex) as staged:
        yield staged


def _write_rest(folder: Path, scored: Scored | Outcome) -> None:
    """Write everything but the long tables."""
    segments = as_arrow(scored.segments, SEGMENT_SCHEMA)
    write_parquet(folder / "segments.parquet", segments)
    if scored.rhythm is not None:
        measured = scored.rhythm.columns.drop(WINDOW_SCHEMA.names)
        fields = [*WINDOW_SCHEMA, *(pa.field(name, pa.float32()) for name in measured)]
        write_parquet(folder / f"{RHYTHM}.parquet", as_arrow(scored.rhythm, pa.schema(fields)))
    write_json(folder / DRIFT, scored.drift)


def as_arrow(table: pd.DataFrame, schema: pa.Schema | None = None) -> pa.Table:
    """Return a table of the run as Arrow; NaN stays a number and does not become null.

    Parameters
    ----------
    table : pandas.DataFrame
    schema : pyarrow.Schema, optional
        By default the columns as they are.
    """
    if schema is None:
        return pa.table({name: pa.array(table[name].to_numpy()) for name in table})
    columns = [
        pa.array(
            table[field.name].to_numpy(),
            field.type,
            from_pandas=not pa.types.is_floating(field.type),
        )
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
