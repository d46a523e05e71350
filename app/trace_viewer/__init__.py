"""Two canvases, the score over the whole recording and the signal of one page, and the keys.

Each is a component of Streamlit (version 2): plain JavaScript beside this file draws what
:mod:`app.charts` describes. Text from files reaches only ``fillText``, never HTML.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamlit.components.v2 import component

_HERE = Path(__file__).parent
_PALETTE = (_HERE / "palette.js").read_text("utf-8")
_CSS = (_HERE / "viewer.css").read_text("utf-8")
_HTML = '<div class="rw-canvas"><canvas tabindex="-1" role="img"></canvas></div>'


def _canvas(name: str) -> Callable[..., Any]:
    script = (_HERE / f"{name}.js").read_text("utf-8")
    return component(f"rarewave_{name}", html=_HTML, css=_CSS, js=_PALETTE + script)


_keys = component("rarewave_keys", html="<span></span>", js=(_HERE / "keys.js").read_text("utf-8"))
_overview = _canvas("overview")
_traces = _canvas("traces")


def show_overview(data: dict[str, Any], *, key: str, on_click: Callable[[], None]) -> None:
    """Mount the overview; a click sets the trigger ``clicked`` to ``{"time", "tolerance"}``."""
    _overview(data=data, key=key, on_clicked_change=on_click)


def show_traces(
    data: dict[str, Any], *, key: str, on_measure: Callable[[], None], on_turn: Callable[[], None]
) -> None:
    """Mount the signal view.

    Dragging measures, and sets the trigger ``measured`` to ``{"start", "stop"}`` in seconds; the
    wheel sets ``turned`` to ``{"by"}`` in pages, or with Ctrl to ``{"zoom"}``, 1 or -1.
    """
    _traces(data=data, key=key, on_measured_change=on_measure, on_turned_change=on_turn)


def listen_to_keys(keys: list[str], handled: int, *, key: str) -> None:
    """Listen to keys all over the page; ``pressed`` holds ``[number, key]`` not yet `handled`."""
    _keys(data={"keys": keys, "handled": handled}, key=key, on_pressed_change=lambda: None)
