"""Why a window was flagged: the features and the channel most responsible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.features.eeg import CHANNEL_FEATURES, POWER_FEATURES, RECORDED
from pipelines.features.eeg_pattern import likeness_of, over_channels, pair_names
from pipelines.signals.extraction import Kind
from pipelines.signals.windows import Windows

N_TOP = 5
_BLOCK = 4096
Gains = NDArray[np.float64]
Floats = NDArray[np.float64]
Usual = tuple[Floats, Floats, Floats, Floats]
"""Median and median deviation of features (n_channels, n_features), and of pairs (n_pairs,)."""


def top_features(gains: Gains, names: Sequence[str]) -> list[list[str]]:
    """Return up to five names per row, most responsible first.

    Parameters
    ----------
    gains : ndarray of shape (n_windows, n_features)
        Nats by which each window would be likelier if that feature alone were as expected.
    names : sequence of str
    """
    order = np.argsort(-gains, axis=1, kind="stable")[:, :N_TOP]
    return [[names[j] for j in best if row[j] > 0] for row, best in zip(gains, order, strict=True)]


def top_channels(
    windows: Windows,
    chosen: NDArray[np.bool_],
    gains: Gains,
    names: Sequence[str],
    kind: Kind,
    usual: Usual | None = None,
) -> list[str | None]:
    """Return the channel most responsible for each chosen window, None if no channel stands out.

    ECG: the lead whose features together answer for most of the improbability; None where the
    rhythm answers for more. EEG: the channel that, in the features responsible, differs most from
    what it usually does in this recording (robust z-scores); unlikeness to its neighbours counts
    as a feature of the channel. Who asks more than once gives :func:`usual_values`.
    """
    if kind == "ecg":
        return _leads(windows.channels, gains, names)
    return _electrodes(windows, chosen, gains, names, usual or usual_values(windows))


def _leads(channels: Sequence[str], gains: Gains, names: Sequence[str]) -> list[str | None]:
    lead = np.array([int(name.rpartition("_lead")[2]) if "_lead" in name else 0 for name in names])
    totals = np.stack([gains[:, lead == k].sum(axis=1) for k in range(len(channels) + 1)], axis=1)
    best = totals.argmax(axis=1)
    return [channels[k - 1] if k else None for k in best]


def _electrodes(
    windows: Windows,
    chosen: NDArray[np.bool_],
    gains: Gains,
    names: Sequence[str],
    usual: Usual,
) -> list[str | None]:
    gain = dict(zip(names, gains.T, strict=True))
    nothing = np.zeros(len(gains))
    weights = np.stack(
        [
            sum((gain.get(name, nothing) for name in _rests_on(stem)), start=nothing)
            for stem in CHANNEL_FEATURES
        ],
        axis=1,
    )
    unlike = gain.get("odd_neighbours", nothing)
    center, spread, alike, alike_spread = usual
    pairs = pair_names(windows.channels)
    rows, found = np.flatnonzero(chosen), []
    for first in range(0, len(rows), _BLOCK):
        part = slice(first, first + _BLOCK)
        values = windows.channel_values[rows[part]].astype(np.float64)
        deviation = np.abs(values - center) / np.maximum(1.4826 * spread, 1e-6)
        blame = np.einsum("wcf,wf->wc", np.nan_to_num(deviation), weights[part])
        apart = likeness_of(windows.pair_values[rows[part]]) - alike
        apart = np.square(apart / np.maximum(1.4826 * alike_spread, 1e-6))
        of_pairs = np.sqrt(over_channels(apart, pairs, windows.channels))
        blame += np.nan_to_num(of_pairs) * unlike[part, None]
        found += [
            windows.channels[k] if row[k] > 0 else None
            for row, k in zip(blame, blame.argmax(axis=1), strict=True)
        ]
        windows.release()
    return found


def _rests_on(stem: str) -> tuple[str, ...]:
    """Return the features of a model that rest on one feature of single channels."""
    if stem == RECORDED:
        return ("odd_recorded",)
    odd = ("odd_power",) if stem in POWER_FEATURES else ()
    return (f"{stem}_median", f"{stem}_spread", *odd)


def _usual(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return median and median deviation over the first axis, 0 where nothing is known."""
    some = np.isfinite(values).any(axis=0)
    values = np.where(some, values, 0.0)
    center = np.nanmedian(values, axis=0)
    return center, np.nanmedian(np.abs(values - center), axis=0)


def usual_values(windows: Windows) -> Usual:
    """Return what is usual of channels and of pairs of neighbours over the scorable windows.

    Taken feature by feature, which takes less memory.
    """
    rows = np.flatnonzero(windows.scorable)
    center, spread = (np.empty(windows.channel_values.shape[1:]) for _ in range(2))
    for k in range(windows.channel_values.shape[2]):
        values = _of_feature(windows, windows.channel_values, rows, k)
        for channel, column in enumerate(values.T):
            center[channel, k], spread[channel, k] = _usual(column.astype(np.float64))
    pairs = _of_feature(windows, windows.pair_values, rows, 0)
    alike, alike_spread = (np.empty(pairs.shape[1]) for _ in range(2))
    for pair in range(pairs.shape[1]):
        alike[pair], alike_spread[pair] = _usual(likeness_of(pairs[:, pair, None]))
    return center, spread, alike, alike_spread


def _of_feature(
    windows: Windows, values: NDArray[np.float32], rows: NDArray[np.int64], k: int
) -> NDArray[np.float32]:
    """Return one feature of some windows, read in parts."""
    parts = [values[rows[:0], :, k]]
    for first in range(0, len(rows), _BLOCK):
        parts.append(values[rows[first : first + _BLOCK], :, k])
        windows.release()
    return np.concatenate(parts)
