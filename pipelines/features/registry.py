"""The features that models are fitted on: name, unit, and what each means in plain words.

A feature's name is its identity: it is stored with every model, in order and with the version of
its computation, and a model whose names or versions differ is refused. To add a feature, declare it
where it is computed (:mod:`pipelines.features.ecg`, :mod:`pipelines.features.eeg`) and
:func:`describe` knows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from pipelines.errors import ModelError

ROOTS = ("√µV", "√µV/s")
"""Units of features that are square roots of amplitudes: two of them are compared by their ratio."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One number that describes a window.

    Attributes
    ----------
    name : str
        Identifier, ``snake_case``; never reused for another meaning.
    unit : str
        ``"1"`` for a pure number, ``"ln"`` for a natural logarithm of a ratio or amplitude,
        ``"asinh"`` for the inverse hyperbolic sine of a number of usual deviations; ``"√µV"`` and
        ``"√µV/s"`` for the square roots of amplitudes.
    meaning : str
        What a clinician may read, without a verdict.
    version : int
        Goes up whenever the same signal gives another value: models fitted before are refused.
    """

    name: str
    unit: str
    meaning: str
    version: int = 1


@cache
def features() -> Mapping[str, Feature]:
    """Return every declared feature by name."""
    from pipelines.features.ecg import FEATURES as ECG
    from pipelines.features.eeg import FEATURES as EEG
    from pipelines.features.eeg_pattern import PATTERN_FEATURES as PATTERN
    from pipelines.features.rhythm_windows import RHYTHM_WINDOW_FEATURES as RHYTHM

    return MappingProxyType({f.name: f for f in (*ECG, *RHYTHM, *EEG, *PATTERN)})


def versions_of(names: Sequence[str]) -> dict[str, int]:
    """Return the version of each feature, without the number of its lead.

    Examples
    --------
    >>> versions_of(["early", "shape_change_lead1", "shape_change_lead2"])
    {'early': 1, 'shape_change': 1}
    """
    known = features()
    stems = (name.partition("_lead")[0] for name in names)
    return {stem: known[stem].version for stem in stems if stem in known}


def check_versions(names: Sequence[str], stored: Mapping[str, int] | None) -> None:
    """Refuse features that are computed otherwise than when a model was fitted, or not at all.

    Parameters
    ----------
    names : sequence of str
        Features of the model.
    stored : mapping of str to int or None
        What :func:`versions_of` said then; None in models of before there were versions: all 1.

    Raises
    ------
    ModelError
        Naming each such feature.
    """
    now = versions_of(names)
    odd = []
    for stem in dict.fromkeys(name.partition("_lead")[0] for name in names):
        then = 1 if stored is None else stored.get(stem)
        if stem not in now:
            odd.append(f"{stem} (not known here)")
        elif then != now[stem]:
            odd.append(f"{stem} (version {then or 'unknown'} there, {now[stem]} here)")
    if odd:
        raise ModelError(
            f"the model counts on features that this version computes otherwise: {', '.join(odd)}; "
            "fit the model again, or use the version of rarewave that it was fitted with"
        )


def is_amplitude(name: str) -> bool:
    """Return True for a root of microvolts: two of them are compared by their ratio.

    Examples
    --------
    >>> is_amplitude("alpha_median"), is_amplitude("alpha_spread")
    (True, False)
    """
    feature = features().get(name)
    return feature is not None and feature.unit in ROOTS


def describe(name: str) -> str:
    """Return the plain words for a feature, or its name with spaces if it is not declared.

    A name ending in ``_lead2`` is that feature of the second lead.

    Examples
    --------
    >>> describe("early")
    'earliness against the rhythm around'
    """
    stem, _, lead = name.partition("_lead")
    feature = features().get(stem)
    words = feature.meaning if feature else stem.replace("_", " ")
    return f"{words}, lead {lead}" if lead else words
