"""What goes wrong with a review database, in one line each.

No message holds the URL or anything of the server's address, and errors of connecting do not keep
the driver's error as their cause, so that a traceback does not show them either.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from pipelines.errors import ReviewError

NAME: Final = "the review database"
MISSING_TABLE: Final = "42P01"
_LOST: Final = ("57P01", "57P02", "57P03", "25P03", "08000", "08003", "08006")
_WORDS: Final = {
    "28P01": "refuses this user or password; check both in the URL (special characters of a "
    "password are percent-encoded)",
    "28000": "refuses this user; check the URL, and pg_hba.conf on the server",
    "3D000": "does not exist on this server; create it, or check the name in the URL",
    "42501": "does not allow this to its user; a reader of reviews needs SELECT on "
    "rarewave_schema and rarewave_events, who decides also INSERT on rarewave_events, and whoever "
    "makes the tables CREATE on the schema",
    "25006": "can only be read, as a standby can; give the URL of the primary",
    "55P03": "is locked by another process; close it there and try again",
    "53300": "has too many connections; try again, or raise max_connections on the server",
    "53100": "has a full disk; nothing was saved, free some space on the server",
    "23505": "was written by another program at the same time; nothing was saved, try again",
}


class LostAtCommitError(Exception):
    """The connection went away while a transaction was being committed: it may count or not."""


@contextmanager
def explaining() -> Iterator[None]:
    """Turn errors of the server into one line."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _explained(error) from error
    except sa.exc.TimeoutError as error:
        raise ReviewError(f"{NAME} is busy: every connection is in use; try again") from error


def code_of(error: BaseException | None) -> str:
    """Return the SQLSTATE of an error, or an empty string."""
    told = getattr(getattr(error, "orig", None) or error, "args", ())
    return str(told[0].get("C", "")) if told and isinstance(told[0], dict) else ""


def _explained(error: sa.exc.DBAPIError) -> ReviewError:
    code = code_of(error)
    if error.connection_invalidated or code in _LOST:
        return ReviewError(
            f"the connection to {NAME} was lost; nothing of what was being saved is there, try again"
        )
    return ReviewError(f"{NAME} {_WORDS.get(code) or _unexpected(code)}")


def _unexpected(code: str) -> str:
    return f"cannot be used (SQLSTATE {code or 'unknown'}); see the log of the server"


def unreachable(error: BaseException) -> ReviewError:
    """Return why there is no connection; raise it without the driver's error as its cause."""
    code, told = code_of(error), error.__context__
    while told is not None and not code:  # the driver loses it when it cannot say goodbye
        code, told = code_of(told), told.__context__
    if code in _WORDS:
        return ReviewError(f"{NAME} {_WORDS[code]}")
    if code:
        return ReviewError(f"{NAME} cannot be used now (SQLSTATE {code}); try again")
    if isinstance(error, ssl.SSLCertVerificationError):
        return ReviewError(
            f"the certificate of {NAME} is not trusted; give sslrootcert=FILE in the URL, or "
            "sslmode=require on a network you trust"
        )
    if "refuses SSL" in str(error):
        return ReviewError(
            f"{NAME} offers no TLS; switch it on there, or give sslmode=disable in the URL on a "
            "network you trust"
        )
    return ReviewError(
        f"{NAME} does not answer; check that it runs, and host, port and sslmode in the URL"
    )


def notice_loss(context: sa.engine.ExceptionContext) -> None:
    """Tell SQLAlchemy of losses that its dialect does not know: a server shutting down, say."""
    error = context.original_exception
    if isinstance(error, OSError):  # the driver lets some of them through as they are
        context.is_disconnect = True
        raise sa.exc.DBAPIError("", None, error, True, connection_invalidated=True) from error
    if code_of(error) in _LOST:
        context.is_disconnect = True
