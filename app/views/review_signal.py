"""The signal of one page with its controls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from app import charts, markup, messages, services, state
from app.montage import Montage, available
from app.pressing import later
from app.signal_page import GAINS, View
from app.trace_viewer import show_traces
from pipelines.errors import RarewaveError

if TYPE_CHECKING:
    from app.place import Place

PAGES_S = {"ecg": (3, 5, 10, 20, 30), "eeg": (5, 10, 15, 30, 60)}
HIGH_PASS = {"ecg": (None, 0.05, 0.5, 1.0), "eeg": (None, 0.16, 0.5, 1.0, 3.0)}
LOW_PASS = {"ecg": (None, 25.0, 40.0, 100.0), "eeg": (None, 15.0, 35.0, 70.0)}
_DEFAULT_HIGH, _DEFAULT_LOW = 0.5, {"ecg": 40.0, "eeg": 35.0}
_MONTAGES = {"recorded": "As recorded", "bipolar": "Bipolar", "average": "Average ref."}
_AUTO = "auto"


def prepare(kind: str, names: list[str]) -> None:
    """Give every control a value that this recording offers, before anything reads it."""
    state.keep_choice(state.PAGE_S, 10, PAGES_S[kind])
    state.keep_choice(state.GAIN, _AUTO, (_AUTO, *GAINS[kind]))
    state.keep_choice(state.HIGH_PASS, _DEFAULT_HIGH, HIGH_PASS[kind])
    state.keep_choice(state.LOW_PASS, _DEFAULT_LOW[kind], LOW_PASS[kind])
    state.keep_choice(state.MONTAGE, "recorded", _montages(kind, names))


def view(recording_id: str, segment: pd.Series | None, duration_s: float) -> View:
    """Return the page to show: where the reader has moved it, else around the segment."""
    page_s = state.page_seconds()
    start = state.page_start(recording_id)
    if start is None:
        start = 0.0
        if segment is not None:
            length = min(segment["stop_s"] - segment["start_s"], page_s * 0.8)
            start = segment["start_s"] + length / 2 - page_s / 2
    start = round(max(0.0, min(float(start), duration_s - page_s)), 3)
    high, low = state.chosen(state.HIGH_PASS), state.chosen(state.LOW_PASS)
    return View(start, start + page_s, high, low, state.montage())


def draw(place: Place, view: View, marks: list[charts.Payload], overview: dict[str, Any]) -> None:
    """Draw the controls and the canvas, or say why there is no signal."""
    kind = services.kind(place.run)
    try:
        recording = services.recording(place.run, place.recording_id)
        names = services.channel_names(place.run, place.recording_id)
        _controls(place.recording_id, kind, names, view)
        page = services.page(place.run, place.recording_id, view)
    except RarewaveError as error:
        st.warning(markup.plain(messages.SIGNAL_MISSING.format(reason=error)))
        return
    gain = state.chosen(state.GAIN)
    if gain == _AUTO:
        gain = services.fitting_gain(place.run, place.recording_id, view, GAINS[kind])
    top = place.segment["top_channel"] if place.segment is not None else None
    data = charts.traces(page, kind, view, float(gain), top if isinstance(top, str) else None)
    low, high = overview["range"]
    chosen = state.threshold(place.recording_id)
    state.set_shown(place.recording_id, view.start_s, float(gain))
    show_traces(
        {
            **data,
            "marks": [m for m in marks if m["stop"] >= view.start_s and m["start"] <= view.stop_s],
            "annotations": charts.page_annotations(recording.annotations, view),
            "selection": state.selection(place.recording_id),
            "scores": charts.page_scores(place.windows, view),
            "lowScore": low,
            "topScore": high,
            "threshold": overview["threshold"] if chosen is None else chosen,
            "segment": place.current or "",
            "height": 452 if kind == "ecg" else max(470, 90 + 22 * len(page)),
            "aria": f"{kind.upper()}, {len(page)} traces, {data['label']}. Drag to measure.",
        },
        key=state.TRACES,
        on_measure=lambda: _measured(place.recording_id),
        on_turn=lambda: _turned(place.recording_id, kind),
    )
    st.html(_footnote(kind, float(gain), state.page_seconds()))


def _measured(recording_id: str) -> None:
    found = state.measured()
    if found is not None:
        state.set_selection(recording_id, (float(found["start"]), float(found["stop"])))


def _turned(recording_id: str, kind: str) -> None:
    found = state.turned() or {}
    if "by" in found:
        start = state.shown_start(recording_id) + float(found["by"]) * state.page_seconds()
        state.set_page_start(recording_id, start)
    elif found:
        at = PAGES_S[kind].index(int(state.page_seconds())) + (1 if found["zoom"] > 0 else -1)
        state.put(state.PAGE_S, PAGES_S[kind][min(max(at, 0), len(PAGES_S[kind]) - 1)])


def _montages(kind: str, names: list[str]) -> tuple[Montage, ...]:
    return available(names) if kind == "eeg" else ("recorded",)


def _controls(recording_id: str, kind: str, names: list[str], view: View) -> None:
    unit = "mm/mV" if kind == "ecg" else "µV/mm"
    montages = _montages(kind, names)
    columns = iter(
        st.columns(
            [1.1, 1, 1.25, 1.25, *([1.15] if len(montages) > 1 else []), 0.75],
            vertical_alignment="center",
            gap="small",
        )
    )
    boxes: list[tuple[str, tuple[Any, ...], str, Callable[[Any], str]]] = [
        ("Page length", PAGES_S[kind], state.PAGE_S, lambda s: _page_words(kind, s)),
        ("Gain", (_AUTO, *GAINS[kind]), state.GAIN, lambda g: _gain_words(unit, g)),
        ("High-pass filter", HIGH_PASS[kind], state.HIGH_PASS, lambda f: _hertz("High-pass", f)),
        ("Low-pass filter", LOW_PASS[kind], state.LOW_PASS, lambda f: _hertz("Low-pass", f)),
    ]
    if len(montages) > 1:
        boxes.append(("Montage", montages, state.MONTAGE, lambda m: _MONTAGES[m]))
    for label, options, key, words in boxes:
        next(columns).selectbox(
            label, options, key=key, format_func=words, label_visibility="collapsed"
        )
    half = (view.stop_s - view.start_s) / 2
    with next(columns).container(horizontal=True, horizontal_alignment="right", gap="xsmall"):
        for help_, icon, to, key in (
            ("Half a page back", "chevron_left", view.start_s - half, "Shift+Left"),
            ("Half a page on", "chevron_right", view.start_s + half, "Shift+Right"),
        ):
            st.button(
                f":material/{icon}:",
                key=f"rw_turn_{icon}",
                help=f"{help_}, {key}",
                on_click=later(state.set_page_start, recording_id, to),
            )


def _gain_words(unit: str, gain: float | str) -> str:
    return "Gain auto" if gain == _AUTO else f"{gain:g} {unit}"


def _page_words(kind: str, seconds: int) -> str:
    return f"{seconds} s, {250 / seconds:g} mm/s" if kind == "ecg" else f"{seconds} s"


def _hertz(name: str, value: float | None) -> str:
    return f"{name} off" if value is None else f"{name} {value:g} Hz"


def _footnote(kind: str, gain: float, page_s: float) -> str:
    if kind == "ecg":
        scale = f"{250 / page_s:g} mm/s, {gain:g} mm/mV"
    else:
        scale = f"{gain:g} µV/mm, negative up"
    parts = (
        scale,
        "filters change the picture, never the score",
        "drag over the signal to measure",
        "scroll sideways to move, Ctrl and wheel to zoom",
    )
    return '<div class="rw-legend">' + "".join(f"<span>{p}</span>" for p in parts) + "</div>"
