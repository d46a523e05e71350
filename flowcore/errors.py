"""Errors that a user of flowcore can cause, under one root."""

from __future__ import annotations


class FlowError(Exception):
    """Root of all errors raised on purpose by :mod:`flowcore`.

    The message is one line: what is wrong with the value got, what is accepted, what to do.
    """


class DataError(FlowError, ValueError):
    """Rows, context or groups do not fit: wrong width, not finite, too few."""


class ParameterError(FlowError, ValueError):
    """A parameter of a model is unknown or out of range."""


class NotCalibratedError(FlowError, ValueError):
    """p-values were asked for before :meth:`FlowDensityEstimator.calibrate`."""


class PersistenceError(FlowError, ValueError):
    """A saved model is missing, damaged, of another version, or not of this library."""


class NumericalError(FlowError, ArithmeticError):
    """A computation left the range of finite numbers."""


class FlowWarning(UserWarning):
    """A fitted model is usable but poorer than it should be; the message says why."""
