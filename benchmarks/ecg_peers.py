"""The peers of the ECG benchmark, each as ``fit(X, groups, seed) -> score`` on standardised rows.

All at the defaults of their library. Those that need pyod or zuko (requirements-peers.txt) are
left out where these are not installed. None of their scores depends on which rows are scored
together.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

Floats = NDArray[np.float64]
Scorer = Callable[[Floats], Floats]
Fit = Callable[[Floats, NDArray[np.int64], int], Scorer]


def peers() -> dict[str, Fit]:
    """Return every peer that can be imported, by name, and the two floors."""
    found: dict[str, Fit] = {
        "knn5": knn,
        "lof": sklearn(lambda seed: LocalOutlierFactor(novelty=True)),
        "mahalanobis": lambda X, groups, seed: LedoitWolf().fit(X).mahalanobis,
        "gmm": sklearn(lambda seed: GaussianMixture(8, reg_covar=1e-3, random_state=seed)),
        "isolation_forest": sklearn(lambda seed: IsolationForest(random_state=seed)),
        "ocsvm": sklearn(lambda seed: OneClassSVM(nu=0.05)),
        "contraction": contraction,
    }
    if importlib.util.find_spec("pyod"):
        from pyod.models.auto_encoder import AutoEncoder
        from pyod.models.inne import INNE

        found["inne"] = pyod(lambda seed: INNE(random_state=seed))
        found["autoencoder"] = pyod(lambda seed: AutoEncoder(random_state=seed, verbose=0))
    if importlib.util.find_spec("zuko"):
        found["spline_flow"] = spline_flow
    found["norm"] = lambda X, groups, seed: lambda rows: np.linalg.norm(rows, axis=1)
    found["random"] = lambda X, groups, seed: (
        lambda rows: np.random.default_rng(seed).random(len(rows))
    )
    return found


def knn(X: Floats, groups: NDArray[np.int64], seed: int) -> Scorer:
    """Mean distance to the five nearest rows."""
    tree = NearestNeighbors(n_neighbors=5).fit(X)
    return lambda rows: tree.kneighbors(rows)[0].mean(axis=1)


def sklearn(make: Callable[[int], Any]) -> Fit:
    """Wrap a detector of scikit-learn."""

    def fit(X: Floats, groups: NDArray[np.int64], seed: int) -> Scorer:
        model = make(seed).fit(X)
        return lambda rows: -model.score_samples(rows)

    return fit


def pyod(make: Callable[[int], Any]) -> Fit:
    """Wrap a detector of pyod."""

    def fit(X: Floats, groups: NDArray[np.int64], seed: int) -> Scorer:
        model = make(seed)
        model.fit(X)
        score: Scorer = model.decision_function
        return score

    return fit


def contraction(X: Floats, groups: NDArray[np.int64], seed: int) -> Scorer:
    """One step towards the origin, learned on usual rows; the score is by how much it misses.

    After the idea of time-conditioned contraction matching: ``f(x, t)`` is fitted to ``-x`` at
    random times, for 100 epochs; scored at t = 1.
    """
    torch.manual_seed(seed)
    rows = torch.from_numpy(X).float()
    net = torch.nn.Sequential(
        torch.nn.Linear(X.shape[1] + 1, 128),
        torch.nn.SiLU(),
        torch.nn.Linear(128, 128),
        torch.nn.SiLU(),
        torch.nn.Linear(128, X.shape[1]),
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(100):
        for batch in rows[torch.randperm(len(rows))].split(512):
            step = net(torch.cat([batch, torch.rand(len(batch), 1)], 1))
            optimiser.zero_grad()
            (step + batch).square().sum(1).mean().backward()
            optimiser.step()

    def score(new: Floats) -> Floats:
        with torch.no_grad():
            x = torch.from_numpy(new).float()
            missed: Floats = (net(torch.cat([x, torch.ones(len(x), 1)], 1)) + x).norm(dim=1).numpy()
        return missed

    return score


def spline_flow(X: Floats, groups: NDArray[np.int64], seed: int) -> Scorer:
    """Negative log-density of zuko's neural spline flow after 800 steps of 256 rows."""
    import zuko

    torch.manual_seed(seed)
    rows = torch.from_numpy(X).float()
    flow = zuko.flows.NSF(X.shape[1], transforms=3, hidden_features=(64, 64))
    optimiser = torch.optim.Adam(flow.parameters(), lr=1e-3)
    for _ in range(800):
        batch = rows[torch.randint(len(rows), (256,))]
        optimiser.zero_grad()
        (-flow().log_prob(batch).mean()).backward()
        optimiser.step()

    def score(new: Floats) -> Floats:
        with torch.no_grad():
            parts = torch.from_numpy(new).float().split(4096)
            log_prob: Floats = torch.cat([flow().log_prob(part) for part in parts]).numpy()
        return -np.nan_to_num(log_prob, nan=-1e9, neginf=-1e9)

    return score
