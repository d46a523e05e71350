"""The review workstation: a Streamlit dashboard over the run folders that scoring writes."""

from __future__ import annotations

from pathlib import Path

RUN_VARIABLE = "RAREWAVE_RUN"
"""Environment variable that names the run, or a folder of runs; ``python -m app`` sets it."""


def streamlit_app_path() -> Path:
    """Return the file that Streamlit runs."""
    return Path(__file__).with_name("streamlit_app.py")
