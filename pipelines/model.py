"""A fitted model: which features of which signal, the flow over them, and the threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flowcore import FlowDensityEstimator
from pipelines.baseline import relative_to
from pipelines.calibration import NEW_PATIENT_RATE, WINDOW_RATE, Calibration, calibrate
from pipelines.config import Settings, settings_for
from pipelines.domain import Domain, descriptors, learn_domain
from pipelines.errors import ModelError, SignalError
from pipelines.features.eeg_pattern import (
    PATTERN_FEATURES,
    Pattern,
    in_order,
    learn_pattern,
    pattern_features,
)
from pipelines.features.registry import is_amplitude
from pipelines.labels import abnormal_intervals
from pipelines.patient_hashes import patient_facts
from pipelines.provenance import signal_hash
from pipelines.recording import Recording
from pipelines.rhythm.model import Minutes, RhythmModel
from pipelines.signals.channel_choice import common_channels
from pipelines.signals.extraction import (
    Kind,
    choose_channels,
    extract,
    feature_matrix,
    feature_names,
)
from pipelines.signals.plan import Plan
from pipelines.signals.windows import Windows
from pipelines.splitting import split
from pipelines.trimming import rows_to_fit, usual_rows

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)``, called from time to time."""

FEWEST_WINDOWS = 50
RATE_SD = 0.15
"""Spread given to the heart rate (log) where few recordings cannot show how far it moves."""


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
        Mean of the windows it was fitted on; a patient's baseline is moved here.
    estimator : FlowDensityEstimator
        Fitted and calibrated.
    calibration : Calibration
    settings : Settings
        The resolved configuration.
    n_fitted, n_trimmed : int
        Windows used, and windows left out before because they did not fit the rest.
    sources : dict
        How it was fitted: number of recordings, baseline, annotations, seed (JSON-able).
    channels : tuple of str
        What it looks at: see :func:`pipelines.signals.channel_choice.choose_channels`.
    domain : Domain or None
        What its recordings look like as a whole; None in models of earlier versions.
    pattern : Pattern or None
        EEG: what is usual on each channel.
    rhythm : RhythmModel or None
        ECG: what rhythm is usual over a minute; None where too little was there to learn it from.
    """

    kind: Kind
    sfreq: float
    names: tuple[str, ...]
    center: Floats
    estimator: FlowDensityEstimator
    calibration: Calibration
    settings: Settings
    n_fitted: int
    n_trimmed: int
    sources: dict[str, Any]
    channels: tuple[str, ...] = ()
    domain: Domain | None = None
    pattern: Pattern | None = None
    rhythm: RhythmModel | None = None

    @property
    def threshold(self) -> float:
        """The score above which a window is flagged."""
        return self.calibration.threshold

    @property
    def plan(self) -> Plan:
        """How it looks at a recording."""
        return Plan(self.channels, self.sfreq, self.settings.eeg)

    def features(
        self,
        recording: Recording,
        baseline: tuple[float, float] | None = None,
        folder: Path | None = None,
    ) -> tuple[Windows, Floats]:
        """Return a recording's windows and their features, or say why the model does not fit.

        With a `baseline` (seconds) the features count relative to that part of the recording. With
        a `folder` most of both is kept there and not in memory.
        """
        windows = extract(recording, self.kind, self.plan, folder)
        names = feature_names(windows, self.kind, self.pattern is not None)
        kept: slice | list[int] = slice(None)
        if self.kind == "eeg" and set(self.names) < set(names):
            kept = [names.index(name) for name in self.names]  # fitted before there were others
        elif names != self.names:
            odd = sorted(set(names) ^ set(self.names))
            raise ModelError(
                f"{recording.path.name} and the model differ in the features {', '.join(odd)}; "
                "score it with a model fitted on the same number of leads"
            )

        def features(usual: NDArray[np.bool_] | None = None) -> Floats:
            return feature_matrix(windows, self.kind, usual, self.pattern, folder)[:, kept]

        if baseline is None:
            return windows, features()
        by_ratio = np.array([is_amplitude(name) for name in self.names])
        return windows, relative_to(windows, features, baseline, self.center, by_ratio)


def fit_model(
    recordings: Sequence[Recording],
    kind: Kind,
    *,
    patients: Sequence[str] | None = None,
    stated_patients: Sequence[str] = (),
    baseline: tuple[float, float] | None = None,
    use_annotations: bool = False,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Model:
    """Fit a model on what is usual in some recordings.

    Parameters
    ----------
    recordings : sequence of Recording
        With the same number of leads, or half of their EEG channels in common; those of a higher
        sampling rate are brought to the lowest.
    kind : str
        ``"ecg"`` or ``"eeg"``.
    patients : sequence of str, optional
        Whose recording each is; by default each is of another patient. From five patients on,
        about a quarter of them is not fitted on and sets the threshold instead.
    stated_patients : sequence of str, optional
        Those of `patients` that name a person beyond these recordings, as in a manifest. Salted
        hashes of them are kept, so that nobody serves to fit and to calibrate.
    baseline : tuple of float, optional
        ``(start_s, stop_s)``: use only this part of each recording.
    use_annotations : bool
        Leave out windows that touch an abnormal annotation stored with the recording.
    settings : Settings, optional
        The configuration; the defaults if left out.
    seed : int
        Same seed, same model.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    progress : callable, optional
        ``progress(stage, done, total)``.

    Raises
    ------
    SignalError
        If the recordings do not fit together or leave fewer than 50 windows.
    """
    settings = settings_for(settings or Settings(), kind)
    plan = _plan(recordings, kind, settings)
    minutes = Minutes(baseline, use_annotations) if kind == "ecg" and settings.rhythm else None
    X, groups, names, described, seen = _rows(
        recordings, kind, plan, baseline, use_annotations, progress, minutes
    )
    numbers = _patient_numbers(patients, recordings)
    part = split(numbers[groups])
    of_rhythm, settings = settings, settings_for(settings, kind, part.by_patient)
    pattern = None
    if kind == "eeg":
        pattern, X, names = _with_pattern(X, names, seen, ~part.held_out)
        described = [X[groups == number] for number in range(len(recordings))]
    usual, fit_on = _trimmed(X, settings.trim)
    if not part.by_patient:
        X = _with_moving_rate(X, names, seed)
    estimator = FlowDensityEstimator(**settings.flow.model_dump(), device=device, random_state=seed)
    with one_thread():
        fitted = fit_on & ~part.held_out
        estimator.fit(X[fitted], groups=part.units[fitted], progress=progress)
        estimator.calibrate(X[usual & part.judged])
        scores = estimator.anomaly_score(X[part.judged])
    hours = sum(recording.duration_s for recording in recordings) / 3600
    rate = NEW_PATIENT_RATE[kind] if part.by_patient else WINDOW_RATE
    judged = part.judged
    calibration = calibrate(scores, usual[judged], settings, len(X) / hours, rate, fit_on[judged])
    rhythm = None
    if minutes is not None:
        with one_thread():
            rhythm = minutes.fit(numbers, calibration, of_rhythm, seed, device)
    signals = sorted(signal_hash(recording) for recording in recordings)
    return Model(
        kind=kind,
        sfreq=plan.sfreq or 0.0,
        names=names,
        center=X[fit_on].mean(axis=0),
        estimator=estimator,
        calibration=calibration,
        settings=settings,
        n_fitted=int(fit_on.sum()),
        n_trimmed=int((~fit_on).sum()),
        sources={
            "n_recordings": len(recordings),
            "baseline": None if baseline is None else list(baseline),
            "use_annotations": use_annotations,
            "seed": seed,
            "n_calibration_patients": part.n_patients_held_out,
            "n_trimmed_by_recording": np.bincount(
                groups[~fit_on], minlength=len(recordings)
            ).tolist(),
            "n_windows_by_recording": np.bincount(groups, minlength=len(recordings)).tolist(),
            "n_rhythm_windows": None if minutes is None else len(minutes),
            "signal_sha256": signals,
            **patient_facts(stated_patients, signals),
        },
        channels=plan.channels,
        domain=learn_domain(described, names, numbers),
        pattern=pattern,
        rhythm=rhythm,
    )


def _trimmed(X: Floats, trim: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the rows that lie among many others, and of these the ones to fit on."""
    if not trim:
        return np.ones(len(X), dtype=bool), np.ones(len(X), dtype=bool)
    usual = usual_rows(X)
    return usual, usual & rows_to_fit(X)


