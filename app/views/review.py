"""The review page of one recording: overview, signal, queue and decision."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import charts, commands, keyboard, markup, messages, review_queue, services, state
from app.place import FILTERS, Place, here
from app.pressing import catch_up, later
from app.trace_viewer import listen_to_keys, show_overview
from app.views import review_panel, review_signal, review_tools
from pipelines.errors import RarewaveError
from pipelines.run_folder import RunFolder

_OVERVIEW_HEIGHT = 128
_ROWS = 100
_ORDERS = ("time", "score", "channel", "group")
_KEYS = [*keyboard.KEYS, *"123456789"]


def show(run: RunFolder) -> None:
    """Draw the recording named in the address, or the first one."""
    known = run.recording_ids()
    if not known:
        st.info(messages.NO_RECORDINGS)
        return
    recording_id = state.address("recording") or known[0]
    if recording_id not in known:
        st.error(messages.UNKNOWN_RECORDING)
        return
    state.set_address(recording=recording_id)
    _open_time(run, recording_id)
    _body(run, recording_id)


def _open_time(run: RunFolder, recording_id: str) -> None:
    """Follow ``t=SECONDS`` in the address to the moment, and to a segment if one is there."""
    text = state.address("t")
    if text is None:
        return
    state.set_address(t=None)
    try:
        time_s = float(text)
    except ValueError:
        return
    if not 0 <= time_s < float("inf"):
        return
    found = review_queue.at_time(services.segments(run, recording_id), time_s, 0.0)
    if found is not None:
        state.set_address(segment=found)
    state.set_page_start(recording_id, max(0.0, time_s - state.page_seconds() / 2))


@st.fragment
def _body(run: RunFolder, recording_id: str) -> None:
    # What is there only now and then has a place of its own: else all that follows would move, and
    # be seen twice until a run ends.
    with st.empty().container():
        catch_up(run, recording_id)
    # Before the rest, so that the browser hears at once what was dealt with.
    listen_to_keys(_KEYS, state.handled_keys(), key=state.KEYS)
    try:
        _draw(_place(run, recording_id))
    except RarewaveError as error:
        st.error(markup.plain(error))


def _place(run: RunFolder, recording_id: str) -> Place:
    for key, default in ((state.ORDER, "time"), (state.FILTER, "all")):
        state.keep(key, default)
    place = here(run, recording_id)
    asked = state.current(recording_id)
    with st.empty().container():
        if asked is not None and asked not in set(place.segments["segment_id"]):
            st.warning(messages.UNKNOWN_SEGMENT)
    state.set_current(recording_id, place.current)
    state.show_in_address(recording_id, place.current)
    state.set_seen(recording_id, place.events[-1].number if place.events else 0)
    return place


def _draw(place: Place) -> None:
    overview = services.overview(place.run, place.recording_id)
    review_signal.prepare(
        services.kind(place.run), services.channel_names(place.run, place.recording_id)
    )
    view = review_signal.view(place.recording_id, place.segment, overview["duration"])
    _header(place, overview["duration"])
    said = state.said()
    with st.empty().container():
        if said:
            st.warning(markup.plain(said))
    marks = charts.marks(place.segments, services.verdicts(place.decisions), place.current)
    threshold = state.threshold(place.recording_id)
    show_overview(
        {
            **overview,
            "threshold": overview["threshold"] if threshold is None else threshold,
            "marks": charts.thinned(marks, overview["duration"]),
            "page": [view.start_s, view.stop_s],
            "height": _OVERVIEW_HEIGHT + 40 * bool(overview["lane"]),
            "aria": f"Score over {messages.length(overview['duration'])}, "
            f"{len(marks)} flagged segments. Use next and previous to step through them.",
        },
        key=state.OVERVIEW,
        on_click=lambda: _jump(place),
    )
    st.html(_legend(bool(overview["unscorable"]), bool(overview["gaps"])))
    signal, panel = st.columns([3.3, 1.25], gap="medium")
    with signal:
        review_signal.draw(place, view, marks, overview)
        _segment_table(place)
    with panel:
        review_panel.draw(place)


def _header(place: Place, duration_s: float) -> None:
    title, controls = st.columns([2.2, 2.4], vertical_alignment="center")
    n = len(place.segments)
    details = [services.kind(place.run).upper(), messages.length(duration_s)]
    patient = place.windows["patient_id"].iloc[0] if len(place.windows) else place.recording_id
    if patient != place.recording_id:
        details.insert(0, f"patient {patient}")
    details.append(messages.compared_with(services.baseline(place.run, place.recording_id)).lower())
    details.append(f"{len(place.all_reviewed)} of {n} flagged segments reviewed")
    details.append(messages.STATE_WORDS[place.state].lower())
    if place.is_blind:
        details.append("blind: other readers are hidden")
    title.html(markup.page_title(place.recording_id, details))
    with controls.container(horizontal=True, horizontal_alignment="right", gap="small"):
        st.segmented_control(
            "Order",
            _ORDERS,
            key=state.ORDER,
            required=True,
            format_func=lambda order: f"By {order}",
            label_visibility="collapsed",
        )
        _filter(place)
        on = state.is_on("move_on")
        st.button(
            "Moves on M" if on else "Move on :gray[M]",
            key=state.MOVE_ON,
            type="primary" if on else "secondary",
            help="After a decision, open the next that is not reviewed",
            on_click=later(commands.perform, place.run, place.recording_id, "move_on"),
        )
        review_tools.draw(place)


def _filter(place: Place) -> None:
    options = list(FILTERS)
    threshold = state.threshold(place.recording_id)
    found = place.has_groups
    groups = services.groups(place.run, place.recording_id, threshold) if found else ()
    options += [f"group {g.number}" for g in groups if len(g.segment_ids) > 1][:12]
    options += [f"label {name}" for name in services.labels(place.run)]
    state.keep_choice(state.FILTER, "all", tuple(options))
    words = messages.FILTER_WORDS
    st.selectbox(
        "Show",
        options,
        key=state.FILTER,
        width=150,
        format_func=lambda name: words.get(name, f"Only {name}"),
        label_visibility="collapsed",
    )


def _legend(unscorable: bool, gaps: bool) -> str:
    words = [f"{messages.VERDICT_MARKS[v]} {w.lower()}" for v, w in messages.VERDICT_WORDS.items()]
    words += ["▼ this segment", "- - threshold", "▭ page shown below"]
    if unscorable:
        words.append("/// not scorable")
    if gaps:
        words.append("▒ no signal")
    return '<div class="rw-legend">' + "".join(f"<span>{w}</span>" for w in words) + "</div>"


def _jump(place: Place) -> None:
    """Follow a click into the overview: to a segment if one is near, else to the moment."""
    click = state.clicked()
    if click is None:
        return
    time_s = float(click["time"])
    found = review_queue.at_time(place.segments, time_s, float(click["tolerance"]))
    if found is not None:
        commands.go_to(place, found)
    else:
        state.set_page_start(place.recording_id, time_s - state.page_seconds() / 2)


def _segment_table(place: Place) -> None:
    """List the segments around the current one in the order of the queue; a click opens one."""
    if not place.queue:
        return
    at = place.queue.index(place.current) if place.current in place.queue else 0
    first = max(0, min(at - at % _ROWS, len(place.queue) - 1))
    shown = place.queue[first : first + _ROWS]
    rows = place.segments.set_index("segment_id").loc[list(shown)]
    decided = [place.decisions.get(s) for s in shown]
    words = [d.verdict if d else "undecided" for d in decided]
    table = pd.DataFrame(
        {
            "": ["▸" if s == place.current else "" for s in shown],
            "Review": [
                f"{messages.VERDICT_MARKS[v]} {messages.VERDICT_WORDS[v]}"
                + (" ≠" if d and d.conflict else "")
                for v, d in zip(words, decided, strict=True)
            ],
            "Label": [d.label if d else "" for d in decided],
            "Start": [messages.clock(t, 1) for t in rows["start_s"]],
            "Length": [messages.length(d) for d in rows["stop_s"] - rows["start_s"]],
            "Windows": rows["n_windows"].to_list(),
            "Peak score": rows["peak_score"].to_list(),
            "p-value": rows["min_p_value"].to_list(),
            "Channel": [c if isinstance(c, str) else "–" for c in rows["top_channel"]],
            "What does not fit": [
                str(d).removeprefix("does not fit in ") for d in rows["description"]
            ],
        }
    )
    if not rows["top_channel"].notna().any():
        del table["Channel"]
    st.dataframe(
        table,
        key=state.SEGMENT_TABLE,
        hide_index=True,
        width="stretch",
        height=min(250, 36 + 35 * len(table)),
        on_select=lambda: _open_row(place, shown),
        selection_mode="single-cell",
        column_config={
            "": st.column_config.TextColumn(width=28),
            "Peak score": st.column_config.NumberColumn(format="%.2f"),
            "p-value": st.column_config.NumberColumn(format="%.2g"),
            "What does not fit": st.column_config.TextColumn(width="large"),
        },
    )
    if len(place.queue) > len(shown):
        st.caption(f"{first + 1} to {first + len(shown)} of {len(place.queue):,} in this order")


def _open_row(place: Place, shown: tuple[str, ...]) -> None:
    row = state.selected_row(state.SEGMENT_TABLE)
    if row is not None and row < len(shown):
        commands.go_to(place, shown[row])
