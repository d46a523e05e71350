"""What can be written into the log of a review: a few kinds of event, each checked on its own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from pipelines.errors import ReviewError

Verdict = Literal["accepted", "rejected", "unsure", "undecided"]
VERDICTS: Final[tuple[str, ...]] = get_args(Verdict)
Kind = Literal[
    "verdict",
    "label",
    "bounds",
    "added",
    "comment",
    "group",
    "undo",
    "adjudication",
    "baseline",
    "assign",
    "sign_off",
    "reopen",
    "reading",
    "role",
]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
UNDOABLE: Final = ("verdict", "label", "bounds", "added", "comment", "group", "adjudication")
"""Kinds that a reader may take back."""
OF_SEGMENTS: Final = (*UNDOABLE, "undo")
"""Kinds that change what is known of segments; refused once a recording is signed off."""
ROLES: Final = ("viewer", "reader", "adjudicator", "admin")
"""Who may do what, each also what stands before it."""
MAX_COMMENT: Final = 2000
"""Most characters of a comment."""
MAX_USER: Final = 100
"""Most characters of a user's name."""
MAX_LABEL: Final = 60
"""Most characters of a label."""
MAX_ID: Final = 1000
MAX_GROUP: Final = 100_000

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """One line of the log. Nothing in it ever changes.

    Attributes
    ----------
    number : int
        From 1, without gaps.
    kind : str
        One of :data:`KINDS`.
    recording_id, segment_id : str
        What it is about; empty where it is about the whole run or the whole recording.
    content : mapping
        What was done; its keys depend on the kind. Texts in it are untrusted: escape them.
    user : str
    at : datetime.datetime
        UTC, aware.
    """

    number: int
    kind: Kind
    recording_id: str
    segment_id: str
    content: Content
    user: str
    at: datetime


def checked(kind: str, content: Content) -> str:
    """Return the content of an event as JSON, or say what is wrong with it.

    Raises
    ------
    ReviewError
        If the kind is unknown, a key is missing or unknown, or a value is out of range.
    """
    if kind not in _CHECKS:
        raise ReviewError(f"unknown kind of event {kind!r}; accepted: {', '.join(KINDS)}")
    checks = _CHECKS[kind]
    unknown = set(content) - set(checks)
    missing = set(_REQUIRED.get(kind, ())) - set(content)
    if unknown or missing:
        raise ReviewError(
            f"an event of kind {kind!r} has the keys {', '.join(sorted(checks))}; "
            f"wrong: {', '.join(sorted(unknown | missing))}"
        )
    for name, value in content.items():
        checks[name](name, value)
    if "start_s" in content and not content["start_s"] < content["stop_s"]:
        raise ReviewError(
            f"the bounds {content['start_s']:g} to {content['stop_s']:g} s are not in order; "
            "start must be less than stop"
        )
    return json.dumps(dict(content), sort_keys=True)


def check_text(what: str, text: object, longest: int, *, may_be_empty: bool = False) -> None:
    """Refuse what is no text, is empty or too long, or cannot be stored."""
    if not isinstance(text, str) or (not text.strip() and not may_be_empty):
        raise ReviewError(f"the {what} of a decision is empty; give 1 to {longest} characters")
    if len(text) > longest:
        raise ReviewError(f"the {what} has {len(text)} characters; at most {longest} are kept")
    if "\x00" in text or text.encode("utf-8", "ignore").decode() != text:
        raise ReviewError(f"the {what} holds a character that cannot be stored; remove it")


def _verdict(name: str, value: object) -> None:
    if value not in VERDICTS:
        raise ReviewError(f"unknown {name} {value!r}; accepted: {', '.join(VERDICTS)}")


def _role(name: str, value: object) -> None:
    if value not in ROLES:
        raise ReviewError(f"unknown {name} {value!r}; accepted: {', '.join(ROLES)}")


def _text(name: str, value: object) -> None:
    check_text(name, value, MAX_COMMENT, may_be_empty=True)


def _label(name: str, value: object) -> None:
    check_text(name, value, MAX_LABEL, may_be_empty=True)


def _user(name: str, value: object) -> None:
    check_text(name, value, MAX_USER)


def _seconds(name: str, value: object) -> None:
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ReviewError(f"{name} is {value!r}; needed are seconds from the start, 0 or more")


def _span(name: str, value: object) -> None:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ReviewError(f"{name} is {value!r}; needed are two times in seconds")
    for one in value:
        _seconds(name, one)


def _count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ReviewError(f"{name} is {value!r}; needed is a whole number, 0 or more")


def _segments(name: str, value: object) -> None:
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= MAX_GROUP:
        raise ReviewError(f"{name} must be a list of 1 to {MAX_GROUP} segments")
    for one in value:
        check_text("segment_id", one, MAX_ID)


def _spans(name: str, value: object) -> None:
    for one in value if isinstance(value, (list, tuple)) else [value]:
        _span(name, one)


def _users(name: str, value: object) -> None:
    if not isinstance(value, (list, tuple)) or len(set(value)) != len(value):
        raise ReviewError(f"{name} must be a list of different names")
    for one in value:
        _user(name, one)


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ReviewError(f"{name} is {value!r}; accepted: true, false")


_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "verdict": ("verdict",),
    "label": ("label",),
    "bounds": ("start_s", "stop_s"),
    "added": ("start_s", "stop_s"),
    "comment": ("comment",),
    "group": ("segments",),
    "undo": ("undoes",),
    "adjudication": ("verdict",),
    "baseline": ("start_s", "stop_s"),
    "assign": ("reader",),
    "reading": ("readers", "blind"),
    "role": ("name", "role"),
}
_READ: Final[Mapping[str, Callable[[str, object], None]]] = {"span": _span, "seen": _count}
_CHECKS: Final[Mapping[str, Mapping[str, Callable[[str, object], None]]]] = {
    "verdict": {"verdict": _verdict, "comment": _text, **_READ},
    "label": {"label": _label, **_READ},
    "bounds": {"start_s": _seconds, "stop_s": _seconds, **_READ},
    "added": {"start_s": _seconds, "stop_s": _seconds, "label": _label, "comment": _text},
    "comment": {"comment": _text, **_READ},
    "group": {"segments": _segments, "spans": _spans, "label": _label, "verdict": _verdict},
    "undo": {"undoes": _count},
    "adjudication": {"verdict": _verdict, "label": _label, "comment": _text, **_READ},
    "baseline": {"start_s": _seconds, "stop_s": _seconds},
    "assign": {"reader": _label},
    "sign_off": {"n_segments": _count, "n_reviewed": _count, "comment": _text},
    "reopen": {"comment": _text},
    "reading": {"readers": _users, "blind": _flag},
    "role": {"name": _user, "role": _role},
}
