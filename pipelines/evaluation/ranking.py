"""How well scores rank abnormal windows above the others, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
FALSE_POSITIVES = 0.05
REPLICATES = 500
LEVEL = 0.95


def ranking(scores: Floats, positive: Bools, n_missed: int = 0) -> dict[str, Any]:
    """Return measures that need no threshold, each beside what a random score would get.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Higher is more abnormal; finite.
    positive : ndarray of bool, shape (n,)
    n_missed : int
        Abnormal ones without a score: not found at any threshold.

    Returns
    -------
    dict
        ``auroc``, ``average_precision``, ``sensitivity_at_5_percent_fp`` (missed ones count as not
        found) and ``auroc_missed_lowest`` (missed ones rank below everything); None with the
        reason in ``undefined`` where one class is empty.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    result: dict[str, Any] = {
        "n_positive": n_positive,
        "n_negative": n_negative,
        "n_missed": n_missed,
        "auroc": None,
        "auroc_random": 0.5,
        "auroc_missed_lowest": None,
        "average_precision": None,
        "average_precision_random": None,
        "sensitivity_at_5_percent_fp": None,
        "sensitivity_at_5_percent_fp_random": FALSE_POSITIVES,
        "undefined": None,
    }
    if not n_positive or not n_negative:
        which = "abnormal" if not n_positive else "other"
        result["undefined"] = f"no scored {which} window"
        return result
    auroc = float(roc_auc_score(positive, scores))
    found = int((scores[positive] > limit_at_5_percent(scores, positive)).sum())
    result["auroc"] = auroc
    result["auroc_missed_lowest"] = auroc * n_positive / (n_positive + n_missed)
    result["average_precision"] = float(average_precision_score(positive, scores))
    result["average_precision_random"] = n_positive / len(positive)
    result["sensitivity_at_5_percent_fp"] = found / (n_positive + n_missed)
    return result


def limit_at_5_percent(scores: Floats, positive: Bools) -> float:
    """Return the score that at most 5 % of the windows that are not abnormal exceed."""
    return float(np.quantile(scores[~positive], 1 - FALSE_POSITIVES, method="higher"))


class WeightedRanking:
    """AUROC and average precision for many weightings of the same scores, sorted once.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    positive : ndarray of bool, shape (n,)
    """

    def __init__(self, scores: Floats, positive: Bools) -> None:
        self.order = np.argsort(-scores, kind="stable")
        ordered = scores[self.order]
        self._positive = positive[self.order]
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))

    def __call__(self, weights: Floats) -> dict[str, float | None]:
        """Return both measures for a weight per window; None where one class has no weight."""
        ordered = weights[self.order]
        hits = np.append(0.0, np.cumsum(np.where(self._positive, ordered, 0.0))[self._ends])
        false = np.append(0.0, np.cumsum(np.where(self._positive, 0.0, ordered))[self._ends])
        if not hits.size or hits[-1] == 0 or false[-1] == 0:
            return {"auroc": None, "average_precision": None}
        auroc = np.trapezoid(hits, false) / (hits[-1] * false[-1])
        with np.errstate(invalid="ignore"):
            precision = np.nan_to_num(hits[1:] / (hits[1:] + false[1:]))
        precision_sum = (np.diff(hits) * precision).sum() / hits[-1]
        return {"auroc": float(auroc), "average_precision": float(precision_sum)}


def bootstrap(
    measure: Callable[[NDArray[np.int64]], Mapping[str, float | None]],
    n_patients: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Return 95 % intervals of measures over patients drawn with replacement.

    Parameters
    ----------
    measure : callable
        From how often each patient was drawn, shape (n_patients,), to named measures.
    n_patients : int
    seed : int

    Returns
    -------
    dict
        ``intervals``: by name ``[low, high]``, or None if fewer than half of the draws defined it.
        With fewer than two patients only the reason.
    """
    facts: dict[str, Any] = {"unit": "patient", "n_patients": n_patients, "intervals": None}
    if n_patients < 2:
        return facts | {"undefined": "an interval over patients needs at least 2 patients"}
    generator = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for _ in range(REPLICATES):
        chosen = generator.integers(n_patients, size=n_patients)
        for name, value in measure(np.bincount(chosen, minlength=n_patients)).items():
            kept = drawn.setdefault(name, [])
            if value is not None:
                kept.append(value)
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    intervals = {
        name: [float(q) for q in np.quantile(values, tails)]
        if len(values) >= REPLICATES / 2
        else None
        for name, values in drawn.items()
    }
    return facts | {"replicates": REPLICATES, "level": LEVEL, "intervals": intervals}
