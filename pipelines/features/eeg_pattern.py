"""Which channel is which: windows against what each electrode and its neighbours usually do.

A summary over the channels does not change when two electrodes are swapped, and hardly when one of
nineteen is odd. So a model keeps the *pattern* of its recordings: the usual level of each feature
on each channel, how alike each pair of neighbours is, and which of the two leads. It is kept by
name: a recording with fewer channels is compared in those that it has.

Waves travel over the scalp, so neighbours follow one another in an order that is usual for a
recording; played backwards they run the other way (Nolte et al. 2004: what a pair of channels
shows of the order in time is no effect of the reference).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.features.eeg import CHANNEL_FEATURES, POWER_FEATURES, RECORDED
from pipelines.features.electrodes import neighbours
from pipelines.features.registry import Feature

Floats = NDArray[np.float64]

PATTERN_FEATURES = (
    Feature("odd_power", "1", "one channel of unusual power for it, others being as usual"),
    Feature("odd_recorded", "1", "one channel of unusual amplitude as recorded, others as usual"),
    Feature("odd_neighbours", "1", "unlikeness to its neighbours of the oddest channel"),
    Feature(
        "unusual_order", "1", "neighbouring channels follow in another order in time than usual"
    ),
)
_POWER = [CHANNEL_FEATURES.index(name) for name in POWER_FEATURES]
_RECORDED = [CHANNEL_FEATURES.index(RECORDED)]
_LEVEL_FLOOR = np.array([0.3 if k in _POWER else 0.1 for k in range(len(CHANNEL_FEATURES))])
_LIKENESS_FLOOR, _ORDER_FLOOR = 0.05, 0.01
"""No level counts as steadier than 30 % (of power; of other features 0.1)."""
_FARTHEST = 20.0
"""Deviations count up to so many usual ones: what is plainly odd need not be told apart."""
_THIRD = 3
"""A fault is on one electrode, or on two that are bridged or swapped."""
_NO_ORDER = 1e-9


@dataclass(frozen=True)
class Pattern:
    """What is usual on each channel and between neighbours.

    Attributes
    ----------
    channels : tuple of str
    level, level_spread : ndarray of shape (n_channels, len(CHANNEL_FEATURES))
        Median of each feature, and robust standard deviation of what is left of it when the
        median over the channels of a window is taken away.
    pairs : tuple of str
        Neighbours, ``"C3~P3"``.
    likeness, likeness_spread : ndarray of shape (n_pairs,)
        Inverse hyperbolic tangent of the correlation: median and robust standard deviation.
    order, order_spread : ndarray of shape (n_pairs,)
        By how much the second follows the first: likewise.
    """

    channels: tuple[str, ...]
    level: Floats
    level_spread: Floats
    pairs: tuple[str, ...]
    likeness: Floats
    likeness_spread: Floats
    order: Floats
    order_spread: Floats


_PREFIX = "pattern."


def to_state(pattern: Pattern) -> tuple[dict[str, Floats], dict[str, list[str]]]:
    """Return the arrays of a pattern under their stored names, and its names (JSON-able)."""
    values = {f.name: getattr(pattern, f.name) for f in fields(pattern)}
    arrays = {f"{_PREFIX}{k}": v for k, v in values.items() if isinstance(v, np.ndarray)}
    return arrays, {k: list(v) for k, v in values.items() if isinstance(v, tuple)}


def from_state(arrays: Mapping[str, Floats], names: Mapping[str, Sequence[str]]) -> Pattern:
    """Return the pattern that :func:`to_state` described.

    Raises
    ------
    KeyError
        If a part is missing.
    """
    parts: dict[str, Any] = {name: tuple(words) for name, words in names.items()}
    for field in fields(Pattern):
        if field.name not in parts:
            parts[field.name] = arrays[f"{_PREFIX}{field.name}"]
    return Pattern(**parts)


def pair_names(channels: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the pairs of neighbours among channels."""
    return tuple(f"{channels[i]}~{channels[j]}" for i, j in neighbours(channels))


