"""Leaving the odd ones out before fitting: an unlabelled stretch is rarely free of events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEIGHBOUR_SHARE = 0.15
LARGEST_SHARE = 0.10
FENCE = 6.0
FIT_FENCE = 3.0
MOST_REFERENCE = 2000
"""Rows that others are compared with: a night has too many to compare all with all."""
_CHUNK = 2000
_CORE_SHARE = 0.75
_ROUNDS = 10


def usual_rows(X: Floats) -> NDArray[np.bool_]:
    """Return a mask of the rows that lie among many others.

    A row is left out if the distance to its k-th nearest neighbour, k being 15 % of all rows (of
    more than 2,000 rows: of 2,000 drawn from them, always the same), is
    more than six robust standard deviations above the median (on a logarithmic scale), and at
    most 10 % of all rows are. A tight cluster of rare events is therefore left out as a whole,
    which a small k would take for usual.

    Parameters
    ----------
    X : ndarray of shape (n_windows, n_features)
        Finite; columns are scaled by their interquartile range inside.
    """
    return _within(_spreads(_neighbour_distance(_scaled(X))), FENCE)


def rows_to_fit(X: Floats) -> NDArray[np.bool_]:
    """Return a mask of the rows that a density should be fitted on.

    Stricter than :func:`usual_rows`: a usual row left out costs a density little, an abnormal one
    left in makes it blind to its like. A row is left out if it lies more than three robust standard
    deviations above the median, either in the distance of :func:`usual_rows` or under a Gaussian
    fitted to the densest three quarters of all rows (least trimmed likelihood, by concentration
    steps: Rousseeuw and van Driessen, Technometrics 41(3), 1999), and at most 10 % of all rows are.
    The first sees what is far from everything, the second what leaves the relations of the others.

    What is left out is no finding, and a threshold must not be read off the rest alone: some of
    it is usual (of heartbeats of many patients, 3 to 7 %).

    Parameters
    ----------
    X : ndarray of shape (n_windows, n_features)
        Finite.
    """
    scaled = _scaled(X)
    distance = _neighbour_distance(scaled)
    odd = np.maximum(_spreads(distance), _spreads(_gaussian_distance(scaled, distance)))
    return _within(odd, FIT_FENCE)


def _scaled(X: Floats) -> Floats:
    low, middle, high = np.quantile(X, [0.25, 0.5, 0.75], axis=0)
    scaled: Floats = (X - middle) / np.where(high > low, high - low, 1.0)
    return scaled


def _neighbour_distance(scaled: Floats) -> Floats:
    """Return the logarithm of the distance of each row to its k-th nearest neighbour."""
    from sklearn.neighbors import NearestNeighbors

    reference = scaled
    if len(scaled) > MOST_REFERENCE:
        chosen = np.random.default_rng(0).choice(len(scaled), MOST_REFERENCE, replace=False)
        reference = scaled[np.sort(chosen)]
    k = max(1, round(NEIGHBOUR_SHARE * len(reference)))
    neighbours = NearestNeighbors(n_neighbors=k).fit(reference)
    distance = [
        neighbours.kneighbors(scaled[start : start + _CHUNK])[0][:, -1]
        for start in range(0, len(scaled), _CHUNK)
    ]
    return np.log(np.concatenate(distance) + 1e-12)


def _gaussian_distance(scaled: Floats, first: Floats) -> Floats:
    """Return the logarithm of each row's distance under a Gaussian of the densest rows.

    `first` orders the rows to begin with; long tails are drawn in.
    """
    from sklearn.covariance import LedoitWolf

    rows, distance = np.arcsinh(scaled), first
    for _ in range(_ROUNDS):
        core = rows[distance <= np.quantile(distance, _CORE_SHARE)]
        squared = LedoitWolf().fit(core).mahalanobis(rows)
        distance = np.log(np.maximum(squared, 1e-24)) / 2
    return distance


def _spreads(far: Floats) -> Floats:
    """Return how many robust standard deviations each value lies above the median."""
    above = far - np.median(far)
    spread = 1.4826 * np.median(np.abs(above))
    counted: Floats = above / max(float(spread), 1e-12)
    return counted


def _within(odd: Floats, fence: float) -> NDArray[np.bool_]:
    usual: NDArray[np.bool_] = odd <= max(fence, np.quantile(odd, 1 - LARGEST_SHARE))
    return usual
