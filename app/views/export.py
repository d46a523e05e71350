"""Writing the segments and decisions of a run in other formats."""

from __future__ import annotations

import streamlit as st

from app import markup, messages, services, state
from app.exporting import export
from app.state import Exported
from pipelines.errors import RarewaveError
from pipelines.exports import EXPORT_FORMATS, EXPORT_ONLY
from pipelines.run_folder import RunFolder

_ONLY_WORDS = {
    "accepted": "Accepted segments",
    "flagged": "All flagged segments",
    "all": "Everything, windows included",
}
_FORMAT_WORDS = {
    "csv": "CSV tables",
    "parquet": "Parquet tables",
    "edf": "EDF+ with annotations",
    "wfdb": "WFDB annotations",
    "bids": "BIDS derivatives",
    "szcore": "SzCORE events (TSV)",
    "html": "Report (HTML)",
    "pdf": "Report (PDF)",
    "fhir": "FHIR R4 resources",
}

_CONTENT = {
    "csv": "Segments with the last decision, who made it and when; opens in any spreadsheet.",
    "parquet": "The same tables with their types kept.",
    "edf": "A copy of each recording with the segments as annotations, for EDF viewers.",
    "wfdb": "An annotation file beside each record, for PhysioNet tools.",
    "bids": "Event tables under derivatives, with HED tags.",
    "szcore": "One table of events a recording, for seizure benchmarks.",
    "html": "A report with a strip of signal for each segment, in one file.",
    "pdf": "The same report for print.",
    "fhir": "Observations and provenance, preliminary, for a research server.",
}


def show(run: RunFolder) -> None:
    """Choose what to export and how; the files stay in the run's folder ``exports``."""
    st.html(markup.page_title("Export", ["written into the run's folder and ready to download"]))
    counts = services.verdict_counts(run)
    st.html(
        markup.tiles(
            (f"{messages.VERDICT_MARKS[v]} {messages.VERDICT_WORDS[v].lower()}", f"{n:,}")
            for v, n in counts.items()
        )
    )
    left, right = st.columns([2, 3], gap="large")
    with left:
        only = st.radio(
            "What",
            EXPORT_ONLY,
            index=EXPORT_ONLY.index("flagged"),
            format_func=lambda name: _ONLY_WORDS.get(name, name),
        )
        format = st.selectbox(
            "Format", EXPORT_FORMATS, format_func=lambda name: _FORMAT_WORDS.get(name, name)
        )
        if st.button("Export", type="primary", icon=":material/save:", key="rw_export"):
            _export(run, format, only)
        _download()
    with right:
        st.html(markup.section("What is written"))
        st.html(
            markup.facts((_FORMAT_WORDS.get(f, f), _CONTENT.get(f, "")) for f in EXPORT_FORMATS)
        )
    st.caption(messages.RESEARCH_USE)


def _export(run: RunFolder, format: str, only: str) -> None:
    state.set_exported(None)
    try:
        with st.spinner("Writing the files"):
            folder, content, name, n_files = export(run, format, only)
    except RarewaveError as error:
        st.error(markup.plain(error))
        return
    state.set_exported(Exported(name, content, str(folder), n_files))


def _download() -> None:
    exported = state.exported()
    if exported is None:
        return
    files = "1 file" if exported.n_files == 1 else f"{exported.n_files} files"
    st.success(markup.plain(f"{files} written to {exported.folder}"))
    st.download_button(
        f"Download {markup.plain(exported.name)}",
        exported.content,
        file_name=exported.name,
        icon=":material/download:",
        on_click="ignore",
    )
