"""The methods of the tabular benchmark, each as ``fit(train, seed) -> score`` on standardised rows.

All at their defaults; higher scores are more abnormal. Those that need pyod or zuko
(requirements-peers.txt) are left out where these are not installed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ecg_peers import Fit, peers
from numpy.typing import NDArray
from sklearn.covariance import EmpiricalCovariance
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

from flowcore import FlowDensityEstimator

Floats = NDArray[np.float64]
Scorer = Callable[[Floats], Floats]
Method = Callable[[Floats, int], Scorer]


def ours(train: Floats, seed: int) -> Scorer:
    """The estimator as anybody gets it."""
    model = FlowDensityEstimator(random_state=seed).fit(train)
    return model.anomaly_score


def knn(train: Floats, seed: int) -> Scorer:
    """Distance to the fifth nearest training row."""
    del seed
    index = NearestNeighbors(n_neighbors=min(5, len(train))).fit(train)
    return lambda rows: index.kneighbors(rows)[0][:, -1]


def lof(train: Floats, seed: int) -> Scorer:
    """Local outlier factor, 20 neighbours."""
    del seed
    model = LocalOutlierFactor(n_neighbors=min(20, len(train) - 1), novelty=True).fit(train)
    return lambda rows: -model.score_samples(rows)


def mahalanobis(train: Floats, seed: int) -> Scorer:
    """Distance under the covariance of the training rows (pseudo-inverse)."""
    del seed
    return EmpiricalCovariance().fit(train).mahalanobis


def gmm(train: Floats, seed: int) -> Scorer:
    """Gaussian mixture of four components."""
    n = max(1, min(4, len(train) // 10))
    model = GaussianMixture(n, reg_covar=1e-3, random_state=seed).fit(train)
    return lambda rows: -model.score_samples(rows)


def isolation_forest(train: Floats, seed: int) -> Scorer:
    """Isolation forest, 100 trees."""
    model = IsolationForest(random_state=seed).fit(train)
    return lambda rows: -model.score_samples(rows)


def ocsvm(train: Floats, seed: int) -> Scorer:
    """One-class support vector machine, radial kernel."""
    del seed
    model = OneClassSVM().fit(train)
    return lambda rows: -model.score_samples(rows)


class Chance:
    """Random scores: the floor."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed + 10_000)

    def __call__(self, rows: Floats) -> Floats:
        """Return one random number a row."""
        return self.generator.random(len(rows))


def shared(name: str) -> Method:
    """Return a peer that the ECG benchmark has too."""
    fit: Fit = peers()[name]
    return lambda train, seed: fit(train, np.arange(len(train)), seed)


def methods() -> dict[str, Method]:
    """Return ours, every peer that can be imported, and the floor."""
    own: dict[str, Method] = {
        "flowcore": ours,
        "knn5": knn,
        "lof": lof,
        "mahalanobis": mahalanobis,
        "gmm": gmm,
        "isolation_forest": isolation_forest,
        "ocsvm": ocsvm,
    }
    others = [name for name in peers() if name not in {*own, "random"}]
    return own | {n: shared(n) for n in others} | {"random": lambda train, seed: Chance(seed)}
