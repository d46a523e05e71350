"""Which key does what, and the labels on the digits. Pure data and functions."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pipelines.errors import ConfigError
from pipelines.store import MAX_LABEL

Command = Literal[
    "previous",
    "next",
    "previous_open",
    "next_open",
    "accept",
    "reject",
    "unsure",
    "undo",
    "group",
    "page_back",
    "page_on",
    "gain_up",
    "gain_down",
    "start_earlier",
    "start_later",
    "stop_earlier",
    "stop_later",
    "add_event",
    "take_selection",
    "move_on",
    "sign_off",
]
KEYS: Final[Mapping[str, Command]] = {
    "arrowleft": "previous",
    "arrowright": "next",
    "p": "previous_open",
    "n": "next_open",
    "a": "accept",
    "x": "reject",
    "u": "unsure",
    "z": "undo",
    "g": "group",
    "shift+arrowleft": "page_back",
    "shift+arrowright": "page_on",
    "+": "gain_up",
    "-": "gain_down",
    "[": "start_earlier",
    "]": "stop_later",
    "{": "start_later",
    "}": "stop_earlier",
    "e": "add_event",
    "t": "take_selection",
    "m": "move_on",
    "shift+s": "sign_off",
}
"""A key as the browser names it, in small letters, with what it does."""
GO_TO: Final = "go-to:"
"""What a press begins with that is the browser's Back or Forward; the segment follows."""
HELP: Final[tuple[tuple[str, str], ...]] = (
    ("← →", "previous and next segment"),
    ("P N", "previous and next segment that is still open"),
    ("A X U", "accept, reject, unsure"),
    ("1 to 9", "give the label of that number; the same again takes it off"),
    ("G then a key", "the next accept, reject, unsure or label goes to the whole group"),
    ("Z", "take back what you did last in this recording; what held before holds again"),
    ("⇧← ⇧→", "half a page back and on"),
    ("+ −", "larger and smaller gain"),
    ("[ ] { }", "start earlier, stop later, start later, stop earlier"),
    ("E", "add an event where you dragged over the signal, or in the middle of the page"),
    ("T", "take what you dragged over as the bounds of this segment"),
    ("M", "move on to the next open segment after each decision, or stay"),
    ("⇧S", "sign off, once every segment is reviewed"),
)
BOUNDS_STEP_S: Final = {"ecg": 0.02, "eeg": 0.1}
"""How far one press moves a bound, seconds."""
_LABELS: Final = {
    "ecg": ("N", "V", "S", "F", "Q", "AF", "Pause", "Noise", "Other"),
    "eeg": (
        "Spike",
        "Spike-wave",
        "Seizure",
        "Slowing",
        "Sharp wave",
        "Eye movement",
        "Muscle",
        "Noise",
        "Variant",
    ),
}
LABELS_FILE: Final = "labels.toml"


def command_of(key: str) -> Command | None:
    """Return what a key does, or None; digits are labels, see :func:`label_number`."""
    return KEYS.get(key)


def label_number(key: str) -> int | None:
    """Return 0 for the key ``"1"``, and so on up to ``"9"``; None for any other."""
    return int(key) - 1 if len(key) == 1 and key in "123456789" else None


def labels_for(kind: str, run: Path) -> tuple[str, ...]:
    """Return the labels on the keys 1 to 9: from ``labels.toml`` in the run or beside it.

    The file has one list for each kind of signal, ``ecg = ["N", "V"]``; without it the defaults
    are used (for an ECG the beat classes of AAMI first).

    Raises
    ------
    ConfigError
        If the file is there but means nothing.
    """
    path = next((f / LABELS_FILE for f in (run, run.parent) if (f / LABELS_FILE).is_file()), None)
    if path is None:
        return _LABELS[kind]
    try:
        found = tomllib.loads(path.read_text("utf-8")).get(kind, list(_LABELS[kind]))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {LABELS_FILE}: {error}") from error
    good = isinstance(found, list) and 1 <= len(found) <= 9
    if not good or not all(isinstance(n, str) and 0 < len(n.strip()) <= MAX_LABEL for n in found):
        raise ConfigError(
            f"{LABELS_FILE}: {kind} must be a list of 1 to 9 labels of 1 to {MAX_LABEL} characters"
        )
    return tuple(name.strip() for name in found)
