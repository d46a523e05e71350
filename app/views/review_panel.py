"""The panel beside the signal: what was flagged and why, and the decision about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from app import commands, keyboard, markup, messages, review_queue, services, state
from app.overlay import overlay
from app.place import Place
from app.pressing import later
from app.reasons import reasons
from pipelines.errors import RarewaveError
from pipelines.review.groups import worst_windows
from pipelines.review.reading import differing
from pipelines.store import Decision, Event, Verdict, may

_BUTTONS: tuple[tuple[str, keyboard.Command, str, str], ...] = (
    ("Accept", "accept", ":material/check:", "A"),
    ("Reject", "reject", ":material/close:", "X"),
    ("Unsure", "unsure", ":material/question_mark:", "U"),
    ("Undo", "undo", ":material/undo:", "Z"),
)
_STEPS: tuple[tuple[str, keyboard.Command, str, str], ...] = (
    ("Previous", "previous", ":material/arrow_back:", "←"),
    ("Next", "next", ":material/arrow_forward:", "→"),
    ("Prev. open", "previous_open", ":material/keyboard_double_arrow_left:", "P"),
    ("Next open", "next_open", ":material/keyboard_double_arrow_right:", "N"),
)
_SHOWN = 3


def draw(place: Place) -> None:
    """Draw the panel of the current segment."""
    segment = place.segment
    if segment is None or place.current is None:
        st.info(messages.NOTHING_FLAGGED)
        return
    _steps(place)
    position = place.queue.index(place.current) + 1
    st.html(markup.section(f"Segment {position} of {len(place.queue)}"))
    st.html(markup.facts(_facts(segment)))
    _decision(place, place.current)
    _group(place)
    _bounds(place, segment)
    st.html(markup.section("What does not fit"))
    st.html(_reasons(place, segment))
    _nearest(place, segment)
    _history(place.history)


def _steps(place: Place) -> None:
    """Draw the buttons to the previous and next segment, flagged or not yet reviewed."""
    columns = [*st.columns(2, gap="small"), *st.columns(2, gap="small")]
    for column, (words, command, icon, key) in zip(columns, _STEPS, strict=True):
        over_reviewed = command.endswith("open")
        skip = place.reviewed if over_reviewed else set()
        by = -1 if command.startswith("previous") else 1
        column.button(
            _hinted(words, key),
            key=f"rw_step_{command}",
            icon=icon,
            width="stretch",
            disabled=review_queue.step(place.queue, place.current, by, skip) is None,
            help="Open means not reviewed yet" if over_reviewed else None,
            on_click=later(commands.perform, place.run, place.recording_id, command),
        )


def _hinted(words: str, key: str) -> str:
    """Return a button's words with the key that does the same."""
    return f"{words} :gray[{key}]"


def _facts(segment: pd.Series) -> list[tuple[str, str]]:
    start, stop = float(segment["start_s"]), float(segment["stop_s"])
    n, p_value = int(segment["n_windows"]), float(segment["min_p_value"])
    rows = [("When", f"{messages.clock(start, 1)} to {messages.clock(stop, 1)}, {_windows(n)}")]
    if segment["peak_score"] == segment["peak_score"]:
        rows += [
            ("Peak score", f"{segment['peak_score']:.2f}"),
            ("p-value", f"{messages.p_value(p_value)}, {messages.rarity(p_value)}"),
        ]
    moved = (segment["found_start_s"], segment["found_stop_s"]) != (start, stop)
    if moved and segment["origin"] != "added":
        found = (messages.clock(float(segment[f"found_{end}_s"]), 2) for end in ("start", "stop"))
        rows.append(("Found at", " to ".join(found)))
    if segment["origin"] != "flagged":
        rows.append(("Origin", messages.ORIGIN_WORDS[segment["origin"]]))
    if isinstance(segment["top_channel"], str):
        rows.append(("Mostly on", segment["top_channel"]))
    return rows


