"""Events against windows and flagged segments, on scored time only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.evaluation.ranking import ranking
from pipelines.labels import Interval
from pipelines.stretches import of_events, of_table, overlapping, scored_s

SZCORE = {"tolerance_before_s": 30.0, "tolerance_after_s": 60.0, "merge_s": 90.0, "split_s": 300.0}
"""The rules of SzCORE (Dan et al. 2024), as in the package timescoring."""
COUNTS = ("n_events", "n_found", "n_events_not_scored", "n_segments", "n_false")


@dataclass(frozen=True)
class Judged:
    """One recording, or several pooled.

    Attributes
    ----------
    scores, positive, flagged : ndarray of shape (n_scored_windows,)
        Scored windows only; positive where a window overlaps an event.
    n_not_scorable : int
        Windows without a score, left out.
    hours : float
        Scored time: the union of the scored windows, and the pauses between heartbeats.
    counts : dict of str to int
        Events, those that overlap a flagged segment, those without a scored window, flagged
        segments, and those that overlap no event.
    szcore : dict of str to int
        The same by the rules of SzCORE: ``n_events``, ``n_found``, ``n_false``.
    """

    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    n_not_scorable: int
    hours: float
    counts: dict[str, int]
    szcore: dict[str, int]


def judge_events(
    windows: pd.DataFrame, segments: pd.DataFrame, events: Sequence[Interval], duration_s: float
) -> Judged:
    """Compare a scored recording with its events.

    Parameters
    ----------
    windows, segments : pandas.DataFrame
        Tables of the run.
    events : sequence of Interval
        In order of onset.
    duration_s : float
        Length of the recording.
    """
    scored = windows[windows["scorable"]]
    known, of_windows, found = of_events(events), of_table(scored), of_table(segments)
    scores, positive = scored["score"].to_numpy(float), overlapping(of_windows, known)
    return Judged(
        scores=scores,
        positive=positive,
        flagged=scored["flagged"].to_numpy(bool),
        n_not_scorable=len(windows) - len(scored),
        hours=scored_s(windows) / 3600,
        counts={
            "n_events": len(events),
            "n_found": int(overlapping(known, found).sum()),
            "n_events_not_scored": int((~overlapping(known, of_windows)).sum()),
            "n_segments": len(segments),
            "n_false": int((~overlapping(found, known)).sum()),
        },
        szcore=szcore_counts(segments, events, duration_s),
    )


def pool(parts: Sequence[Judged]) -> Judged:
    """Pool several recordings."""
    return Judged(
        scores=np.concatenate([p.scores for p in parts]),
        positive=np.concatenate([p.positive for p in parts]),
        flagged=np.concatenate([p.flagged for p in parts]),
        n_not_scorable=sum(p.n_not_scorable for p in parts),
        hours=sum(p.hours for p in parts),
        counts={name: sum(p.counts[name] for p in parts) for name in COUNTS},
        szcore={name: sum(p.szcore[name] for p in parts) for name in parts[0].szcore},
    )


def summarise_events(judged: Judged) -> dict[str, Any]:
    """Return all measures: ``windows``, ``events`` (strict any-overlap) and ``szcore``."""
    positive, flagged = judged.positive, judged.flagged
    return {
        "scored_hours": judged.hours,
        "windows": {
            "n_not_scorable": judged.n_not_scorable,
            **ranking(judged.scores, positive),
            "sensitivity": _share(int((positive & flagged).sum()), int(positive.sum())),
            "sensitivity_random": _share(int(flagged.sum()), len(flagged)),
            "false_positive_share": _share(
                int((~positive & flagged).sum()), int((~positive).sum())
            ),
        },
        "events": {**judged.counts, **_rates(judged.counts, judged.hours)},
        "szcore": {**judged.szcore, **_rates(judged.szcore, judged.hours), "rules": SZCORE},
    }


def szcore_counts(
    segments: pd.DataFrame, events: Sequence[Interval], duration_s: float
) -> dict[str, int]:
    """Return events, events found and false detections by the rules of SzCORE."""
    from timescoring.annotations import Annotation
    from timescoring.scoring import EventScoring

    fs = 10
    end_s = max([duration_s, *(e.offset_s for e in events), *segments["stop_s"]])
    n = int(np.ceil(end_s * fs))
    truth = _united([(e.onset_s, e.offset_s) for e in events])
    found = _united(list(zip(segments["start_s"], segments["stop_s"], strict=True)))
    rules = EventScoring.Parameters(
        toleranceStart=SZCORE["tolerance_before_s"],
        toleranceEnd=SZCORE["tolerance_after_s"],
        minOverlap=0,
        maxEventDuration=SZCORE["split_s"],
        minDurationBetweenEvents=SZCORE["merge_s"],
    )
    scoring = EventScoring(Annotation(truth, fs, n), Annotation(found, fs, n), rules)
    return {
        "n_events": int(scoring.refTrue),
        "n_found": int(scoring.tp),
        "n_false": int(scoring.fp),
    }


def _united(stretches: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return sorted stretches with overlapping ones joined; a moment lasts a tenth of a second."""
    united: list[tuple[float, float]] = []
    for start, stop in sorted((float(a), max(float(b), float(a) + 0.1)) for a, b in stretches):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(stop, united[-1][1]))
        else:
            united.append((start, stop))
    return united


def rates(n_false: int, hours: float) -> dict[str, float | None]:
    """Return ``false_per_hour`` and ``false_per_day``, None without scored time."""
    return {
        "false_per_hour": n_false / hours if hours else None,
        "false_per_day": 24 * n_false / hours if hours else None,
    }


def _rates(counts: dict[str, int], hours: float) -> dict[str, Any]:
    return {
        "sensitivity": _share(counts["n_found"], counts["n_events"]),
        "undefined": None if counts["n_events"] else "no event",
        **rates(counts["n_false"], hours),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
