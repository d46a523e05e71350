"""Colours of text and marks reach contrast AA (4.5 to 1) on the background they stand on."""

import re
from pathlib import Path

import pytest

from app.__main__ import _THEME

APP = Path(__file__).parents[2] / "app"
PALETTE = (APP / "trace_viewer" / "palette.js").read_text("utf-8")
STYLE = (APP / "style.css").read_text("utf-8")
BACKGROUND = {"light": _THEME["light_backgroundColor"], "dark": _THEME["dark_backgroundColor"]}


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def colours() -> list[tuple[str, str, str]]:
    found = []
    for mode in ("light", "dark"):
        (line,) = re.findall(rf"\n  {mode}: {{([^}}]*)}}", PALETTE)
        found += [(mode, n, c) for n, c in re.findall(r'(\w+): "(#\w{6})"', line)]
        found.append((mode, "text", _THEME[f"{mode}_textColor"]))
    for name, dark, light in re.findall(r'(muted|trace): dark \? "(#\w{6})" : "(#\w{6})"', PALETTE):
        found += [("dark", name, dark), ("light", name, light)]
    for name, light, dark in re.findall(
        r"\.(rw-\w+) {[^}]*light-dark\((#\w{6}), (#\w{6})\)", STYLE
    ):
        found += [("light", name, light), ("dark", name, dark)]
    return found


def test_the_contrast_is_measured_right():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(("mode", "name", "colour"), colours())
def test_text_and_marks_can_be_read(mode, name, colour):
    assert contrast(colour, BACKGROUND[mode]) >= 4.5, f"{name} {colour} on {mode}"


def test_there_is_something_to_measure():
    assert len(colours()) >= 20
