"""The table of a recording's windows of rhythm, as ``rhythm.parquet`` has it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.rhythm.model import RhythmModel
from pipelines.rhythm.windows import TOO_FEW, RhythmWindows

Floats = NDArray[np.float64]

_RESPONSIBLE = 0.2
"""Features that answer for less, as a share of what the first answers for, are not named."""


def rhythm_table(
    model: RhythmModel,
    threshold: float,
    windows: RhythmWindows,
    baseline: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Score windows of rhythm.

    Parameters
    ----------
    model : RhythmModel
    threshold : float
        Of the model of beats: the scores are on the scale of its scores.
    windows : RhythmWindows
    baseline : tuple of float, optional
        Confirmed part, seconds.

    Returns
    -------
    pandas.DataFrame
        The columns of ``windows.parquet`` from `window_index` on, and one float32 column a feature
        as it was scored.

    Raises
    ------
    ModelError
        If the model was fitted on other features.
    """
    X = model.features(windows, baseline)
    n, ok = len(windows), windows.scorable
    columns = {name: np.full(n, np.nan) for name in ("log_prob", "score", "p_value")}
    if ok.any():
        found = model.estimator.evaluate(X[ok])
        columns["log_prob"][ok] = found.standardised_log_prob
        columns["score"][ok] = model.on_beat_scale(found.score)
        columns["p_value"][ok] = found.p_value
    flagged = ok & (np.nan_to_num(columns["score"], nan=-np.inf) > threshold)
    top: list[list[str]] = [[] for _ in range(n)]
    if flagged.any():
        gains = model.estimator.attribute(X[flagged])
        for row, gain in zip(np.flatnonzero(flagged), gains, strict=True):
            top[row] = _responsible(gain, model.names)
    return pd.DataFrame(
        {
            "window_index": np.arange(n),
            "start_s": windows.start_s,
            "stop_s": windows.stop_s,
            "center_s": (windows.start_s + windows.stop_s) / 2,
            **columns,
            "flagged": flagged,
            "scorable": ok,
            "reason": pd.Series([None if known else TOO_FEW for known in ok], dtype=object),
            "top_features": top,
            "top_channel": pd.Series([None] * n, dtype=object),
            **dict(zip(model.names, X.astype(np.float32).T, strict=True)),
        }
    )


def _responsible(gain: Floats, names: tuple[str, ...]) -> list[str]:
    order = np.argsort(-gain, kind="stable")
    return [names[j] for j in order if gain[j] > 0 and gain[j] >= _RESPONSIBLE * gain[order[0]]]
