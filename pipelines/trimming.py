"""Leaving the odd ones out before fitting: an unlabelled stretch is rarely free of events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEIGHBOUR_SHARE = 0.15
LARGEST_SHARE = 0.10
FENCE = 6.0


def usual_rows(X: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return a mask of the rows that lie among many others.

    A row is left out if the distance to its k-th nearest neighbour, k being 15 % of all rows, is
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
    k = max(1, round(NEIGHBOUR_SHARE * len(X)))
    distance, _ = NearestNeighbors(n_neighbors=k).fit(scaled).kneighbors(scaled)
    far = np.log(distance[:, -1] + 1e-12)
    centre = np.median(far)
    fence = centre + FENCE * 1.4826 * np.median(np.abs(far - centre))
    usual: NDArray[np.bool_] = far <= max(fence, np.quantile(far, 1 - LARGEST_SHARE))
    return usual
