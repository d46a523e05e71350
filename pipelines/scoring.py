"""Scores of one recording under a model, and the flagged segments they merge into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.domain import check_domain, descriptors
from pipelines.explanation import top_channels, top_features
from pipelines.model import Model
from pipelines.recording import Recording
from pipelines.rhythm.scoring import rhythm_table
from pipelines.rhythm.segments import segments_of
from pipelines.rhythm.windows import rhythm_windows
from pipelines.signals.windows import Windows

NOT_COMPUTED = "a feature could not be computed"
_BLOCK = 1 << 14
"""Windows scored at once: memory does not grow with the recording."""


@dataclass(frozen=True)
class Scored:
    """The tables of one scored recording, with the columns of :mod:`pipelines.run_folder`.

    Attributes
    ----------
    windows : pandas.DataFrame
        One row a window.
    segments : pandas.DataFrame
        One row a flagged segment.
    features : pandas.DataFrame
        ``window_index`` and one float32 column a feature, NaN where it cannot be computed. With
        a baseline they are relative to it, as they were scored.
    drift : dict
        Whether the recording differs as a whole from those of the fit, see
        :func:`pipelines.domain.check_domain`.
    rhythm : pandas.DataFrame or None
        ECG: one row a window of rhythm, a minute each, see :mod:`pipelines.rhythm`; None if the
        model has no part for it.
    """

    windows: pd.DataFrame
    segments: pd.DataFrame
    features: pd.DataFrame
    drift: dict[str, Any]
    rhythm: pd.DataFrame | None = None


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
        ``(start_s, stop_s)`` confirmed as normal for this patient, at least 30 windows. ECG beats
        are then compared with the median beat of that part, and all features are moved so that
        their mean there is the model's.

    Raises
    ------
    SignalError, ModelError, RecordingError
        If the recording cannot be scored by this model.
    """
    recording_id = recording_id or recording.path.stem
    windows, X = model.features(recording, baseline)
    rhythm = None
    if model.rhythm is not None:
        minutes = rhythm_windows(windows, recording.pieces)
        rhythm = rhythm_table(model.rhythm, model.threshold, minutes, baseline)
    table = _window_table(model, windows, X)
    for rows in (table, rhythm):
        if rows is not None:
            rows.insert(0, "recording_id", recording_id)
            rows.insert(1, "patient_id", patient_id or recording_id)
    features = pd.DataFrame(X.astype(np.float32), columns=list(model.names))
    features.insert(0, "window_index", np.arange(len(X)))
    ok = table["scorable"].to_numpy(bool)
    described = descriptors(windows, X, model.kind)[ok]
    drift = check_domain(model.domain, described, 0 if baseline is None else X.shape[1])
    segments = segments_of(table, rhythm, model.settings.segments.merge_s)
    return Scored(table, segments, features, drift, rhythm)


def _window_table(model: Model, windows: Windows, X: NDArray[np.float64]) -> pd.DataFrame:
    n = len(windows)
    reason = windows.reason.copy()
    reason[windows.scorable & ~np.isfinite(X).all(axis=1)] = NOT_COMPUTED
    ok = np.array([r is None for r in reason], dtype=bool)
    columns = {name: np.full(n, np.nan) for name in ("log_prob", "score", "p_value")}
    for rows in _blocks(ok):
        found = model.estimator.evaluate(X[rows])
        columns["log_prob"][rows] = found.standardised_log_prob
        columns["score"][rows] = found.score
        columns["p_value"][rows] = found.p_value
    flagged = ok & (np.nan_to_num(columns["score"], nan=-np.inf) > model.threshold)
    top: list[list[str]] = [[] for _ in range(n)]
    channel: list[str | None] = [None] * n
    if flagged.any():
        gains = np.concatenate([model.estimator.attribute(X[rows]) for rows in _blocks(flagged)])
        names = top_features(gains, model.names)
        channels = top_channels(windows, flagged, gains, model.names, model.kind)
        for row, these, one in zip(np.flatnonzero(flagged), names, channels, strict=True):
            top[row], channel[row] = these, one
    return pd.DataFrame(
        {
            "window_index": np.arange(n),
            "start_s": windows.start_s,
            "stop_s": windows.stop_s,
            "center_s": windows.center_s,
            **columns,
            "flagged": flagged,
            "scorable": ok,
            "reason": reason,
            "top_features": top,
            "top_channel": pd.Series(channel, dtype=object),
        }
    )


def _blocks(chosen: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of chosen windows, some at a time."""
    rows = np.flatnonzero(chosen)
    for first in range(0, len(rows), _BLOCK):
        yield rows[first : first + _BLOCK]
