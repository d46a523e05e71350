"""Addresses of files that lie elsewhere: told apart from paths, and checked for what they tell.

An address is written into ``run.json``, shown on screens and quoted in messages. So one that holds
a password or a signature is refused before anything else; credentials come from where other tools
take them too (environment, profiles, configuration of fsspec).
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.errors import InputError, RunError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/(?=/?[^/])")
"""One slash will do: that is what is left of two in a `Path`. A drive has one letter."""
_WEB = frozenset({"http", "https"})
_NAMED_USERS = frozenset({"abfs", "abfss", "sftp", "ssh"})
"""Protocols whose addresses name a container or an account before the ``@``."""


def is_url(text: str | Path) -> bool:
    """Return True if `text` is an address (``s3://bucket/night.edf``) and no path.

    Examples
    --------
    >>> is_url("s3://bucket/night.edf"), is_url("ward/night.edf"), is_url("C:/night.edf")
    (True, False, False)
    """
    return _URL.match(str(text)) is not None


def checked_url(text: str | Path) -> str:
    """Return an address as it may be stored, with both slashes.

    Raises
    ------
    InputError
        If it holds a user, a password or a signature, chains several protocols, or has a step
        such as ``..`` in its path.
    """
    match = _URL.match(str(text))
    if match is None:
        raise InputError(f"{Path(text).name!r} is no address; give one such as s3://bucket/file")
    scheme = match[0].partition(":")[0].lower()
    rest = str(text)[match.end() :].lstrip("/")
    url = f"{scheme}://{rest}"
    if "::" in url:
        raise InputError(
            f"{_kind(scheme)} chains several protocols, which is refused; give the address of "
            "the recording itself"
        )
    try:
        parts = urlsplit(url)
        secret = parts.password is not None or (parts.username and scheme not in _NAMED_USERS)
    except ValueError:
        raise InputError(f"{_kind(scheme)} cannot be read; check its brackets") from None
    if secret or "#" in rest or (scheme in _WEB and "?" in rest):
        raise InputError(
            f"{_kind(scheme)} holds a user, a password, a query or a signature, which would be "
            "stored with the results; give it without, and credentials by the environment"
        )
    if any(step in ("", ".", "..") or not step.isprintable() for step in steps_of(url)):
        raise InputError(
            f"{_kind(scheme)} has an empty step, '.' or '..' in its path; give the plain address"
        )
    return url.rstrip("/")


def _kind(scheme: str) -> str:
    """Name an address without quoting any of what may be secret in it."""
    return f"an address {scheme}://..."


def steps_of(url: str) -> list[str]:
    """Return what lies between the slashes of a checked address, bucket or computer first."""
    return url.partition("://")[2].rstrip("/").split("/")


def path_for(url: str) -> Path:
    """Return a path that names what lies at `url`, to take names and suffixes from.

    Examples
    --------
    >>> path_for("s3://bucket/ward/night.edf").as_posix()
    '/s3:/bucket/ward/night.edf'
    """
    return Path("/", f"{url.partition('://')[0]}:", *steps_of(url))


def url_of(path: Path) -> str:
    """Return the address that `path` names; the inverse of :func:`path_for`."""
    _, scheme, *steps = path.parts
    return f"{scheme}//{'/'.join(steps)}"


def refuse_url(place: str | Path, option: str) -> None:
    """Raise :class:`RunError` if a place that is written to is an address.

    Tables appear under a temporary name and are renamed, and a lock keeps two calls apart: neither
    exists on object stores.
    """
    if is_url(place):
        raise RunError(
            f"{option} is an address, and results can only be written to a folder of this "
            "computer or of a shared disk; give such a folder, and copy it when the run has ended"
        )
