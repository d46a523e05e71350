"""What rhythm is usual: a small density over windows of rhythm, with a threshold of its own.

Its scores are carried onto the scale of the beats' by a straight line, so that at both thresholds
and at both medians of held-out windows the two agree. One threshold then serves both, wherever it
is moved: by ``rarewave calibrate`` or by the slider of the dashboard.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowcore import FlowDensityEstimator
from flowcore.errors import FlowWarning
from pipelines.calibration import NEW_PATIENT_RATE, WINDOW_RATE, Calibration, calibrate
from pipelines.config import Settings
from pipelines.errors import ModelError
from pipelines.features.rhythm_windows import SPREAD
from pipelines.labels import abnormal_rhythms
from pipelines.recording import Recording
from pipelines.rhythm.windows import HOP_S, NAMES, RhythmWindows, rhythm_windows
from pipelines.signals.windows import Windows
from pipelines.splitting import split
from pipelines.trimming import usual_rows

Floats = NDArray[np.float64]

FEWEST_WINDOWS = 50
FEWEST_BASELINE = 3
"""So many windows of a patient's baseline are needed to count against them."""


@dataclass(frozen=True)
class RhythmModel:
    """What scoring windows of rhythm needs.

    Attributes
    ----------
    names : tuple of str
        Features, in order.
    center : ndarray of shape (n_features,)
        Mean of the windows it was fitted on; a patient's baseline is moved here.
    estimator : FlowDensityEstimator
        Fitted and calibrated.
    calibration : Calibration
        In scores of `estimator`.
    slope, offset : float
        ``slope * score + offset`` is the score on the scale of the beats.
    n_fitted, n_trimmed : int
    note : str
        What flowcore said against the fit, or nothing.
    """

    names: tuple[str, ...]
    center: Floats
    estimator: FlowDensityEstimator
    calibration: Calibration
    slope: float
    offset: float
    n_fitted: int
    n_trimmed: int
    note: str = ""

    def features(
        self, windows: RhythmWindows, baseline: tuple[float, float] | None = None
    ) -> Floats:
        """Return the features to score, relative to a baseline where enough windows lie in it.

        Raises
        ------
        ModelError
            If the model was fitted on other features.
        """
        if self.names != NAMES:
            raise ModelError(
                f"the rhythm part of the model has the features {', '.join(self.names)}, this "
                f"version computes {', '.join(NAMES)}; fit the model again"
            )
        if baseline is not None:
            confirmed = windows.X[windows.scorable & windows.within(*baseline)]
            if len(confirmed) >= FEWEST_BASELINE:
                return np.asarray(windows.X + (self.center - confirmed.mean(axis=0)))
        return windows.X

    def on_beat_scale(self, scores: Floats) -> Floats:
        """Return scores of the estimator on the scale of the beats' scores."""
        return self.slope * scores + self.offset


class Minutes:
    """The windows of rhythm to fit on, gathered recording by recording.

    Parameters
    ----------
    baseline : tuple of float or None
        Only those within this part of each recording (seconds).
    use_annotations : bool
        Leave out those that touch a stretch whose annotation names an arrhythmia. Single odd
        beats do not count: rhythms with odd beats are usual too.
    """

    def __init__(self, baseline: tuple[float, float] | None, use_annotations: bool) -> None:
        self._baseline, self._use_annotations = baseline, use_annotations
        self._rows: list[Floats] = []

    def __len__(self) -> int:
        return sum(map(len, self._rows))

    def add(self, recording: Recording, beats: Windows) -> None:
        """Take the next recording, cut into heartbeats."""
        windows = rhythm_windows(beats, recording.pieces)
        wanted = windows.scorable
        if self._baseline is not None:
            wanted = wanted & windows.within(*self._baseline)
        if self._use_annotations:
            odd = [(a.onset_s, a.offset_s) for a in abnormal_rhythms(recording)]
            wanted = wanted & ~windows.touching(odd)
        self._rows.append(windows.X[wanted])

    def fit(
        self,
        numbers: NDArray[np.int64],
        beats: Calibration,
        settings: Settings,
        seed: int,
        device: str,
    ) -> RhythmModel | None:
        """Learn the usual rhythm; None if there are fewer than 50 windows.

        Parameters
        ----------
        numbers : ndarray of shape (n_recordings,)
            Whose recording each is.
        beats : Calibration
            Of the model of beats, whose scale the scores are brought to.
        settings, seed, device
            As for :func:`pipelines.fit_model`.
        """
        if len(self) < FEWEST_WINDOWS:
            return None
        rows = np.concatenate(self._rows)
        roles = split(np.repeat(numbers, [len(part) for part in self._rows]))
        usual = usual_rows(rows) if settings.trim else np.ones(len(rows), dtype=bool)
        center = rows[usual].mean(axis=0)
        if not roles.by_patient:  # few patients do not show how far patients lie apart
            rows = rows + SPREAD * np.random.default_rng(seed).standard_normal(rows.shape)
        estimator = FlowDensityEstimator(
            **settings.flow.model_dump(), device=device, random_state=seed
        )
        fitted = usual & ~roles.held_out
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", FlowWarning)
            estimator.fit(rows[fitted], groups=roles.units[fitted])
        estimator.calibrate(rows[usual & roles.judged])
        scores = estimator.anomaly_score(rows[roles.judged])
        rate = NEW_PATIENT_RATE["ecg"] if roles.by_patient else WINDOW_RATE
        calibration = calibrate(scores, usual[roles.judged], settings, 3600 / HOP_S, rate)
        return RhythmModel(
            NAMES,
            center,
            estimator,
            calibration,
            *_onto(beats, calibration),
            n_fitted=int(usual.sum()),
            n_trimmed=int((~usual).sum()),
            note="; ".join(str(warning.message) for warning in said),
        )


def _onto(beats: Calibration, rhythm: Calibration) -> tuple[float, float]:
    """Return the line through the medians and the thresholds of held-out scores."""
    rise = beats.threshold - float(np.median(beats.scores))
    run = rhythm.threshold - float(np.median(rhythm.scores))
    slope = rise / run if rise > 0 and run > 0 else 1.0
    return slope, beats.threshold - slope * rhythm.threshold
