"""All measures of a run: per recording, pooled, as a mean over recordings, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.evaluation import patients
from pipelines.evaluation.beats import (
    ABNORMAL,
    TOLERANCE_S,
    Beats,
    join,
    judge_beats,
    summarise_beats,
)
from pipelines.evaluation.events import judge_events, pool, rates, summarise_events
from pipelines.evaluation.patients import by_patient
from pipelines.evaluation.ranking import WeightedRanking, bootstrap
from pipelines.evaluation.rhythm import judge_minutes, summarise_minutes
from pipelines.evaluation.truth import Truth
from pipelines.evaluation.volume import volume
from pipelines.rhythm.segments import of_rhythm
from pipelines.stretches import of_events, of_table, overlapping, scored_s

Counts = NDArray[np.int64]
"""How often each patient or recording was drawn."""


@dataclass(frozen=True)
class Case:
    """A scored recording and its labels, both without the baseline.

    Attributes
    ----------
    recording_id, patient_id : str
    windows, segments : pandas.DataFrame
    rhythm : pandas.DataFrame
        Windows of rhythm, without rows where there are none.
    truth : Truth
    duration_s : float
        Of the whole recording.
    left_out : tuple of float or None
        The baseline, seconds.
    """

    recording_id: str
    patient_id: str
    windows: pd.DataFrame
    segments: pd.DataFrame
    truth: Truth
    duration_s: float
    left_out: tuple[float, float] | None
    rhythm: pd.DataFrame


def evaluate_beats(cases: Sequence[Case]) -> dict[str, Any]:
    """Judge an ECG run beat by beat."""
    parts = [
        judge_beats(
            case.windows,
            case.truth.times_s,
            case.truth.symbols,
            case.left_out,
            case.duration_s if case.truth.others_usual else None,
        )
        for case in cases
    ]
    everything = join(parts)
    owners = _owners(cases)
    judged = _judged(everything)
    of_beat = np.repeat(owners, [len(part.label) for part in parts])
    ranked = WeightedRanking(everything.score[judged], np.isin(everything.label[judged], ABNORMAL))
    alone = [(p.score[_judged(p)], np.isin(p.label[_judged(p)], ABNORMAL)) for p in parts]
    volumes = [volume(*pair) for pair in alone]
    events = [_false_events(case) for case in cases]
    rows = [
        {**_summarise(part, cases), **surface, "events": _with_rates(counts)}
        for part, surface, counts in zip(parts, volumes, events, strict=True)
    ]

    def measure(drawn: Counts) -> dict[str, float | None]:
        weights, of_case = drawn[of_beat], drawn[owners]
        found = {
            f"sensitivity_{name}": _ratio(
                weights, everything.flagged & (everything.label == name), everything.label == name
            )
            for name in ABNORMAL
        }
        hours = sum(w * e["scored_hours"] for w, e in zip(of_case, events, strict=True))
        false = sum(w * e["n_false"] for w, e in zip(of_case, events, strict=True))
        return {
            **ranked(weights[judged].astype(float)),
            **found,
            "false_per_day": float(24 * false / hours) if hours else None,
            **_means(rows, of_case),
        }

    def pooled(some: Sequence[tuple[Beats, dict[str, Any]]]) -> dict[str, Any]:
        total = {key: sum(e[key] for _, e in some) for key in events[0]}
        return {**_summarise(join([b for b, _ in some]), cases), "events": _with_rates(total)}

    judged_parts = list(zip(parts, events, strict=True))
    return {
        "method": "beats",
        "tolerance_s": TOLERANCE_S,
        "pooled": pooled(judged_parts),
        **_per_recording(cases, rows),
        **by_patient(cases, judged_parts, pooled, patients.of_beats),
        "bootstrap": bootstrap(measure, len({case.patient_id for case in cases})),
    }


def _summarise(beats: Beats, cases: Sequence[Case]) -> dict[str, Any]:
    """Return the measures of beats; where usual ones are not labelled, none of their detection."""
    found = summarise_beats(beats)
    if any(case.truth.others_usual for case in cases):
        found["beat_detection"] = None
    return found


def evaluate_events(cases: Sequence[Case]) -> dict[str, Any]:
    """Judge a run by labelled stretches."""
    parts = [judge_events(c.windows, c.segments, c.truth.events, c.duration_s) for c in cases]
    everything = pool(parts)
    owners = _owners(cases)
    of_window = np.repeat(owners, [len(part.scores) for part in parts])
    ranked = WeightedRanking(everything.scores, everything.positive)
    counts = np.array([[p.counts[k] for k in ("n_found", "n_events", "n_false")] for p in parts])
    hours = np.array([part.hours for part in parts])
    summaries = [summarise_events(part) for part in parts]
    for summary, part in zip(summaries, parts, strict=True):
        summary["windows"] |= volume(part.scores, part.positive)
    flat = [summary["windows"] for summary in summaries]

    def measure(drawn: Counts) -> dict[str, float | None]:
        weights = drawn[owners]
        found, events, false = weights @ counts
        scored = float(weights @ hours)
        return {
            **ranked(drawn[of_window].astype(float)),
            "event_sensitivity": float(found / events) if events else None,
            "false_per_hour": float(false / scored) if scored else None,
            **_means(flat, weights),
        }

    return {
        "method": "intervals",
        "pooled": summarise_events(everything),
        **_per_recording(cases, summaries, flat),
        **by_patient(cases, parts, lambda own: summarise_events(pool(own)), patients.of_events),
        "bootstrap": bootstrap(measure, len({case.patient_id for case in cases})),
    }


def _per_recording(
    cases: Sequence[Case],
    rows: Sequence[Mapping[str, Any]],
    measures: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the entries of all recordings, and the mean of what is defined for them."""
    measures = rows if measures is None else measures
    names = ("auroc", "average_precision", "vus_pr", "vus_pr_random")
    mean: dict[str, Any] = {name: _mean([(1, m[name]) for m in measures]) for name in names}
    n_defined = sum(m["auroc"] is not None for m in measures)
    mean |= {"n_recordings": len(cases), "n_undefined": len(cases) - n_defined}
    return {
        "recordings": [
            {"recording_id": case.recording_id, "patient_id": case.patient_id, **row}
            for case, row in zip(cases, rows, strict=True)
        ],
        "mean_over_recordings": mean,
    }


