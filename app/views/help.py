"""The keys, and how a review goes."""

from __future__ import annotations

import streamlit as st

from app import keyboard, markup, messages, services
from pipelines.run_folder import RunFolder

_STEPS = """
1. **Recordings** lists what there is, the highest score first. Enter opens the next one to review.
2. Look at each segment: the signal, where it lies in the whole recording, and what does not fit.
   Accept it if something is there, reject it if not; *unsure* keeps it for a second look.
3. Many segments that look alike form a **group**. G, then A, X, U or a label decides about all.
4. If the scores are relative to other patients, find a part that is normal *for this patient*,
   drag over it, and confirm it under **Baseline**: the recording is scored again in seconds.
5. **Sensitivity** shows more or fewer segments. What you decided about always stays.
6. Sign off when all are reviewed. Reopening is possible; the log keeps that and the reason.

Everything is stored with name and time, nothing is overwritten, and undo keeps what was undone.
A link with `recording=` and `t=` (seconds) opens that moment.
"""


def show(run: RunFolder) -> None:
    """Show the keys and the way through a review."""
    st.html(markup.page_title("Help", ["everything works by keyboard"]))
    left, right = st.columns(2, gap="large")
    with left:
        st.html(markup.section("Keys on the review page"))
        st.html(markup.keys(keyboard.HELP))
        names = services.labels(run)
        st.html(markup.section("Labels of this run"))
        st.html(markup.keys((str(n), name) for n, name in enumerate(names, start=1)))
        st.caption(f"Others: a file {keyboard.LABELS_FILE} in the run's folder or beside it.")
    with right:
        st.html(markup.section("How a review goes"))
        st.markdown(_STEPS)
        st.markdown(f"**{messages.RESEARCH_USE}**")
