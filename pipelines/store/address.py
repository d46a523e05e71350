"""Where a shared review log is: a PostgreSQL URL taken apart, whose password is never shown."""

from __future__ import annotations

import getpass
import os
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from pipelines.errors import ReviewError

REVIEWS_VARIABLE: Final = "RAREWAVE_REVIEWS_URL"
"""Environment variable with the URL of the database that holds the review logs of all runs."""
_FORM: Final = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_SCHEMES: Final = ("postgresql", "postgres", "postgresql+pg8000")
_TLS: Final = ("disable", "require", "verify-ca", "verify-full")
_QUERY: Final = ("host", "sslmode", "sslrootcert", "application_name", "timeout")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_PORT: Final = 5432
_TIMEOUT_S, _REACH_S = 40.0, 10.0


@dataclass(frozen=True)
class Address:
    """A database and how to reach it. No message of this module repeats any part of the URL.

    Attributes
    ----------
    host : str
        A name or number, or the folder of a unix socket.
    port : int
    database, user : str
    password : str or None
        Of the URL, else of the environment variable ``PGPASSWORD``.
    tls : str
        ``sslmode`` of the URL: ``disable``, ``require`` (encrypted, to whomever), ``verify-ca`` or
        ``verify-full``, which is the default for any other computer than this one.
    root_certificate : str or None
        ``sslrootcert`` of the URL: a file of certificates to trust instead of the system's.
    timeout_s : float
        Seconds that the server may take to answer.
    application : str
    """

    host: str
    port: int
    database: str
    user: str
    password: str | None = field(repr=False)
    tls: str
    root_certificate: str | None
    timeout_s: float
    application: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Take a URL apart.

        Raises
        ------
        ReviewError
            If it is none, or says something that is not understood. The URL is not repeated.
        """
        try:
            url = sa.make_url(text)
            port = url.port or _PORT
        except (sa.exc.ArgumentError, ValueError):
            raise _refused("it cannot be read as a URL") from None
        if url.drivername not in _SCHEMES:
            raise _refused("it is not of PostgreSQL")
        query = {name: _single(value) for name, value in url.query.items()}
        if unknown := set(query) - set(_QUERY):
            named = ", ".join(_QUERY)
            raise _refused(f"{len(unknown)} of its options are unknown, accepted: {named}")
        host = query.get("host") or url.host or ""
        if not host or not url.database or "@" in host:
            raise _refused("host or database are missing, or a character is not percent-encoded")
        tls = query.get("sslmode", "disable" if _is_here(host) else "verify-full")
        if tls not in _TLS:
            raise _refused(f"its sslmode is unknown, accepted: {', '.join(_TLS)}")
        return cls(
            host=host,
            port=port,
            database=url.database,
            user=url.username or os.environ.get("PGUSER") or getpass.getuser(),
            password=url.password or os.environ.get("PGPASSWORD"),
            tls=tls,
            root_certificate=query.get("sslrootcert"),
            timeout_s=_seconds(query.get("timeout")),
            application=query.get("application_name", "rarewave"),
        )

    @property
    def identity(self) -> str:
        """A name that tells this database from others; without the password."""
        return f"{self.user}@{self.host}:{self.port}/{self.database}"

    def arguments(self) -> dict[str, Any]:
        """Return what the driver wants to know besides a socket."""
        return {
            "host": self.host,
            "database": self.database,
            "user": self.user,
            "password": self.password,
            "ssl_context": self._context(),
            "application_name": self.application,
        }

    def connect(self) -> socket.socket:
        """Return a socket to the server; the caller closes it."""
        if not self.host.startswith("/"):
            found = socket.create_connection((self.host, self.port), min(self.timeout_s, _REACH_S))
            found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        else:
            found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                found.connect(str(Path(self.host) / f".s.PGSQL.{self.port}"))
            except OSError:
                found.close()
                raise
        found.settimeout(self.timeout_s)
        return found

    def _context(self) -> ssl.SSLContext | bool:
        if self.tls == "disable":
            return False
        try:
            context = ssl.create_default_context(cafile=self.root_certificate)
        except OSError:
            raise _refused("its sslrootcert is no readable file of certificates") from None
        context.check_hostname = self.tls == "verify-full"
        if self.tls == "require":
            context.verify_mode = ssl.CERT_NONE
        return context


def given_url(url: str | None = None) -> str | None:
    """Return the URL to use: the one given, else that of the environment; None: a file each."""
    return url or os.environ.get(REVIEWS_VARIABLE) or None


def _is_here(host: str) -> bool:
    return host.startswith("/") or host in _LOOPBACK


def _single(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else value[-1]


def _seconds(text: str | None) -> float:
    try:
        seconds = _TIMEOUT_S if text is None else float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 3600:
        raise _refused("its timeout is not a number of seconds")
    return seconds


def _refused(why: str) -> ReviewError:
    return ReviewError(
        f"the URL of the review database cannot be used: {why}; give {_FORM} in {REVIEWS_VARIABLE} "
        "or --reviews (special characters of a password percent-encoded)"
    )
