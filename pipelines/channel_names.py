"""What a channel's label says: which kind of signal it is, and its usual name.

EEG names follow the 10-20 system with the names of the 10-10 extension (Oostenveld & Praamstra
2001), so T3, T4, T5, T6 of older recordings become T7, T8, P7, P8. ECG leads keep the usual
clinical names. A label that fits neither is kept as it is, without surplus blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pipelines.recording import ChannelKind

_TEN_TEN = """
    Nz Fp1 Fpz Fp2 AF9 AF7 AF5 AF3 AF1 AFz AF2 AF4 AF6 AF8 AF10
    F11 F9 F7 F5 F3 F1 Fz F2 F4 F6 F8 F10 F12
    FT11 FT9 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 FT10 FT12
    T9 T7 C5 C3 C1 Cz C2 C4 C6 T8 T10
    TP11 TP9 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 TP10 TP12
    P11 P9 P7 P5 P3 P1 Pz P2 P4 P6 P8 P10 P12
    PO11 PO9 PO7 PO5 PO3 PO1 POz PO2 PO4 PO6 PO8 PO10 PO12
    O9 O1 Oz O2 O10 I1 Iz I2 A1 A2 M1 M2 T1 T2
"""
_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
_ELECTRODES: dict[str, str] = {
    name.upper(): name for name in re.findall(r"\S+", _TEN_TEN)
} | _OLD_NAMES

_COMMON_REFERENCES = (
    {"REF", "LE", "CLE", "LER", "AVG", "AV", "AR", "CAR"}  # linked ears, averages
    | {"AA", "A1A2", "A1+A2", "M1M2", "M1+M2"}
)
"""References shared by all channels: they say how the montage was made, not what a channel is."""

_LEAD_NAMES = """
    I II III aVR aVL aVF V1 V2 V3 V4 V5 V6 V7 V8 V9 V3R V4R V5R V6R
    MLI MLII MLIII ML5 MV1 MV2 MV5 MCL1 MCL5 MCL6 CM1 CM2 CM4 CM5 CC5 CS12 CB5 NASA
