"""Calibrating a model on patients: score their recordings, count events, set the threshold."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from pipelines import provenance
from pipelines.batch import Quarantined, score_run
from pipelines.calibration.patients import (
    PatientLimit,
    Promise,
    check_count,
    check_target,
    make_promise,
)
from pipelines.errors import InputError, RarewaveError
from pipelines.evaluation.confirmed import windows_outside
from pipelines.inputs import InputRecording, resolve_inputs
from pipelines.labels import Interval, abnormal_intervals, abnormal_rhythms
from pipelines.model import Model
from pipelines.model_folder import load_model
from pipelines.patient_hashes import known_patients
from pipelines.run_folder import RunFolder
from pipelines.stretches import scored_s
from pipelines.thresholds import envelope_threshold

Progress = Callable[[str, int, int], None]
NOTHING_SCORED = "no window of it could be scored"


@dataclass(frozen=True)
class Calibrated:
    """What :func:`calibrate_model` made.

    Attributes
    ----------
    model : Model
        The same model with the new threshold.
    promise : Promise
    quarantined : tuple of Quarantined
        Recordings that were set aside.
    """

    model: Model
    promise: Promise
    quarantined: tuple[Quarantined, ...]


def calibrate_model(
    model_path: str | Path,
    inputs: Sequence[str | Path],
    *,
    per_day: float,
    risk: float,
    baseline: tuple[float, float] | None = None,
    use_annotations: bool = False,
    workers: int = 1,
    device: str = "auto",
    progress: Progress | None = None,
) -> Calibrated:
    """Set a model's threshold so that few patients see more than some false events a day.

    Parameters
    ----------
    model_path : str or pathlib.Path
        Not changed; save the result with :func:`pipelines.save_model`.
    inputs : sequence of str or pathlib.Path
        Recordings of patients like those of the later use, none of which the model was fitted
        on. A manifest with ``patient_id`` says which belong to one patient; otherwise each is
        taken for a patient of its own.
    per_day : float
        False events a day that are tolerated.
    risk : float
        Share of patients that may see more.
    baseline : tuple of float, optional
        Score relative to this part of each recording (seconds), which is then not judged.
    use_annotations : bool
        Do not count events that share time with an annotation of something abnormal. By default
        every event counts as false.
    workers, device, progress
        As for :func:`pipelines.score_run`.

    Raises
    ------
    ConfigError
        If there are fewer than ``1 / risk - 1`` patients, before anything is scored where that
        can be known, or the target is out of range.
    InputError
        If the model was fitted on one of the recordings or of the stated patients, or a recording
        is given twice.
    """
    check_target(per_day, risk)
    entries = resolve_inputs(inputs)
    check_count(len({entry.patient_id for entry in entries}), risk)
    model = load_model(model_path, device=device)
    _check_apart(model, entries, risk)
    with tempfile.TemporaryDirectory(prefix="rarewave-") as folder:
        run_path = Path(folder) / "run"
        summary = score_run(
            model_path,
            inputs,
            run_path,
            baseline=baseline,
            workers=workers,
            device=device,
            progress=progress,
        )
        done = [e for e in entries if e.recording_id in summary.done]
        limits, empty = _limits(
            RunFolder(run_path), model, done, per_day, baseline, use_annotations
        )
    check_count(
        len(limits), risk, f"are left after {len(summary.quarantined) + len(empty)} recordings "
        "were set aside"
    )  # fmt: skip
    promise = make_promise(
        limits,
        per_day,
        risk,
        baseline=baseline,
        use_annotations=use_annotations,
        created=provenance.now(),
        version=provenance.versions()["rarewave"],
    )
    calibration = replace(model.calibration, threshold=promise.threshold, promise=promise)
    return Calibrated(
        replace(model, calibration=calibration), promise, (*summary.quarantined, *empty)
    )


def patient_limit(
    tables: Sequence[pd.DataFrame],
    per_day: float,
    merge_s: float,
    baseline: tuple[float, float] | None = None,
    true_events: Sequence[Sequence[Interval]] | None = None,
    rhythm: Sequence[pd.DataFrame] = (),
    true_rhythms: Sequence[Sequence[Interval]] | None = None,
) -> PatientLimit | None:
    """Return what one patient's scored recordings say, or None if no window has a score.

    Parameters
    ----------
    tables : sequence of pandas.DataFrame
        ``windows.parquet`` of each recording.
    per_day, merge_s, true_events
        See :func:`pipelines.thresholds.envelope_threshold`.
    baseline : tuple of float, optional
        Windows that reach into this part do not count, nor does its time.
    rhythm : sequence of pandas.DataFrame
        ``rhythm.parquet`` of each recording: their events count like those of beats, and no hours.
    true_rhythms : sequence of sequence of Interval, optional
        As `true_events`, for `rhythm`.
    """
    tables = [windows_outside(table, baseline) for table in tables]
    hours = sum(scored_s(table) for table in tables) / 3600
    if not hours:
        return None
    tables += [windows_outside(table, baseline) for table in rhythm]
    if true_events is not None:
        true_events = [*true_events, *(true_rhythms or [()] * len(rhythm))]
    return PatientLimit(envelope_threshold(tables, hours, per_day, merge_s, true_events), hours)


def _limits(
    run: RunFolder,
    model: Model,
    entries: Sequence[InputRecording],
    per_day: float,
    baseline: tuple[float, float] | None,
    use_annotations: bool,
) -> tuple[list[PatientLimit], list[Quarantined]]:
    """Return one limit a patient, and the recordings that say nothing."""
    of_patient: Mapping[str, list[InputRecording]] = defaultdict(list)
    for entry in entries:
        of_patient[entry.patient_id].append(entry)
    limits: list[PatientLimit] = []
    empty: list[Quarantined] = []
    for recordings in of_patient.values():
        tables = [run.windows(entry.recording_id) for entry in recordings]
        rhythm = [run.rhythm(entry.recording_id) for entry in recordings]
        known = rhythms = None
        if use_annotations:
            opened = [entry.open() for entry in recordings]
            known = [abnormal_intervals(recording) for recording in opened]
            rhythms = [abnormal_rhythms(recording) for recording in opened]
        merge_s = model.settings.segments.merge_s
        limit = patient_limit(tables, per_day, merge_s, baseline, known, rhythm, rhythms)
        if limit is None:
            empty.extend(Quarantined(entry.recording_id, NOTHING_SCORED) for entry in recordings)
        else:
            limits.append(limit)
    return limits, empty


def _check_apart(model: Model, entries: Sequence[InputRecording], risk: float) -> None:
    """Refuse what the model was fitted on and what is given twice; count the readable.

    A patient of whom the model has seen *another* recording is known only where a manifest or a
    BIDS data set stated the same ``patient_id`` both times.
    """
    stated = {entry.patient_id for entry in entries if entry.patient_stated}
    if n_known := len(known_patients(model.sources, stated)):
        raise InputError(
            f"the model was fitted on {n_known} of these patients (the same patient_id); leave "
            "them out, or if others only share an id, give them ids of their own in a manifest"
        )
    fitted = set(model.sources.get("signal_sha256", ()))
    seen, readable, n_fitted = set(), set(), 0
    for entry in entries:
        try:
            digest = provenance.signal_hash(entry.open())
        except RarewaveError:
            continue  # scoring sets it aside, with the reason
        if digest in seen:
            raise InputError(
                f"{entry.recording_id} holds the same signal as another recording that is given; "
                "give each recording once"
            )
        seen.add(digest)
        readable.add(entry.patient_id)
        n_fitted += digest in fitted
    if n_fitted:
        raise InputError(
            f"the model was fitted on {n_fitted} of these recordings; leave them out, a promise "
            "about new patients needs recordings that the model has not seen"
        )
    check_count(len(readable), risk, "can be read")
