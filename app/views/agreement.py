"""Two readers of one run: who reads, how well they agree, and where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pandas as pd
import streamlit as st

from app import markup, messages, services, state
from pipelines.errors import RarewaveError
from pipelines.review.agreement import Kappa, cohen_kappa, fleiss_kappa, judged_by_all
from pipelines.review.reading import Reading, differing, open_of
from pipelines.run_folder import RunFolder
from pipelines.store import ROLES, Event
from pipelines.store.folding import by_recording, of_reader, readers

_READERS, _BLIND, _NAME, _ROLE = "rw_readers", "rw_blind", "rw_role_name", "rw_role"


def show(run: RunFolder) -> None:
    """Show the agreement of the readers of a run."""
    reading, events = services.reading(run), services.all_events(run)
    st.html(markup.page_title("Readers", [_mode(reading)]))
    said = state.said()
    if said:
        st.warning(markup.plain(said))
    names = reading.readers or readers(events)
    known = {name: set(services.segments(run, name)["segment_id"]) for name in run.recording_ids()}
    logs = by_recording(events)
    each = {name: logs.get(name, []) for name in known}
    left, right = st.columns([3, 2], gap="large")
    with left:
        hidden = [n for n, ids in known.items() if reading.hides("", each[n], ids)]
        _progress(known, each, names)
        if hidden:
            st.info(
                f"{len(hidden)} recordings are still read blind: what the readers said there is "
                "shown, and counted, once both are done."
            )
        shown = [e for e in events if e.recording_id not in hidden]
        _agreement(shown, names)
        _differences(known, each, names, hidden)
    with right:
        _set_up(run, reading, names)
        _roles(run)


def _mode(reading: Reading) -> str:
    if not reading.readers:
        return "one decision for each segment, by whoever makes it"
    blind = ", blind until both are done" if reading.blind else ""
    return f"read by {' and '.join(reading.readers)}{blind}"


def _progress(
    known: dict[str, set[str]], events: dict[str, list[Event]], names: Sequence[str]
) -> None:
    st.html(markup.section("Progress"))
    if not names:
        st.caption("Nobody has decided about anything yet.")
        return
    total = sum(map(len, known.values()))
    rows = [
        (name, f"{total - sum(len(open_of(events[r], name, ids)) for r, ids in known.items()):,}"
         f" of {total:,} segments")
        for name in names
    ]  # fmt: skip
    st.html(markup.facts(rows))


def _agreement(events: Sequence[Event], names: Sequence[str]) -> None:
    """Show kappa of each pair, and of all where there are three or more."""
    st.html(markup.section("Agreement beyond chance, on accepted, rejected, unsure"))
    readings = {name: of_reader(events, name) for name in names}
    rows: list[tuple[str, Kappa]] = []
    for one, other in combinations(names, 2):
        keys = judged_by_all([readings[one], readings[other]])
        if keys:
            said = [[readings[n][k].verdict for k in keys] for n in (one, other)]
            rows.append((f"{one} and {other} (Cohen)", cohen_kappa(*said)))
    keys = judged_by_all(list(readings.values()))
    if len(names) > 2 and keys:
        every = [[readings[n][k].verdict for n in names] for k in keys]
        rows.append(("all (Fleiss)", fleiss_kappa(every)))
    if not rows:
        st.caption("No segment has verdicts of two readers that may be shown.")
        return
    st.html(markup.facts((name, _words(kappa)) for name, kappa in rows))
    st.caption(
        "With 95 % interval; segments are taken as independent, which those of one patient are "
        "not: the true interval is wider."
    )


def _words(kappa: Kappa) -> str:
    if kappa.value != kappa.value:
        return f"κ not defined: one verdict alone was used; {kappa.n} segments"
    return (
        f"κ = {kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f}), agree on "
        f"{kappa.observed:.0%} of {kappa.n:,} segments"
    )


def _differences(
    known: dict[str, set[str]],
    events: dict[str, list[Event]],
    names: Sequence[str],
    hidden: Sequence[str],
) -> None:
    """List segments on which readers differ, with links that open them."""
    rows = []
    for recording_id, ids in known.items():
        if recording_id in hidden:
            continue
        settled = {e.segment_id for e in events[recording_id] if e.kind == "adjudication"}
        for segment_id, each in differing(events[recording_id], names, sorted(ids)).items():
            words = {d.user: messages.VERDICT_WORDS[d.verdict] for d in each}
            where = {"Recording": recording_id, "Segment": segment_id}
            rows.append({**where, **words, "Settled": "yes" if segment_id in settled else "open"})
    st.html(markup.section("Where they differ"))
    if not rows:
        st.caption("Nowhere, as far as it may be shown.")
        return
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
    st.caption(
        "Open the segment on the review page. A verdict by somebody who is not one of the two "
        "readers (an adjudicator, where roles are given) settles it."
    )


def _set_up(run: RunFolder, reading: Reading, names: Sequence[str]) -> None:
    st.html(markup.section("Who reads"))
    st.text_input(
        "Two readers or more, separated by commas; empty: one decision is enough",
        ", ".join(reading.readers),
        key=_READERS,
        max_chars=500,
    )
    st.toggle("Blind: hide the other's decisions until both are done", reading.blind, key=_BLIND)
    st.button("Keep", key="rw_reading", disabled=not state.reviewer(), on_click=_keep, args=(run,))


def _keep(run: RunFolder) -> None:
    names = [n.strip() for n in str(state.chosen(_READERS)).split(",") if n.strip()]
    if len(names) == 1:
        state.say("Give two readers or more, or none.")
        return
    _append(run, "reading", readers=names, blind=bool(state.chosen(_BLIND)) and bool(names))


def _roles(run: RunFolder) -> None:
    st.html(markup.section("Roles"))
    known = services.roles(run)
    if known:
        st.html(markup.facts(known.items()))
    else:
        st.caption("None given: everybody may do everything. The first must be an admin.")
    left, right = st.columns(2)
    left.text_input("Name", key=_NAME, max_chars=100)
    right.selectbox("Role", ROLES, index=len(ROLES) - 1, key=_ROLE)
    st.button("Give role", key="rw_give_role", disabled=not state.reviewer(), on_click=_give,
              args=(run,))  # fmt: skip
    st.caption(
        "Names are taken on trust unless the server is set up with a sign-in; roles prevent "
        "mistakes, not malice."
    )


def _give(run: RunFolder) -> None:
    _append(run, "role", name=str(state.chosen(_NAME)).strip(), role=str(state.chosen(_ROLE)))


def _append(run: RunFolder, kind: str, **content: object) -> None:
    try:
        services.append(run, kind, state.reviewer(), **content)  # type: ignore[arg-type]
    except RarewaveError as error:
        state.say(str(error))
