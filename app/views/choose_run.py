"""The page that is shown while no run is chosen."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app import markup, messages, services, state
from pipelines.errors import RarewaveError
from pipelines.run_folder import RunFolder


def show(choices: dict[str, Path]) -> None:
    """List the runs that were found, or say how to make one."""
    st.html(markup.page_title("Choose a run", [f"in {services.runs_root()}"]))
    if not choices:
        st.info(markup.plain(messages.NO_RUN.format(folder=services.runs_root())))
        return
    for name, path in choices.items():
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            st.button(
                markup.plain(name),
                key=f"rw_run_{name}",
                icon=":material/folder_open:",
                on_click=_choose,
                args=(name,),
            )
            st.html(markup.text(_words(path)))


def _words(path: Path) -> str:
    """Say in a line what a run holds and how far its review is."""
    run = RunFolder(path)
    try:
        rows = [row for row in services.recording_rows(run, state.reviewer()) if not row.reason]
        kind, model = services.kind(run).upper(), services.model_name(run)
    except RarewaveError:
        return "cannot be read"
    done = sum(row.state == "final" for row in rows)
    flagged, reviewed = sum(r.n_segments for r in rows), sum(r.n_reviewed for r in rows)
    n = f"{len(rows)} recording{'' if len(rows) == 1 else 's'}"
    return (
        f"{kind}, model {model}; {n}, {done} signed off; "
        f"{reviewed:,} of {flagged:,} segments reviewed"
    )


def _choose(name: str) -> None:
    state.set_address(run=name, recording=None, segment=None)
    state.set_run(name)
