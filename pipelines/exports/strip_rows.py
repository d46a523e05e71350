"""Where the channels of a strip lie, and how many millimetres a volt is tall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

EEG_BAND_HZ: Final = (0.5, 45.0)
EEG_ROW_MM: Final = 5.0
_EEG_STEPS_UV: Final = (2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500)
_EEG_SCALE_MM: Final = 6.0
_ECG_GAINS: Final = (10.0, 5.0, 2.5)
_ECG_ROW_MM: Final = (15.0, 50.0)
_ECG_MARGIN_MM: Final = 2.5


@dataclass(frozen=True)
class Rows:
    """The rows of a strip.

    Attributes
    ----------
    middles, labels : tuple of float
        y of each channel's zero and of the base line of its name, in mm from the top.
    height : float
        Of the whole strip in mm; an EEG strip has room for a scale at the bottom.
    mm_per_volt : float
    gain : float
        ECG: mm per mV. EEG: µV per mm.
    caption : str
        The same in words.
    """

    middles: tuple[float, ...]
    labels: tuple[float, ...]
    height: float
    mm_per_volt: float
    gain: float
    caption: str


def rows_of(kind: str, signals: Sequence[NDArray[np.float64]]) -> Rows:
    """Lay out signals in volts: ECG at paper's gain where it fits, EEG at one common gain."""
    return _ecg_rows(signals) if kind == "ecg" else _eeg_rows(signals)


def _ecg_rows(signals: Sequence[NDArray[np.float64]]) -> Rows:
    shortest, tallest = _ECG_ROW_MM
    extents_mv = [(1e3 * _largest(volts), 1e3 * _largest(-volts)) for volts in signals]
    gains = (g for g in _ECG_GAINS if all((a + b) * g <= tallest for a, b in extents_mv))
    gain = next(gains, _ECG_GAINS[-1])
    middles, labels, y = [], [], _ECG_MARGIN_MM
    for extent in extents_mv:
        up, down = (min(mv * gain, tallest / 2) + _ECG_MARGIN_MM for mv in extent)
        spare = max(0.0, shortest - up - down)
        middles.append(y + up + spare / 2)
        labels.append(y + 1.0)
        y += up + down + spare
    return Rows(
        middles=tuple(middles),
        labels=tuple(labels),
        height=5.0 * math.ceil((y + _ECG_MARGIN_MM) / 5),
        mm_per_volt=gain * 1e3,
        gain=gain,
        caption=f"{gain:g} mm/mV, as recorded, offset removed",
    )


def _eeg_rows(signals: Sequence[NDArray[np.float64]]) -> Rows:
    known = np.abs(np.concatenate(list(signals)))
    known = known[np.isfinite(known)]
    usual_uv = 1e6 * float(np.percentile(known, 98)) if len(known) else 0.0
    fitting = (step for step in _EEG_STEPS_UV if usual_uv / step <= 1.2 * EEG_ROW_MM)
    step = next(fitting, _EEG_STEPS_UV[-1])
    middles = tuple(EEG_ROW_MM * (i + 1) for i in range(len(signals)))
    low, high = EEG_BAND_HZ
    return Rows(
        middles=middles,
        labels=tuple(y + 0.9 for y in middles),
        height=EEG_ROW_MM * (len(signals) + 1) + _EEG_SCALE_MM,
        mm_per_volt=1e6 / step,
        gain=float(step),
        caption=f"{step} µV/mm, {low:g}-{high:g} Hz, as referenced in the file",
    )


def _largest(volts: NDArray[np.float64]) -> float:
    known = volts[np.isfinite(volts)]
    return max(0.0, float(known.max())) if len(known) else 0.0
