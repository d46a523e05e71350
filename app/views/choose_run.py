"""The page that is shown while no run is chosen."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app import markup, messages, services, state


def show(choices: dict[str, Path]) -> None:
    """List the runs that were found, or say how to make one."""
    st.html(markup.page_title("Choose a run", [f"in {services.runs_root()}"]))
    if not choices:
        st.info(markup.plain(messages.NO_RUN.format(folder=services.runs_root())))
        return
    for name in choices:
        st.button(
            markup.plain(name),
            key=f"rw_run_{name}",
            icon=":material/folder_open:",
            on_click=_choose,
            args=(name,),
        )


def _choose(name: str) -> None:
    state.set_address(run=name, recording=None, segment=None)
    state.set_run(name)
