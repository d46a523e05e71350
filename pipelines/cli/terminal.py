"""What reaches the terminal: progress on stderr, and text from files made harmless."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)``."""
_EVERY_S = 10.0


def plain(text: object) -> str:
    r"""Return text with every character that is not printable spelled out.

    Labels and annotations come from files: an escape sequence in them must not reach a terminal.

    Examples
    --------
    >>> plain("Fp1" + chr(27) + "[2J")
    'Fp1\\x1b[2J'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def complain(message: str) -> None:
    """Write one line to stderr, whatever line breaks and control characters `message` holds."""
    typer.echo(f"rarewave: {plain(' '.join(message.split()))}", err=True)


@contextmanager
def progress_on_stderr(quiet: bool = False) -> Iterator[Progress]:
    """Give a progress callback: bars on a terminal, a plain line now and then elsewhere."""
    if quiet:
        yield lambda stage, done, total: None
    elif sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _Lines()


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(escape(plain(stage)), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


class _Lines:
    """One line when a stage begins or ends, and every ten seconds in between."""

    def __init__(self) -> None:
        self._stage = ""
        self._last_s = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage == self._stage and done < total and now - self._last_s < _EVERY_S:
            return
        self._stage, self._last_s = stage, now
        typer.echo(f"{plain(stage)}: {done}/{total}", err=True)
