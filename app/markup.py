"""Small pieces of HTML and Markdown. Text that came from a file is escaped here, and only here."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from html import escape

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:^&@/])")


def text(value: object) -> str:
    """Return `value` escaped for use inside HTML, on one line."""
    return escape(" ".join(str(value).split()), quote=True)


def plain(value: object) -> str:
    """Return `value` escaped for use inside Markdown, as labels of widgets are."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(value).split()))


def brand(icon: bytes, name: str, detail: str) -> str:
    """Return the product's mark and name over what is open. `icon` is an SVG of our own."""
    source = "data:image/svg+xml;base64," + b64encode(icon).decode("ascii")
    return (
        f'<div class="rw-brand"><img src="{source}" alt=""><div><b>{text(name)}</b>'
        f"<small>{text(detail)}</small></div></div>"
    )


def page_title(title: str, details: Iterable[str]) -> str:
    """Return a page's heading with a line of details under it. All parts are escaped."""
    parts = "".join(f"<span>{text(part)}</span>" for part in details)
    return f'<div class="rw-title"><h1>{text(title)}</h1><p>{parts}</p></div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of terms and values. All parts are escaped."""
    rows = "".join(f"<dt>{text(term)}</dt><dd>{text(value)}</dd>" for term, value in pairs)
    return f'<dl class="rw-facts">{rows}</dl>'


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a row of figures with their names under them. All parts are escaped."""
    cells = "".join(
        f"<div><b>{text(value)}</b><span>{text(name)}</span></div>" for name, value in pairs
    )
    return f'<div class="rw-tiles">{cells}</div>'


def verdict_badge(verdict: str, mark: str, words: str, detail: str = "") -> str:
    """Return the badge of a decision: mark, word and who decided when."""
    extra = f"<small>{text(detail)}</small>" if detail else ""
    return (
        f'<div class="rw-verdict rw-{text(verdict)}"><i>{text(mark)}</i>'
        f"<b>{text(words)}</b>{extra}</div>"
    )


def feature_row(words: str, comparison: str, rank: str, share: float) -> str:
    """Return one reason: what was measured, how it compares, and where it lies among windows.

    `share` is the share of windows with a lower value, drawn as a position on a line whose
    middle half is marked.
    """
    left = 100 * min(max(share, 0.0), 1.0)
    return (
        f'<div class="rw-reason"><div>{text(words)}</div>'
        f'<div class="rw-line" role="img" aria-label="{text(rank)}">'
        f'<span class="rw-iqr"></span><span class="rw-dot" style="left:{left:.1f}%"></span></div>'
        f"<small>{text(comparison)} · {text(rank)}</small></div>"
    )


def more(title: str, content: str) -> str:
    """Return `content`, which is HTML made here, folded under a title."""
    return f'<details class="rw-more"><summary>{text(title)}</summary>{content}</details>'


def section(title: str) -> str:
    """Return a small heading within a panel."""
    return f'<div class="rw-section">{text(title)}</div>'


def history_row(mark: str, words: str, detail: str, comment: str) -> str:
    """Return one earlier decision. All parts are escaped."""
    said = f"<q>{text(comment)}</q>" if comment else ""
    return f"<li><i>{text(mark)}</i> <b>{text(words)}</b> <small>{text(detail)}</small>{said}</li>"
