"""The features that models are fitted on: name, unit, and what each means in plain words.

A feature's name is its identity: it is stored with every model, in order, and scoring refuses a
model whose names differ. To add a feature, declare it where it is computed
(:mod:`pipelines.features.ecg`, :mod:`pipelines.features.eeg`) and :func:`describe` knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Feature:
    """One number that describes a window.

    Attributes
    ----------
    name : str
        Identifier, ``snake_case``; never reused for another meaning.
    unit : str
        ``"1"`` for a pure number, ``"ln"`` for a natural logarithm of a ratio or amplitude,
        ``"asinh"`` for the inverse hyperbolic sine of a number of usual deviations.
    meaning : str
        What a clinician may read, without a verdict.
    """

    name: str
    unit: str
    meaning: str


@cache
def features() -> Mapping[str, Feature]:
    """Return every declared feature by name."""
    from pipelines.features.ecg import FEATURES as ECG
    from pipelines.features.eeg import FEATURES as EEG
    from pipelines.features.rhythm_windows import RHYTHM_WINDOW_FEATURES as RHYTHM

    return MappingProxyType({feature.name: feature for feature in (*ECG, *RHYTHM, *EEG)})


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
