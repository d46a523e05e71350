"""What a window would look like if it fitted: the model's answer, shown with the patient's own signal.

The posterior of the features, ``p(x') N(x; x', s^2)`` with p the density of the flow (Xie and
Cheng, arXiv 2502.13394, on posterior sampling), is drawn from by weighting rows of the flow
itself. Features do not determine a waveform, so each draw is shown by the window of the same
recording, among those that were not flagged, whose features come nearest to it. A picture of the
model, no finding about a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.errors import SignalError
from pipelines.features.ecg import GRID_S, beat_waveforms
from pipelines.recording import Recording
from pipelines.signals import ecg_windows, eeg_windows
from pipelines.signals.extraction import looked_at
from pipelines.signals.montage import montage
from pipelines.signals.preprocessing import band_pass

if TYPE_CHECKING:
    from pipelines.model import Model

Floats = NDArray[np.float64]

N_MODEL_ROWS = 4000
FEWEST_USUAL = 30
EFFECTIVE = 30.0
"""Draws that the posterior is worth at least: its spread is widened until it is."""
PLAINLY_USUAL = 0.9
"""Share of the unflagged windows, from the least odd on, that may show what fits."""
N_SHOWN, N_ALIKE = 40, 3
APART_S = 2.0
BAND = (10.0, 90.0)
_MARGIN_S = 4.0


@dataclass(frozen=True)
class NearestNormal:
    """One window beside what it would look like if it fitted.

    Attributes
    ----------
    kind : str
        ``"waveform"`` (ECG: volts against seconds from the R peak) or ``"spectrum"`` (EEG:
        decibels, ``10 log10`` of V^2/Hz, against Hz).
    axis : ndarray of shape (n,)
        Seconds or Hz.
    channels : tuple of str
    window : ndarray of shape (n_channels, n)
        The window itself.
    mean, low, high : ndarray of shape (n_channels, n)
        Mean, 10th and 90th percentile of the windows that show the nearest normal.
    alike : tuple of int
        ``window_index`` of the three unflagged windows of this recording most alike.
    features : pandas.DataFrame
        By feature name: ``value``, ``normal`` (posterior mean) and ``sd``.
    effective_size : float
        Independent draws that the posterior is worth.
    widened : float
        By how much the noise s was widened to get so many; far above 1 the window is far from
        anything that the model knows.
    """

    kind: Literal["waveform", "spectrum"]
    axis: Floats
    channels: tuple[str, ...]
    window: Floats
    mean: Floats
    low: Floats
    high: Floats
    alike: tuple[int, ...]
    features: pd.DataFrame
    effective_size: float
    widened: float


def model_rows(model: Model, n: int = N_MODEL_ROWS, seed: int = 0) -> Floats:
    """Draw the rows of the model that :func:`nearest_normal` weights; keep them between calls."""
    return model.estimator.sample(n, seed=seed)


def nearest_normal(
    model: Model,
    recording: Recording,
    windows: pd.DataFrame,
    features: pd.DataFrame,
    window_index: int,
    rows: Floats | None = None,
) -> NearestNormal:
    """Show one window beside its nearest normal.

    Parameters
    ----------
    model : Model
    recording : Recording
        The one that was scored.
    windows, features : pandas.DataFrame
        Its tables, as scored (a baseline is in the features already).
    window_index : int
    rows : ndarray of shape (n, n_features), optional
        From :func:`model_rows`.

    Raises
    ------
    SignalError
        If the window has no features, or the recording fewer than 30 unflagged windows.
    """
    rows = model_rows(model) if rows is None else rows
    table = features.set_index("window_index")[list(model.names)].astype(np.float64)
    by_index = windows.set_index("window_index")
    x = table.loc[window_index].to_numpy()
    fits = by_index["scorable"] & ~by_index["flagged"]
    fits &= by_index["score"] <= by_index["score"][fits].quantile(PLAINLY_USUAL)
    usual = by_index.index[fits]
    usual = usual[np.isfinite(table.loc[usual].to_numpy()).all(axis=1) & (usual != window_index)]
    if not np.isfinite(x).all():
        raise SignalError(f"window {window_index} was not scored; it has no nearest normal")
    if len(usual) < FEWEST_USUAL:
        raise SignalError(
            f"only {len(usual)} windows of this recording fit the model; at least {FEWEST_USUAL} "
            "are needed to show what fits"
        )
    spread = np.maximum(rows.std(axis=0), 1e-9)
    weight, widened = posterior_weights(rows, x, spread)
    mean = weight @ rows
    sd = np.sqrt(weight @ np.square(rows - mean))
    own = table.loc[usual].to_numpy()
    shown = usual[_nearest_to_draws(rows, weight, own, spread)]
    picture = _waveforms if model.kind == "ecg" else _spectra
    axis, channels, pictures = picture(model, recording, by_index, [window_index, *shown])
    low, high = np.percentile(pictures[1:], BAND, axis=0)
    return NearestNormal(
        kind="waveform" if model.kind == "ecg" else "spectrum",
        axis=axis,
        channels=channels,
        window=pictures[0],
        mean=pictures[1:].mean(axis=0),
        low=low,
        high=high,
        alike=_alike(x, own, spread, usual, by_index["center_s"]),
        features=pd.DataFrame({"value": x, "normal": mean, "sd": sd}, index=list(model.names)),
        effective_size=float(1 / np.square(weight).sum()),
        widened=widened,
    )


def posterior_weights(
    rows: Floats, x: Floats, spread: Floats, effective: float = EFFECTIVE
) -> tuple[Floats, float]:
    """Return the weights of model rows in the posterior given `x`, and how far it was widened.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Drawn from the model.
    x : ndarray of shape (n_features,)
    spread : ndarray of shape (n_features,)
        One unit of noise s in each feature.
    effective : float
        The noise is doubled until the weights are worth so many equal ones (Kish's effective
        size, ``1 / sum w^2``).
    """
    misfit = np.square((rows - x) / spread).sum(axis=1)
    widened = 1.0
    while True:
        log_weight = -0.5 * (misfit - misfit.min()) / widened**2
        weight: Floats = np.exp(log_weight)
        weight = weight / weight.sum()
        if 1 / np.square(weight).sum() >= min(effective, 0.5 * len(rows)):
            return weight, widened
        widened *= 2**0.5


def _nearest_to_draws(
    rows: Floats, weight: Floats, own: Floats, spread: Floats
) -> NDArray[np.int64]:
    """Return which of the patient's own windows show evenly spread draws of the posterior."""
    from sklearn.neighbors import NearestNeighbors

    quantiles = (np.arange(N_SHOWN) + 0.5) / N_SHOWN
    drawn = np.minimum(np.searchsorted(weight.cumsum(), quantiles), len(rows) - 1)
    found = NearestNeighbors(n_neighbors=1).fit(own / spread).kneighbors(rows[drawn] / spread)
    return np.asarray(found[1][:, 0], dtype=np.int64)


