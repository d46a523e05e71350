"""A threshold with a promise about patients: conformal risk control with the patient as its unit.

For each calibration patient lambda is the smallest score above which that patient never has more
than X events a day; the threshold is the k-th smallest of n such values, k = ceil((n + 1)(1 - A)).
If a further patient is exchangeable with the n, that patient's own lambda exceeds the threshold
with probability at most A. Nothing is assumed of windows, which depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Any, NamedTuple

from pipelines.errors import ConfigError, ModelError


class PatientLimit(NamedTuple):
    """What one calibration patient says; no name goes with it.

    Attributes
    ----------
    lowest : float
        Smallest threshold from which on there are never too many events; -inf: there never are.
    hours : float
        Scored time.
    """

    lowest: float
    hours: float


@dataclass(frozen=True)
class Promise:
    """What a threshold promises, and on what it rests.

    Attributes
    ----------
    per_day : float
        False events a day (X).
    risk : float
        Share of patients in whom the threshold may raise more (A).
    rank : int
        The threshold is the so-many-th smallest lambda.
    limits : tuple of PatientLimit
        Of the calibration patients, rising by lambda.
    baseline : tuple of float or None
        Part of each recording that was confirmed as usual, seconds; such a promise holds only
        for scoring with a baseline, and the other way round.
    use_annotations : bool
        False: every event counted as false. True: those that share time with an annotation of
        something abnormal did not.
    created : str
        ISO 8601, UTC.
    version : str
        Of rarewave.
    """

    per_day: float
    risk: float
    rank: int
    limits: tuple[PatientLimit, ...]
    baseline: tuple[float, float] | None
    use_annotations: bool
    created: str
    version: str

    @property
    def threshold(self) -> float:
        """The score above which a window is flagged."""
        return self.limits[self.rank - 1].lowest

    @property
    def sentence(self) -> str:
        """The promise in words."""
        return (
            f"In at most {100 * self.risk:g} % of patients like those in the calibration set will "
            f"this threshold raise more than {self.per_day:g} false events per day."
        )

    @property
    def tested_length(self) -> str:
        """What recordings of the tested length can tell about events a day, in words."""
        hours = [limit.hours for limit in self.limits]
        lengths = f"{min(hours):.2g} to {max(hours):.2g}"
        told = f"{len(hours)} patients, {lengths} scored hours each, {sum(hours):.3g} in all"
        n_none = sum(self.per_day * h / 24 < 1 - 1e-12 for h in hours)
        if not n_none:
            return f"Tested on {told}."
        return (
            f"Tested on {told}. For {n_none} of them the target means no event at all in the "
            f"tested time, since {self.per_day:g} a day are fewer than one in it; the smallest "
            f"target that recordings of {median(hours):.2g} h can tell from none is "
            f"{smallest_per_day(median(hours)):.3g} a day."
        )

    def caveat(self, baseline: tuple[float, float] | None) -> str | None:
        """Return why the promise does not hold for scoring with this `baseline`, or None."""
        if (self.baseline is None) == (baseline is None):
            return None
        done, now = (("without", "with"), ("with", "without"))[baseline is None]
        return (
            f"the model's false-event promise was calibrated {done} a baseline and does not hold "
            f"for scores {now} one; calibrate the model that way too"
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it; lambda is null where it is -inf."""
        return {
            "sentence": self.sentence,
            "tested_length": self.tested_length,
            "per_day": self.per_day,
            "risk": self.risk,
            "n_patients": len(self.limits),
            "total_hours": sum(limit.hours for limit in self.limits),
            "smallest_per_day": smallest_per_day(median(limit.hours for limit in self.limits)),
            "rank": self.rank,
            "threshold": self.threshold,
            "patients": [
                {"lambda": None if p.lowest == -math.inf else p.lowest, "hours": p.hours}
                for p in self.limits
            ],
            "baseline": None if self.baseline is None else list(self.baseline),
            "use_annotations": self.use_annotations,
            "created": self.created,
            "version": self.version,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Promise:
        """Rebuild what :meth:`to_json` gave."""
        return cls(
            per_day=float(stored["per_day"]),
            risk=float(stored["risk"]),
            rank=int(stored["rank"]),
            limits=tuple(
                PatientLimit(
                    -math.inf if p["lambda"] is None else float(p["lambda"]), float(p["hours"])
                )
                for p in stored["patients"]
            ),
            baseline=None if stored["baseline"] is None else tuple(stored["baseline"]),
            use_annotations=bool(stored["use_annotations"]),
            created=str(stored["created"]),
            version=str(stored["version"]),
        )


def fewest_patients(risk: float) -> int:
    """Return how many patients a risk needs: the smallest n of at least ``1 / risk - 1``.

    Examples
    --------
    >>> fewest_patients(0.1), fewest_patients(0.2), fewest_patients(0.3)
    (9, 4, 3)
    """
    return math.ceil(1 / _exact(risk) - 1)


def rank_of(n_patients: int, risk: float) -> int:
    """Return k of the k-th smallest lambda, ``ceil((n + 1)(1 - risk))``, in exact arithmetic."""
    return math.ceil((n_patients + 1) * (1 - _exact(risk)))


def smallest_per_day(hours: float) -> float:
    """Return the smallest number of events a day that is one event in `hours`."""
    return 24 / hours


def check_target(per_day: float, risk: float) -> None:
    """Refuse a target that means nothing, with :class:`pipelines.errors.ConfigError`."""
    if not (math.isfinite(per_day) and per_day > 0):
        raise ConfigError(
            f"--per-day {per_day:g} is no number of false events a day; give one above 0"
        )
    if not (0 < risk < 1):
        raise ConfigError(
            f"--risk {risk:g} is no share of patients; give one between 0 and 1, for example 0.1"
        )


def check_count(n_patients: int, risk: float, found: str = "are given") -> None:
    """Refuse too few patients and say how many are needed.

    Parameters
    ----------
    n_patients : int
    risk : float
    found : str
        What the `n_patients` patients are, to be said after their number.
    """
    needed = fewest_patients(risk)
    if n_patients < needed:
        raise ConfigError(
            f"--risk {risk:g} needs recordings of at least {needed} patients, {n_patients} {found}; "
            f"give {needed - n_patients} more, or a --risk of at least {_least_risk(n_patients)}"
        )


def make_promise(
    limits: Sequence[PatientLimit],
    per_day: float,
    risk: float,
    *,
    baseline: tuple[float, float] | None = None,
    use_annotations: bool = False,
    created: str = "",
    version: str = "",
) -> Promise:
    """Return the promise that calibration patients allow.

    Raises
    ------
    ConfigError
        If there are fewer than ``1 / risk - 1`` patients, or the target is out of range.
    ModelError
        If the target is met whatever the threshold, so that none follows from it.
    """
    check_target(per_day, risk)
    check_count(len(limits), risk)
    promise = Promise(
        per_day,
        risk,
        rank_of(len(limits), risk),
        tuple(sorted(limits)),
        baseline,
        use_annotations,
        created,
        version,
    )
    if promise.threshold == -math.inf:
        raise ModelError(
            f"a target of {per_day:g} events a day is kept even if every window is flagged, so no "
            "threshold follows from it; give a smaller --per-day"
        )
    return promise


def _exact(risk: float) -> Fraction:
    return Fraction(repr(float(risk)))


def _least_risk(n_patients: int) -> str:
    """Return the smallest risk, to four digits, that `n_patients` patients are enough for."""
    return f"{math.ceil(10_000 / (n_patients + 1)) / 10_000:g}"
