"""What lies at an address: listed, asked for and copied through fsspec, with errors in words.

Texts of the libraries below never pass on: they quote keys, hosts and requests.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipelines.errors import InputError, RecordingError
from pipelines.remote.address import steps_of
from pipelines.retry import is_passing, with_retries

Result = TypeVar("Result")
_VERSIONS = ("ETag", "etag", "version_id", "md5Hash", "content_md5", "LastModified", "mtime")
"""What stores call the thing that changes with the content, the surest first."""
_PASSING = frozenset(
    {
        *("EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError"),
        *("ReadTimeoutError", "ConnectTimeout", "ReadTimeout", "IncompleteRead", "ResponseError"),
        *("IncompleteReadError", "ServerDisconnectedError", "ClientConnectorError"),
        *("ClientPayloadError", "ResponseStreamingError", "HTTPClientError", "SSLError"),
        *("ServerTimeoutError", "FSTimeoutError", "TimeoutError", "ConnectionError", "SlowDown"),
    }
)
"""Names of errors that another attempt may not meet: their libraries may be missing."""
_REFUSING = frozenset({"NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"})
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Found:
    """A file at an address.

    Attributes
    ----------
    url : str
    size : int
        Bytes.
    version : str or None
        Changes with the content; None if the store tells nothing of the kind.
    """

    url: str
    size: int
    version: str | None

    @property
    def mark(self) -> str | None:
        """Size and version in one word, None without a version."""
        return None if self.version is None else f"{self.size} {self.version}"


class Remote:
    """Access to everything under the protocol of one address.

    Parameters
    ----------
    url : str
        Checked (:func:`~pipelines.remote.address.checked_url`).

    Raises
    ------
    InputError
        If the protocol is unknown, or what it needs is not installed.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self._scheme = url.partition("://")[0]
        try:
            self._system: Any = fsspec.filesystem(self._scheme, use_listings_cache=False)
        except ImportError:
            extra = self._scheme if self._scheme in ("s3", "s3a") else None
            package = "rarewave[s3]" if extra else f"fsspec[{self._scheme}]"
            raise InputError(
                f"reading {self._scheme}:// needs a package that is not installed; "
                f"pip install '{package}', or copy the recording here"
            ) from None
        except ValueError:
            raise InputError(
                f"{self._scheme}:// is no kind of address that can be read; use s3://, https:// "
                "or another one of fsspec, or copy the recording here"
            ) from None

    def found(self, url: str) -> Found | None:
        """Return the file at `url`, None if there is none."""
        try:
            info = self._try("look for", url, lambda: self._system.info(self._key(url)))
        except _NotThereError:
            return None
        return self._of(info, url) if info.get("type", "file") == "file" else None

    def inside(self, url: str, depth: int | None = None) -> list[Found]:
        """Return the files under a folder, in order; none if there is no such folder.

        Parameters
        ----------
        url : str
        depth : int, optional
            1: without its subfolders.
        """

        def look() -> dict[str, Any]:
            found: dict[str, Any] = self._system.find(
                self._key(url), maxdepth=depth, withdirs=False, detail=True
            )
            return found

        try:
            return self._listed(self._try("list", url, look))
        except _NotThereError:
            return []

    def matching(self, pattern: str) -> list[tuple[str, bool]]:
        """Return the addresses that match a pattern, in order, and which of them are folders."""

        def look() -> dict[str, Any]:
            found: dict[str, Any] = self._system.glob(self._key(pattern), detail=True)
            return found

        try:
            found = self._try("list", pattern, look)
        except _NotThereError:
            return []
        return sorted((self._url(k), info.get("type") == "directory") for k, info in found.items())

    def start(self, url: str, n_bytes: int) -> bytes:
        """Return the first bytes of a file."""

        def read() -> bytes:
            head: bytes = self._system.cat_file(self._key(url), start=0, end=n_bytes)
            return head

        return self._try("read", url, read)

    def copy(self, file: Found, path: Path) -> None:
        """Copy a file to a path, and refuse one that turns out longer or shorter than it was."""

        def fetch() -> None:
            self._system.get_file(self._key(file.url), str(path))
            if path.stat().st_size != file.size:
                raise OSError(errno.EIO, "cut short")

        self._try("read", file.url, fetch)
        now = self.found(file.url)
        if now != file:
            raise RecordingError(f"{shown(file.url)} changed while it was read; try it again")

    def _key(self, url: str) -> str:
        return str(self._system._strip_protocol(url))

    def _url(self, name: str) -> str:
        return str(name) if "://" in str(name) else f"{self._scheme}://{str(name).lstrip('/')}"

    def _of(self, info: dict[str, Any], url: str) -> Found:
        version = next((str(info[key]) for key in _VERSIONS if info.get(key)), None)
        if info.get("size") is None:
            raise RecordingError(f"{shown(url)} does not tell its size; copy the recording here")
        return Found(url, int(info["size"]), version)

    def _listed(self, found: dict[str, Any]) -> list[Found]:
        files = [self._of(info, self._url(name)) for name, info in found.items()]
        return sorted(
            (file for file in files if "" not in steps_of(file.url)), key=lambda file: file.url
        )

    def _try(self, doing: str, url: str, function: Callable[[], Result]) -> Result:
        """Call a function of the library below; retry what may pass, and put the rest in words."""

        def attempt() -> Result:
            try:
                return function()
            except Exception as error:
                reason = _sorted(error)
            raise reason  # outside of the handler: what it came from quotes more than it should

        try:
            return with_retries(attempt)
        except OSError as error:
            number = error.errno
        if number == errno.ENOENT:
            raise _NotThereError(f"there is no {shown(url)}; check the address")
        if number == errno.EACCES:
            raise RecordingError(
                f"cannot {doing} {shown(url)}: access is refused or no credentials were found; "
                "set them as for other tools (for S3 a profile or AWS_ACCESS_KEY_ID)"
            )
        why = "the connection failed" if number == errno.EIO else "the store refuses it"
        raise RecordingError(f"cannot {doing} {shown(url)}: {why}; check the address and try again")


class _NotThereError(RecordingError):
    """Nothing lies at an address."""


def shown(url: str) -> str:
    """Return a checked address for a message: its protocol and its last step."""
    scheme, _, _ = url.partition("://")
    return f"{scheme}://.../{steps_of(url)[-1]}"


def _sorted(error: Exception) -> OSError:
    """Return what an error of any of the libraries means, by number and without its text."""
    for cause in _chain(error):
        name, status = type(cause).__name__, _status(cause)
        if isinstance(cause, FileNotFoundError) or status == 404:
            return OSError(errno.ENOENT, "")
        if isinstance(cause, PermissionError) or name in _REFUSING or status in (401, 403):
            return OSError(errno.EACCES, "")
        passing = name in _PASSING or isinstance(cause, TimeoutError | ConnectionError)
        if passing or is_passing(cause) or status in _BUSY:
            return OSError(errno.EIO, "")
    if isinstance(error, OSError) and error.errno == errno.EBUSY:  # s3fs: slow down
        return OSError(errno.EIO, "")
    return OSError(errno.EINVAL, "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that an error of botocore or aiohttp carries."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        code = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return code if isinstance(code, int) else None
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None
