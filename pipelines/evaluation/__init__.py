"""A run held to labels: how well it ranks, what it found, what it raised for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.evaluation.confirmed import (
    fitted_on,
    segments_outside,
    truth_outside,
    windows_outside,
)
from pipelines.evaluation.judging import (
    Case,
    evaluate_beats,
    evaluate_events,
    evaluate_rhythm,
)
from pipelines.evaluation.report import format_evaluation
from pipelines.evaluation.truth import from_annotations, from_table
from pipelines.review.rescore import baselines_of
from pipelines.run_folder import RunFolder

__all__ = ["evaluate_run", "format_evaluation"]

NOTICE = "Research use only. Not a medical device."


def evaluate_run(run: str | Path, labels_csv: str | Path | None = None) -> dict[str, Any]:
    """Compare a run with labels.

    An ECG run whose labels are heartbeats is judged beat by beat (``"method": "beats"``): each
    labelled beat is matched to the nearest window within 150 ms, one to one; unmatched and
    unscored beats count as missed; class Q is left out; nothing before the first or after the
    last label counts. If a table lists heartbeats but no usual one, every scored window that lies
    within 150 ms of none of them counts as usual, in the whole of every recording. Otherwise labels are abnormal intervals (``"method": "intervals"``): a
    window is positive if it overlaps one, and flagged segments are compared with events.

    The baseline that a recording was scored with is not judged: it is confirmed as usual. Rates per
    hour and day count scored time, which includes the pauses between heartbeats.

    Parameters
    ----------
    run : str or pathlib.Path
        Folder written by :func:`pipelines.score_run`.
    labels_csv : str or pathlib.Path, optional
        ``recording_id,onset_s,offset_s,label`` or ``time_s,symbol``, see
        :func:`pipelines.labels.read_labels_csv`. Recordings without a row have no events; but
        where usual heartbeats are listed too, they are left out. By
        default the annotations stored with the recordings; those without any are left out.

    Returns
    -------
    dict
        Only what JSON can hold: ``pooled``, ``recordings`` (one entry each), ``rhythm`` (windows
        of rhythm against labelled arrhythmias, or None),
        ``mean_over_recordings``, ``patients`` (all recordings of one joined), ``mean_over_patients``
        (with how many have no such measure), ``bootstrap`` (95 % intervals over patients), ``fitted_on`` (judged
        recordings that the model was fitted on: no test of it), ``baseline_left_out`` (the part of
        each recording that was not judged, seconds; those without are absent), and what was left
        out. A measure that is not defined is None, with the reason under ``undefined`` beside it.

    Raises
    ------
    RunError
        If `run` is no run.
    InputError
        If there are no labels, or they do not belong to this run.
    """
    folder = RunFolder.open(run)
    manifest = folder.manifest()
    status = {s["recording_id"]: s for s in folder.status() if s["state"] == "done"}
    scored = [name for name in folder.recording_ids() if name in status]
    given = [entry["recording_id"] for entry in manifest["inputs"]]
    if labels_csv is None:
        truths = from_annotations(folder, scored)
    else:
        durations_s = {name: float(status[name]["duration_s"]) for name in scored}
        truths = from_table(Path(labels_csv), durations_s, given)
    by_beat = manifest["model"]["kind"] == "ecg" and any(t.symbols for t in truths.values())
    parts = baselines_of(folder, {*truths, *scored})
    truths = {name: truth_outside(truth, parts[name]) for name, truth in truths.items()}
    wanted = [
        name
        for name in scored
        if (truths[name].others_usual or truths[name].symbols if by_beat else truths[name].labelled)
    ]
    if not wanted:
        raise InputError("no recording with labels was scored; score it, or give other labels")
    cases = [
        Case(
            recording_id=name,
            patient_id=str(status[name].get("patient_id", name)),
            windows=windows_outside(windows, parts[name]),
            segments=segments_outside(folder.segments(name), windows, parts[name], rhythm),
            truth=truths[name],
            duration_s=float(status[name]["duration_s"]),
            left_out=parts[name],
            rhythm=windows_outside(rhythm, parts[name]),
        )
        for name in wanted
        for windows, rhythm in [(folder.windows(name), folder.rhythm(name))]
    ]
    return {
        "notice": NOTICE,
        "kind": manifest["model"]["kind"],
        "threshold": manifest["model"]["threshold"],
        "labels": "annotations" if labels_csv is None else Path(labels_csv).name,
        "others_count_as_usual": by_beat and any(truths[name].others_usual for name in wanted),
        "baseline_left_out": {name: list(p) for name in wanted if (p := parts[name])},
        "fitted_on": fitted_on(manifest, status, wanted),
        "left_out": {
            "without_labels": [name for name in scored if name not in wanted],
            "not_scored": [name for name in given if name not in scored],
            "n_events_not_scored": sum(len(truths[n].events) for n in truths if n not in scored),
        },
        **(evaluate_beats if by_beat else evaluate_events)(cases),
        "rhythm": evaluate_rhythm(cases),
    }
