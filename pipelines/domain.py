"""Whether a recording is, as a whole, like those that a model was fitted on.

A window may be rare; a recording of which *every* window is shifted was made in another way: other
electrodes, a lead turned round, another gain. Its scores say that, and little about events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.features.ecg import GRID_S
from pipelines.features.registry import describe
from pipelines.signals.extraction import Kind
from pipelines.signals.spill import release
from pipelines.signals.windows import Windows

Floats = NDArray[np.float64]

FEWEST_PATIENTS = 5
"""Fewer patients do not show how far recordings lie apart."""
GROSS = 4.0
"""Of fewer patients, a median so many spreads of single windows beyond all known ones is told."""
SHOWN = 5
_FLOOR = 0.05
_POLARITY_FLOOR = 0.3  # of a value that is 3 to 6 for an upright QRS complex
_FLOOR_V = 1e-6
_CHUNK = 4096  # windows at once: a night of heartbeats is not copied as a whole
_PEAK = np.abs(GRID_S) < 0.045
DIFFERS = "This recording differs as a whole from the data the model was fitted on."
_ALIKE = "No difference as a whole from the recordings the model was fitted on was found."
_FEW = (
    "Whether this recording is like those of other patients cannot be told: the model was fitted "
    "on {n} patient{s}, {few} are needed."
)
_RELATIVE = (
    "Whether this recording is like those of the fit was not judged: its scores are relative to a "
    "baseline of the patient."
)
_NO_DOMAIN = (
    "Whether this recording is like those of the fit cannot be told: the model does not hold what "
    "is needed; fit it again."
)
_NO_WINDOW = (
    "Whether this recording is like those of the fit cannot be told: no window has a score."
)
_SIGNAL = {
    "amplitude": "amplitude of the heartbeat in volts",
    "polarity": "direction of the main deflection",
}


@dataclass(frozen=True)
class Domain:
    """What the recordings of a fit look like as a whole.

    Attributes
    ----------
    names : tuple of str
        Features of the model, then what the features leave out: amplitude and polarity of leads.
    medians : ndarray of shape (n_recordings, n_names)
        Of each recording over its windows.
    spreads : ndarray of shape (n_names,)
        Robust standard deviation of single windows around their recording's median.
    patients : ndarray of int, shape (n_recordings,)
        Whose recording each is.
    """

    names: tuple[str, ...]
    medians: Floats
    spreads: Floats
    patients: NDArray[np.int64]

    def only(self, wanted: NDArray[np.bool_]) -> Domain:
        """Return the domain with some of its names alone."""
        names = tuple(name for name, kept in zip(self.names, wanted, strict=True) if kept)
        return replace(
            self, names=names, medians=self.medians[:, wanted], spreads=self.spreads[wanted]
        )


def descriptors(windows: Windows, X: Floats, kind: Kind) -> Floats:
    """Return what a recording is described by, window by window.

    Parameters
    ----------
    windows : Windows
    X : ndarray of shape (n_windows, n_features)
        Features of the model.
    kind : str

    Returns
    -------
    ndarray of shape (n_windows, n_names)
        The features; of an ECG then the log amplitude and the polarity of each lead, which its
        features leave out on purpose. See :func:`descriptor_names`.
    """
    if kind == "eeg":
        return X
    parts = [
        _amplitude_and_polarity(windows.channel_values[start : start + _CHUNK])
        for start in range(0, len(windows), _CHUNK)
    ]
    return np.hstack([X, np.concatenate(parts)])


def typical_values(windows: Windows, X: Floats, kind: Kind, chosen: NDArray[np.bool_]) -> Floats:
    """Return the median of each column of :func:`descriptors` over chosen windows, none if empty.

    Columns are taken one by one: the memory of all of them at once is not needed.
    """
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return np.empty(0)
    blocks = [rows[first : first + _CHUNK] for first in range(0, len(rows), _CHUNK)]
    medians = []
    for j in range(X.shape[1]):
        column = []
        for block in blocks:
            column.append(X[block, j])
            release(X)
        medians.append(np.median(np.concatenate(column)))
    if kind == "ecg":
        parts = []
        for block in blocks:
            parts.append(_amplitude_and_polarity(windows.channel_values[block]))
            windows.release()
        medians.extend(np.median(np.concatenate(parts), axis=0))
    return np.array(medians)


def _amplitude_and_polarity(waveforms: NDArray[np.floating]) -> Floats:
    """Return log amplitude and polarity of each lead, (n_windows, 2 n_leads)."""
    centred = waveforms.astype(np.float64)
    centred -= np.median(centred, axis=2, keepdims=True)
    amplitude = np.sqrt(np.mean(np.square(centred), axis=2)) + _FLOOR_V
    near = centred[:, :, _PEAK]
    highest = np.abs(near).argmax(axis=2)[:, :, None]
    polarity = np.take_along_axis(near, highest, axis=2)[:, :, 0] / amplitude
    return np.hstack([np.log(amplitude), polarity])


def descriptor_names(names: Sequence[str], n_columns: int) -> tuple[str, ...]:
    """Return the names of the columns of :func:`descriptors` from those of the features."""
    leads = range(1, 1 + (n_columns - len(names)) // len(_SIGNAL))
    return (*names, *(f"{stem}_lead{lead}" for stem in _SIGNAL for lead in leads))


def learn_domain(
    parts: Sequence[Floats], feature_names: Sequence[str], patients: NDArray[np.int64]
) -> Domain:
    """Return the domain of recordings.

    Parameters
    ----------
    parts : sequence of ndarray
        :func:`descriptors` of the windows to fit on, by recording; a recording without any is
        left out.
    feature_names : sequence of str
    patients : ndarray of shape (n_recordings,)
    """
    present = np.array([len(part) > 0 for part in parts])
    parts = [part for part in parts if len(part)]
    names = descriptor_names(feature_names, parts[0].shape[1])
    medians = np.stack([np.median(part, axis=0) for part in parts])
    deviations = np.concatenate(
        [np.abs(part - median) for part, median in zip(parts, medians, strict=True)]
    )
    floor = [_POLARITY_FLOOR if name.startswith("polarity_lead") else _FLOOR for name in names]
    spreads = np.maximum(1.4826 * np.median(deviations, axis=0), floor)
    return Domain(names, medians, spreads, patients[present])


def check_domain(domain: Domain | None, rows: Floats, n_relative: int = 0) -> dict[str, Any]:
    """Say whether a recording differs as a whole from those of the fit.

    Parameters
    ----------
    domain : Domain or None
    rows : ndarray of shape (n_windows, n_names)
        :func:`descriptors` of the scorable windows.
    n_relative : int

    Returns
    -------
    dict
        As :func:`check_typical`.
    """
    return check_typical(domain, np.median(rows, axis=0) if len(rows) else rows[:0, 0], n_relative)


def check_typical(domain: Domain | None, value: Floats, n_relative: int = 0) -> dict[str, Any]:
    """Say whether a recording differs as a whole from those of the fit.

    With five patients or more this is an exact test of exchangeable recordings: of n + 1 that are
    alike, the one that lies furthest from the others is told, or the furthest tenth of them. With
    fewer only gross differences are told, of an ECG those of amplitude and polarity.

    Parameters
    ----------
    domain : Domain or None
        None: the model does not hold one.
    value : ndarray of shape (n_names,)
        :func:`typical_values` of the scorable windows; empty if there are none.
    n_relative : int
        So many columns at the front are relative to a baseline of the patient and not compared.

    Returns
    -------
    dict
        JSON-able: ``differs`` (True, False, or None where it cannot be told), ``sentence``,
        ``p_value`` and ``false_rate`` (None with fewer than five patients), ``n_patients``, and
        ``features``: those that differ most, each with ``name``, ``meaning``, ``value``, ``usual``
        and ``shift`` (in units of the spread between recordings, or of windows).
    """
    if domain is None or not len(value):
        return _answer(None, _NO_WINDOW if domain is not None else _NO_DOMAIN, 0, [])
    n = len(np.unique(domain.patients))
    if n_relative == len(value):
        return _answer(None, _RELATIVE, n, [])
    absolute = np.arange(len(value)) >= n_relative
    value, domain = value[absolute], domain.only(absolute)
    if n < FEWEST_PATIENTS:
        of_signal = [name.partition("_lead")[0] in _SIGNAL for name in domain.names]
        if any(of_signal):  # what the features say of an ECG may change within a recording
            value, domain = value[of_signal], domain.only(np.array(of_signal))
        known = np.clip(value, domain.medians.min(axis=0), domain.medians.max(axis=0))
        shift = (value - known) / domain.spreads
        differs = True if np.abs(shift).max() > GROSS else None
        sentence = DIFFERS if differs else _FEW.format(n=n, s="s"[: n != 1], few=FEWEST_PATIENTS)
        return _answer(differs, sentence, n, _furthest(domain, value, shift))
    shift, p_value = _exchangeable(_of_patients(domain), value)
    differs = p_value <= false_rate(n) + 1e-9
    sentence = DIFFERS if differs else _ALIKE
    return _answer(differs, sentence, n, _furthest(domain, value, shift), p_value)


def _of_patients(domain: Domain) -> Floats:
    """Return one row a patient: the mean of the medians of that patient's recordings."""
    return np.stack(
        [domain.medians[domain.patients == p].mean(axis=0) for p in np.unique(domain.patients)]
    )