def in_order(
    channels: Sequence[str],
    own: Sequence[str],
    channel_values: NDArray[np.floating],
    pair_values: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return values of the channels `own`, and of their pairs, in the order of `channels`."""
    place = [own.index(name) for name in channels]
    found = pair_names(own)
    pairs = [found.index(name) for name in pair_names(channels)]
    return channel_values[:, place], pair_values[:, pairs]


def learn_pattern(
    channels: Sequence[str],
    channel_values: NDArray[np.floating],
    pair_values: NDArray[np.floating],
) -> Pattern:
    """Learn the pattern of some windows that are usual for the most part.

    Parameters
    ----------
    channels : sequence of str
    channel_values : ndarray of shape (n_windows, n_channels, len(CHANNEL_FEATURES))
        NaN where a channel cannot be used.
    pair_values : ndarray of shape (n_windows, n_pairs, 2)
        See :func:`pipelines.features.eeg.pair_features`.
    """
    n_features = len(CHANNEL_FEATURES)
    level, spread = (np.empty((len(channels), n_features)) for _ in range(2))
    for k in range(n_features):
        values = channel_values[:, :, k].astype(np.float64)
        level[:, k] = _median(values)
        spread[:, k] = _spread(_own(values - level[:, k]))
    likeness, order = likeness_of(pair_values), pair_values[..., 1].astype(np.float64)
    middle, middle_order = _median(likeness), _median(order)
    return Pattern(
        channels=tuple(channels),
        level=level,
        level_spread=np.maximum(spread, _LEVEL_FLOOR),
        pairs=pair_names(channels),
        likeness=middle,
        likeness_spread=np.maximum(_spread(likeness - middle), _LIKENESS_FLOOR),
        order=middle_order,
        order_spread=np.maximum(_spread(order - middle_order), _ORDER_FLOOR),
    )


def pattern_features(
    pattern: Pattern,
    channels: Sequence[str],
    channel_values: NDArray[np.floating],
    pair_values: NDArray[np.floating],
) -> Floats:
    """Compare windows with a pattern, in the channels and pairs that both have.

    Parameters
    ----------
    pattern : Pattern
    channels, channel_values, pair_values
        As :func:`learn_pattern`, of the recording at hand.

    Returns
    -------
    ndarray of shape (n_windows, len(PATTERN_FEATURES))
        Of power and amplitude ``sqrt(a / (1 + b))``: a says how many usual deviations the oddest
        channel is off, squared, and b the third oddest, a change of all channels alike taken away
        first. A person who wakes or tenses a muscle changes several channels, a fault one or two.
        Of the likeness to neighbours the square alone, without b. Of the order ``exp(-t / 2)``, t
        by how many deviations neighbours follow one another more in the usual order than is usual.
        Constant where the montage cannot tell (one channel, no neighbours); NaN where a window has
        no usable channel.
    """
    known = [k for k, name in enumerate(channels) if name in pattern.channels]
    place = [pattern.channels.index(channels[k]) for k in known]
    values = channel_values[:, known].astype(np.float64) - pattern.level[place]
    off = np.square(_limited(_own(values) / pattern.level_spread[place]))
    names = pair_names(channels)
    both = [k for k, name in enumerate(names) if name in pattern.pairs]
    of_pair = [pattern.pairs.index(names[k]) for k in both]
    of_both = [names[k] for k in both]
    in_pairs = [c for c in channels if any(c in name.split("~") for name in of_both)]
    shared = pair_values[:, both]
    unlike = likeness_of(shared) - pattern.likeness[of_pair]
    unlike = np.square(_limited(unlike / pattern.likeness_spread[of_pair]))
    return np.stack(
        [
            _alone(off[..., _POWER].mean(axis=-1)),
            _alone(off[..., _RECORDED].mean(axis=-1)),
            _oddest(over_channels(unlike, of_both, in_pairs)),
            _unusual_order(
                shared[..., 1].astype(np.float64),
                pattern.order[of_pair],
                pattern.order_spread[of_pair],
            ),
        ],
        axis=1,
    )


def moved_to(
    pattern: Pattern,
    channels: Sequence[str],
    channel_values: NDArray[np.floating],
    pair_values: NDArray[np.floating],
) -> Pattern:
    """Return a pattern with the levels and likenesses of windows confirmed as usual for a patient.

    How far they spread, and the order in time, take more windows to learn and stay those of the
    model. Parameters as :func:`pattern_features`.
    """
    level, likeness = pattern.level.copy(), pattern.likeness.copy()
    for k, name in enumerate(channels):
        if name in pattern.channels:
            values = channel_values[:, k].astype(np.float64)
            level[pattern.channels.index(name)] = _median(values)
    for k, name in enumerate(pair_names(channels)):
        if name in pattern.pairs:
            likeness[pattern.pairs.index(name)] = _median(likeness_of(pair_values[:, k]))
    return replace(pattern, level=level, likeness=likeness)


def _limited(deviation: Floats) -> Floats:
    return np.clip(deviation, -_FARTHEST, _FARTHEST)


def _own(values: Floats) -> Floats:
    """Take away what the channels of a window have in common."""
    with np.errstate(all="ignore"):
        common = _median(np.moveaxis(values, 1, 0))
    own: Floats = values - common[:, None]
    return own


def _oddest(square: Floats) -> Floats:
    """Return the largest over the channels: (n_windows, n_channels) -> (n_windows,)."""
    if not square.shape[1]:
        return np.zeros(len(square))
    largest = np.where(np.isfinite(square), square, -1.0).max(axis=1)
    oddest: Floats = np.where(largest < 0, np.nan, largest)
    return oddest


def _alone(square: Floats) -> Floats:
    """Return how far the oddest channel leads over the third oddest: (n_windows,)."""
    some = np.maximum(np.where(np.isfinite(square), square, -1.0), 0.0)
    third = np.sort(some, axis=1)[:, -min(_THIRD, some.shape[1])]
    lead: Floats = np.sqrt(_oddest(square) / (1 + third))
    return lead


def over_channels(square: Floats, names: Sequence[str], channels: Sequence[str]) -> Floats:
    """Return for each channel the mean of what its pairs say, NaN for one that has none.

    Parameters
    ----------
    square : ndarray of shape (n_windows, n_pairs)
    names, channels : sequence of str
        Names of the pairs and of the channels.
    """
    ends = [name.split("~") for name in names]
    share = np.array([[c in end for c in channels] for end in ends], dtype=np.float64)
    share = share.reshape(len(names), len(channels))
    count = np.isfinite(square).astype(np.float64) @ share
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = np.nan_to_num(square) @ share / count
    return mean


def _unusual_order(follows: Floats, usual: Floats, spread: Floats) -> Floats:
    """Return how little neighbours follow one another in the usual order; 1 where as usual."""
    known = np.isfinite(follows)
    weight = usual / np.square(spread)
    more = np.where(known, (follows - usual) * weight, 0.0).sum(axis=1)
    size = np.sqrt((known * np.square(weight * spread)).sum(axis=1))
    order: Floats = np.exp(-_limited(more / np.maximum(size, _NO_ORDER)) / 2)
    return order


def likeness_of(pair_values: NDArray[np.floating]) -> Floats:
    """Return the inverse hyperbolic tangent of the correlation of each pair of neighbours."""
    likeness: Floats = np.arctanh(0.99 * pair_values[..., 0].astype(np.float64))
    return likeness


def _median(values: Floats) -> Floats:
    """Return the median over the first axis of what is known; 0 where nothing is."""
    known = np.isfinite(values)
    if known.all():
        median: Floats = np.median(values, axis=0)
        return median
    some = known.any(axis=0)
    of_known: Floats = np.nanmedian(np.where(some, values, 0.0), axis=0)
    return of_known


def _spread(deviation: Floats) -> Floats:
    """Return the robust standard deviation around 0 over the first axis."""
    spread: Floats = 1.4826 * _median(np.abs(deviation))
    return spread
