"""From flagged windows to segments. Loads nothing of the model, so that a screen can use it too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.features.registry import describe
from pipelines.run_folder import SEGMENT_SCHEMA


def merge(windows: pd.DataFrame, merge_s: float = 2.0) -> pd.DataFrame:
    """Merge flagged windows that lie at most `merge_s` seconds apart into segments.

    Parameters
    ----------
    windows : pandas.DataFrame
        ``windows.parquet`` of one recording, sorted by ``start_s``.
    merge_s : float

    Returns
    -------
    pandas.DataFrame
        As ``segments.parquet`` has it; the highest-scoring window speaks for its segment.
    """
    flagged = windows[windows["flagged"]]
    start, stop, score, p_value = (
        flagged[name].to_numpy(np.float64) for name in ("start_s", "stop_s", "score", "p_value")
    )
    n = len(flagged)
    apart = start[1:] - np.maximum.accumulate(stop)[:-1] > merge_s
    first = np.flatnonzero(np.r_[True, apart][:n])
    owner = np.repeat(np.arange(len(first)), np.diff(np.r_[first, n]))
    order = np.lexsort((np.arange(n), -score, owner))
    worst = order[np.searchsorted(owner[order], np.arange(len(first)))]
    chosen = flagged.iloc[worst]
    starts = np.minimum.reduceat(start, first)
    columns = {
        "recording_id": chosen["recording_id"].to_numpy(),
        "patient_id": chosen["patient_id"].to_numpy(),
        "segment_id": [
            f"{name}@{at:.3f}" for name, at in zip(chosen["recording_id"], starts, strict=True)
        ],
        "start_s": starts,
        "stop_s": np.maximum.reduceat(stop, first),
        "n_windows": np.diff(np.r_[first, n]),
        "peak_score": score[worst],
        "min_p_value": np.minimum.reduceat(p_value, first),
        "description": [description(names) for names in chosen["top_features"]],
        "top_features": chosen["top_features"].to_numpy(),
        "top_channel": chosen["top_channel"].to_numpy(),
    }
    return pd.DataFrame(columns, columns=SEGMENT_SCHEMA.names)


def description(names: Sequence[str]) -> str:
    """Return in words what the worst window of a segment does not fit in."""
    words = ", ".join(describe(str(name)) for name in list(names)[:3])
    return f"does not fit in {words}" if words else "does not fit"
