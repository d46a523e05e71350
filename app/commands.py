"""What keys and buttons do to a review. Every press acts on the place that it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app import keyboard, review_queue, services, signal_page, state
from app.place import Place, here
from pipelines.errors import RarewaveError
from pipelines.run_folder import RunFolder
from pipelines.store import Verdict, may

VERDICT_OF: Mapping[str, Verdict] = {
    "accept": "accepted",
    "reject": "rejected",
    "unsure": "unsure",
}
"""The verdict that a command gives."""
_GROUP_KINDS = ("verdict", "label")


def perform(run: RunFolder, recording_id: str, command: keyboard.Command) -> None:
    """Do one thing; what cannot be done is said on the page and changes nothing."""
    try:
        place = here(run, recording_id)
        if command in VERDICT_OF:
            decide(place, VERDICT_OF[command])
        else:
            _ACTIONS[command](place)
    except RarewaveError as error:
        state.say(str(error))


def label(run: RunFolder, recording_id: str, number: int) -> None:
    """Give the current segment, or its group, the label of a number; again takes it off."""
    try:
        place = here(run, recording_id)
        known = services.labels(run)
        if number >= len(known) or place.current is None:
            return
        latest = place.decisions.get(place.current)
        off = (
            latest is not None and latest.label == known[number] and not state.is_on("whole_group")
        )
        _write(place, "label", label="" if off else known[number])
    except RarewaveError as error:
        state.say(str(error))


def decide(place: Place, verdict: Verdict) -> None:
    """Store a verdict with the comment that was typed; then stay, or move on."""
    if place.current is None:
        return
    segment_id = place.current
    comment = str(state.chosen(state.comment_key(segment_id)) or "")
    many = state.is_on("whole_group") and place.group is not None
    members = set(place.group.segment_ids) if many and place.group else {segment_id}
    _write(place, "verdict", verdict=verdict, comment=comment)
    state.set_comment(segment_id, "")
    if state.is_on("move_on") or many:
        done = place.reviewed | members
        target = review_queue.step(place.queue, segment_id, 1, done)
        go_to(place, target or review_queue.step(place.queue, None, 1, done))


def comment(run: RunFolder, recording_id: str, segment_id: str) -> None:
    """Store what was typed as a comment of its own, without a verdict."""
    text = str(state.chosen(state.comment_key(segment_id)) or "").strip()
    try:
        if text:
            services.append(
                run,
                "comment",
                state.reviewer(),
                recording_id=recording_id,
                segment_id=segment_id,
                comment=text,
            )
            state.set_comment(segment_id, "")
    except RarewaveError as error:
        state.say(str(error))


def set_bounds(run: RunFolder, recording_id: str, start_s: float, stop_s: float) -> None:
    """Set the bounds of the current segment."""
    try:
        _write(here(run, recording_id), "bounds", start_s=float(start_s), stop_s=float(stop_s))
    except RarewaveError as error:
        state.say(str(error))


def go_to(place: Place, segment_id: str | None) -> None:
    """Make a segment the current one and let the page follow it."""
    if segment_id is not None:
        state.set_page_start(place.recording_id, None)
        state.set_current(place.recording_id, segment_id)


def go_back_to(recording_id: str, segment_id: str) -> None:
    """Show the segment of the address that a person went back to; empty: the first."""
    state.set_page_start(recording_id, None)
    state.set_current(recording_id, segment_id or None)


def _write(place: Place, kind: str, **content: Any) -> None:
    """Add an event about the current segment, or about its whole group if that was asked for."""
    if place.current is None or place.segment is None:
        return
    if not place.user:
        state.say("Enter your name in the sidebar: every decision is stored with a name.")
        return
    seen = state.seen(place.recording_id)
    group = place.group if state.is_on("whole_group") and kind in _GROUP_KINDS else None
    if group is not None:
        rows = place.segments.set_index("segment_id")
        members = [s for s in group.segment_ids if s in rows.index]
        spans = rows.loc[members, ["found_start_s", "found_stop_s"]].to_numpy(float).tolist()
        given = {k: v for k, v in content.items() if k in _GROUP_KINDS}
        services.append(
            place.run,
            "group",
            place.user,
            recording_id=place.recording_id,
            segments=members,
            spans=spans,
            **given,
        )
        state.turn("whole_group", False)
        return
    differs = bool(place.reading.readers) and place.user not in place.reading.readers
    if kind == "verdict" and differs and may(services.roles(place.run), place.user, "adjudication"):
        kind = "adjudication"
    span = [float(place.segment["found_start_s"]), float(place.segment["found_stop_s"])]
    services.append(
        place.run,
        kind,  # type: ignore[arg-type]
        place.user,
        recording_id=place.recording_id,
        segment_id=place.current,
        span=span,
        seen=seen,
        **content,
    )


def _step(by: int, over_reviewed: bool) -> Callable[[Place], None]:
    def step(place: Place) -> None:
        skip = place.reviewed if over_reviewed else set()
        go_to(place, review_queue.step(place.queue, place.current, by, skip))

    return step


def _undo(place: Place) -> None:
    if not place.user:
        return
    taken = services.undo(place.run, place.recording_id, place.user)
    if taken is None:
        return
    members = taken.content.get("segments", [taken.segment_id])
    if place.current not in members and members[0] in set(place.segments["segment_id"]):
        go_to(place, members[0])


def _turn(pages: float) -> Callable[[Place], None]:
    return lambda place: turn(place.recording_id, pages)


def turn(recording_id: str, pages: float) -> None:
    """Move the page of signal by a part of its length."""
    start = state.shown_start(recording_id)
    state.set_page_start(recording_id, start + pages * state.page_seconds())


def _gain(way: int) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        kind = services.kind(place.run)
        steps = signal_page.GAINS[kind] if kind == "ecg" else signal_page.GAINS[kind][::-1]
        now = state.shown_gain()
        near = min(range(len(steps)), key=lambda i: abs(steps[i] - now))
        state.put(state.GAIN, steps[min(max(near + way, 0), len(steps) - 1)])

    return change


def _move_bound(which: int, way: int) -> Callable[[Place], None]:
    def move(place: Place) -> None:
        if place.segment is None:
            return
        step = keyboard.BOUNDS_STEP_S[services.kind(place.run)]
        bounds = [float(place.segment["start_s"]), float(place.segment["stop_s"])]
        bounds[which] = max(0.0, round(bounds[which] + way * step, 4))
        _write(place, "bounds", start_s=bounds[0], stop_s=bounds[1])

    return move


def _take_selection(place: Place) -> None:
    span = state.selection(place.recording_id)
    if span is None:
        state.say("Drag over the signal first: T takes that stretch as the segment's bounds.")
        return
    _write(place, "bounds", start_s=round(span[0], 4), stop_s=round(span[1], 4))


def _add_event(place: Place) -> None:
    if not place.user:
        return
    span = state.selection(place.recording_id)
    if span is None:
        middle = state.shown_start(place.recording_id) + state.page_seconds() / 2
        half = 0.3 if services.kind(place.run) == "ecg" else 1.0
        span = (max(0.0, middle - half), middle + half)
    event = services.append(
        place.run,
        "added",
        place.user,
        recording_id=place.recording_id,
        start_s=round(span[0], 4),
        stop_s=round(span[1], 4),
    )
    state.set_selection(place.recording_id, None)
    go_to(place, event.segment_id)


def _toggle(switch: state.Switch) -> Callable[[Place], None]:
    return lambda place: state.turn(switch, not state.is_on(switch))


def _toggle_group(place: Place) -> None:
    """Say that the next decision goes to the whole group, or does not after all."""
    if place.group is not None:
        _toggle("whole_group")(place)


def sign_off(place: Place) -> None:
    """Sign a recording off if every segment was reviewed, else say how many were not."""
    n, reviewed = len(place.segments), len(place.all_reviewed)
    if reviewed < n:
        state.say(f"{n - reviewed} of {n} segments are not reviewed yet: N opens the next one.")
        return
    if place.is_blind:
        state.say("Both readers must have decided about every segment before it is signed off.")
        return
    services.append(
        place.run,
        "sign_off",
        place.user,
        recording_id=place.recording_id,
        n_segments=n,
        n_reviewed=reviewed,
    )


def reopen(run: RunFolder, recording_id: str, reason: str) -> None:
    """Open a recording that was signed off; that and the reason stay in the log."""
    try:
        services.append(run, "reopen", state.reviewer(), recording_id=recording_id, comment=reason)
    except RarewaveError as error:
        state.say(str(error))


_ACTIONS: Mapping[str, Callable[[Place], None]] = {
    "previous": _step(-1, False),
    "next": _step(1, False),
    "previous_open": _step(-1, True),
    "next_open": _step(1, True),
    "undo": _undo,
    "group": _toggle_group,
    "page_back": _turn(-0.5),
    "page_on": _turn(0.5),
    "gain_up": _gain(1),
    "gain_down": _gain(-1),
    "start_earlier": _move_bound(0, -1),
    "start_later": _move_bound(0, 1),
    "stop_earlier": _move_bound(1, -1),
    "stop_later": _move_bound(1, 1),
    "take_selection": _take_selection,
    "add_event": _add_event,
    "move_on": _toggle("move_on"),
    "sign_off": sign_off,
}
