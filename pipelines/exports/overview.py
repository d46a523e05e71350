"""The score over a whole recording, thinned for a strip in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.exports.selection import Segment

WIDTH_MM: Final = 250.0
HEIGHT_MM: Final = 20.0
_BUCKET_MM: Final = 0.4
_TICKS_S: Final = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True)
class Overview:
    """Score against time.

    Attributes
    ----------
    duration_s : float
    bars : ndarray of shape (n, 2)
        x and y in mm of the highest score of each 0.4 mm; y downwards from the top.
    threshold_mm : float or None
        y of the model's threshold.
    marks : tuple of (float, float, str)
        From where to where on x a segment lies, and its verdict.
    ticks : tuple of (float, float)
        x in mm and time in seconds.
    not_scorable : tuple of (float, float)
        From where to where on x nothing could be scored.
    """

    duration_s: float
    bars: NDArray[np.float64]
    threshold_mm: float | None
    marks: tuple[tuple[float, float, str], ...]
    ticks: tuple[tuple[float, float], ...]
    not_scorable: tuple[tuple[float, float], ...]


def overview_of(
    windows: pd.DataFrame, segments: Sequence[Segment], threshold: float | None, duration_s: float
) -> Overview:
    """Thin the scores of a recording; the highest of each bucket is kept.

    Above the threshold the axis is compressed (inverse hyperbolic sine), so that one extreme
    score does not flatten all others.
    """
    per_s = WIDTH_MM / max(duration_s, 1e-9)
    scores = windows["score"].to_numpy(dtype=float)
    known = np.isfinite(scores)
    bucket = np.floor(windows["center_s"].to_numpy(dtype=float) * per_s / _BUCKET_MM).astype(int)
    highest = pd.Series(scores[known]).groupby(bucket[known]).max()
    height = _height(highest.to_numpy(dtype=float), scores[known], threshold)
    bars = np.column_stack([(highest.index.to_numpy() + 0.5) * _BUCKET_MM, height[:-1]])
    step = next((t for t in _TICKS_S if duration_s / t <= 12), _TICKS_S[-1])
    return Overview(
        duration_s=duration_s,
        bars=bars,
        threshold_mm=None if threshold is None else float(height[-1]),
        marks=tuple((s.start_s * per_s, s.stop_s * per_s, s.verdict) for s in segments),
        ticks=tuple((t * per_s, t) for t in np.arange(0, duration_s, step).tolist()),
        not_scorable=_stretches(bucket, known),
    )


def _height(
    values: NDArray[np.float64], scores: NDArray[np.float64], threshold: float | None
) -> NDArray[np.float64]:
    """Return y in mm of each value, and of the threshold behind them."""
    if not len(scores):
        return np.full(len(values) + 1, HEIGHT_MM / 2)
    low, middle = np.percentile(scores, [1, 50])
    limit = float(scores.max()) if threshold is None else threshold
    unit = max(limit - middle, 1e-9)
    shown = np.arcsinh((np.r_[np.maximum(values, low), limit] - low) / unit)
    top = max(float(shown.max()), float(shown[-1]) * 1.25, 1e-9)
    return np.asarray(HEIGHT_MM * (1 - shown / top))


def _stretches(
    bucket: NDArray[np.int_], known: NDArray[np.bool_]
) -> tuple[tuple[float, float], ...]:
    """Return where no window of a bucket has a score."""
    if not len(bucket):
        return ()
    scored = np.bincount(bucket, weights=known)
    dead = (np.bincount(bucket) > 0) & (scored == 0)
    edges = np.flatnonzero(np.diff(np.r_[False, dead, False])).reshape(-1, 2)
    return tuple((a * _BUCKET_MM, b * _BUCKET_MM) for a, b in edges.tolist())
