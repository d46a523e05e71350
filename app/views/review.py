"""The review page of one recording: overview, signal, queue and decision."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from app import charts, markup, messages, review_queue, services, state
from app.trace_viewer import show_overview
from app.views import review_panel, review_signal
from pipelines.errors import RarewaveError
from pipelines.run_folder import RunFolder
from pipelines.store import Decision

_OVERVIEW_HEIGHT = 128


@dataclass(frozen=True)
class Place:
    """Where the reader is: a run, a recording, its segments, and one of them."""

    run: RunFolder
    recording_id: str
    windows: pd.DataFrame
    segments: pd.DataFrame
    decisions: dict[str, Decision]
    queue: tuple[str, ...]
    current: str | None

    @property
    def segment(self) -> pd.Series | None:
        """The current segment's row."""
        if self.current is None:
            return None
        return self.segments[self.segments["segment_id"] == self.current].iloc[0]

    @property
    def reviewed(self) -> set[str]:
        """Segments about which something was decided."""
        return {s for s, d in self.decisions.items() if d.verdict != "undecided"} & set(self.queue)


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
    _body(run, recording_id)


@st.fragment
def _body(run: RunFolder, recording_id: str) -> None:
    try:
        _draw(_place(run, recording_id))
    except RarewaveError as error:
        st.error(markup.plain(error))


def _place(run: RunFolder, recording_id: str) -> Place:
    segments = services.segments(run, recording_id)
    queue = review_queue.ordered(segments, state.order())
    current = state.address("segment")
    if current is not None and current not in queue:
        st.warning(messages.UNKNOWN_SEGMENT)
    if current not in queue:
        current = queue[0] if queue else None
    state.set_address(segment=current)
    return Place(
        run,
        recording_id,
        services.windows(run, recording_id),
        segments,
        services.decisions(run, recording_id),
        queue,
        current,
    )


def _draw(place: Place) -> None:
    overview = services.overview(place.run, place.recording_id)
    review_signal.prepare(
        services.kind(place.run), services.channel_names(place.run, place.recording_id)
    )
    view = review_signal.view(place.recording_id, place.segment, overview["duration"])
    _header(place, overview["duration"])
    marks = charts.marks(place.segments, services.verdicts(place.decisions), place.current)
    show_overview(
        {
            **overview,
            "marks": marks,
            "page": [view.start_s, view.stop_s],
            "height": _OVERVIEW_HEIGHT,
            "aria": f"Score over {messages.length(overview['duration'])}, "
            f"{len(marks)} flagged segments. Use next and previous to step through them.",
        },
        key=state.OVERVIEW,
        on_click=lambda: _jump(place.recording_id, place.segments),
    )
    st.html(_legend(bool(overview["unscorable"]), bool(overview["gaps"])))
    signal, panel = st.columns([3.3, 1.15], gap="medium")
    with signal:
        review_signal.draw(place, view, marks, overview)
        _segment_table(place)
    with panel:
        review_panel.draw(place)


def _header(place: Place, duration_s: float) -> None:
    title, controls = st.columns([3, 1.6], vertical_alignment="center")
    n = len(place.queue)
    details = [services.kind(place.run).upper(), messages.length(duration_s)]
    patient = place.windows["patient_id"].iloc[0] if len(place.windows) else place.recording_id
    if patient != place.recording_id:
        details.insert(0, f"patient {patient}")
    details.append(services.compared_with(place.run).lower())
    details.append(f"{len(place.reviewed)} of {n} flagged segments reviewed")
    title.html(markup.page_title(place.recording_id, details))
    with controls.container(horizontal=True, horizontal_alignment="right"):
        state.keep(state.ORDER, "time")
        st.segmented_control(
            "Order",
            ["time", "score"],
            key=state.ORDER,
            required=True,
            format_func=lambda order: f"By {order}",
            label_visibility="collapsed",
        )
        state.keep(state.MOVE_ON, False)
        st.toggle("Move on", key=state.MOVE_ON, help="After a decision, open the next not reviewed")


def _legend(unscorable: bool, gaps: bool) -> str:
    words = [f"{messages.VERDICT_MARKS[v]} {w.lower()}" for v, w in messages.VERDICT_WORDS.items()]
    words += ["▼ this segment", "- - threshold", "▭ page shown below"]
    if unscorable:
        words.append("/// not scorable")
    if gaps:
        words.append("▒ no signal")
    return '<div class="rw-legend">' + "".join(f"<span>{w}</span>" for w in words) + "</div>"


def _jump(recording_id: str, segments: pd.DataFrame) -> None:
    """Follow a click into the overview: to a segment if one is near, else to the moment."""
    click = state.clicked()
    if click is None:
        return
    time_s = float(click["time"])
    found = review_queue.at_time(segments, time_s, float(click["tolerance"]))
    if found is not None:
        go_to(recording_id, found)
    else:
        state.set_page_start(recording_id, time_s - state.page_seconds() / 2)


def go_to(recording_id: str, segment_id: str) -> None:
    """Make a segment the current one and let the page follow it."""
    state.set_page_start(recording_id, None)
    state.set_address(segment=segment_id)


def _segment_table(place: Place) -> None:
    """List the segments in the order of the queue; a click opens one."""
    if not place.queue:
        return
    rows = place.segments.set_index("segment_id").loc[list(place.queue)]
    verdicts = services.verdicts(place.decisions)
    words = [verdicts.get(segment_id, "undecided") for segment_id in place.queue]
    table = pd.DataFrame(
        {
            "": ["▸" if s == place.current else "" for s in place.queue],
            "Review": [f"{messages.VERDICT_MARKS[v]} {messages.VERDICT_WORDS[v]}" for v in words],
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
        on_select=lambda: _open_row(place.recording_id, place.queue),
        selection_mode="single-cell",
        column_config={
            "": st.column_config.TextColumn(width=28),
            "Peak score": st.column_config.NumberColumn(format="%.2f"),
            "p-value": st.column_config.NumberColumn(format="%.2g"),
            "What does not fit": st.column_config.TextColumn(width="large"),
        },
    )


def _open_row(recording_id: str, queue: tuple[str, ...]) -> None:
    row = state.selected_row(state.SEGMENT_TABLE)
    if row is not None and row < len(queue):
        go_to(recording_id, queue[row])
