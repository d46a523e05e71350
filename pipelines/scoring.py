"""Scores of one recording under a model, and the flagged segments they merge into."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.domain import check_typical, typical_values
from pipelines.explanation import top_channels, top_features, usual_values
from pipelines.model import Model
from pipelines.recording import Recording
from pipelines.rhythm.scoring import rhythm_table
from pipelines.rhythm.segments import segments_of
from pipelines.rhythm.windows import rhythm_windows
from pipelines.signals.spill import release
from pipelines.signals.windows import Windows

NOT_COMPUTED = "a feature could not be computed"
_BLOCK = 1 << 14
"""Windows scored at once: memory does not grow with the recording."""


WINDOWS, FEATURES = "windows", "features"
"""The long tables of a scored recording, which come in parts."""


@dataclass(frozen=True)
class Outcome:
    """What there is to say of a scored recording beside its long tables.

    Attributes
    ----------
    n_windows, n_flagged, n_not_scorable : int
    segments : pandas.DataFrame
    drift : dict
    rhythm : pandas.DataFrame or None
        As in :class:`Scored`.
    """

    n_windows: int
    n_flagged: int
    n_not_scorable: int
    segments: pd.DataFrame
    drift: dict[str, Any]
    rhythm: pd.DataFrame | None


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

    @property
    def n_windows(self) -> int:
        """Windows of the recording."""
        return len(self.windows)

    @property
    def n_flagged(self) -> int:
        """Windows above the threshold."""
        return int(self.windows["flagged"].sum())

    @property
    def n_not_scorable(self) -> int:
        """Windows without a score."""
        return int((~self.windows["scorable"]).sum())


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
    parts: dict[str, list[pd.DataFrame]] = defaultdict(list)
    outcome = score_in_parts(
        model,
        recording,
        lambda name, part: parts[name].append(part),
        recording_id=recording_id,
        patient_id=patient_id,
        baseline=baseline,
    )
    windows, features = (_joined(parts[name]) for name in (WINDOWS, FEATURES))
    return Scored(windows, outcome.segments, features, outcome.drift, outcome.rhythm)


def score_in_parts(
    model: Model,
    recording: Recording,
    write: Callable[[str, pd.DataFrame], None],
    *,
    recording_id: str | None = None,
    patient_id: str | None = None,
    baseline: tuple[float, float] | None = None,
    folder: Path | None = None,
) -> Outcome:
    """Score a recording as :func:`score_recording` does, handing on its long tables part by part.

    Parameters
    ----------
    model : Model
    recording : Recording
    write : callable
        ``write(name, part)`` is given the rows of :data:`WINDOWS` and :data:`FEATURES` in order.
    recording_id, patient_id : str, optional
    baseline : tuple of float, optional
    folder : pathlib.Path, optional
        Where to keep in a passing file what would take memory in proportion to the length.
    """
    recording_id = recording_id or recording.path.stem
    names = {"recording_id": recording_id, "patient_id": patient_id or recording_id}
    windows, X = model.features(recording, baseline, folder)
    rhythm = None
    if model.rhythm is not None:
        minutes = rhythm_windows(windows, recording.pieces)
        rhythm = _with_names(rhythm_table(model.rhythm, model.threshold, minutes, baseline), names)
    flagged, ok = [], np.zeros(len(windows), dtype=bool)
    for first, table in _window_tables(model, windows, X):
        part = slice(first, first + len(table))
        ok[part] = table["scorable"]
        write(WINDOWS, _with_names(table, names))
        flagged.append(table[table["flagged"]])
        features = pd.DataFrame(X[part].astype(np.float32), columns=list(model.names))
        features.insert(0, "window_index", np.arange(len(X))[part])
        write(FEATURES, features)
        release(X)
    value = typical_values(windows, X, model.kind, ok)
    return Outcome(
        n_windows=len(windows),
        n_flagged=sum(map(len, flagged)),
        n_not_scorable=int((~ok).sum()),
        segments=segments_of(_joined(flagged), rhythm, model.settings.segments.merge_s),
        drift=check_typical(model.domain, value, 0 if baseline is None else X.shape[1]),
        rhythm=rhythm,
    )


def _with_names(table: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    for place, (column, name) in enumerate(names.items()):
        table.insert(place, column, name)
    return table


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _window_tables(
    model: Model, windows: Windows, X: NDArray[np.float64]
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield the first row and the table of some windows at a time."""
    usual = None
    for first in range(0, len(windows), _BLOCK):
        part = slice(first, min(first + _BLOCK, len(windows)))
        table = _scores(model, windows, X, part)
        rows = np.flatnonzero(table["flagged"])
        top: list[list[str]] = [[] for _ in range(len(table))]
        channel: list[str | None] = [None] * len(table)
        if len(rows):
            if usual is None and model.kind == "eeg":
                usual = usual_values(windows)
            chosen = np.zeros(len(windows), dtype=bool)
            chosen[first + rows] = True
            gains = model.estimator.attribute(X[part][rows])
            names = top_features(gains, model.names)
            channels = top_channels(windows, chosen, gains, model.names, model.kind, usual)
            for row, these, one in zip(rows, names, channels, strict=True):
                top[row], channel[row] = these, one
        table["top_features"] = top
        table["top_channel"] = pd.Series(channel, dtype=object)
        yield first, table


def _scores(model: Model, windows: Windows, X: NDArray[np.float64], part: slice) -> pd.DataFrame:
    """Return the columns of some windows up to the reason why they have no score."""
    x, reason = X[part], windows.reason[part].copy()
    computed = np.isfinite(x).all(axis=1)
    reason[np.array([each is None for each in reason], dtype=bool) & ~computed] = NOT_COMPUTED
    ok = np.array([each is None for each in reason], dtype=bool)
    columns = {name: np.full(len(x), np.nan) for name in ("log_prob", "score", "p_value")}
    if ok.any():
        found = model.estimator.evaluate(x[ok])
        columns["log_prob"][ok] = found.standardised_log_prob
        columns["score"][ok] = found.score
        columns["p_value"][ok] = found.p_value
    return pd.DataFrame(
        {
            "window_index": np.arange(part.start, part.stop),
            "start_s": windows.start_s[part],
            "stop_s": windows.stop_s[part],
            "center_s": windows.center_s[part],
            **columns,
            "flagged": ok & (np.nan_to_num(columns["score"], nan=-np.inf) > model.threshold),
            "scorable": ok,
            "reason": reason,
        }
    )
