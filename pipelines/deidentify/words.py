"""Which texts of a recording may stay: those made only of words that name nobody.

An allow-list errs on the safe side: "Dr Spike" goes, and so does an unknown drug. What goes is
replaced by :data:`REMOVED`, at its place and time. ``keep`` adds texts that somebody has read.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from pipelines.channel_names import is_electrode_or_lead, printable

REMOVED = "removed"
_WORDS = frozenset(
    re.findall(
        r"\S+",
        """
    a absence absences activity af afib alpha an and arousal artefact artefacts artifact artifacts
    asleep asystole at atrial aura awake background baseline beat beats begin beginning beta bipolar
    blink blinks body bradycardia burst calibration channel chewing clonic closed closing complex
    complexes cough delta desaturation discharge discharges disconnected drowsy drowsiness dual eeg
    ecg ekg electrode electrographic emg end ending eog epileptiform event events eye eyes fast
    fibrillation flash flat flutter focal frequency frontal gamma generalised generalized high hv
    hyperventilation hypopnea apnea apnoea obstructive central mixed ictal impedance in interictal
    ischaemia ischemia jerk jerks k left light limb leg lights low marker maximum min minute minutes
    montage movement movements moving mu muscle myoclonic n n1 n2 n3 nonconvulsive normal not noise
    occipital of off on onset open opening ops pac pacs parietal patient paroxysmal pause photic
    polyspike polyspikes postictal preictal premature pvc pvcs r recording reference rem removed
    response rhythm rhythmic right run s sec second seconds seizure seizures sharp sinus sleep slow
    slowing spike spikes spindle spindles st stage start status step stim stimulation stop stopped
    supraventricular svt swallow swallowing sz tachycardia talking temporal test theta tonic to
    ventricular vertex vt w wake wave waves with without hz uv mv machine amplifier device
    """,
    )
)
_RHYTHM = re.compile(
    r"\((?:AB|AFIB|AFL|ASYS|B|B3|BI|BII|HGEA|IVR|N|NOD|NOISE|P|PM|PREX|SAB|SBR|SVTA|T|VF|VFIB|VFL|VT)"
    r"\s*"
)
_TIME_RESOLUTION = re.compile(r"## time resolution: \d{1,6}(?:\.\d{1,9})?")
_TOKEN = re.compile(r"[^\W\d_]+\d?|\d+|.", re.DOTALL)
_MOST_NUMBERS, _MOST_DIGITS = 2, 3  # fewer than make a date or a number of a patient
_UNITS = frozenset(
    re.findall(
        r"\S+",
        "v mv uv nv % bpm /min hz s ms g mg ohm kohm ohms kohms degc c k mmhg cmh2o kpa l/min l/s ml/min"
        " lux db au a.u. rpm m/s2 °c",
    )
)
_LABELS = frozenset(
    re.findall(
        r"\S+",
        "eeg ecg ekg eog emg resp spo2 sao2 pulse pleth hr hrate status trigger event marker position "
        "snore flow airflow thor abdo chest abdomen light body temp etco2 dc photic chin leg tib lat "
        "rat loc roc nasal lead ref le cle ler avg av ar car aa a1a2 m1m2",
    )
)
_SHORT = re.compile(r"[A-Za-z]\d?|\d{1,2}")
"""What numbers the channels of a kind: ``X1`` of ``ECG X1``."""


def kept_text(text: str, keep: Collection[str] = ()) -> str:
    """Return an annotation's text if it may stay, and :data:`REMOVED` otherwise.

    Parameters
    ----------
    text : str
    keep : collection of str
        Texts that may stay as they are.

    Examples
    --------
    >>> kept_text("Spike-wave, 3 Hz, F7"), kept_text("Seizure (J. Doe)"), kept_text("12.03.1998")
    ('Spike-wave, 3 Hz, F7', 'removed', 'removed')
    """
    plain = printable(text.rstrip("\0"))
    if plain in keep or _RHYTHM.fullmatch(plain) or _TIME_RESOLUTION.fullmatch(plain):
        return plain
    numbers = re.findall(r"\d+", re.sub(r"[^\W\d_]+\d", "", plain))
    short = len(numbers) <= _MOST_NUMBERS and all(len(n) <= _MOST_DIGITS for n in numbers)
    words = [w for w in _TOKEN.findall(plain) if w[0].isalpha()]
    return plain if plain and short and all(map(_names_nobody, words)) else REMOVED


def _names_nobody(word: str) -> bool:
    return word.lower() in _WORDS or (is_electrode_or_lead(word) and word != "Di")  # a first name


def kept_label(label: str, number: int, keep: Collection[str] = ()) -> str:
    """Return a channel's label if it says what is measured, and ``"Ch 3"`` otherwise.

    Examples
    --------
    >>> kept_label("EEG Fp1-REF", 1), kept_label("ECG X1", 2), kept_label("Doe, Jane", 3)
    ('EEG Fp1-REF', 'ECG X1', 'Ch 3')
    """
    plain = printable(label)
    parts = [part for part in re.split(r"[\s:_.()+-]+", plain) if part]
    if len(parts) > 1 and _is_kind(parts[0]) and _SHORT.fullmatch(parts[1]):
        del parts[1]  # one alone: two could be somebody's initials
    known = [is_electrode_or_lead(part) or _is_kind(part) for part in parts]
    return plain if plain in keep or (parts and all(known)) else f"Ch {number}"


def _is_kind(word: str) -> bool:
    kind = word.lower().rstrip("0123456789")
    return word.lower() in _LABELS or (kind in _LABELS and len(word) - len(kind) <= _MOST_DIGITS)


def kept_unit(unit: str) -> str:
    """Return a unit of measurement if it is known, and nothing otherwise."""
    plain = printable(unit)
    return plain if plain.replace("µ", "u").replace("μ", "u").lower() in _UNITS else ""
