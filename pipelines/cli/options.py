"""Options that several commands share."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated

import typer

from pipelines.errors import InputError


class Device(StrEnum):
    """Where the model computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Kind(StrEnum):
    """The signal that a model looks at."""

    ecg = "ecg"
    eeg = "eeg"


def parse_interval(text: str | None) -> tuple[float, float] | None:
    """Return ``(start_s, stop_s)`` from ``START:STOP``; raise :class:`InputError` otherwise.

    Examples
    --------
    >>> parse_interval("0:230.5")
    (0.0, 230.5)
    """
    if text is None:
        return None
    try:
        start_s, stop_s = (float(part) for part in text.split(":"))
    except ValueError:
        start_s, stop_s = math.nan, math.nan
    if not (math.isfinite(stop_s) and 0 <= start_s < stop_s):
        raise InputError(
            f"--baseline {text!r} is not START:STOP in seconds with 0 <= START < STOP; "
            "give for example 0:300"
        )
    return start_s, stop_s


InputsArgument = Annotated[
    list[str],
    typer.Argument(metavar="INPUT", help="Files, folders, globs or a manifest CSV."),
]
BaselineOption = Annotated[
    str | None,
    typer.Option("--baseline", metavar="START:STOP", help="Seconds of each recording, as 0:300."),
]
REVIEWS_VARIABLE = "RAREWAVE_REVIEWS_URL"
"""Environment variable with the URL of the database that holds the review logs of all runs."""
ReviewsOption = Annotated[
    str | None,
    typer.Option(
        "--reviews",
        metavar="URL",
        help="PostgreSQL database with the review logs; by default $RAREWAVE_REVIEWS_URL, which "
        "other users of the computer cannot see, or reviews.sqlite in the run.",
    ),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to compute.")]
