"""Windows of rhythm held to labelled rhythms: an arrhythmia need not hold one odd beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.evaluation.events import rates
from pipelines.evaluation.ranking import ranking
from pipelines.labels import Interval
from pipelines.rhythm.segments import of_rhythm
from pipelines.stretches import Stretches, merged, of_events, of_table, overlapping

HALF = 0.5
"""A window is of an arrhythmia if at least so much of it is; between that and nothing it is left
out."""


@dataclass(frozen=True)
class Minutes:
    """Windows of rhythm of one recording, or several pooled, and the segments made of them.

    Attributes
    ----------
    scores, positive, flagged : ndarray of shape (n_windows,)
        Of windows with a score that lie in one rhythm.
    label : ndarray of str, shape (n_windows,)
        Of the arrhythmia, empty without.
    hours : float
        Time of windows with a score.
    n_segments, n_false : int
        Segments of rhythm, and those that share no time with an arrhythmia.
    """

    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    label: NDArray[np.str_]
    hours: float
    n_segments: int
    n_false: int


def judge_minutes(
    rhythm: pd.DataFrame, segments: pd.DataFrame, rhythms: Sequence[Interval]
) -> Minutes:
    """Compare a recording's windows of rhythm with its labelled arrhythmias.

    Parameters
    ----------
    rhythm, segments : pandas.DataFrame
        Of the run, without the baseline.
    rhythms : sequence of Interval
        Stretches of arrhythmia.
    """
    scored = rhythm[rhythm["scorable"]]
    windows, known = of_table(scored), of_events(rhythms)
    shares = np.stack([_share(windows, row) for row in known]) if len(known) else None
    label = np.full(len(scored), "", dtype=object)
    total = np.zeros(len(scored)) if shares is None else shares.sum(axis=0)
    if shares is not None and len(scored):
        names = np.array([each.label.removeprefix("rhythm: ") for each in rhythms], dtype=object)
        label = np.where(total >= HALF, names[shares.argmax(axis=0)], "")
    clear = (total >= HALF) | (total == 0)
    own = of_table(segments[of_rhythm(segments)])
    return Minutes(
        scores=scored["score"].to_numpy(float)[clear],
        positive=(total >= HALF)[clear],
        flagged=scored["flagged"].to_numpy(bool)[clear],
        label=label[clear].astype(str),
        hours=float(np.diff(merged(windows, 0.0), axis=1).sum()) / 3600,
        n_segments=len(own),
        n_false=int((~overlapping(own, known)).sum()),
    )


def summarise_minutes(parts: Sequence[Minutes]) -> dict[str, Any]:
    """Return the measures of one recording or several pooled."""
    scores, positive, flagged, label = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("scores", "positive", "flagged", "label")
    )
    hours, n_false = sum(part.hours for part in parts), sum(part.n_false for part in parts)
    return {
        **ranking(scores, positive),
        "scored_hours": hours,
        "flagged_share_of_arrhythmia": _mean(flagged[positive]),
        "flagged_share_of_others": _mean(flagged[~positive]),
        "by_label": {
            name: {
                "n_windows": int((label == name).sum()),
                "flagged_share": _mean(flagged[label == name]),
            }
            for name in sorted(set(label[positive].tolist()))
        },
        "n_segments": sum(part.n_segments for part in parts),
        "n_false": n_false,
        **rates(n_false, hours),
    }


def _share(windows: Stretches, stretch: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much of each window lies in a stretch, 0 to 1."""
    shared = np.minimum(windows[:, 1], stretch[1]) - np.maximum(windows[:, 0], stretch[0])
    part: NDArray[np.float64] = np.maximum(shared, 0.0) / (windows[:, 1] - windows[:, 0])
    return part


def _mean(flagged: NDArray[np.bool_]) -> float | None:
    return float(flagged.mean()) if len(flagged) else None