def _exchangeable(known: Floats, new: Floats) -> tuple[Floats, float]:
    """Return the shift of a new row, and its conformal p-value among the known ones."""
    everything = np.vstack([known, new])
    shifts = np.stack(
        [_shift(np.delete(everything, i, axis=0), everything[i]) for i in range(len(everything))]
    )
    furthest = np.abs(shifts).max(axis=1)
    return shifts[-1], float(np.mean(furthest >= furthest[-1]))


def _shift(others: Floats, one: Floats) -> Floats:
    spread = np.maximum(others.std(axis=0, ddof=1), _FLOOR)
    shift: Floats = (one - others.mean(axis=0)) / spread
    return shift


def _furthest(domain: Domain, value: Floats, shift: Floats) -> list[dict[str, Any]]:
    usual = np.median(domain.medians, axis=0)
    return [
        {
            "name": domain.names[j],
            "meaning": meaning_of(domain.names[j]),
            "value": float(value[j]),
            "usual": float(usual[j]),
            "shift": float(shift[j]),
        }
        for j in np.argsort(-np.abs(shift), kind="stable")[:SHOWN]
    ]


def _answer(
    differs: bool | None,
    sentence: str,
    n_patients: int,
    features: list[dict[str, Any]],
    p_value: float | None = None,
) -> dict[str, Any]:
    return {
        "differs": differs,
        "sentence": sentence,
        "p_value": p_value,
        "false_rate": None if p_value is None else false_rate(n_patients),
        "n_patients": n_patients,
        "features": features,
    }


def false_rate(n_patients: int) -> float:
    """Return the share of recordings told though alike: a tenth, or one of few.

    Examples
    --------
    >>> false_rate(9), round(false_rate(5), 3), round(false_rate(21), 3)
    (0.1, 0.167, 0.091)
    """
    return max(1, (n_patients + 1) // 10) / (n_patients + 1)


def meaning_of(name: str) -> str:
    """Return the plain words for a descriptor."""
    stem, _, lead = name.partition("_lead")
    return f"{_SIGNAL[stem]}, lead {lead}" if stem in _SIGNAL else describe(name)
