"""Writing the segments and decisions of a run in other formats."""

from __future__ import annotations

import streamlit as st

from app import markup, messages, services, state
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


def show(run: RunFolder) -> None:
    """Choose what to export and how; the files stay in the run's folder ``exports``."""
    st.html(markup.page_title("Export", ["written into the run's folder and ready to download"]))
    left, _ = st.columns([2, 3])
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
            state.set_exported(None)
            try:
                with st.spinner("Writing the files"):
                    folder, content, name, n_files = services.export(run, format, only)
                state.set_exported(Exported(name, content, str(folder), n_files))
            except RarewaveError as error:
                st.error(markup.plain(error))
        _download(run)
    st.caption(messages.RESEARCH_USE)


def _download(run: RunFolder) -> None:
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
