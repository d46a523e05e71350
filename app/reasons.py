"""Why a segment was flagged, in plain words and against the recording's other windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from app.messages import against_usual, percentile
from pipelines.features.registry import describe, features
from pipelines.rhythm.segments import is_rhythm


@dataclass(frozen=True)
class Reason:
    """One feature of the segment's worst window.

    Attributes
    ----------
    words : str
        What was measured.
    comparison : str
        Its value against the median of the recording's scorable windows.
    rank : str
        Where it lies among them, in words.
    share : float
        Share of them with a lower value; NaN if the features were not kept.
    """

    words: str
    comparison: str
    rank: str
    share: float


def worst_window(segment: pd.Series, windows: pd.DataFrame) -> int | None:
    """Return the window_index of the highest score among the flagged windows of a segment.

    None also for a segment of rhythm: no single beat speaks for it.
    """
    if is_rhythm(str(segment.get("segment_id"))):
        return None
    inside = windows[
        windows["flagged"]
        & (windows["start_s"] >= segment["start_s"] - 1e-6)
        & (windows["stop_s"] <= segment["stop_s"] + 1e-6)
    ]
    if inside.empty:
        return None
    return int(inside["window_index"].iloc[int(inside["score"].to_numpy().argmax())])


def reasons(
    segment: pd.Series, windows: pd.DataFrame, table: pd.DataFrame | None
) -> tuple[Reason, ...]:
    """Return a reason for each of the segment's top features, the most responsible first."""
    names = [str(name) for name in segment["top_features"]]
    index = worst_window(segment, windows)
    if table is None or index is None:
        return tuple(Reason(describe(name), "", "", float("nan")) for name in names)
    usable = windows.loc[windows["scorable"], "window_index"]
    by_index = table.set_index("window_index")
    return tuple(_reason(name, by_index, index, usable) for name in names)


def _reason(name: str, table: pd.DataFrame, index: int, usable: pd.Series) -> Reason:
    words = describe(name)
    if name not in table.columns or index not in table.index:
        return Reason(words, "", "", float("nan"))
    value = float(table[name].loc[index])
    others = table[name].reindex(usable).to_numpy(dtype=np.float64)
    others = others[np.isfinite(others)]
    if not np.isfinite(value) or not others.size:
        return Reason(words, "", "", float("nan"))
    declared = features().get(name.partition("_lead")[0])
    unit = declared.unit if declared else "1"
    share = float((others < value).mean())
    return Reason(
        words, against_usual(value, float(np.median(others)), unit), percentile(share), share
    )
