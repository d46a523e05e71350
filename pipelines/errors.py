"""Every error that a user of Rarewave can cause, under one root."""

from __future__ import annotations


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