def _with_pattern(
    X: Floats, names: tuple[str, ...], seen: Sequence[Windows], fitted: NDArray[np.bool_]
) -> tuple[Pattern, Floats, tuple[str, ...]]:
    """Learn what is usual on each channel in the rows to fit on, and count all rows against it."""
    channels = seen[0].channels
    parts = [in_order(channels, w.channels, w.channel_values, w.pair_values) for w in seen]
    values, pairs = map(np.concatenate, zip(*parts, strict=True))
    pattern = learn_pattern(channels, values[fitted], pairs[fitted])
    columns = pattern_features(pattern, channels, values, pairs)
    return pattern, np.hstack([X, columns]), (*names, *(f.name for f in PATTERN_FEATURES))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: for networks this small, handing work over costs more than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _with_moving_rate(X: Floats, names: Sequence[str], seed: int) -> Floats:
    """Spread the heart rate: one patient's five minutes do not show how far it may move."""
    if "local_rr" not in names:
        return X
    X = X.copy()
    X[:, names.index("local_rr")] += RATE_SD * np.random.default_rng(seed).standard_normal(len(X))
    return X


def _patient_numbers(
    patients: Sequence[str] | None, recordings: Sequence[Recording]
) -> NDArray[np.int64]:
    """Return the number of each recording's patient, in order of first appearance."""
    if patients is None:
        return np.arange(len(recordings))
    if len(patients) != len(recordings):
        raise SignalError(
            f"{len(patients)} patients for {len(recordings)} recordings; give one for each"
        )
    return np.array([list(dict.fromkeys(patients)).index(patient) for patient in patients])


