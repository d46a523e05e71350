"""A small picture of a window over what would fit in its place. No Streamlit here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app import markup

if TYPE_CHECKING:
    from pipelines.nearest_normal import NearestNormal

_WIDTH, _HEIGHT, _GAP = 400.0, 64.0, 6.0
_MOST = 2
_COLOURS = {"window": "#b3261e", "usual": "#3b7dbd"}
_WORDS = {"waveform": "s from the R peak", "spectrum": "Hz"}


def overlay(found: NearestNormal) -> str:
    """Return HTML of the window (solid) over its nearest normal (dashed, with a band).

    ECG: the first two leads. EEG: the two channels whose spectra differ most.
    """
    rows = np.arange(len(found.channels))[:_MOST]
    if found.kind == "spectrum":
        rows = np.argsort(-np.abs(found.window - found.mean).mean(axis=1))[:_MOST]
    parts = [_panel(found, int(row), k) for k, row in enumerate(rows)]
    height = (_HEIGHT + _GAP) * len(rows)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" '
        f'width="{_WIDTH:.0f}" height="{height:.0f}">{"".join(parts)}</svg>'
    )
    names = ", ".join(found.channels[row] for row in rows)
    span = f"{found.axis[0]:.2g} to {found.axis[-1]:.2g} {_WORDS[found.kind]}"
    far = " It is far from anything the model knows." if found.widened > 3 else ""
    caption = (
        f"{names}, {span}. Solid: this window. Dashed: what would fit here, shown by unflagged "
        f"windows of this recording (mean, 10 to 90 %).{far} A picture of the model, no finding."
    )
    return markup.picture(svg, "window over its nearest normal", caption)


def _panel(found: NearestNormal, row: int, place: int) -> str:
    lines = (found.window[row], found.mean[row], found.low[row], found.high[row])
    low, high = min(line.min() for line in lines), max(line.max() for line in lines)
    unit = _HEIGHT / max(float(high - low), 1e-12)
    x = (found.axis - found.axis[0]) / np.ptp(found.axis) * _WIDTH
    top = place * (_HEIGHT + _GAP)

    def points(y: NDArray[np.float64]) -> list[str]:
        return [f"{a:.1f},{top + (high - b) * unit:.1f}" for a, b in zip(x, y, strict=True)]

    band = " ".join([*points(found.low[row]), *points(found.high[row])[::-1]])
    usual, window = " ".join(points(found.mean[row])), " ".join(points(found.window[row]))
    return (
        f'<polygon points="{band}" fill="{_COLOURS["usual"]}" fill-opacity="0.25"/>'
        f'<polyline points="{usual}" fill="none" stroke="{_COLOURS["usual"]}" '
        'stroke-width="1.4" stroke-dasharray="4 2"/>'
        f'<polyline points="{window}" fill="none" stroke="{_COLOURS["window"]}" '
        'stroke-width="1.6"/>'
    )
