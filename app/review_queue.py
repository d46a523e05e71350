"""The order in which segments are looked at, and which comes next. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import pandas as pd

Order = Literal["time", "score", "channel", "group"]


def ordered(
    segments: pd.DataFrame, order: Order, groups: Mapping[str, int] | None = None
) -> tuple[str, ...]:
    """Return the segment ids in an order.

    Parameters
    ----------
    segments : pandas.DataFrame
    order : str
        ``"time"``; ``"score"``, the highest first; ``"channel"``, then by time; ``"group"``, the
        largest first, then by time.
    groups : mapping, optional
        Number of the group of each segment.
    """
    table = segments.sort_values("start_s", kind="stable")
    if order == "score":
        table = segments.sort_values("peak_score", ascending=False, kind="stable")
    elif order == "channel":
        names = table["top_channel"].map(lambda name: name if isinstance(name, str) else "~")
        table = table.iloc[names.argsort(kind="stable")]
    elif order == "group" and groups:
        numbers = table["segment_id"].map(lambda name: groups.get(name, len(groups) + 1))
        table = table.iloc[numbers.argsort(kind="stable")]
    return tuple(table["segment_id"])


def step(
    queue: Sequence[str], current: str | None, by: int, skip: Collection[str] = ()
) -> str | None:
    """Return the segment `by` places (1 or -1) from `current`, passing over those in `skip`.

    None if there is no further one. Without a current segment the search starts at the end it
    comes from.
    """
    outside = -1 if by > 0 else len(queue)
    start = queue.index(current) if current in queue else outside
    ahead = queue[start + 1 :] if by > 0 else queue[:start][::-1]
    return next((segment for segment in ahead if segment not in skip), None)


def at_time(segments: pd.DataFrame, time_s: float, tolerance_s: float) -> str | None:
    """Return the segment nearest to a time, if one lies within `tolerance_s` of it."""
    if segments.empty:
        return None
    distance = pd.concat([segments["start_s"] - time_s, time_s - segments["stop_s"]], axis=1).max(
        axis=1
    )
    nearest = int(distance.to_numpy().argmin())
    if distance.iloc[nearest] > tolerance_s:
        return None
    return str(segments["segment_id"].iloc[nearest])
