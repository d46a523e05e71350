"""Turns whatever a library raises on a damaged file into one line that quotes nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pipelines.errors import RecordingError

Result = TypeVar("Result")


def attempt(call: Callable[[], Result], what: str) -> Result:
    """Return what `call` returns.

    Raises
    ------
    RecordingError
        If `call` raises anything; the message names `what` and the type of the error alone, since
        the text of a foreign error may quote a file and with it a patient.
    """
    try:
        return call()
    except RecordingError:
        raise
    except Exception as error:  # damaged files make libraries raise almost anything
        raise RecordingError(
            f"cannot read {what} ({type(error).__name__}); copy or export it again"
        ) from error
