"""The combined anomaly score of a fitted chain: its density and the distance to its rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowcore.chain import FlowChain, Trace
from flowcore.neighbours import N_NEAREST, Neighbours
from flowcore.statistics import (
    DENSITY,
    LATENT_NEIGHBOURS,
    NEIGHBOURS,
    audit_names,
    audit_statistics,
)

BATCH = 512
"""Rows per pass on a CPU: the hidden layers of so many rows stay in its cache."""
MOST_NEIGHBOURS = 4000
"""Rows of the fit kept as the reference of the neighbour distance."""
WEIGHTS = {DENSITY: 1.0, NEIGHBOURS: 2.0}
CONTEXT_WEIGHTS = {DENSITY: 1.0, LATENT_NEIGHBOURS: 1.0}
"""Given a context, rows are compared in latent space, where the context is accounted for."""


class Scorer:
    """One number from several statistics, on the scale of held-out normal rows.

    Each statistic is centred at its held-out median and divided by its held-out upper spread
    (97.5 % quantile less median); the score is their weighted mean: 1 for the inverse hyperbolic
    sine of the negative log-density and 2 for the logarithm of the distance to the five nearest
    rows (docs/decisions/0001). A negative log-density grows with the square of a distance: without
    the sine it alone would rank all rows that are far away. Without units; 0 is usual, about 1 is
    rare, higher is stranger.

    Parameters
    ----------
    chain : FlowChain
    gammas : sequence of float
        Diffusion times of its matched blocks.
    reference : Neighbours
        Rows of the fit, standardised; latent rows if `conditional`.
    center, scale : Tensor of shape (2,)
        Of the two statistics.
    conditional : bool
        True for a chain with a context.
    """

    def __init__(
        self,
        chain: FlowChain,
        gammas: Sequence[float],
        reference: Neighbours,
        center: Tensor,
        scale: Tensor,
        conditional: bool,
    ) -> None:
        self.chain = chain
        self.gammas = tuple(gammas)
        self.reference = reference
        self.center = center
        self.scale = scale
        self.conditional = conditional

    @classmethod
    def fit(
        cls,
        chain: FlowChain,
        gammas: Sequence[float],
        train: tuple[Tensor, Tensor | None],
        held_out: tuple[Tensor, Tensor | None],
    ) -> Scorer:
        """Take the scale from held-out rows, then the reference from all rows.

        Held-out rows count as references too once they have set the scale: where whole patients
        are held out they are a fifth of those that a new patient can be like.

        Parameters
        ----------
        chain : FlowChain
        gammas : sequence of float
        train, held_out : tuple
            Raw rows (n, d) and their context or None, on the chain's device, in random order.
        """
        reference = _reference(chain, train, MOST_NEIGHBOURS)
        unscaled = cls(
            chain,
            gammas,
            Neighbours(reference),
            torch.zeros(2, dtype=torch.float64, device=reference.device),
            torch.ones(2, dtype=torch.float64, device=reference.device),
            train[1] is not None,
        )
        statistics = torch.cat(
            [unscaled.combined_statistics(*part)[1] for part in batches(*held_out)]
        )
        unscaled.center = statistics.median(0).values
        spread = torch.quantile(statistics, 0.975, dim=0) - unscaled.center
        unscaled.scale = torch.where(spread > 1e-9, spread, torch.ones_like(spread))
        n, others = len(train[0]), len(held_out[0])
        if n + others > 2 * N_NEAREST and not torch.equal(train[0], held_out[0]):
            share = round(min(n + others, MOST_NEIGHBOURS) * others / (n + others))
            added = _reference(chain, held_out, share)
            kept = reference[: MOST_NEIGHBOURS - len(added)]
            unscaled.reference = Neighbours(torch.cat([kept, added]))
        return unscaled

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each statistic in the score, by name."""
        return CONTEXT_WEIGHTS if self.conditional else WEIGHTS

    def combined_statistics(self, x: Tensor, context: Tensor | None) -> tuple[Trace, Tensor]:
        """Return the passage of raw rows and the statistics of the score, shape (n, 2)."""
        with torch.no_grad():
            trace = self.chain.flow(self.chain.preprocess(x), context)
            rows = trace.z if self.conditional else self.chain.columns(x)
            distance = self.reference.log_distance(rows)
        return trace, torch.stack([-trace.log_prob, distance], 1)

    def audit(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return every statistic of raw rows, shape (n, len(names))."""
        with torch.no_grad():
            trace, combined = self.combined_statistics(x, context)
            others = audit_statistics(self.chain, trace, self.gammas, context)
        return torch.cat([combined, others], 1)

    @property
    def names(self) -> list[str]:
        """Names of the columns of :meth:`audit`."""
        return [*self.weights, *audit_names(self.gammas)]

    def evaluate(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return the log-density of raw rows and their score from one pass, shape (n, 2)."""
        trace, statistics = self.combined_statistics(x, context)
        log_prob = trace.log_prob + self.chain.steps_log_det(x)
        weights = torch.tensor(list(self.weights.values())).to(statistics)
        scaled = (statistics - self.center) / self.scale
        scaled[:, 0].arcsinh_()
        score = (scaled * weights).sum(1) / weights.sum()
        return torch.stack([log_prob, score], 1)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that rebuild the scorer for its chain."""
        return {"reference": self.reference.rows, "center": self.center, "scale": self.scale}

    @classmethod
    def from_state(
        cls,
        chain: FlowChain,
        gammas: Sequence[float],
        tensors: dict[str, Tensor],
        conditional: bool,
    ) -> Scorer:
        """Rebuild the scorer from :meth:`state` on the device of `chain`."""
        device = next(chain.buffers()).device
        reference, center, scale = (
            tensors[name].to(device) for name in ("reference", "center", "scale")
        )
        if reference.shape[1:] != (chain.dim,) or center.shape != (2,) or scale.shape != (2,):
            raise RuntimeError("the stored score does not fit the chain")
        return cls(chain, gammas, Neighbours(reference), center, scale, conditional)


def _reference(chain: FlowChain, rows: tuple[Tensor, Tensor | None], most: int) -> Tensor:
    """Return the first rows where distances are measured: columns, or latent with a context."""
    x, context = rows[0][:most], rows[1]
    with torch.no_grad():
        if context is None:
            return chain.columns(x)
        return chain.transform(x, context[:most])[0]


def batches(x: Tensor, context: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
    """Cut rows and their context into batches."""
    starts = range(0, len(x), BATCH)
    return [(x[s : s + BATCH], None if context is None else context[s : s + BATCH]) for s in starts]
