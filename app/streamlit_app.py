"""Entry of the dashboard: Streamlit runs this file on every interaction of every user."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app import markup, messages, services, state
from app.views import about, agreement, choose_run, export, help, recordings, review
from pipelines.errors import RarewaveError
from pipelines.run_folder import RunFolder

_STYLE = Path(__file__).with_name("style.css")
_ICON = Path(__file__).with_name("icon.svg")


def main() -> None:
    """Draw the frame that all pages share, and the page that is asked for."""
    st.set_page_config(
        page_title="Rarewave", page_icon=str(_ICON), layout="wide", initial_sidebar_state=220
    )
    st.html(_STYLE)
    try:
        _draw()
    except RarewaveError as error:
        st.error(markup.plain(error))


def _draw() -> None:
    if state.must_sign_in():
        _sidebar("Not signed in", [])
        st.button("Sign in", on_click=st.login, type="primary", icon=":material/login:")
        return
    choices = services.run_choices()
    name = state.run_name()
    if name not in choices:
        name = next(iter(choices)) if len(choices) == 1 else None
    state.set_run(name)
    if name is None:
        _sidebar("No run chosen", [])
        choose_run.show(choices)
        return
    run = RunFolder.open(choices[name])
    _pages(run, name, len(choices) > 1)


def _pages(run: RunFolder, name: str, several: bool) -> None:
    reviewing = st.Page(
        lambda: review.show(run),
        title="Review",
        icon=":material/monitor_heart:",
        url_path="review",
    )
    listing = st.Page(
        lambda: recordings.show(run, reviewing),
        title="Recordings",
        icon=":material/list:",
        url_path="recordings",
        default=True,
    )
    exporting = st.Page(
        lambda: export.show(run), title="Export", icon=":material/download:", url_path="export"
    )
    details = st.Page(
        lambda: about.show(run), title="About this run", icon=":material/info:", url_path="about"
    )
    reading = st.Page(
        lambda: agreement.show(run), title="Readers", icon=":material/group:", url_path="readers"
    )
    helping = st.Page(
        lambda: help.show(run), title="Help", icon=":material/keyboard:", url_path="help"
    )
    pages = [listing, reviewing, reading, exporting, details, helping]
    page = st.navigation(pages, position="hidden")
    if page.title == listing.title and state.address("recording"):
        st.switch_page(reviewing, query_params=dict(st.query_params))
    if several:
        state.set_address(run=name)
    _sidebar(name, pages, several)
    page.run()


def _sidebar(name: str, pages: list[st.Page], several: bool = False) -> None:
    with st.sidebar:
        st.html(markup.brand(_ICON.read_bytes(), "Rarewave", name))
        for page in pages:
            st.page_link(page)
        if pages and state.signed_in() is not None:
            st.caption(f"Signed in as {markup.plain(state.signed_in())}")
            st.button("Sign out", on_click=st.logout)
        elif pages:
            state.keep(state.REVIEWER, state.system_user())
            st.text_input(
                "Reviewer",
                key=state.REVIEWER,
                max_chars=100,
                help="Every decision is stored with this name and the time.",
            )
        if several and st.button("Another run", icon=":material/folder_open:", width="stretch"):
            state.set_run(None)
            st.query_params.clear()
            st.rerun()
        st.html(f'<p class="rw-foot">{messages.RESEARCH_USE}</p>')


main()