def _plan(recordings: Sequence[Recording], kind: Kind, settings: Settings) -> Plan:
    """Return what the recordings have in common: their channels, and the lowest of their rates."""
    if not recordings:
        raise SignalError("no recording to fit on; give one or more")
    channels = common_channels(recordings, kind)
    rates = [c.sfreq for r in recordings for c in choose_channels(r, kind, channels)]
    return Plan(channels, min(rates), settings.eeg)


def _rows(
    recordings: Sequence[Recording],
    kind: Kind,
    plan: Plan,
    baseline: tuple[float, float] | None,
    use_annotations: bool,
    progress: Progress | None,
    minutes: Minutes | None = None,
) -> tuple[Floats, NDArray[np.int64], tuple[str, ...], list[Floats], list[Windows]]:
    """Return the feature rows to fit on, the recording each is from, and the features' names.

    Then what each recording looks like as a whole, see :func:`pipelines.domain.descriptors`, and
    of an EEG the windows themselves, of which the pattern is learned. An ECG's windows of rhythm
    are added to `minutes`.
    """
    rows, groups, names, described, seen = [], [], set(), [], []
    for number, recording in enumerate(recordings):
        windows = extract(recording, kind, plan)
        wanted = windows.scorable
        if baseline is not None:
            wanted = wanted & windows.within(*baseline)
        if use_annotations:
            abnormal = abnormal_intervals(recording, include_unclassified=True)
            wanted = wanted & ~windows.touching([(a.onset_s, a.offset_s) for a in abnormal])
        features = feature_matrix(windows, kind)
        rows.append(features[wanted])
        described.append(descriptors(windows, features, kind)[wanted])
        if kind == "eeg":
            seen.append(windows.take(wanted))
        if minutes is not None:
            minutes.add(recording, windows)
        groups.append(np.full(len(rows[-1]), number))
        names.add(feature_names(windows, kind))
        if progress is not None:
            progress("reading", number + 1, len(recordings))
    if len(names) != 1:
        raise SignalError("the recordings have different numbers of leads; fit on equal ones")
    X = np.concatenate(rows)
    if len(X) < FEWEST_WINDOWS:
        raise SignalError(
            f"only {len(X)} usable windows; at least {FEWEST_WINDOWS} are needed, "
            "give a longer baseline or more recordings"
        )
    return X, np.concatenate(groups), names.pop(), described, seen
