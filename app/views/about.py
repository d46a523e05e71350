"""What was done to make this run: model, threshold, baseline, versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import markup, messages, services
from flowcore._version import __version__
from pipelines.run_folder import RunFolder


def show(run: RunFolder) -> None:
    """Show the provenance of a run."""
    manifest = services.manifest(run)
    st.html(markup.page_title("About this run", [run.path.name]))
    left, right = st.columns(2, gap="large")
    with left:
        st.html(markup.section("Model"))
        st.html(markup.facts(_model(manifest)))
        st.html(markup.section("Baseline"))
        st.html(markup.facts([("Compared with", messages.compared_with(manifest.get("baseline")))]))
        st.html(markup.section("Run"))
        st.html(markup.facts(_plain(manifest, "created", "updated", "device", "seed")))
        for title in ("machine", "timings"):
            values = manifest.get(title)
            if isinstance(values, Mapping):
                st.html(markup.section(title))
                st.html(markup.facts(_pairs(values)))
    with right:
        st.html(markup.section("Versions"))
        versions = manifest.get("versions")
        pairs = _pairs(versions) if isinstance(versions, Mapping) else []
        st.html(markup.facts([("dashboard", __version__), *pairs]))
        st.html(markup.section("How to read it"))
        st.markdown(
            "The **score** says how badly a window fits what the model has learnt as usual; it "
            "is not a measure of severity. The **p-value** is the share of usual windows, held "
            "out when the model was calibrated, that score as high; it is not the probability of "
            "a finding. **Not flagged** does not mean free of findings, and windows that could "
            "not be scored have no score at all."
        )
        st.markdown(f"**{messages.RESEARCH_USE}**")
    with st.expander("Everything in run.json"):
        st.json(manifest, expanded=1)


def _model(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    model = manifest.get("model", {})
    pairs = [("Kind", str(model.get("kind", "–")).upper())]
    if model.get("threshold") is not None:
        pairs.append(("Threshold", f"{float(model['threshold']):.4g} (higher is flagged)"))
    rest = {k: v for k, v in model.items() if k not in ("kind", "threshold")}
    return pairs + _pairs(rest)


def _plain(manifest: Mapping[str, Any], *names: str) -> list[tuple[str, str]]:
    return _pairs({name: manifest[name] for name in names if manifest.get(name) is not None})


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else str(value))
        for name, value in values.items()
        if not isinstance(value, (dict, list))
    ]
