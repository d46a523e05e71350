"""``rarewave deidentify``: copies of recordings that do not say whose they are."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import InputsArgument
from pipelines.cli.terminal import complain, plain, progress_on_stderr

EXAMPLE = "Example: rarewave deidentify ward/*.edf --to handed_on --key ward.key"


class Dates(StrEnum):
    """What becomes of dates."""

    shift = "shift"
    remove = "remove"


def command(
    inputs: InputsArgument,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder of the copies.")],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="Secret key, made if missing: the same key, the same pseudonyms.",
        ),
    ] = None,
    dates: Annotated[
        Dates, typer.Option("--dates", help="shift: back by days of the patient's own.")
    ] = Dates.shift,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="TEXT", help="A label or annotation that may stay."),
    ] = None,
) -> int:
    """Copy EDF, BDF and WFDB recordings without names, free text and true dates.

    The samples stay as they are, to the byte; a trace can still be recognised by its owner.
    """
    from pipelines.deidentify import deidentify

    with progress_on_stderr() as progress:
        found = deidentify(
            inputs, to, key=key, dates=dates.value, keep=keep or (), progress=progress
        )
    for number, reason in found.failed:
        complain(f"input {number} was not copied: {reason}")
    typer.echo(
        f"{plain(to)}: {len(found.written)} copied, {len(found.failed)} not. Look through the "
        "copies before you hand them on."
    )
    if not found.written:
        return 1
    return 2 if found.failed else 0
