"""A run held to labels: how well it ranks, what it found, what it raised for nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.evaluation.beats import (
    ABNORMAL,
    TOLERANCE_S,
    Beats,
    join,
    judge_beats,
    summarise_beats,
)
from pipelines.evaluation.events import Judged, judge_events, pool, summarise_events
from pipelines.evaluation.ranking import WeightedRanking, bootstrap
from pipelines.evaluation.report import format_evaluation
from pipelines.evaluation.truth import Truth, from_annotations, from_table
from pipelines.run_folder import RunFolder

__all__ = ["evaluate_run", "format_evaluation"]

Part = TypeVar("Part", Beats, Judged)
NOTICE = "Research use only. Not a medical device."


def evaluate_run(run: str | Path, labels_csv: str | Path | None = None) -> dict[str, Any]:
    """Compare a run with labels.

    An ECG run whose labels are heartbeats is judged beat by beat (``"method": "beats"``): each
    labelled beat is matched to the nearest window within 150 ms, one to one; unmatched and
    unscored beats count as missed; class Q is left out; nothing before the first or after the
    last label counts. Otherwise labels are abnormal intervals (``"method": "intervals"``): a
    window is positive if it overlaps one, and flagged segments are compared with events.

    Parameters
    ----------
    run : str or pathlib.Path
        Folder written by :func:`pipelines.score_run`.
    labels_csv : str or pathlib.Path, optional
        ``recording_id,onset_s,offset_s,label`` or ``time_s,symbol``, see
        :func:`pipelines.labels.read_labels_csv`; recordings without a row have no events. By
        default the annotations stored with the recordings; those without any are left out.

    Returns
    -------
    dict
        Only what JSON can hold: ``pooled``, ``recordings`` (one entry each), ``bootstrap`` (95 %
        intervals over patients), and what was left out. A measure that is not defined is None,
        with the reason under ``undefined`` beside it.

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
    wanted = [
        name
        for name in scored
        if (len(truths[name].symbols) > 0 if by_beat else truths[name].labelled)
    ]
    if not wanted:
        raise InputError("no recording with labels was scored; score it, or give other labels")
    patients = {name: str(status[name].get("patient_id", name)) for name in wanted}
    judge = _evaluate_beats if by_beat else _evaluate_events
    return {
        "notice": NOTICE,
        "kind": manifest["model"]["kind"],
        "threshold": manifest["model"]["threshold"],
        "labels": "annotations" if labels_csv is None else Path(labels_csv).name,
        "left_out": {
            "without_labels": [name for name in scored if name not in wanted],
            "not_scored": [name for name in given if name not in scored],
            "n_events_not_scored": sum(len(truths[n].events) for n in truths if n not in scored),
        },
        **judge(folder, status, {name: truths[name] for name in wanted}, patients),
    }


def _evaluate_beats(
    run: RunFolder,
    status: Mapping[str, Mapping[str, Any]],
    truths: Mapping[str, Truth],
    patients: Mapping[str, str],
) -> dict[str, Any]:
    del status
    parts = {
        name: judge_beats(run.windows(name), truth.times_s, truth.symbols)
        for name, truth in truths.items()
    }
    everything = join(list(parts.values()))
    owners = _owners(patients)
    judged = np.isin(everything.label, ("N", *ABNORMAL)) & everything.scorable
    of_beat = np.repeat(owners, [len(part.label) for part in parts.values()])
    ranked = WeightedRanking(everything.score[judged], np.isin(everything.label[judged], ABNORMAL))

    def measure(drawn: NDArray[np.int64]) -> dict[str, float | None]:
        weights = drawn[of_beat]
        found = {
            f"sensitivity_{name}": _ratio(
                weights, everything.flagged & (everything.label == name), everything.label == name
            )
            for name in ABNORMAL
        }
        return ranked(weights[judged].astype(float)) | found

    return {
        "method": "beats",
        "tolerance_s": TOLERANCE_S,
        "pooled": summarise_beats(everything),
        "recordings": _each(parts, patients, summarise_beats),
        "bootstrap": bootstrap(measure, len(set(patients.values()))),
    }


def _evaluate_events(
    run: RunFolder,
    status: Mapping[str, Mapping[str, Any]],
    truths: Mapping[str, Truth],
    patients: Mapping[str, str],
) -> dict[str, Any]:
    parts = {
        name: judge_events(
            run.windows(name), run.segments(name), truth.events, float(status[name]["duration_s"])
        )
        for name, truth in truths.items()
    }
    everything = pool(list(parts.values()))
    owners = _owners(patients)
    of_window = np.repeat(owners, [len(part.scores) for part in parts.values()])
    ranked = WeightedRanking(everything.scores, everything.positive)
    counts = np.array(
        [[p.counts["n_found"], p.counts["n_events"], p.counts["n_false"]] for p in parts.values()]
    )
    hours = np.array([part.hours for part in parts.values()])

    def measure(drawn: NDArray[np.int64]) -> dict[str, float | None]:
        weights = drawn[owners]
        found, events, false = weights @ counts
        scored = float(weights @ hours)
        return ranked(drawn[of_window].astype(float)) | {
            "event_sensitivity": float(found / events) if events else None,
            "false_per_hour": float(false / scored) if scored else None,
        }

    return {
        "method": "intervals",
        "pooled": summarise_events(everything),
        "recordings": _each(parts, patients, summarise_events),
        "bootstrap": bootstrap(measure, len(set(patients.values()))),
    }


def _owners(patients: Mapping[str, str]) -> NDArray[np.int64]:
    """Return the number of each recording's patient, shape (n_recordings,)."""
    numbers: NDArray[np.int64] = np.unique(list(patients.values()), return_inverse=True)[1]
    return numbers.reshape(-1)


def _each(
    parts: Mapping[str, Part],
    patients: Mapping[str, str],
    summarise: Callable[[Part], dict[str, Any]],
) -> list[dict[str, Any]]:
    return [
        {"recording_id": name, "patient_id": patients[name], **summarise(part)}
        for name, part in parts.items()
    ]


def _ratio(
    weights: NDArray[np.int64], part: NDArray[np.bool_], whole: NDArray[np.bool_]
) -> float | None:
    total = int(weights[whole].sum())
    return int(weights[part].sum()) / total if total else None
