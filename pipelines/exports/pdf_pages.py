"""Pages and text of a PDF: fonts, paragraphs of untrusted text, footers with n of N."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate

INK: Final = "#16202a"
SOFT: Final = "#5a6672"
LINE: Final = "#dde2e6"
MARGIN_MM: Final = 14.0
_FRAME_PADDING: Final = 6.0
_WIDE_FONT: Final = "DejaVuSans"
_MOST_CHARACTERS: Final = 3000


def document(path: Path, title: str) -> SimpleDocTemplate:
    """Return an empty A4 landscape document with room for a footer."""
    return SimpleDocTemplate(
        str(path),
        pagesize=landscape(A4),
        leftMargin=MARGIN_MM * mm - _FRAME_PADDING,
        rightMargin=MARGIN_MM * mm - _FRAME_PADDING,
        topMargin=12 * mm,
        bottomMargin=15 * mm,
        title=title,
        author="Rarewave",
        creator="Rarewave",
    )


def paragraph(
    text: str, size: float, colour: str = INK, bold: bool = False, background: str | None = None
) -> Paragraph:
    """Return a paragraph; `text` is untrusted and shown as it is, markup and all."""
    style = ParagraphStyle(
        "text",
        fontName=font_for(text, bold),
        fontSize=size,
        leading=size * 1.3,
        textColor=HexColor(colour),
        backColor=HexColor(background) if background else None,
        borderPadding=4 if background else 0,
        splitLongWords=True,
    )
    return Paragraph(escape(text[:_MOST_CHARACTERS]).replace("\n", "<br/>"), style)


def font_for(text: str, bold: bool = False) -> str:
    """Return Helvetica, or a font with more letters where Helvetica lacks one of them."""
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return _wide_font()
    return "Helvetica-Bold" if bold else "Helvetica"


def _wide_font() -> str:
    """Register DejaVu Sans, which comes with matplotlib (a dependency of MNE)."""
    if _WIDE_FONT not in pdfmetrics.getRegisteredFontNames():
        import matplotlib

        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        pdfmetrics.registerFont(TTFont(_WIDE_FONT, str(folder / "DejaVuSans.ttf")))
    return _WIDE_FONT


class NumberedPages(Canvas):
    """A canvas that writes a notice and "n / N" below every page."""

    def __init__(self, *args: Any, notice: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._notice = notice
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802  the name is reportlab's
        """Keep the page until the number of pages is known."""
        self._pages.append(dict(self.__dict__))
        self._startPage()  # type: ignore[attr-defined]

    def save(self) -> None:
        """Add the footers and write the file."""
        for number, page in enumerate(self._pages, start=1):
            self.__dict__.update(page)
            width, _ = landscape(A4)
            self.setFont("Helvetica", 8)
            self.setFillColor(SOFT)
            self.drawString(MARGIN_MM * mm, 8 * mm, self._notice)
            self.drawRightString(width - MARGIN_MM * mm, 8 * mm, f"{number} / {len(self._pages)}")
            super().showPage()
        super().save()
