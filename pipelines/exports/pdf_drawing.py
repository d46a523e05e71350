"""Strips and overviews as PDF drawings, from the same geometry as the HTML report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.units import mm
from reportlab.platypus import Flowable

from pipelines.exports.overview import HEIGHT_MM, WIDTH_MM, Overview
from pipelines.exports.pdf_pages import INK, LINE, SOFT, font_for
from pipelines.exports.report import time_text
from pipelines.exports.strips import Strip

_LABELS_MM: Final = 15.0
_FLAG: Final = "#b45309"
_SHADE: Final = Color(0.94, 0.63, 0.19, alpha=0.13)
_GRID: Final = (("#f8e0db", 1.0, 0.08), ("#ebbdb4", 5.0, 0.12))


class StripDrawing(Flowable):
    """One strip; an EEG strip has its channel names to the left."""

    def __init__(self, strip: Strip) -> None:
        super().__init__()
        self.strip = strip
        self.left = _LABELS_MM if strip.kind == "eeg" else 0.0
        self.width, self.height = (strip.width_mm + self.left) * mm, strip.height_mm * mm

    def wrap(self, *_: float) -> tuple[float, float]:
        """Return width and height in points."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw in millimetres, y downwards as in :class:`Strip`."""
        canvas, strip = self.canv, self.strip
        canvas.translate(self.left * mm, self.height)
        canvas.scale(mm, -mm)
        canvas.setLineJoin(1)
        self._paper(canvas)
        start, stop = strip.shade_mm
        canvas.setFillColor(_SHADE)
        canvas.rect(start, 0, max(stop - start, 0.2), strip.height_mm, stroke=0, fill=1)
        canvas.setFillColor(HexColor(_FLAG))
        canvas.rect(start, 0, max(stop - start, 0.2), 0.6, stroke=0, fill=1)
        self._signal(canvas)
        self._names(canvas)
        if strip.kind == "eeg":
            self._scale(canvas)

    def _paper(self, canvas: Any) -> None:
        strip = self.strip
        width, height = strip.width_mm, strip.height_mm
        if strip.kind == "ecg":
            for colour, step, thickness in _GRID:
                canvas.setStrokeColor(HexColor(colour))
                canvas.setLineWidth(thickness)
                canvas.grid(
                    np.arange(0, width + 0.1, step).tolist(),
                    np.arange(0, height + 0.1, step).tolist(),
                )
        else:
            canvas.setStrokeColor(HexColor(LINE))
            canvas.setLineWidth(0.12)
            seconds = np.arange(0, strip.stop_s - strip.start_s + 0.1) * strip.mm_per_s
            canvas.lines([(x, 0, x, height) for x in seconds.tolist()])

    def _signal(self, canvas: Any) -> None:
        strip = self.strip
        canvas.saveState()
        clip = canvas.beginPath()
        clip.rect(0, 0, strip.width_mm, strip.height_mm)
        canvas.clipPath(clip, stroke=0, fill=0)
        canvas.setLineWidth(0.24 if strip.kind == "ecg" else 0.17)
        for trace in strip.traces:
            canvas.setStrokeColor(HexColor(_colour(strip, trace.is_top)))
            path = canvas.beginPath()
            for line in trace.lines:
                path.moveTo(*line[0].tolist())
                for x, y in line[1:].tolist():
                    path.lineTo(x, y)
            canvas.drawPath(path, stroke=1, fill=0)
        canvas.restoreState()

    def _names(self, canvas: Any) -> None:
        for trace in self.strip.traces:
            is_ecg = self.strip.kind == "ecg"
            canvas.setFillColor(HexColor(_colour(self.strip, trace.is_top)))
            x = 1.2 if is_ecg else -1.4
            name = trace.name if is_ecg else trace.name[:11]
            _write(
                canvas,
                x,
                trace.label_mm,
                name,
                3.3 if is_ecg else 2.7,
                bold=is_ecg,
                right=not is_ecg,
            )

    def _scale(self, canvas: Any) -> None:
        """Draw five millimetres upwards and a second to the right."""
        strip = self.strip
        x, y = strip.width_mm - 33, strip.height_mm - 0.8
        canvas.setStrokeColor(HexColor(INK))
        canvas.setFillColor(HexColor(INK))
        canvas.setLineWidth(0.26)
        canvas.lines([(x, y - 5, x, y), (x, y, x + strip.mm_per_s, y)])
        _write(canvas, x + 1.2, y - 1.2, f"{strip.gain * 5:g} µV, 1 s", 2.7)


class _OverviewDrawing(Flowable):
    def __init__(self, overview: Overview, colours: Mapping[str, str]) -> None:
        super().__init__()
        self.overview, self.colours = overview, colours

    def wrap(self, *_: float) -> tuple[float, float]:
        return WIDTH_MM * mm, (HEIGHT_MM + 8) * mm

    def draw(self) -> None:
        canvas, overview = self.canv, self.overview
        canvas.translate(0, (HEIGHT_MM + 8) * mm)
        canvas.scale(mm, -mm)
        canvas.setFillColor(HexColor("#f8fafb"))
        canvas.rect(0, 0, WIDTH_MM, HEIGHT_MM, stroke=0, fill=1)
        canvas.setFillColor(HexColor("#b9c2ca"))
        for a, b in overview.not_scorable:
            canvas.rect(a, HEIGHT_MM - 1.2, b - a, 1.2, stroke=0, fill=1)
        canvas.setStrokeColor(HexColor("#56789a"))
        canvas.setLineWidth(0.32)
        canvas.lines([(x, HEIGHT_MM, x, y) for x, y in overview.bars.tolist()])
        if overview.threshold_mm is not None:
            canvas.setStrokeColor(HexColor(_FLAG))
            canvas.setLineWidth(0.16)
            canvas.setDash(0.9, 0.7)
            canvas.line(0, overview.threshold_mm, WIDTH_MM, overview.threshold_mm)
            canvas.setDash()
        for a, b, verdict in overview.marks:
            canvas.setFillColor(HexColor(self.colours[verdict]))
            canvas.rect(a, HEIGHT_MM + 0.6, max(b - a, 0.35), 2, stroke=0, fill=1)
        canvas.setStrokeColor(HexColor(SOFT))
        canvas.setFillColor(HexColor(SOFT))
        canvas.setLineWidth(0.14)
        canvas.line(0, HEIGHT_MM + 3, WIDTH_MM, HEIGHT_MM + 3)
        for x, seconds in overview.ticks:
            canvas.line(x, HEIGHT_MM + 3, x, HEIGHT_MM + 4)
            _write(canvas, x, HEIGHT_MM + 7, time_text(seconds)[:-2], 2.8)


def overview_drawing(overview: Overview, colours: Mapping[str, str]) -> Flowable:
    """Return a drawing of the score over a recording; `colours` by verdict."""
    return _OverviewDrawing(overview, colours)


def _write(
    canvas: Any, x: float, y: float, text: str, size: float, bold: bool = False, right: bool = False
) -> None:
    """Write upright text on a canvas whose y points downwards; lengths in mm."""
    canvas.saveState()
    canvas.translate(x, y)
    canvas.scale(1, -1)
    canvas.setFont(font_for(text, bold), size)
    (canvas.drawRightString if right else canvas.drawString)(0, 0, text)
    canvas.restoreState()


def _colour(strip: Strip, is_top: bool) -> str:
    return "#8f2d06" if is_top and strip.kind == "eeg" else INK
