"""Leaving the odd ones out before fitting: an unlabelled stretch is rarely free of events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEIGHBOUR_SHARE = 0.15
LARGEST_SHARE = 0.10
FENCE = 6.0
MOST_REFERENCE = 2000
"""Rows that others are compared with: a night has too many to compare all with all."""
_CHUNK = 2000


def usual_rows(X: NDArray[np.float64]) -> NDArray[np.bool_]:
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
    from sklearn.neighbors import NearestNeighbors

    low, middle, high = np.quantile(X, [0.25, 0.5, 0.75], axis=0)
    spread = np.where(high > low, high - low, 1.0)
    scaled = (X - middle) / spread
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
    far = np.log(np.concatenate(distance) + 1e-12)
    centre = np.median(far)
    fence = centre + FENCE * 1.4826 * np.median(np.abs(far - centre))
    usual: NDArray[np.bool_] = far <= max(fence, np.quantile(far, 1 - LARGEST_SHARE))
    return usual
