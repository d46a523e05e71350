"""Is a freshly fitted model a model at all? Warns in words where it is not."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from flowcore.errors import FlowWarning
from flowcore.fitting import FittedChain
from flowcore.scorer import Scorer, batches

FEWEST_ROWS = 5


def check_model(fitted: FittedChain, scorer: Scorer, x: Tensor, context: Tensor | None) -> None:
    """Warn if the scores of the held-out rows are constant or not finite, or training failed.

    Parameters
    ----------
    fitted : FittedChain
    scorer : Scorer
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
    if fitted.fell_back:
        _warn(
            "training ended with a worse likelihood on held-out rows than no flow at all, so the "
            "flow was left out and the model is Gaussian; give more rows"
        )


def _warn(message: str) -> None:
    warnings.warn(message, FlowWarning, stacklevel=4)
