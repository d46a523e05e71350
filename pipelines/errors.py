"""Every error that a user of Rarewave can cause, under one root."""

from __future__ import annotations

import traceback
from pathlib import Path


class RarewaveError(Exception):
    """Root of all errors raised on purpose by :mod:`pipelines`.

    The message is one line that says what is wrong with the value got, what is accepted and
    what to do. It never holds a patient identifier.
    """


class RecordingError(RarewaveError):
    """A recording cannot be read, or holds less than its header promises."""


class UnsupportedFormatError(RecordingError):
    """The file is of no format that Rarewave reads."""


class SignalError(RarewaveError):
    """The recording is readable but does not fit the task: no ECG lead, too short, wrong rate."""


class ModelError(RarewaveError):
    """A model folder is missing, damaged, of another version, or does not fit the recording."""


class RunError(RarewaveError):
    """A run folder is missing, damaged, or belongs to another model."""


class ConfigError(RarewaveError):
    """A configuration value is unknown or out of range."""


class InputError(RarewaveError):
    """An INPUT argument (file, folder, glob, manifest) names nothing that can be used."""


class ExportError(RarewaveError):
    """An export cannot be written."""


class ReviewError(RarewaveError):
    """A review cannot be stored."""


def describe_error(error: BaseException) -> str:
    """Return one line for a person: what was raised on purpose says it itself.

    Of an unexpected error only its type and place are told, never its text, which may quote a
    file and with it a patient.
    """
    if isinstance(error, RarewaveError) or type(error).__module__ == "flowcore.errors":
        return " ".join(str(error).split())
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "not enough memory; use fewer --workers, or --device cpu"
    if isinstance(error, OSError) and error.strerror:
        name = f" ({Path(error.filename).name})" if isinstance(error.filename, str) else ""
        return f"{error.strerror}{name}; check the path, your rights and the free space"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"unexpected {type(error).__name__}{where}; this is a bug, please report it"