def _windows(n: int) -> str:
    return "1 window" if n == 1 else f"{n} windows"


def _reasons(place: Place, segment: pd.Series) -> str:
    table = services.features(place.run, place.recording_id)
    found = reasons(segment, place.windows, table)
    if not found:
        return markup.facts([("", str(segment["description"]))])
    rows = [
        markup.feature_row(r.words, r.comparison, r.rank, r.share)
        if r.rank
        else markup.facts([("", r.words)])
        for r in found
    ]
    rest = "".join(rows[_SHOWN:])
    folded = markup.more(f"{len(rows) - _SHOWN} more", rest) if rest else ""
    return "".join(rows[:_SHOWN]) + folded


def _nearest(place: Place, segment: pd.Series) -> None:
    """Show on demand what would fit in the place of the segment's highest-scoring window."""
    if not st.toggle("Show what would fit here", key=state.NEAREST):
        return
    row = place.windows.iloc[worst_windows(segment.to_frame().T, place.windows)[0]]
    if not row["scorable"]:
        st.caption("No window of this segment has a score.")
        return
    try:
        with st.spinner("Looking for windows that fit"):
            found = services.nearest(place.run, place.recording_id, int(row["window_index"]))
    except RarewaveError as error:
        st.caption(str(error))
        return
    st.html(overlay(found))


def _decision(place: Place, segment_id: str) -> None:
    latest = place.decisions.get(segment_id)
    st.html(_badge(latest))
    _differing(place, segment_id)
    closed = place.state == "final"
    allowed = bool(place.user) and not closed and _may_write(place)
    st.text_area(
        "Comment",
        key=state.comment_key(segment_id),
        height=68,
        max_chars=2000,
        placeholder="Comment, kept with the decision",
        label_visibility="collapsed",
        disabled=closed,
    )
    columns = [*st.columns(2, gap="small"), *st.columns(2, gap="small")]
    for column, (words, command, icon, key) in zip(columns, _BUTTONS, strict=True):
        undo = command == "undo"
        is_it = latest is not None and latest.verdict == commands.VERDICT_OF.get(command)
        column.button(
            f"{words} {key}" if is_it else _hinted(words, key),
            key=f"rw_decide_{command}",
            icon=icon,
            width="stretch",
            type="primary" if is_it else "secondary",
            disabled=not allowed or (undo and place.undoable is None),
            on_click=later(commands.perform, place.run, place.recording_id, command),
        )
    _labels(place, latest, allowed)
    if state.chosen(state.comment_key(segment_id)):
        st.button(
            "Keep the comment alone",
            key="rw_keep_comment",
            icon=":material/comment:",
            disabled=not allowed,
            on_click=later(commands.comment, place.run, place.recording_id, segment_id),
        )
    if not place.user:
        st.warning(messages.NO_REVIEWER)
    elif closed:
        st.info(messages.SIGNED_OFF)
    elif not allowed:
        st.info(messages.ONLY_VIEWER)


def _may_write(place: Place) -> bool:
    return may(services.roles(place.run), place.user, "verdict")


def _labels(place: Place, latest: Decision | None, allowed: bool) -> None:
    """Draw a button for each label, with its digit."""
    with st.container(horizontal=True, gap="xsmall", key="rw_labels"):
        for number, name in enumerate(services.labels(place.run)):
            is_it = latest is not None and latest.label == name
            st.button(
                f"{number + 1} {markup.plain(name)}",
                key=f"rw_label_{number}",
                type="primary" if is_it else "secondary",
                disabled=not allowed,
                on_click=later(commands.label, place.run, place.recording_id, number),
            )