def _means(rows: Sequence[Mapping[str, Any]], weights: Counts) -> dict[str, float | None]:
    return {
        f"mean_{name}": _mean([(w, row[name]) for w, row in zip(weights, rows, strict=True)])
        for name in ("auroc", "vus_pr")
    }


def _mean(values: Sequence[tuple[int, float | None]]) -> float | None:
    """Return the weighted mean of the values that are defined."""
    known = [(weight, value) for weight, value in values if value is not None and weight]
    total = sum(weight for weight, _ in known)
    return float(sum(w * v for w, v in known) / total) if total else None


def evaluate_rhythm(cases: Sequence[Case]) -> dict[str, Any] | None:
    """Judge windows of rhythm; None if no recording has both these and labelled rhythms."""
    parts = {
        case.recording_id: judge_minutes(case.rhythm, case.segments, case.truth.rhythms)
        for case in cases
        if case.truth.rhythms is not None and len(case.rhythm)
    }
    if not parts:
        return None
    return {
        "pooled": summarise_minutes(list(parts.values())),
        "recordings": [
            {"recording_id": name, **summarise_minutes([part])} for name, part in parts.items()
        ],
    }


def _false_events(case: Case) -> dict[str, Any]:
    """Count flagged segments within what the labels speak of that hold no abnormal beat.

    Those of rhythm: that share no time with an arrhythmia, where rhythms are labelled.
    """
    windows, inside = case.windows, case.segments
    if not case.truth.others_usual:
        first, last = case.truth.times_s[0] - TOLERANCE_S, case.truth.times_s[-1] + TOLERANCE_S
        windows = windows[windows["center_s"].between(first, last)]
        inside = inside[(inside["start_s"] < last) & (inside["stop_s"] > first)]
    hit = overlapping(of_table(inside), of_events(case.truth.events))
    if case.truth.rhythms is not None:  # a minute holds an odd beat soon: it is held to rhythms
        right = overlapping(of_table(inside), of_events(case.truth.rhythms))
        hit = np.where(of_rhythm(inside), right, hit)
    return {
        "n_segments": len(inside),
        "n_false": int((~hit).sum()),
        "scored_hours": scored_s(windows) / 3600,
    }


def _with_rates(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {**counts, **rates(counts["n_false"], counts["scored_hours"])}


def _judged(beats: Beats) -> NDArray[np.bool_]:
    return np.isin(beats.label, ("N", *ABNORMAL)) & beats.scorable


def _owners(cases: Sequence[Case]) -> NDArray[np.int64]:
    """Return the number of each recording's patient, shape (n_recordings,)."""
    names = [case.patient_id for case in cases]
    numbers: NDArray[np.int64] = np.unique(names, return_inverse=True)[1]
    return numbers.reshape(-1)


def _ratio(weights: Counts, part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float | None:
    total = int(weights[whole].sum())
    return int(weights[part].sum()) / total if total else None
