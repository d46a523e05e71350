"""Small pieces of HTML and Markdown. Text that came from a file is escaped here, and only here."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:^&@/])")


def text(value: object) -> str:
    """Return `value` escaped for use inside HTML, on one line."""
    return escape(" ".join(str(value).split()), quote=True)


def plain(value: object) -> str:
    """Return `value` escaped for use inside Markdown, as labels of widgets are."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(value).split()))


def brand(icon: bytes, name: str, detail: str) -> str:
    """Return the product's mark and name over what is open. `icon` is an SVG of our own."""
    return (
        f'<div class="rw-brand"><img src="{_source(icon)}" alt=""><div><b>{text(name)}</b>'
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


def keys(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of keys and what they do. All parts are escaped."""
    rows = "".join(f"<dt>{text(key)}</dt><dd>{text(words)}</dd>" for key, words in pairs)
    return f'<dl class="rw-keys">{rows}</dl>'


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


def waveform(signal: NDArray[np.float64], sfreq: float, channels: Sequence[str], words: str) -> str:
    """Return a small picture of a group's average: one line a channel, at most three."""
    if not signal.size:
        return facts([("", words)]) if words else ""
    rows = signal[:3]
    height, width = 34.0, 200.0
    unit = height * 0.86 / max(float(np.ptp(rows, axis=1).max()), 1e-12)
    lines = []
    for i, row in enumerate(rows):
        x = np.linspace(0, width, len(row))
        y = height * (i + 0.5) - (row - (row.max() + row.min()) / 2) * unit
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        lines.append(f'<polyline points="{points}"/>')
    seconds = signal.shape[1] / sfreq
    names = ", ".join(channels[:3])
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} '
        f'{height * len(rows):.0f}" width="400" height="{2 * height * len(rows):.0f}">'
        f'<g fill="none" stroke="#71808f" stroke-width="1.6">{"".join(lines)}</g></svg>'
    )
    return picture(svg, "average of the group", f"{names}, {seconds:.2g} s. {words}")


def picture(svg: str, instead: str, caption: str) -> str:
    """Return a drawing of our own with a caption; `instead` is read where it cannot be seen."""
    return (
        f'<figure class="rw-wave"><img src="{_source(svg.encode())}" alt="{text(instead)}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def _source(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + b64encode(svg).decode("ascii")


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
