"""Scores of one recording under a model, and the flagged segments they merge into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.errors import SignalError
from pipelines.features.registry import describe
from pipelines.model import Model
from pipelines.recording import Recording
from pipelines.windows import Windows

MERGE_S = 2.0
"""Flagged windows closer than this become one segment."""
FEWEST_BASELINE_WINDOWS = 30
_TOP = 5


@dataclass(frozen=True)
class Scored:
    """The tables of one scored recording, with the columns of ``pipelines.run_folder``."""

    windows: pd.DataFrame
    segments: pd.DataFrame


def score_recording(
    model: Model,
    recording: Recording,
    *,
    recording_id: str | None = None,
    patient_id: str | None = None,
    baseline: tuple[float, float] | None = None,
) -> Scored:
    """Score every window of a recording and merge the flagged ones.

    Parameters
    ----------
    model : Model
    recording : Recording
    recording_id, patient_id : str, optional
        Fall back to the file's stem and to the recording.
    baseline : tuple of float, optional
        ``(start_s, stop_s)`` confirmed as usual for this patient: features are moved so that
        their median there is the model's. At least 30 windows.
    """
    recording_id = recording_id or recording.path.stem
    windows, X = model.features(recording)
    if baseline is not None:
        X = X + model.center - _baseline_center(windows, X, baseline)
    table = _window_table(model, windows, X)
    table.insert(0, "recording_id", recording_id)
    table.insert(1, "patient_id", patient_id or recording_id)
    return Scored(table, merge(table))


def _baseline_center(
    windows: Windows, X: NDArray[np.float64], baseline: tuple[float, float]
) -> NDArray[np.float64]:
    chosen = windows.scorable & windows.within(*baseline)
    if chosen.sum() < FEWEST_BASELINE_WINDOWS:
        raise SignalError(
            f"the baseline {baseline[0]:g}:{baseline[1]:g} s holds {chosen.sum()} usable windows; "
            f"at least {FEWEST_BASELINE_WINDOWS} are needed"
        )
    center: NDArray[np.float64] = np.median(X[chosen], axis=0)
    return center


def _window_table(model: Model, windows: Windows, X: NDArray[np.float64]) -> pd.DataFrame:
    ok, n = windows.scorable, len(windows)
    columns = {name: np.full(n, np.nan) for name in ("log_prob", "score", "p_value")}
    top: list[list[str]] = [[] for _ in range(n)]
    if ok.any():
        columns["log_prob"][ok] = model.estimator.standardised_log_prob(X[ok])
        columns["score"][ok] = model.estimator.anomaly_score(X[ok])
        columns["p_value"][ok] = model.estimator.p_values(X[ok])
    flagged = ok & (np.nan_to_num(columns["score"], nan=-np.inf) > model.threshold)
    if flagged.any():
        share = model.estimator.attribute(X[flagged])
        for row, values in zip(np.flatnonzero(flagged), share, strict=True):
            top[row] = [model.names[j] for j in np.argsort(-values)[:_TOP] if values[j] > 0]
    return pd.DataFrame(
        {
            "window_index": np.arange(n),
            "start_s": windows.start_s,
            "stop_s": windows.stop_s,
            "center_s": windows.center_s,
            **columns,
            "flagged": flagged,
            "scorable": ok,
            "reason": windows.reason,
            "top_features": top,
            "top_channel": None,
        }
    )


def merge(windows: pd.DataFrame) -> pd.DataFrame:
    """Merge flagged windows that lie at most :data:`MERGE_S` apart into segments."""
    flagged = windows[windows["flagged"]]
    gap = flagged["start_s"] - flagged["stop_s"].cummax().shift()
    segments = []
    for _, part in flagged.groupby((gap > MERGE_S).cumsum()):
        worst = part.iloc[int(part["score"].to_numpy().argmax())]
        words = ", ".join(describe(name) for name in worst["top_features"][:3])
        segments.append(
            {
                "recording_id": worst["recording_id"],
                "patient_id": worst["patient_id"],
                "segment_id": f"{worst['recording_id']}@{part['start_s'].min():.3f}",
                "start_s": part["start_s"].min(),
                "stop_s": part["stop_s"].max(),
                "n_windows": len(part),
                "peak_score": worst["score"],
                "min_p_value": part["p_value"].min(),
                "description": f"does not fit in {words}",
                "top_features": worst["top_features"],
                "top_channel": worst["top_channel"],
            }
        )
    return pd.DataFrame(segments)