def _badge(latest: Decision | None) -> str:
    verdict: Verdict = latest.verdict if latest else "undecided"
    detail = f"by {latest.user}, {_when(latest.decided_at)}" if latest else ""
    words = messages.VERDICT_WORDS[verdict]
    if latest and latest.label:
        words += f", {latest.label}"
    badge = markup.verdict_badge(verdict, messages.VERDICT_MARKS[verdict], words, detail)
    note = f'<p class="rw-note">≠ {messages.CONFLICT}</p>'
    return badge + (note if latest and latest.conflict else "")


def _differing(place: Place, segment_id: str) -> None:
    """Say where two readers differ, once both are done; the next verdict adjudicates."""
    if len(place.reading.readers) < 2 or place.is_blind:
        return
    each = differing(place.events, place.reading.readers, [segment_id]).get(segment_id)
    if each:
        rows = ((d.user, f"{messages.VERDICT_WORDS[d.verdict]} {d.label}") for d in each)
        st.html(markup.section("The readers differ") + markup.facts(rows))


def _when(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _group(place: Place) -> None:
    """Show the segments that look like this one, and offer to decide about all of them."""
    group = place.group
    if not place.has_groups:
        st.caption("Order by group to find the segments that look like this one.")
    if group is None or len(group.segment_ids) < 2:
        return
    n = len(group.segment_ids)
    st.html(
        markup.section(f"Group {group.number}: {n} alike")
        + markup.waveform(group.average, group.sfreq, group.channels, group.words)
    )
    on = state.is_on("whole_group")
    st.button(
        f"The next decision is for all {n} G" if on else f"Decide for all {n} :gray[G]",
        key=state.SCOPE,
        icon=":material/select_all:",
        width="stretch",
        type="primary" if on else "secondary",
        disabled=place.state == "final" or not place.user,
        help="The next accept, reject, unsure or label goes to the whole group; one undo takes "
        "all of it back",
        on_click=later(commands.perform, place.run, place.recording_id, "group"),
    )


def _bounds(place: Place, segment: pd.Series) -> None:
    """Set where the segment begins and ends, or add an event that was missed."""
    closed = place.state == "final" or not place.user
    with st.expander("Bounds, missed events"):
        start, stop = float(segment["start_s"]), float(segment["stop_s"])
        left, right = st.columns(2)
        name = f"{place.current}_{start:.4f}_{stop:.4f}"
        step = keyboard.BOUNDS_STEP_S[services.kind(place.run)]
        form: dict[str, Any] = {
            "min_value": 0.0,
            "step": step,
            "format": "%.3f",
            "disabled": closed,
        }
        first = left.number_input("Start, s", value=start, key=f"rw_start_{name}", **form)
        last = right.number_input("Stop, s", value=stop, key=f"rw_stop_{name}", **form)
        st.button(
            "Set bounds",
            key="rw_set_bounds",
            disabled=closed or (first, last) == (start, stop) or first >= last,
            on_click=later(commands.set_bounds, place.run, place.recording_id, first, last),
        )
        picked = state.selection(place.recording_id)
        where = "in the middle of the page"
        if picked is not None:
            where = f"at {messages.clock(picked[0], 2)} to {messages.clock(picked[1], 2)}"
            st.button(
                _hinted("Bounds as dragged", "T"),
                key="rw_take_selection",
                disabled=closed,
                on_click=later(commands.perform, place.run, place.recording_id, "take_selection"),
            )
        st.button(
            _hinted("Add a missed event", "E"),
            key="rw_add_event",
            help=where.capitalize(),
            disabled=closed,
            on_click=later(commands.perform, place.run, place.recording_id, "add_event"),
        )
        st.caption(f"A missed event is added {where}. Drag over the signal to choose a place.")


def _history(events: tuple[Event, ...]) -> None:
    if not events:
        return
    rows = "".join(
        markup.history_row(
            *messages.event_words(event),
            f"{event.user}, {_when(event.at)}",
            str(event.content.get("comment", "")),
        )
        for event in reversed(events)
    )
    with st.expander(f"History ({len(events)})"):
        st.html(f'<ul class="rw-history">{rows}</ul>')
