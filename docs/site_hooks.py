"""For the site: lists the decisions, and makes names of links to files outside of docs/."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(((?:\.\./)+[^)#]*)[^)]*\)")


def on_config(config: Any) -> Any:
    """Add the decisions to the navigation, by the headings of their pages."""
    pages = sorted(Path(config["docs_dir"], "decisions").glob("*.md"))
    config["nav"].append({"Decisions": [f"decisions/{page.name}" for page in pages]})
    return config


def on_page_markdown(markdown: str, *, page: Any, **kwargs: Any) -> str:
    """Rewrite links that lead out of docs/; called for each page."""

    def named(match: re.Match[str]) -> str:
        path = posixpath.normpath(f"docs/{posixpath.dirname(page.file.src_uri)}/{match[2]}")
        return match[0] if path.startswith("docs/") else f"{match[1]} (`{path}`)"

    return _LINK.sub(named, markdown)