"""
_LEADS = {name.upper(): name for name in re.findall(r"\S+", _LEAD_NAMES)} | {
    "DI": "I",
    "DII": "II",
    "DIII": "III",
}

_PREFIXES: tuple[tuple[ChannelKind, str], ...] = (
    ("eeg", r"EEG"),
    ("ecg", r"ECG|EKG"),
    ("eog", r"EOG"),
    ("emg", r"EMG"),
    ("resp", r"RESP(?:IRATION|IR)?|AIRFLOW|FLOW|THOR(?:AX|ACIC)?|ABD(?:O|OMEN|OMINAL)?|NASAL"),
)
_KIND_WORD = re.compile(
    r"(?:"
    + "|".join(f"(?P<{kind}>{words})" for kind, words in _PREFIXES)
    + r")(?=$|[^A-Z])[\s:_-]*(?P<rest>.*)",
    re.IGNORECASE,
)
_OTHER_EOG = re.compile(r"(?:LOC|ROC|[EP]OG[LR]|HEOG|VEOG|LEOG|REOG)(?:$|[^A-Z])", re.IGNORECASE)
_OTHER_ECG = re.compile(r"(?:ECG|EKG)[LR]", re.IGNORECASE)
_OTHER_EMG = re.compile(r"(?:CHIN|LEG|LAT|RAT|TIB|MASSETER)(?:$|[^A-Z])", re.IGNORECASE)


def identify(label: str) -> tuple[str, ChannelKind]:
    """Return the usual name and the kind of the channel labelled `label`.

    Parameters
    ----------
    label : str
        The label as the file spells it: ``"EEG FP1-REF"``, ``"T3"``, ``"EKG"``, ``"MLII"``.

    Returns
    -------
    name : str
        ``"Fp1"``, ``"T7"``, ``"ECG"``, ``"MLII"``. A derivation between two electrodes keeps
        both (``"Fp1-M2"``); a reference common to all channels is dropped.
    kind : str
        See :class:`pipelines.recording.Channel`.

    Examples
    --------
    >>> identify("EEG FP1-REF"), identify("EEG T3-C3"), identify("EKG")
    (('Fp1', 'eeg'), ('T7-C3', 'eeg'), ('ECG', 'ecg'))
    """
    text = printable(label)
    kind, rest = _kind_word(text)
    bare = rest.strip("() ").strip()
    if kind in (None, "eeg"):
        derivation = _derivation(bare)
        if derivation is not None:
            return derivation, "eeg"
    if kind in (None, "ecg"):
        lead = _lead(bare)
        if lead is not None:
            return lead, "ecg"
    if kind == "ecg" and _KIND_WORD.search(bare) is None:
        return f"ECG {bare}".strip(), "ecg"
    return text or "unnamed", kind or _kind_of_unprefixed(text)


def is_electrode_or_lead(word: str) -> bool:
    """Return True if `word` alone is an electrode or an ECG lead, also by an older name.

    Examples
    --------
    >>> is_electrode_or_lead("T3"), is_electrode_or_lead("aVR"), is_electrode_or_lead("Jane")
    (True, True, False)
    """
    return word.upper() in _ELECTRODES or word.upper() in _LEADS


def unique_names(names: Iterable[str]) -> list[str]:
    """Return `names` with ``-2``, ``-3``... appended to the second, third... of equals.

    Examples
    --------
    >>> unique_names(["ECG", "ECG", "V1"])
    ['ECG', 'ECG-2', 'V1']
    """
    wanted = list(names)
    taken = set(wanted)
    seen: set[str] = set()
    result: list[str] = []
    for name in wanted:
        unique, number = name, 2
        while unique in seen or (unique != name and unique in taken):
            unique, number = f"{name}-{number}", number + 1
        seen.add(unique)
        result.append(unique)
    return result


def identify_all(labels: Iterable[str]) -> list[tuple[str, ChannelKind]]:
    """Return what :func:`identify` does for each of `labels`, the names made unique.

    Examples
    --------
    >>> identify_all(["EKG", "EEG T3-REF", "ECG"])
    [('ECG', 'ecg'), ('T7', 'eeg'), ('ECG-2', 'ecg')]
    """
    identified = [identify(label) for label in labels]
    names = unique_names(name for name, _ in identified)
    return [(name, kind) for name, (_, kind) in zip(names, identified, strict=True)]


def printable(text: str) -> str:
    """Return `text` on one line: unprintable characters dropped, runs of blanks made one."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _kind_word(text: str) -> tuple[ChannelKind | None, str]:
    """Split a leading word such as "EEG" from the rest of a label."""
    match = _KIND_WORD.match(text)
    if match is None:
        return None, text
    for kind, _ in _PREFIXES:
        if match.group(kind):
            return kind, match.group("rest")
    return None, text


def _derivation(text: str) -> str | None:
    """Return ``"Fp1"`` or ``"Fp1-M2"`` in usual spelling, or None if `text` is neither."""
    text = text.rstrip(".")  # BCI2000 fills labels up with dots
    if "-" not in text:
        text = text.replace("_", "-")
    active, _, reference = (part.strip().upper() for part in text.partition("-"))
    if active not in _ELECTRODES:
        return None
    if not reference or reference in _COMMON_REFERENCES:
        return _ELECTRODES[active]
    if reference not in _ELECTRODES:
        return None
    return f"{_ELECTRODES[active]}-{_ELECTRODES[reference]}"


def _lead(text: str) -> str | None:
    """Return the ECG lead that `text` names, or None."""
    lead: str | None = _LEADS.get(re.sub(r"^LEAD[\s_-]+", "", text.upper()))
    return lead


def _kind_of_unprefixed(text: str) -> ChannelKind:
    """Return the kind of a label that names neither an electrode nor a lead."""
    if _OTHER_EOG.match(text):
        return "eog"
    if _OTHER_EMG.match(text):
        return "emg"
    if _OTHER_ECG.fullmatch(text):
        return "ecg"
    return "misc"
