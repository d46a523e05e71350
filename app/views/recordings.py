"""The list of recordings of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from app import markup, messages, services, state
from app.services import RecordingRow
from pipelines.errors import RarewaveError
from pipelines.run_folder import RunFolder

_MOST_PROFILES = 300


def show(run: RunFolder, review_page: Any) -> None:
    """Show one row a recording; a click opens it."""
    rows = services.recording_rows(run, state.reviewer())
    every = [row for row in rows if row.reason is None]
    failed = [row for row in rows if row.reason is not None]
    kind = services.kind(run).upper()
    title, button = st.columns([3, 1], vertical_alignment="center")
    title.html(
        markup.page_title(
            "Recordings", [f"{kind} run {run.path.name}", services.compared_with(run)]
        )
    )
    if not rows:
        st.info(messages.NO_RECORDINGS)
        return
    _tiles(every, failed)
    scored = _filtered(every)
    waiting = [row for row in scored if row.state != "final" and row.n_reviewed < row.n_segments]
    chosen: str | None = None
    if waiting and button.button(
        "Review the next recording",
        type="primary",
        icon=":material/play_arrow:",
        shortcut="Enter",
        width="stretch",
        help=f"Opens {markup.plain(waiting[0].recording_id)}",
    ):
        chosen = waiting[0].recording_id
    chosen = _table(run, scored) or chosen
    if failed:
        _quarantined(failed)
    _assign(run, every)
    if chosen is not None:
        st.switch_page(review_page, query_params={"recording": chosen})


def _filtered(rows: Sequence[RecordingRow]) -> Sequence[RecordingRow]:
    """Draw the filters of the work list and return the rows that pass."""
    readers = sorted({row.reader for row in rows if row.reader})
    with st.container(horizontal=True, gap="small"):
        wanted = st.pills(
            "State",
            list(messages.STATE_WORDS),
            selection_mode="multi",
            key=state.WORK_STATES,
            format_func=lambda s: f"{messages.STATE_MARKS[s]} {messages.STATE_WORDS[s]}",
            label_visibility="collapsed",
        )
        who = "anybody"
        if readers:
            who = st.selectbox(
                "Reader",
                ["anybody", "nobody yet", *readers],
                key=state.WORK_READER,
                width=180,
                label_visibility="collapsed",
            )
    kept = [row for row in rows if not wanted or row.state in wanted]
    if who == "nobody yet":
        return [row for row in kept if not row.reader]
    return kept if who == "anybody" else [row for row in kept if row.reader == who]


def _assign(run: RunFolder, rows: Sequence[RecordingRow]) -> None:
    """Give recordings to a reader."""
    with st.expander("Give recordings to a reader"):
        with st.form("rw_assign", border=False):
            chosen = st.multiselect("Recordings", [row.recording_id for row in rows])
            reader = st.text_input("Reader", max_chars=60)
            given = st.form_submit_button("Give", disabled=not state.reviewer())
        if not given:
            return
        try:
            for recording_id in chosen:
                services.append(
                    run,
                    "assign",
                    state.reviewer(),
                    recording_id=recording_id,
                    reader=reader.strip(),
                )
        except RarewaveError as error:
            st.error(markup.plain(error))
            return
        st.rerun()


def _tiles(scored: Sequence[RecordingRow], failed: Sequence[RecordingRow]) -> None:
    flagged = sum(row.n_segments for row in scored)
    reviewed = sum(row.n_reviewed for row in scored)
    windows = sum(row.n_windows for row in scored)
    unscorable = sum(row.n_not_scorable for row in scored)
    share = f"{unscorable / windows:.1%}" if windows else "–"
    figures = [
        ("recording scored" if len(scored) == 1 else "recordings scored", str(len(scored))),
        ("of signal", messages.length(sum(row.duration_s for row in scored))),
        ("flagged segments", f"{flagged:,}"),
        ("reviewed", f"{reviewed:,} of {flagged:,}"),
        ("of windows not scorable", share),
    ]
    if failed:
        figures.append(("set aside, not scored", str(len(failed))))
    st.html(markup.tiles(figures))


def _table(run: RunFolder, rows: Sequence[RecordingRow]) -> str | None:
    """Draw the scored recordings and return the one that was clicked."""
    if not rows:
        return None
    table = pd.DataFrame(
        {
            "Recording": [row.recording_id for row in rows],
            "Patient": [row.patient_id for row in rows],
            "State": [
                f"{messages.STATE_MARKS[row.state]} {messages.STATE_WORDS[row.state]}"
                for row in rows
            ],
            "Reader": [row.reader or "–" for row in rows],
            "Highest score": [row.peak_score for row in rows],
            "Highest score over time": [services.profile(run, row.recording_id) for row in rows]
            if len(rows) <= _MOST_PROFILES
            else None,
            "Duration": [messages.clock(row.duration_s) for row in rows],
            "Windows": [row.n_windows for row in rows],
            "Not scorable": [row.n_not_scorable for row in rows],
            "Flagged": [row.n_segments for row in rows],
            "Flagged per hour": [
                row.n_segments / (row.duration_s / 3600) if row.duration_s else 0.0 for row in rows
            ],
            "Reviewed": [
                row.n_reviewed / row.n_segments if row.n_segments else 1.0 for row in rows
            ],
            "Progress": [
                f"{row.n_reviewed} of {row.n_segments}" if row.n_segments else "nothing flagged"
                for row in rows
            ],
            "Lowest p-value": [row.min_p_value for row in rows],
        }
    )
    st.dataframe(
        table,
        key=state.RECORDING_TABLE,
        hide_index=True,
        width="stretch",
        height=min(620, 37 + 36 * len(table)),
        row_height=36,
        on_select="rerun",
        selection_mode="single-cell",
        column_config={
            "Recording": st.column_config.TextColumn(width="medium"),
            "Highest score over time": st.column_config.BarChartColumn(
                width="medium", y_min=0, color="primary"
            ),
            "Highest score": st.column_config.NumberColumn(format="%.2f"),
            "Flagged per hour": st.column_config.NumberColumn(format="%.1f"),
            "Windows": st.column_config.NumberColumn(format="localized"),
            "Not scorable": st.column_config.NumberColumn(format="localized"),
            "Reviewed": st.column_config.ProgressColumn(
                format="percent", min_value=0, max_value=1, color="primary"
            ),
            "Lowest p-value": st.column_config.NumberColumn(
                format="%.2g",
                help="Of all windows; small is unusual. Not a probability of disease.",
            ),
        },
    )
    row = state.selected_row(state.RECORDING_TABLE)
    return rows[row].recording_id if row is not None and row < len(rows) else None


def _quarantined(rows: Sequence[RecordingRow]) -> None:
    st.html(markup.section("Set aside, not scored"))
    table = pd.DataFrame(
        {"Recording": [row.recording_id for row in rows], "Reason": [row.reason for row in rows]}
    )
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        column_config={"Reason": st.column_config.TextColumn(width="large")},
    )
