"""The rule that decides which annotations mean "abnormal".

Heartbeats follow the five classes of ANSI/AAMI EC57; free text follows the word rule of
:func:`is_abnormal`. Neither is a medical judgement: they decide what fitting leaves out and what
evaluation counts as an event, and a label table can replace them.
"""

from __future__ import annotations

import re
from typing import Literal

from pipelines.recording import Annotation

AamiClass = Literal["N", "S", "V", "F", "Q"]

_SYMBOLS: dict[AamiClass, str] = {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F", "Q": "/fQ"}
_CLASS_OF = {symbol: name for name, symbols in _SYMBOLS.items() for symbol in symbols}

_STEADY = frozenset({"N", "NSR", "SBR", "PREX", "P"})

_WORD = r"""(?:
    seizures? | sei?z | sz | sz_\w+ | (?:fn|gn|sp|cp|ab|tn|cn|tc|at|my)sz | convulsions?
  | absences? | (?:tonic|clonic|myoclonic|atonic)\b\s*-?\s*(?:clonic|jerks?|seizures?)?
  | ictal | status\s+epilepticus | epileptiform | (?:poly-?)?spikes? | sharp[\s-]+waves?
  | (?:poly-?)?spikes?[\s-]+(?:and|&)?[\s-]*(?:slow[\s-]+)?waves? | spsw
  | discharges? | ieds? | pleds? | gpeds? | [gl]pds? | lrda | burst[\s-]suppression
  | ventricular\s+(?:flutter|fibrillation|tachycardia|ectop\w+|premature\s+\w+)
  | atrial\s+(?:flutter|fibrillation|premature\s+\w+)
  | premature\s+(?:ventricular|atrial|supraventricular)\s+\w+
  | pvcs? | pacs? | nsvt | v-?tach | arr?h?ythmias? | asystole
)(?![a-z0-9])"""
_DENIAL = r"""
    (?<![a-z]) (?:no|not|non|nonepileptic|without|denies|absence\s+of|free\s+of|negative\s+for
      |rules?\s+out|ruled\s+out|r/o|history\s+of|h/o|last|previous)
    (?:[\s-]+(?:any|clear|definite|obvious|visible|apparent|clinical|electrographic|electrical
      |evidence\s+of|sign\s+of|signs\s+of|more|further|new|epileptic|a|an|the))*
    [\s-]+"""
_LIST = rf"{_WORD}(?:(?:\s*/\s*|[\s-]+|\s+(?:or|nor)\s+){_WORD})*"
_ABNORMAL = re.compile(rf"(?<![a-z0-9]){_WORD}", re.IGNORECASE | re.VERBOSE)
_DENIED = re.compile(rf"{_DENIAL}{_LIST}", re.IGNORECASE | re.VERBOSE)
_FREE = re.compile(
    rf"{_WORD}(?:[\s-]+free|\s*[:=]\s*(?:none|no|nil|0))(?![a-z0-9])", re.IGNORECASE | re.VERBOSE
)
_NEAR_ICTAL = re.compile(r"(?<![a-z])(?:pre|post|inter|peri|non)[\s-]?ictal", re.IGNORECASE)


def aami_class(symbol: str) -> AamiClass:
    """Return the AAMI class of a WFDB beat symbol.

    N: ``N L R e j``; S: ``A a J S``; V: ``V E``; F: ``F``; Q: ``/ f Q`` and every other beat,
    which evaluation leaves out.

    Examples
    --------
    >>> aami_class("L"), aami_class("E"), aami_class("/")
    ('N', 'V', 'Q')
    """
    return _CLASS_OF.get(symbol, "Q")


def is_abnormal(annotation: Annotation) -> bool:
    """Return True if an annotation marks something abnormal.

    A beat is abnormal if its AAMI class is S, V or F. A text is abnormal if it names a seizure
    ("seizure", "sz", "ictal", "absence"...), an epileptiform pattern ("spike", "sharp wave",
    "epileptiform", "discharge", "PLED"...) or an arrhythmia, in any case and as a whole word.
    Words that are denied ("no seizure", "without spikes", "seizure-free", "history of seizures")
    do not count, nor do "preictal", "interictal" and "postictal" by themselves, nor the rhythm
    notes of WFDB records, since normal beats are judged beat by beat.

    Parameters
    ----------
    annotation : Annotation

    Returns
    -------
    bool
    """
    if annotation.is_beat:
        return aami_class(annotation.description) in ("S", "V", "F")
    text = annotation.description
    if text.lower().startswith("rhythm"):
        return False
    for pattern in (_DENIED, _FREE, _NEAR_ICTAL):
        text = pattern.sub(" ", text)
    return _ABNORMAL.search(text) is not None


def is_abnormal_rhythm(annotation: Annotation) -> bool:
    """Return True if a rhythm note of a WFDB record names another rhythm than sinus or paced.

    Codes of PhysioNet: all but ``N`` (and ``NSR``), ``SBR`` (sinus bradycardia), ``PREX`` (sinus
    rhythm with pre-excitation) and ``P`` (paced) are arrhythmias here. A note without a code
    says nothing.

    Examples
    --------
    >>> [is_abnormal_rhythm(Annotation(0.0, 9.0, f"rhythm: {c}")) for c in ("AFIB", "N", "P")]
    [True, False, False]
    """
    kind, _, code = annotation.description.partition(":")
    code = code.strip().upper()
    return not annotation.is_beat and kind == "rhythm" and bool(code) and code not in _STEADY
