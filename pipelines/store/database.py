"""The file behind a review log: SQLite in WAL mode, tables that refuse UPDATE and DELETE.

Version 1 of the file had a table ``decisions``. Version 2 adds ``events`` and continues the same
numbering and the same chain of hashes; the old rows stay where they are, unchanged. That step is
one CREATE TABLE within the first write, so a migration tool with a table of its own would only add
something that can be altered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from pipelines.errors import ReviewError
from pipelines.store.chain import FIRST_HASH, Head
from pipelines.store.events import Kind
from pipelines.store.log import Row

SCHEMA_VERSION: Final = 2
_APPLICATION_ID: Final = 0x52415245
_BUSY_S: Final = 30.0

DECISIONS: Final = sa.Table(
    "decisions",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("recording_id", sa.Text, nullable=False),
    sa.Column("segment_id", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("decided_at", sa.Text, nullable=False),
    sa.Column("previous_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
"""What version 1 wrote; only read any more."""
EVENTS: Final = sa.Table(
    "events",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("recording_id", sa.Text, nullable=False),
    sa.Column("segment_id", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("previous_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index("events_by_recording", "recording_id", "number"),
    sa.Index("events_by_kind", "kind", "recording_id", "number"),
)


class SqliteSession:
    """One transaction on a file: the old decisions come before the events.

    Parameters
    ----------
    connection : sqlalchemy.Connection
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        known = set(sa.inspect(connection).get_table_names())
        self._tables = [table for table in (DECISIONS, EVENTS) if table.name in known]

    def rows(
        self,
        *,
        recording_id: str | None = None,
        kinds: Sequence[Kind] | None = None,
        number: int | None = None,
    ) -> list[Row]:
        """Return entries in order; see :class:`pipelines.store.log.Reader`."""
        found: list[Row] = []
        for table in self._tables:
            if table is DECISIONS and kinds is not None and "verdict" not in kinds:
                continue
            query = sa.select(table).order_by(table.c.number)
            if recording_id is not None:
                query = query.where(table.c.recording_id == recording_id)
            if number is not None:
                query = query.where(table.c.number == number)
            if kinds is not None and table is EVENTS:
                query = query.where(table.c.kind.in_(kinds))
            found += (dict(row) for row in self._connection.execute(query).mappings())
        return found

    def head(self) -> Head:
        """Return how far the log goes."""
        for table in reversed(self._tables):
            query = sa.select(table.c.number, table.c.hash).order_by(table.c.number.desc()).limit(1)
            last = self._connection.execute(query).first()
            if last is not None:
                return Head(last.number, last.hash)
        return Head(0, FIRST_HASH)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add an event."""
        self._connection.execute(sa.insert(EVENTS).values(dict(row)))


class SqliteFile:
    """One SQLite file; it is created by the first transaction that writes.

    Parameters
    ----------
    path : pathlib.Path
        On a local disk (WAL).
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.identity = str(self.path.absolute())
        self._engine = sa.create_engine(
            "sqlite://", creator=self._connect, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT"
        )

    @contextmanager
    def reading(self) -> Iterator[SqliteSession | None]:
        """Open a transaction that reads; None where nothing was written yet."""
        if not self.path.is_file():
            yield None
            return
        with self._transaction("BEGIN") as connection:
            yield SqliteSession(connection) if self._version(connection) else None

    @contextmanager
    def writing(self) -> Iterator[SqliteSession]:
        """Open the one transaction that may write; everybody else waits, at most 30 s."""
        with self._explaining():
            self._prepare()
        with self._transaction("BEGIN IMMEDIATE") as connection:
            if self._version(connection) < SCHEMA_VERSION:
                _create(connection)
            yield SqliteSession(connection)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sa.Connection]:
        with self._explaining(), self._engine.connect() as connection:
            connection.exec_driver_sql(begin)
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _prepare(self) -> None:
        """Create the file in WAL mode; its tables come with the first transaction."""
        if self.path.is_file() and self.path.stat().st_size:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect()) as raw:
            raw.execute("PRAGMA journal_mode=WAL")

    def _version(self, connection: sa.Connection) -> int:
        """Return the schema's version, 0 for an empty file; refuse another program's or a newer."""
        version: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        if application == _APPLICATION_ID and version > SCHEMA_VERSION:
            raise ReviewError(
                f"{self.name} has schema version {version}, this Rarewave knows up to "
                f"{SCHEMA_VERSION}; update Rarewave"
            )
        if application == _APPLICATION_ID and version:
            return version
        if connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
            raise ReviewError(f"{self.name} was not written by Rarewave; move it away")
        return 0

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.DBAPIError, sqlite3.Error, OSError) as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> ReviewError:
        text = str(getattr(error, "orig", None) or error)
        if "locked" in text or "busy" in text:
            return ReviewError(
                f"{self.name} is locked by another process; close it there and try again"
            )
        if "not a database" in text or "malformed" in text:
            return ReviewError(
                f"{self.name} is damaged ({text}); move it away and restore a backup"
            )
        return ReviewError(
            f"cannot use {self.name} ({text}); check free space and that you may write there"
        )


def _create(connection: sa.Connection) -> None:
    EVENTS.metadata.create_all(connection)
    for action in ("UPDATE", "DELETE"):
        connection.exec_driver_sql(
            f"CREATE TRIGGER events_no_{action.lower()} BEFORE {action} ON events "
            "BEGIN SELECT RAISE(ABORT, 'events are append-only'); END"
        )
    connection.exec_driver_sql(f"PRAGMA application_id={_APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
