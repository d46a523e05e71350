"""Reading again after an error that passes by itself: a network drive that was away."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
PASSING = frozenset(
    {
        errno.EIO,
        errno.EAGAIN,
        errno.EINTR,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
    }
)
"""Error numbers of the operating system that another attempt may not meet."""
PAUSES_S = (0.5, 2.0, 8.0)
"""Seconds before the second, third and fourth attempt."""


def is_passing(error: BaseException) -> bool:
    """Return True if `error`, or what it was raised from, is one that may pass by itself."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in PASSING:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def with_retries(
    function: Callable[[], Result], pause: Callable[[float], None] = time.sleep
) -> Result:
    """Call `function`, and again after an error that may pass by itself.

    Parameters
    ----------
    function : callable
    pause : callable
        Waits that many seconds.
    """
    for seconds in PAUSES_S:
        try:
            return function()
        except Exception as error:
            if not is_passing(error):
                raise
        pause(seconds)
    return function()
