"""A fitted model: which features of which signal, the flow over them, and the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowcore import FlowDensityEstimator, tail_threshold
from pipelines.errors import ModelError, SignalError
from pipelines.extraction import Kind, choose_channels, extract, feature_matrix, feature_names
from pipelines.recording import Recording
from pipelines.trimming import usual_rows
from pipelines.windows import Windows

FEWEST_WINDOWS = 50
_BLOCK, _HELD_OUT = 10, 3  # every third block of ten consecutive windows calibrates
WINDOW_RATE = 1 / 1000
"""Share of usual windows above the threshold; beyond the data it is an extrapolation."""


@dataclass(frozen=True)
class Model:
    """What scoring needs.

    Attributes
    ----------
    kind : str
        ``"ecg"`` or ``"eeg"``.
    sfreq : float
        Sampling rate of the recordings it was fitted on, Hz.
    names : tuple of str
        Features, in order.
    center : ndarray of shape (n_features,)
        Median of the windows it was fitted on; a patient's baseline is moved here.
    estimator : FlowDensityEstimator
        Fitted and calibrated.
    threshold : float
        A higher score is flagged.
    n_fitted, n_trimmed : int
        Windows used, and windows left out before because they did not fit the rest.
    """

    kind: Kind
    sfreq: float
    names: tuple[str, ...]
    center: NDArray[np.float64]
    estimator: FlowDensityEstimator
    threshold: float
    n_fitted: int
    n_trimmed: int

    def features(self, recording: Recording) -> tuple[Windows, NDArray[np.float64]]:
        """Return a recording's windows and their features, or say why the model does not fit."""
        sfreq = choose_channels(recording, self.kind)[0].sfreq
        if abs(sfreq / self.sfreq - 1) > 0.01:
            raise ModelError(
                f"{recording.path.name} is sampled at {sfreq:g} Hz, the model was fitted at "
                f"{self.sfreq:g} Hz; resample the recording or fit a model at its rate"
            )
        windows = extract(recording, self.kind)
        names = feature_names(windows, self.kind)
        if names != self.names:
            odd = sorted(set(names) ^ set(self.names))
            raise ModelError(
                f"{recording.path.name} and the model differ in the features {', '.join(odd)}; "
                "score it with a model fitted on the same number of leads"
            )
        return windows, feature_matrix(windows, self.kind)


def fit_model(
    recordings: Sequence[Recording],
    kind: Kind,
    *,
    baseline: tuple[float, float] | None = None,
    seed: int = 0,
) -> Model:
    """Fit a model on what is usual in some recordings.

    Parameters
    ----------
    recordings : sequence of Recording
        All at one sampling rate.
    kind : str
        ``"ecg"`` or ``"eeg"``.
    baseline : tuple of float, optional
        ``(start_s, stop_s)``: use only this part of each recording.
    seed : int
        Same seed, same model.

    Raises
    ------
    SignalError
        If the recordings do not fit together or leave fewer than 50 windows.
    """
    rates = {choose_channels(recording, kind)[0].sfreq for recording in recordings}
    if len(rates) != 1:
        raise SignalError(f"recordings of rates {sorted(rates)} Hz; fit on one rate at a time")
    rows, names = [], set()
    for recording in recordings:
        windows = extract(recording, kind)
        wanted = windows.scorable
        if baseline is not None:
            wanted = wanted & windows.within(*baseline)
        rows.append(feature_matrix(windows, kind)[wanted])
        names.add(feature_names(windows, kind))
    if len(names) != 1:
        raise SignalError("the recordings have different numbers of leads; fit on equal ones")
    X = np.concatenate(rows)
    if len(X) < FEWEST_WINDOWS:
        raise SignalError(
            f"only {len(X)} usable windows; at least {FEWEST_WINDOWS} are needed, "
            "give a longer baseline or more recordings"
        )
    usual = usual_rows(X)
    kept = X[usual]
    held_out = (np.arange(len(kept)) // _BLOCK) % _HELD_OUT == _HELD_OUT - 1
    estimator = FlowDensityEstimator(random_state=seed).fit(kept[~held_out])
    estimator.calibrate(kept[held_out])
    threshold = tail_threshold(estimator.anomaly_score(kept[held_out]), WINDOW_RATE)
    return Model(
        kind=kind,
        sfreq=rates.pop(),
        names=names.pop(),
        center=np.median(kept, axis=0),
        estimator=estimator,
        threshold=threshold,
        n_fitted=len(kept),
        n_trimmed=int((~usual).sum()),
    )
