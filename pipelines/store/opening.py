"""Where a run's review log is: in a file of its own, or in the database that a URL names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipelines.errors import ReviewError
from pipelines.store.address import Address, given_url
from pipelines.store.chain import Head
from pipelines.store.database import SqliteFile
from pipelines.store.postgres import PostgresLog
from pipelines.store.reviews import ReviewStore
from pipelines.store.server import Server

if TYPE_CHECKING:
    from pipelines.run_folder import RunFolder


def server_at(url: str | None = None) -> Server | None:
    """Return the database of a URL, by default of ``RAREWAVE_REVIEWS_URL``; None without one.

    Nothing is connected yet. Keep what you get: it holds connections that are used again.

    Raises
    ------
    ReviewError
        If the URL is wrong or the driver is missing; the URL is not repeated.
    """
    url = given_url(url)
    return None if url is None else Server(Address.parse(url))


def open_reviews(
    run: RunFolder, server: Server | None = None, manifest: Mapping[str, Any] | None = None
) -> ReviewStore:
    """Return the review log of a run; nothing is made or connected yet.

    Parameters
    ----------
    run : RunFolder
    server : Server, optional
        What :func:`server_at` returned; None: ``reviews.sqlite`` in the run.
    manifest : mapping, optional
        The run's ``run.json``, if it is at hand.
    """
    if server is None:
        return ReviewStore(run.reviews_path)
    return ReviewStore(run.reviews_path, _log(run, server, manifest))


@contextmanager
def reviews_of(
    run: RunFolder, url: str | None = None, manifest: Mapping[str, Any] | None = None
) -> Iterator[ReviewStore]:
    """Open the review log of a run for a while, at a URL (see :func:`server_at`) or in its file."""
    server = server_at(url)
    try:
        yield open_reviews(run, server, manifest)
    finally:
        if server is not None:
            server.close()


def copy_reviews(run: RunFolder, server: Server) -> Head:
    """Copy a run's log from its file to a database, hashes and all; return how far it goes there.

    The file stays as it is. What was copied before is not copied again.

    Raises
    ------
    ReviewError
        If the file was altered, or the database has other entries for this run.
    """
    ReviewStore(run.reviews_path).verify()
    with SqliteFile(run.reviews_path).reading() as file:
        rows = [] if file is None else file.rows()
    log = _log(run, server)
    with log.writing() as writer:
        there = [row["hash"] for row in writer.rows()]
        if there[: len(rows)] != [row["hash"] for row in rows][: len(there)]:
            raise ReviewError(
                "the review database has other entries for this run than its reviews.sqlite; "
                "decide which of both counts, and move the file away if it is the database"
            )
        writer.add_all(rows[len(there) :])
    return ReviewStore(run.reviews_path, log).verify()


def _log(run: RunFolder, server: Server, manifest: Mapping[str, Any] | None = None) -> PostgresLog:
    from pipelines.run_folder import run_id_of

    return PostgresLog(server, run_id_of(run.manifest() if manifest is None else manifest))
