"""How well readers agree beyond chance: Cohen's and Fleiss' kappa with confidence intervals.

Kappa is 1 for perfect agreement and 0 for what chance would give. It depends on how common each
category is, so kappas of different recordings are not comparable as they stand. The intervals take
events as independent; events of one patient are alike, so the true uncertainty is larger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import ReviewError
from pipelines.store import Decision

_Z = 1.959963984540054


@dataclass(frozen=True)
class Kappa:
    """Agreement beyond chance.

    Attributes
    ----------
    value : float
        At most 1; NaN where it is not defined (one category alone was used).
    low, high : float
        95 % confidence interval; NaN where `value` is.
    n : int
        Events that all readers judged.
    observed : float
        Share of agreeing pairs of judgements, chance included.
    """

    value: float
    low: float
    high: float
    n: int
    observed: float


def cohen_kappa(one: Sequence[str], other: Sequence[str]) -> Kappa:
    """Return Cohen's kappa of two readers (Cohen 1960), unweighted.

    The interval uses the large-sample standard error of Fleiss, Cohen and Everitt (1969).

    Parameters
    ----------
    one, other : sequence of str
        What each reader said about the same events, in the same order.

    Raises
    ------
    ReviewError
        If the two differ in length or are empty.

    Examples
    --------
    >>> kappa = cohen_kappa(list("aabb"), list("aaba"))
    >>> kappa.value, kappa.observed
    (0.5, 0.75)
    """
    if len(one) != len(other) or not one:
        raise ReviewError(
            f"{len(one)} and {len(other)} judgements; kappa needs two of each of 1 event or more"
        )
    names = sorted({*one, *other})
    table = np.zeros((len(names), len(names)))
    for a, b in zip(one, other, strict=True):
        table[names.index(a), names.index(b)] += 1
    p = table / table.sum()
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed, chance = float(np.trace(p)), float(rows @ columns)
    if chance >= 1:
        return Kappa(math.nan, math.nan, math.nan, len(one), observed)
    kappa = (observed - chance) / (1 - chance)
    return _with_interval(kappa, _cohen_variance(p, kappa, chance) / len(one), len(one), observed)


def _cohen_variance(p: NDArray[np.float64], kappa: float, chance: float) -> float:
    """Return n times the variance of kappa: equation 13 of Fleiss, Cohen and Everitt."""
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    agreed = np.diag(p) @ (1 - (rows + columns) * (1 - kappa)) ** 2
    # p[i, j] goes with the marginals the other way round: column i and row j
    crossed = (columns[:, None] + rows[None, :]) ** 2
    differed = (1 - kappa) ** 2 * float((p * crossed).sum() - (np.diag(p) * np.diag(crossed)).sum())
    rest = (kappa - chance * (1 - kappa)) ** 2
    return float((agreed + differed - rest) / (1 - chance) ** 2)


def fleiss_kappa(judgements: Sequence[Sequence[str]], *, seed: int = 0) -> Kappa:
    """Return Fleiss' kappa (1971) of a fixed number of readers for each event.

    The interval is a percentile bootstrap over events (2,000 draws): unlike Fleiss' own standard
    error it does not assume that there is no agreement.

    Parameters
    ----------
    judgements : sequence of sequence of str
        For each event what each reader said; two readers or more, the same number for all.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ReviewError
        If there is no event, or they differ in the number of readers.
    """
    sizes = {len(each) for each in judgements}
    if len(sizes) != 1 or min(sizes) < 2:
        raise ReviewError(
            "kappa needs 1 event or more, all judged by the same number of readers, 2 or more"
        )
    names = sorted({said for each in judgements for said in each})
    counts = np.array([[list(each).count(name) for name in names] for each in judgements], float)
    value, observed = _fleiss(counts)
    generator = np.random.default_rng(seed)
    draws = [
        _fleiss(counts[generator.integers(0, len(counts), len(counts))])[0] for _ in range(2000)
    ]
    known = np.array(draws)[np.isfinite(draws)]
    if math.isnan(value) or not known.size:
        return Kappa(math.nan, math.nan, math.nan, len(counts), observed)
    low, high = np.percentile(known, [2.5, 97.5])
    return Kappa(value, float(low), float(high), len(counts), observed)


def _fleiss(counts: NDArray[np.float64]) -> tuple[float, float]:
    readers = counts[0].sum()
    observed = float(((counts**2).sum(axis=1) - readers).mean() / (readers * (readers - 1)))
    chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return ((observed - chance) / (1 - chance) if chance < 1 else math.nan), observed


def _with_interval(kappa: float, variance: float, n: int, observed: float) -> Kappa:
    half = _Z * math.sqrt(max(variance, 0.0))
    return Kappa(kappa, max(kappa - half, -1.0), min(kappa + half, 1.0), n, observed)


def judged_by_all(
    readings: Sequence[Mapping[tuple[str, str], Decision]],
) -> tuple[tuple[str, str], ...]:
    """Return the segments about which every reader has a verdict, in order of their names."""
    judged = [
        {key for key, decision in reading.items() if decision.verdict != "undecided"}
        for reading in readings
    ]
    return tuple(sorted(set.intersection(*judged))) if judged else ()
