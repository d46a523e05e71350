"""Flagged windows of rhythm as segments beside those of beats. Loads nothing of the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.features.registry import describe
from pipelines.merging import merge
from pipelines.stretches import Stretches, of_table

MOSTLY = 0.5
"""A segment of rhythm of which beats' segments cover more says nothing new."""
_MARK = "~rhythm"


def is_rhythm(segment_id: str) -> bool:
    """Return True if a segment's name is that of a segment of rhythm.

    Examples
    --------
    >>> is_rhythm("night@60.000~rhythm"), is_rhythm("night~rhythm@60.000")
    (True, False)
    """
    return segment_id.endswith(_MARK)


def of_rhythm(segments: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which segments of a table are of rhythm."""
    return np.array([is_rhythm(str(name)) for name in segments["segment_id"]], dtype=np.bool_)


def segments_of(windows: pd.DataFrame, rhythm: pd.DataFrame | None, merge_s: float) -> pd.DataFrame:
    """Merge flagged windows, and flagged windows of rhythm, into segments sorted by start.

    Parameters
    ----------
    windows : pandas.DataFrame
        ``windows.parquet`` of one recording, sorted by ``start_s``.
    rhythm : pandas.DataFrame or None
        Its ``rhythm.parquet``; None or empty where there is none.
    merge_s : float
        Flagged windows of one kind at most this far apart become one segment, seconds.

    Returns
    -------
    pandas.DataFrame
        As ``segments.parquet`` has it. Odd beats within a segment of rhythm keep segments of
        their own; a segment of rhythm that is mostly covered by those of beats is left out.
    """
    beats = merge(windows, merge_s)
    if rhythm is None or not rhythm["flagged"].any():
        return beats
    return together(beats, without_repeats(merge_rhythm(rhythm, merge_s), of_table(beats)))


def merge_rhythm(rhythm: pd.DataFrame, merge_s: float) -> pd.DataFrame:
    """Merge flagged windows of rhythm into segments, by names of their own."""
    table = merge(rhythm, merge_s)
    return table.assign(
        segment_id=[f"{name}{_MARK}" for name in table["segment_id"]],
        description=[rhythm_description(found) for found in table["top_features"]],
    )


def rhythm_description(names: Sequence[str]) -> str:
    """Return in words what does not fit in a segment of rhythm."""
    words = ", ".join(describe(str(name)) for name in names)
    return f"does not fit in rhythm: {words}" if words else "does not fit in rhythm"


def without_repeats(rhythm: pd.DataFrame, beats: Stretches) -> pd.DataFrame:
    """Leave out segments of rhythm that the segments of beats mostly cover.

    Parameters
    ----------
    rhythm : pandas.DataFrame
    beats : ndarray of shape (n, 2)
        Segments of beats: disjoint, sorted by start.
    """
    return rhythm[~mostly_covered(of_table(rhythm), beats)]


def mostly_covered(stretches: Stretches, beats: Stretches) -> NDArray[np.bool_]:
    """Return which stretches are covered for more than half by disjoint sorted others.

    Examples
    --------
    >>> mostly_covered(np.array([[0.0, 60.0], [60.0, 120.0]]), np.array([[10.0, 62.0]])).tolist()
    [True, False]
    """
    edges = np.concatenate([[-np.inf], beats.ravel(), [np.inf]])
    lengths = np.append(0.0, np.cumsum(beats[:, 1] - beats[:, 0]))

    def covered_until(times: NDArray[np.float64]) -> NDArray[np.float64]:
        place = np.searchsorted(edges, times, side="right") - 1  # odd: within a segment
        within = place % 2 == 1
        whole: NDArray[np.float64] = lengths[place // 2]
        return whole + np.where(within, times - np.where(within, edges[place], 0.0), 0.0)

    covered = covered_until(stretches[:, 1]) - covered_until(stretches[:, 0])
    mostly: NDArray[np.bool_] = covered > MOSTLY * (stretches[:, 1] - stretches[:, 0])
    return mostly


def together(beats: pd.DataFrame, rhythm: pd.DataFrame) -> pd.DataFrame:
    """Return two tables of segments as one, sorted by start."""
    if rhythm.empty:
        return beats
    table = rhythm if beats.empty else pd.concat([beats, rhythm], ignore_index=True)
    return table.sort_values("start_s", kind="stable").reset_index(drop=True)
