"""Reference annotations (``.atr``) of WFDB records.

Codes: https://physionet.org/physiotools/wag/annot-5.htm and the table of the MIT-BIH databases.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.channel_names import printable
from pipelines.errors import RecordingError
from pipelines.recording import Annotation

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""WFDB symbols that mark a heartbeat."""

_MEANINGS = {
    "[": "ventricular flutter or fibrillation",
    "]": "end of ventricular flutter or fibrillation",
    "!": "ventricular flutter wave",
    "x": "blocked P wave",
    "(": "waveform onset",
    ")": "waveform end",
    "p": "P wave",
    "t": "T wave",
    "u": "U wave",
    "`": "PQ junction",
    "'": "J point",
    "^": "pacemaker artefact",
    "|": "isolated QRS-like artefact",
    "~": "signal quality change",
    "+": "rhythm",
    "s": "ST change",
    "T": "T wave change",
    "*": "systole",
    "D": "diastole",
    "=": "measurement",
    '"': "comment",
    "@": "link",
}
_LASTS_UNTIL = {"[": "]", "+": "+"}


def read_annotations(path: Path, sfreq: float, duration_s: float) -> tuple[Annotation, ...]:
    """Read an annotation file.

    Parameters
    ----------
    path : pathlib.Path
        The ``.atr`` file.
    sfreq : float
        Frame rate of the record in Hz; used where the file states no rate of its own.
    duration_s : float
        Length of the record, where a rhythm without successor ends.

    Returns
    -------
    tuple of Annotation
        Beats as their symbol; others in words with the note added (``"rhythm: AFIB"``). A rhythm
        lasts until the next one, flutter or fibrillation until its end mark, others 0 s.

    Raises
    ------
    RecordingError
        If the file is damaged.
    """
    import wfdb

    try:
        marks = wfdb.rdann(str(path.with_suffix("")), path.suffix[1:])
        rate = float(marks.fs or sfreq)
        onsets = [float(sample) / rate for sample in marks.sample]
        symbols = [str(symbol) for symbol in marks.symbol]
        notes = [printable(str(note)) for note in marks.aux_note]
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise RecordingError(
            f"the annotation file {path.name} is damaged ({type(error).__name__}); "
            "copy it again, or move it away to read the signals without it"
        ) from error
    found = []
    for i, (onset, symbol, note) in enumerate(zip(onsets, symbols, notes, strict=True)):
        if symbol in BEAT_SYMBOLS:
            found.append(Annotation(onset, 0.0, symbol, is_beat=True))
            continue
        duration = 0.0
        if symbol in _LASTS_UNTIL:
            ends = (
                o
                for o, s in zip(onsets[i + 1 :], symbols[i + 1 :], strict=True)
                if s == _LASTS_UNTIL[symbol]
            )
            duration = max(0.0, next(ends, duration_s) - onset)
        found.append(Annotation(onset, duration, _describe(symbol, note)))
    return tuple(sorted(found, key=lambda a: a.onset))


def _describe(symbol: str, note: str) -> str:
    """Return an annotation that is no beat in words."""
    note = note.lstrip("(").strip()
    if symbol == '"' and note:
        return note
    meaning = _MEANINGS.get(symbol, "note")
    return f"{meaning}: {note}" if note else meaning
