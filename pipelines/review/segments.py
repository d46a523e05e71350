"""The segments to review: flagged ones at a threshold, and all that something was decided about.

Decided segments stay as they were when they were decided about; windows inside them do not make
segments of their own. So a decision survives another threshold and another scoring.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.merging import description, merge
from pipelines.rhythm.segments import (
    is_rhythm,
    merge_rhythm,
    mostly_covered,
    rhythm_description,
    together,
    without_repeats,
)
from pipelines.run_folder import RunFolder
from pipelines.store import Decision
from pipelines.stretches import Stretches, merged, of_table
from pipelines.thresholds import flagged_at

ADDED = "added by a reader"
KEPT = "not flagged at this threshold"
_EPSILON_S = 1e-6
_UNKNOWN_S = 1.0


def merge_seconds(run: RunFolder) -> float:
    """Return how far apart windows may lie to become one segment: the setting of the run's model.

    Two seconds, the default, where the model's folder is gone.
    """
    path = Path(str(run.manifest().get("model", {}).get("path", ""))) / "config.json"
    try:
        settings = json.loads(path.read_text("utf-8"))["pipeline"]["settings"]
        return float(settings["segments"]["merge_s"])
    except (OSError, ValueError, KeyError, TypeError):
        return 2.0


def segment_counts(
    windows: pd.DataFrame,
    thresholds: Sequence[float],
    merge_s: float,
    rhythm: pd.DataFrame | None = None,
) -> NDArray[np.int64]:
    """Return how many segments each threshold would give, those of rhythm included."""
    tables = [windows] if rhythm is None or rhythm.empty else [windows, rhythm]
    usable = [table[table["scorable"]] for table in tables]
    scores, places = [u["score"].to_numpy(float) for u in usable], [of_table(u) for u in usable]
    counts = []
    for threshold in thresholds:
        beats, *minutes = (
            merged(place[score > threshold], merge_s)
            for score, place in zip(scores, places, strict=True)
        )
        counts.append(len(beats) + sum(int((~mostly_covered(m, beats)).sum()) for m in minutes))
    return np.array(counts, dtype=np.int64)


def under_review(
    flagged: pd.DataFrame,
    windows: pd.DataFrame,
    decisions: Mapping[str, Decision],
    merge_s: float,
    threshold: float | None = None,
    rhythm: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the segments to review, sorted by start.

    Parameters
    ----------
    flagged : pandas.DataFrame
        ``segments.parquet`` of the recording.
    windows : pandas.DataFrame
        ``windows.parquet`` of the recording.
    decisions : mapping
        The present decision by segment_id.
    merge_s : float
        As the model merged windows, seconds.
    threshold : float, optional
        Another threshold than that of the run.
    rhythm : pandas.DataFrame, optional
        ``rhythm.parquet`` of the recording.

    Returns
    -------
    pandas.DataFrame
        The columns of ``segments.parquet``, with `start_s` and `stop_s` as readers set them, and
        `found_start_s`, `found_stop_s` (as scoring found them) and `origin`: ``"flagged"``,
        ``"kept"`` (decided about, not flagged now) or ``"added"``.
    """
    known = set(flagged["segment_id"])
    if threshold is None and all(name in known for name in decisions):
        table = flagged.assign(origin="flagged")
    else:
        table = _with_decided(flagged, (windows, rhythm), decisions, merge_s, threshold)
    table["found_start_s"], table["found_stop_s"] = table["start_s"], table["stop_s"]
    ids = table["segment_id"].tolist()
    moved = [i for i, name in enumerate(ids) if name in decisions and decisions[name].bounds]
    if moved:
        bounds = np.array([decisions[ids[i]].bounds for i in moved])
        for k, column in enumerate(("start_s", "stop_s")):
            values = table[column].to_numpy(float, copy=True)
            values[moved] = bounds[:, k]
            table[column] = values
    return table.sort_values("start_s", kind="stable").reset_index(drop=True)