def _alike(
    x: Floats, own: Floats, spread: Floats, usual: pd.Index, center_s: pd.Series
) -> tuple[int, ...]:
    """Return the nearest own windows that do not overlap one another."""
    chosen: list[int] = []
    for k in np.argsort(np.square((own - x) / spread).sum(axis=1), kind="stable"):
        at = center_s.loc[usual[k]]
        if all(abs(at - center_s.loc[other]) >= APART_S for other in chosen):
            chosen.append(int(usual[k]))
        if len(chosen) == N_ALIKE:
            break
    return tuple(chosen)


_Pictures = tuple[Floats, tuple[str, ...], Floats]


def _waveforms(
    model: Model, recording: Recording, by_index: pd.DataFrame, chosen: list[int]
) -> _Pictures:
    """Return the times of a beat, the leads, and the beats in volts: (n_chosen, n_leads, n)."""
    source, names = looked_at(recording, model.kind, model.plan)
    sfreq = source.channel(names[0]).sfreq
    beats = []
    for center_s in by_index.loc[chosen, "center_s"]:
        first_s, signal = _read_around(source, names, center_s, _MARGIN_S)
        filtered = band_pass(signal, sfreq, *ecg_windows.BAND_HZ)
        peak = np.array([round((center_s - first_s) * sfreq)])
        beat = beat_waveforms(filtered, peak, sfreq)[0].astype(np.float64)
        beats.append(beat - np.median(beat, axis=1, keepdims=True))
    return GRID_S, names, np.stack(beats)


def _spectra(
    model: Model, recording: Recording, by_index: pd.DataFrame, chosen: list[int]
) -> _Pictures:
    """Return frequencies, the derived channels, and decibels: (n_chosen, n_channels, n)."""
    from scipy.signal import periodogram

    source, names = looked_at(recording, model.kind, model.plan)
    sfreq = source.channel(names[0]).sfreq
    derived = montage(names, model.settings.eeg.reference)
    spectra, axis = [], np.empty(0)
    for start_s, stop_s in by_index.loc[chosen, ["start_s", "stop_s"]].to_numpy():
        middle = (start_s + stop_s) / 2
        _, signal = _read_around(source, names, middle, (stop_s - start_s) / 2)
        n = round((stop_s - start_s) * sfreq)
        signal = np.nan_to_num(derived.apply(signal))
        axis, power = periodogram(signal, sfreq, "hann", nfft=n)
        spectra.append(10 * np.log10(np.maximum(power, 1e-18)))
    low, high = eeg_windows.BAND_HZ
    inside = (axis >= low) & (axis <= high)
    return axis[inside], derived.names, np.stack(spectra)[:, :, inside]


def _read_around(
    recording: Recording, names: tuple[str, ...], center_s: float, half_s: float
) -> tuple[float, Floats]:
    """Return the time of the first sample, and the samples of the stretch that holds a time."""
    stretches = recording.read_between(names, center_s - half_s, center_s + half_s)
    for first_s, signal in stretches:
        if first_s + signal.shape[1] / recording.channel(names[0]).sfreq > center_s:
            return first_s, signal
    raise SignalError(f"{recording.path.name} holds no signal at {center_s:.1f} s")
