"""Is a freshly fitted model a model at all? Warns in words where it is not."""

from __future__ import annotations

import itertools
import math
import warnings

import torch
from torch import Tensor

from flowcore.errors import FlowWarning
from flowcore.fitting import FittedChain
from flowcore.preprocessing import gaussian_log_prob
from flowcore.scorer import Scorer, batches

FEWEST_ROWS, FEWEST_TO_TELL = 5, 20
"""Rows from which scores can be called alike, and a structure can be told from chance."""
MOST_ROWS, MOST_AXES = 400, 8
"""Rows and axes that are looked at for a structure that no Gaussian has."""
BANDWIDTHS = (0.15, 0.25, 0.4, 0.6)
"""Of the kernel density it is compared with, in standard deviations."""
GAIN, ERRORS = 0.05, 3.0
"""A structure is told by this many nats per row and this many standard errors. Where there is
none the kernels lose by several of both."""


def check_model(
    fitted: FittedChain,
    scorer: Scorer,
    train: Tensor,
    x: Tensor,
    context: Tensor | None,
) -> None:
    """Warn if the held-out rows score alike or not at all, or if nothing was learned.

    Rows that are simply Gaussian once whitened hold nothing to learn, and a chain that stands
    still is then right: no warning. Whether they are is asked of a kernel density.

    Parameters
    ----------
    fitted : FittedChain
    scorer : Scorer
    train : Tensor of shape (m, d)
        Raw rows it was fitted on.
    x : Tensor of shape (n, d)
        Held-out raw rows.
    context : Tensor of shape (n, context_dim), optional
    """
    scores = torch.cat([scorer.evaluate(*part)[:, 1] for part in batches(x, context)])
    distinct = len(x) >= FEWEST_ROWS and bool((x != x[0]).any())
    if not bool(scores.isfinite().all()):
        _warn("some held-out rows have no finite score; look for absurd values in the data")
    elif distinct and float(scores.max() - scores.min()) < 1e-12:
        _warn("all held-out rows score alike, so this model tells nothing apart; look at the data")
    if fitted.moved:
        return
    rows = torch.cat([train[:MOST_ROWS], x])[:MOST_ROWS]
    if is_structured(fitted.chain.preprocess(rows)):
        how = "made held-out rows less likely" if fitted.fell_back else "did not help held-out rows"
        _warn(
            f"training {how}, so the flow stands still and the model is a Gaussian, though the "
            "rows are not Gaussian; give more rows, or more steps"
        )


def is_structured(y: Tensor) -> bool:
    """Say whether whitened rows (n, d) are plainly not Gaussian.

    On each pair of the widest axes a kernel density, each row left out of its own, is compared
    with the Gaussian of that pair. Where it wins, there was something to learn.
    """
    if len(y) < FEWEST_TO_TELL:
        return False
    axes = range(max(0, y.shape[1] - MOST_AXES), y.shape[1])
    if len(axes) == 1:
        return _kernels_win(y)
    return any(_kernels_win(y[:, list(pair)]) for pair in itertools.combinations(axes, 2))


def _kernels_win(y: Tensor) -> bool:
    n, d = y.shape
    covariance = torch.cov(y.T).reshape(d, d) + 1e-6 * torch.eye(d).to(y)
    root = torch.linalg.cholesky(covariance)
    y = torch.linalg.solve_triangular(root, (y - y.mean(0)).T, upper=False).T
    squares = torch.cdist(y, y) ** 2
    squares[squares < 1e-8] = math.inf  # a row itself, and its copies: repetition is no structure
    gaussian = gaussian_log_prob(y)
    for width in BANDWIDTHS:
        kernels = torch.logsumexp(-squares / (2 * width**2), 1)
        scale = math.log(n - 1) + d * (math.log(width) + 0.5 * math.log(2 * math.pi))
        gain = kernels - scale - gaussian
        error = float(gain.std()) / math.sqrt(n)
        if float(gain.mean()) > max(GAIN, ERRORS * error):
            return True
    return False


def _warn(message: str) -> None:
    warnings.warn(message, FlowWarning, stacklevel=4)
