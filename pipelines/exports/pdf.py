"""The report as PDF on A4 landscape, its strips true to scale when printed at 100 %."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from pipelines.channel_names import printable
from pipelines.exports.pdf_drawing import StripDrawing, overview_drawing
from pipelines.exports.pdf_pages import INK, LINE, SOFT, NumberedPages, document, paragraph
from pipelines.exports.report import (
    READING,
    Card,
    Chapter,
    chapters,
    facts,
    quarantined,
    summary,
    time_text,
)
from pipelines.exports.selection import Exporter, Failures, Segment, Selection
from pipelines.exports.writing import NOTICE, replacing

_MAX_CELL: Final = 300
VERDICT_COLOURS: Final = {
    "accepted": "#0f766e",
    "rejected": "#64748b",
    "unsure": "#6d4fc4",
    "undecided": "#b45309",
}


def exporter(format: str) -> Exporter:
    """Return the exporter; `format` is ``"pdf"``."""

    def export(selection: Selection, to: Path, failures: Failures) -> Sequence[Path]:
        path = to / "report.pdf"
        story = list(_front(selection, failures))
        for chapter in chapters(selection, failures):
            story += _chapter(chapter)
        with replacing(path) as temporary:
            title = f"Rarewave report: {selection.run.path.name}"
            document(temporary, title).build(
                story, canvasmaker=partial(NumberedPages, notice=NOTICE)
            )
        return [path]

    return export


def _front(selection: Selection, failures: Failures) -> Iterator[Any]:
    from reportlab.lib.units import mm
    from reportlab.platypus import Spacer

    yield paragraph("Rarewave", 9, colour="#0f5c6e", bold=True)
    yield paragraph("Segments that do not fit", 20, bold=True)
    n = len(selection.recording_ids)
    yield paragraph(
        f"Run {selection.run.path.name}, {n} recording{'' if n == 1 else 's'}, "
        f"written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        9,
        colour=SOFT,
    )
    yield Spacer(0, 4 * mm)
    yield paragraph(f"{NOTICE} {READING}", 9, colour="#7c3a06", background="#fdf6ec")
    yield Spacer(0, 4 * mm)
    yield _table([list(pair) for pair in facts(selection)], [30, 239])
    yield Spacer(0, 5 * mm)
    head = ["Recording", "Duration", "Windows", "Not scorable", "Segments"]
    rows = [
        [
            row["recording_id"],
            "" if row["duration_s"] is None else time_text(row["duration_s"]),
            *(_text(row[name]) for name in ("n_windows", "n_not_scorable", "n_segments")),
            *(str(row[verdict]) for verdict in VERDICT_COLOURS),
        ]
        for row in summary(selection, failures)
    ]
    verdicts = [verdict.capitalize() for verdict in VERDICT_COLOURS]
    yield _table([[*head, *verdicts], *rows], [77, *[24] * 8], has_head=True)
    bad = [list(entry) for entry in quarantined(selection)]
    if bad:
        yield Spacer(0, 5 * mm)
        yield _table([["Not scored", "Why"], *bad], [77, 192], has_head=True)


def _chapter(chapter: Chapter) -> Iterator[Any]:
    from reportlab.lib.units import mm
    from reportlab.platypus import KeepTogether, PageBreak, Spacer

    yield PageBreak()
    yield paragraph(chapter.recording_id, 14, bold=True)
    drawn = ""
    if 0 < chapter.n_strips < len(chapter.segments):
        drawn = f"; the {chapter.n_strips} of highest score are drawn, all are listed"
    yield paragraph(
        f"{chapter.review} {time_text(chapter.duration_s)[:-2]} h, {chapter.n_windows} windows, "
        f"{chapter.n_not_scorable} of them not scorable, {len(chapter.segments)} segments{drawn}",
        9,
        colour=SOFT,
    )
    if chapter.signal_problem:
        yield paragraph(f"No signal is shown. {chapter.signal_problem}", 9, background="#fdf6ec")
    yield Spacer(0, 2 * mm)
    yield overview_drawing(chapter.overview, VERDICT_COLOURS)
    yield paragraph(
        "Highest score over the recording, compressed upwards. Dashed: threshold. Below: segments "
        "by verdict.",
        8,
        colour=SOFT,
    )
    for card in chapter.segments:
        if card.strip is not None:
            yield Spacer(0, 5 * mm)
            yield KeepTogether(list(_card(card)))
    if chapter.segments:
        yield Spacer(0, 6 * mm)
        yield _list(chapter)
    else:
        yield paragraph("Nothing chosen for this report in this recording. That is no finding.", 9)


def _card(card: Card) -> Iterator[Any]:
    from reportlab.lib.units import mm
    from reportlab.platypus import Spacer

    segment, strip = card.segment, card.strip
    clock = f", at {card.clock} by the recorder's clock" if card.clock else ""
    channel = f", most on {segment.top_channel}" if segment.top_channel else ""
    yield paragraph(
        f"{card.number}. {time_text(segment.start_s)} for {segment.duration_s:.1f} s{clock}; "
        f"{_peak(segment)}{channel}; {segment.review_words}",
        11,
        bold=True,
    )
    if card.reasons:
        yield paragraph(f"Differs most in {'; '.join(card.reasons[:3])}", 9)
    if segment.decision and segment.decision.comment:
        decision = segment.decision
        yield paragraph(
            f"{decision.comment} ({decision.user}, {decision.decided_at:%Y-%m-%d %H:%M} UTC)",
            9,
            colour=SOFT,
        )
    if strip is not None:
        yield Spacer(0, 1.5 * mm)
        yield StripDrawing(strip)
        extent = f"{time_text(strip.start_s)} to {time_text(strip.stop_s)}; {strip.caption}"
        yield paragraph(extent, 8, colour=SOFT)


def _peak(segment: Segment) -> str:
    return (
        segment.score_words.replace("score", "peak score", 1) if segment.is_scored else "no score"
    )


def _list(chapter: Chapter) -> Any:
    head = ["No.", "Start", "Seconds", "Peak score", "p", "Channel", "Differs in", "Verdict"]
    rows = [
        [
            str(card.number),
            time_text(card.segment.start_s),
            f"{card.segment.duration_s:.1f}",
            f"{card.segment.peak_score:.3g}" if card.segment.is_scored else "",
            f"{card.segment.min_p_value:.2g}" if card.segment.is_scored else "",
            card.segment.top_channel or "",
            card.reasons[0] if card.reasons else "",
            card.segment.review_words,
        ]
        for card in chapter.segments
    ]
    return _table(
        [[*head, "Comment"], *_commented(chapter, rows)],
        [12, 24, 18, 22, 18, 26, 64, 25, 60],
        has_head=True,
    )


def _commented(chapter: Chapter, rows: Sequence[list[str]]) -> Iterator[list[str]]:
    for card, row in zip(chapter.segments, rows, strict=True):
        yield [*row, card.segment.decision.comment if card.segment.decision else ""]


def _table(rows: list[list[str]], widths_mm: Sequence[float], has_head: bool = False) -> Any:
    from reportlab.lib.units import mm
    from reportlab.platypus import Table

    cells = [
        [
            paragraph(
                _cell(text),
                8.5,
                bold=has_head and i == 0,
                colour=SOFT if i == 0 and has_head else INK,
            )
            for text in row
        ]
        for i, row in enumerate(rows)
    ]
    style: list[tuple[Any, ...]] = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
    if has_head:
        style.append(("LINEBELOW", (0, 0), (-1, 0), 0.9, INK))
    return Table(
        cells,
        colWidths=[width * mm for width in widths_mm],
        style=style,
        repeatRows=int(has_head),
        hAlign="LEFT",
    )


def _cell(text: str) -> str:
    """Return `text` on one line and short enough that no row outgrows a page."""
    line = printable(text)
    return line if len(line) <= _MAX_CELL else f"{line[:_MAX_CELL]}..."


def _text(value: object) -> str:
    return "" if value is None else str(value)
