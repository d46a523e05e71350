"""The panel beside the signal: what was flagged and why, and the decision about it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from app import markup, messages, review_queue, services, state
from app.reasons import reasons
from pipelines.errors import RarewaveError
from pipelines.run_folder import RunFolder
from pipelines.store import Decision, Event, Verdict

if TYPE_CHECKING:
    from app.views.review import Place

_BUTTONS: tuple[tuple[str, Verdict, str, str], ...] = (
    ("Accept", "accepted", ":material/check:", "A"),
    ("Reject", "rejected", ":material/close:", "X"),
    ("Unsure", "unsure", ":material/question_mark:", "U"),
    ("Undo", "undecided", ":material/undo:", "Z"),
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
    st.html(markup.section("What does not fit"))
    st.html(_reasons(place, segment))
    _history(services.history(place.run, place.recording_id, place.current))


def _steps(place: Place) -> None:
    """Draw the buttons to the previous and next segment, flagged or not yet reviewed."""
    rows: tuple[tuple[str, str, int, str, set[str]], ...] = (
        ("Previous", ":material/arrow_back:", -1, "Left", set()),
        ("Next", ":material/arrow_forward:", 1, "Right", set()),
        ("Prev. open", ":material/keyboard_double_arrow_left:", -1, "P", place.reviewed),
        ("Next open", ":material/keyboard_double_arrow_right:", 1, "N", place.reviewed),
    )
    columns = [*st.columns(2, gap="small"), *st.columns(2, gap="small")]
    for column, (words, icon, by, key, skip) in zip(columns, rows, strict=True):
        target = review_queue.step(place.queue, place.current, by, skip)
        column.button(
            words,
            key=f"rw_step_{key}",
            icon=icon,
            shortcut=key,
            width="stretch",
            disabled=target is None,
            help="Open means not reviewed yet" if skip is place.reviewed else None,
            on_click=_go_to,
            args=(place.recording_id, target),
        )


def _go_to(recording_id: str, segment_id: str | None) -> None:
    if segment_id is not None:
        state.set_page_start(recording_id, None)
        state.set_address(segment=segment_id)


def _facts(segment: pd.Series) -> list[tuple[str, str]]:
    start, stop = float(segment["start_s"]), float(segment["stop_s"])
    n, p_value = int(segment["n_windows"]), float(segment["min_p_value"])
    rows = [
        ("When", f"{messages.clock(start, 1)} to {messages.clock(stop, 1)}, {_windows(n)}"),
        ("Peak score", f"{segment['peak_score']:.2f}"),
        ("p-value", f"{messages.p_value(p_value)}, {messages.rarity(p_value)}"),
    ]
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


def _decision(place: Place, segment_id: str) -> None:
    latest = place.decisions.get(segment_id)
    st.html(_badge(latest))
    named = bool(state.reviewer())
    st.text_area(
        "Comment",
        key=state.comment_key(segment_id),
        height=68,
        max_chars=2000,
        placeholder="Comment, kept with the decision",
        label_visibility="collapsed",
    )
    columns = [*st.columns(2, gap="small"), *st.columns(2, gap="small")]
    decided = latest is not None and latest.verdict != "undecided"
    for column, (words, verdict, icon, key) in zip(columns, _BUTTONS, strict=True):
        column.button(
            words,
            key=f"rw_decide_{verdict}",
            icon=icon,
            shortcut=key,
            width="stretch",
            type="primary" if latest and latest.verdict == verdict and decided else "secondary",
            disabled=not named or (verdict == "undecided" and not decided),
            on_click=_decide,
            args=(place.run, place.recording_id, segment_id, verdict, place.queue, place.reviewed),
        )
    if not named:
        st.warning(messages.NO_REVIEWER)


def _badge(latest: Decision | None) -> str:
    verdict: Verdict = latest.verdict if latest else "undecided"
    detail = f"by {latest.user}, {_when(latest.decided_at)}" if latest else ""
    return markup.verdict_badge(
        verdict, messages.VERDICT_MARKS[verdict], messages.VERDICT_WORDS[verdict], detail
    )


def _when(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


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


def _decide(
    run: RunFolder,
    recording_id: str,
    segment_id: str,
    verdict: Verdict,
    queue: tuple[str, ...],
    reviewed: set[str],
) -> None:
    """Store a decision; then stay, or open the next segment that is still open."""
    comment = str(state.chosen(state.comment_key(segment_id)) or "")
    try:
        if verdict == "undecided":
            services.undo(run, recording_id, state.reviewer())
            return
        services.decide(run, recording_id, segment_id, verdict, comment, state.reviewer())
    except RarewaveError as error:
        st.error(markup.plain(error))
        return
    state.set_comment(segment_id, "")
    if state.moves_on():
        done = reviewed | {segment_id}
        target = review_queue.step(queue, segment_id, 1, done)
        _go_to(recording_id, target or review_queue.step(queue, None, 1, done))