def _with_decided(
    flagged: pd.DataFrame,
    tables: tuple[pd.DataFrame, pd.DataFrame | None],
    decisions: Mapping[str, Decision],
    merge_s: float,
    threshold: float | None,
) -> pd.DataFrame:
    """Carve the decided segments out of what is flagged now, and put them in as they were.

    A decision about beats takes beats, one about the rhythm windows of rhythm.
    """
    windows, rhythm = tables
    names = {name for name in decisions if is_rhythm(name)}
    of_beats = {name: each for name, each in decisions.items() if name not in names}
    found, rows, beats = _carved(flagged, windows, of_beats, merge_s, threshold)
    if names or not (rhythm is None or rhythm.empty):
        minutes = windows.iloc[:0] if rhythm is None else rhythm
        of_rhythm = {name: decisions[name] for name in decisions if name in names}
        more, decided, _ = _carved(flagged, minutes, of_rhythm, merge_s, threshold, merge_rhythm)
        found, rows = together(found, without_repeats(more, beats)), rows + decided
    if not rows:
        return found
    kept = pd.DataFrame(rows)
    return kept if found.empty else pd.concat([found, kept], ignore_index=True)


def _carved(
    flagged: pd.DataFrame,
    windows: pd.DataFrame,
    decisions: Mapping[str, Decision],
    merge_s: float,
    threshold: float | None,
    merging: Callable[[pd.DataFrame, float], pd.DataFrame] = merge,
) -> tuple[pd.DataFrame, list[dict[str, object]], Stretches]:
    """Return what is flagged beside the decided segments, these, and all that is flagged."""
    spans = {name: _span(decision, flagged, windows) for name, decision in decisions.items()}
    now = windows["flagged"] if threshold is None else flagged_at(windows, threshold)
    above = now.to_numpy(bool)
    taken = np.zeros(len(windows), dtype=bool)
    start, stop = windows["start_s"].to_numpy(float), windows["stop_s"].to_numpy(float)
    rows = []
    for name, (first, last) in spans.items():
        lo, hi = np.searchsorted(start, [first - _EPSILON_S, last + _EPSILON_S])
        inside = lo + np.flatnonzero(stop[lo:hi] <= last + _EPSILON_S)
        if not decisions[name].added:
            taken[inside] = True
        rows.append(_row(decisions[name], windows.iloc[inside], above[inside], (first, last)))
    found = merging(windows.assign(flagged=above & ~taken), merge_s).assign(origin="flagged")
    found = found[~found["segment_id"].isin(list(spans))]
    return found, rows, merged(of_table(windows[above]), merge_s)


def _span(decision: Decision, flagged: pd.DataFrame, windows: pd.DataFrame) -> tuple[float, float]:
    """Return where a decided segment lay; for old decisions from the flagged one of its name."""
    if decision.added and decision.bounds:
        return decision.bounds
    if decision.span:
        return decision.span
    same = flagged[flagged["segment_id"] == decision.segment_id]
    if len(same):
        return float(same["start_s"].iloc[0]), float(same["stop_s"].iloc[0])
    try:
        start = float(decision.segment_id.rpartition("@")[2].partition("~")[0])
    except ValueError:
        return decision.bounds or (0.0, _UNKNOWN_S)
    near = windows[(windows["start_s"] - start).abs() < 1e-3]
    return start, float(near["stop_s"].iloc[0]) if len(near) else start + _UNKNOWN_S


def _row(
    decision: Decision, inside: pd.DataFrame, above: NDArray[np.bool_], span: tuple[float, float]
) -> dict[str, object]:
    scored = inside[inside["scorable"]]
    worst = scored.iloc[int(scored["score"].to_numpy().argmax())] if len(scored) else None
    origin = "added" if decision.added else "flagged" if above.any() else "kept"
    features = [] if worst is None else list(worst["top_features"])
    in_words = rhythm_description if is_rhythm(decision.segment_id) else description
    words = {"added": ADDED, "kept": KEPT}.get(origin) or in_words(features)
    patient = inside["patient_id"].iloc[0] if len(inside) else decision.recording_id
    return {
        "recording_id": decision.recording_id,
        "patient_id": patient,
        "segment_id": decision.segment_id,
        "start_s": span[0],
        "stop_s": span[1],
        "n_windows": int(above.sum()) if origin == "flagged" else len(scored),
        "peak_score": float("nan") if worst is None else float(worst["score"]),
        "min_p_value": float("nan") if worst is None else float(scored["p_value"].min()),
        "description": words,
        "top_features": features,
        "top_channel": None if worst is None else worst["top_channel"],
        "origin": origin,
    }
