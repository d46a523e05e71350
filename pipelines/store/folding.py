"""What a log of events amounts to: the present decision about each segment. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeVar, cast

from pipelines.store.events import UNDOABLE, Event, Verdict

Key = tuple[str, str]
"""``(recording_id, segment_id)``."""
State = Literal["new", "in_review", "final"]


@dataclass(frozen=True)
class Decision:
    """What is decided about one segment at present.

    Attributes
    ----------
    recording_id, segment_id : str
    verdict : str
        ``"accepted"``, ``"rejected"``, ``"unsure"`` or ``"undecided"``.
    comment : str
        Free text, possibly empty. Untrusted: escape it wherever it is shown.
    user : str
        Who made the verdict that counts, or did the last thing where there is no verdict.
    decided_at : datetime.datetime
        UTC, aware; when that was.
    label : str
        What a reader called it; empty if nothing. Untrusted.
    bounds : tuple of float or None
        ``(start_s, stop_s)`` as a reader set them; None: as they were found.
    span : tuple of float or None
        Where the segment lay when it was last decided about, in seconds.
    added : bool
        True for an event that a reader added and scoring did not flag.
    conflict : bool
        Two readers decided differently without having seen each other's decision.
    """

    recording_id: str
    segment_id: str
    verdict: Verdict
    comment: str
    user: str
    decided_at: datetime
    label: str = ""
    bounds: tuple[float, float] | None = None
    span: tuple[float, float] | None = None
    added: bool = False
    conflict: bool = False


Said = TypeVar("Said", Event, Decision)


def by_recording(found: Iterable[Said]) -> dict[str, list[Said]]:
    """Return events or decisions by recording_id, in order; events about the run are under ""."""
    groups: dict[str, list[Said]] = {}
    for one in found:
        groups.setdefault(one.recording_id, []).append(one)
    return groups


def effective(events: Iterable[Event]) -> list[Event]:
    """Return the events about segments that were not taken back, in order."""
    events = list(events)
    undone = {event.content["undoes"] for event in events if event.kind == "undo"}
    return [e for e in events if e.kind in UNDOABLE and e.number not in undone]


def fold(events: Iterable[Event]) -> dict[Key, Decision]:
    """Return the present decision about every segment that events speak of.

    An adjudication counts before every verdict; otherwise the last one counts.
    """
    by_segment: dict[Key, list[Event]] = defaultdict(list)
    for event in effective(events):
        for segment_id, part in _parts(event):
            by_segment[event.recording_id, segment_id].append(part)
    return {key: _decision(key, parts) for key, parts in by_segment.items()}


def of_reader(events: Iterable[Event], user: str) -> dict[Key, Decision]:
    """Return what one reader alone decided; adjudications and other readers are left out."""
    return fold(e for e in events if e.user == user and e.kind != "adjudication")


def readers(events: Iterable[Event]) -> tuple[str, ...]:
    """Return who decided about segments, in order of their first decision."""
    return tuple(dict.fromkeys(e.user for e in effective(events) if e.kind != "adjudication"))


def last_undoable(events: Iterable[Event], user: str) -> Event | None:
    """Return what the next undo of a user takes back, or None."""
    return next((e for e in reversed(effective(events)) if e.user == user), None)


def state_of(events: Iterable[Event]) -> State:
    """Return how far the review of one recording is, from its events."""
    state: State = "new"
    for event in events:
        if event.kind == "sign_off":
            state = "final"
        elif event.kind == "reopen" or (state == "new" and event.kind in UNDOABLE):
            state = "in_review"
    return state


def assigned(events: Iterable[Event]) -> str:
    """Return the reader that one recording is assigned to, or an empty string."""
    names = [str(e.content.get("reader", "")) for e in events if e.kind == "assign"]
    return names[-1] if names else ""


def _parts(event: Event) -> Iterable[tuple[str, Event]]:
    """Return what an event says of each of its segments; a group speaks of many."""
    if event.kind != "group":
        return [(event.segment_id, event)]
    content = {k: v for k, v in event.content.items() if k in ("label", "verdict")}
    segments = event.content["segments"]
    spans = event.content.get("spans") or [None] * len(segments)
    return [
        (one, replace(event, content=content if span is None else {**content, "span": span}))
        for one, span in zip(segments, spans, strict=True)
    ]


def _decision(key: Key, events: list[Event]) -> Decision:
    found: dict[str, Any] = {"label": "", "comment": ""}
    speaking = events[-1]
    for event in events:
        content: Mapping[str, Any] = event.content
        found["comment"] = content.get("comment") or found["comment"]
        if event.kind in ("bounds", "added"):
            found["bounds"] = (float(content["start_s"]), float(content["stop_s"]))
        found["added"] = found.get("added") or event.kind == "added"
        if "label" in content:
            found["label"] = content["label"]
        if "span" in content:
            found["span"] = (float(content["span"][0]), float(content["span"][1]))
    said = [e for e in events if "verdict" in e.content]
    final = [e for e in said if e.kind == "adjudication"]
    if said:
        speaking = (final or said)[-1]
        if final and "label" in speaking.content:
            found["label"] = speaking.content["label"]
    verdict = speaking.content.get("verdict", "accepted" if found["added"] else "undecided")
    return Decision(
        recording_id=key[0],
        segment_id=key[1],
        verdict=cast(Verdict, verdict),
        user=speaking.user,
        decided_at=speaking.at,
        conflict=not final and _conflict(said),
        **found,
    )


def _conflict(said: list[Event]) -> bool:
    """Return True if the last verdict contradicts one of another reader that it had not seen."""
    if not said:
        return False
    last = said[-1]
    seen = last.content.get("seen")
    return seen is not None and any(
        e.number > seen and e.user != last.user and e.content["verdict"] != last.content["verdict"]
        for e in said
    )
