"""A PostgreSQL server: connections that are used again, transactions, and the schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import sqlalchemy as sa

from pipelines.errors import ReviewError
from pipelines.store.address import Address
from pipelines.store.faults import (
    MISSING_TABLE,
    NAME,
    LostAtCommitError,
    code_of,
    explaining,
    notice_loss,
    unreachable,
)
from pipelines.store.schema import STEPS, VERSIONS

_LOCK_S, _IDLE_S = 30, 60
_CONNECTIONS, _MORE = 5, 15
_MIGRATING: Final = 0x52415245


class Server:
    """A database that keeps the review logs of many runs.

    Share one between threads; it keeps up to 20 connections and makes none before it is used.

    Parameters
    ----------
    address : Address

    Raises
    ------
    ReviewError
        If the driver is not installed.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._is_known = False
        try:
            self._engine = sa.create_engine(
                "postgresql+pg8000://",
                creator=self._connect,
                isolation_level="AUTOCOMMIT",
                pool_size=_CONNECTIONS,
                max_overflow=_MORE,
                pool_timeout=_LOCK_S,
                hide_parameters=True,
            )
        except ImportError:
            raise ReviewError(
                "reviews in PostgreSQL need the driver pg8000, which is not installed; "
                "pip install 'rarewave[postgres]'"
            ) from None
        sa.event.listen(self._engine, "handle_error", notice_loss)

    @property
    def identity(self) -> str:
        """A name that tells this database from others; without the password."""
        return self._address.identity

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._engine.dispose()

    def fetch(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """Return rows; a connection that has died since it was last used is replaced."""
        with explaining():
            for last in (False, True):
                try:
                    with self._engine.connect() as connection:
                        return [dict(row) for row in connection.execute(query).mappings()]
                except sa.exc.DBAPIError as error:
                    if last or not error.connection_invalidated:
                        raise
        return []

    def is_ready(self) -> bool:
        """Return True if the tables are there; refuse those of a newer Rarewave."""
        if not self._is_known:
            version = self._version()
            if version > len(STEPS):
                raise ReviewError(
                    f"{NAME} has schema version {version}, this Rarewave knows up to {len(STEPS)}; "
                    "update Rarewave"
                )
            if 0 < version < len(STEPS):
                return True  # can be read, but has to be migrated before it is written
            self._is_known = version == len(STEPS)
        return self._is_known

    def prepare(self) -> None:
        """Make the tables, or bring them up to date."""
        if self.is_ready() and self._is_known:
            return
        with self.transaction(_MIGRATING) as connection:
            version = 0
            found = "SELECT to_regclass('rarewave_schema') IS NOT NULL"
            if connection.exec_driver_sql(found).scalar_one():
                query = sa.select(sa.func.max(VERSIONS.c.version))
                version = connection.execute(query).scalar() or 0
            for number, step in enumerate(STEPS[version:], start=version + 1):
                for statement in step:
                    connection.exec_driver_sql(statement)
                connection.execute(sa.insert(VERSIONS).values(version=number))
        self._is_known = True

    @contextmanager
    def transaction(self, lock: int) -> Iterator[sa.Connection]:
        """Open a transaction once nobody else holds its lock; it ends as a whole or not at all."""
        with (
            explaining(),
            self._begun(f"BEGIN; SELECT pg_advisory_xact_lock({lock})") as connection,
        ):
            try:
                yield connection
            except BaseException:
                with suppress(sa.exc.SQLAlchemyError):  # a lost connection rolls back by itself
                    connection.exec_driver_sql("ROLLBACK")
                raise
            try:
                connection.exec_driver_sql("COMMIT")
            except sa.exc.DBAPIError as error:
                if error.connection_invalidated:
                    raise LostAtCommitError from error
                raise

    @contextmanager
    def _begun(self, begin: str) -> Iterator[sa.Connection]:
        """Connect and begin; a connection that has died since it was last used is replaced."""
        connection = self._engine.connect()
        try:
            try:
                connection.exec_driver_sql(begin)
            except sa.exc.DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                connection.close()
                connection = self._engine.connect()
                connection.exec_driver_sql(begin)
            yield connection
        finally:
            connection.close()

    def _version(self) -> int:
        try:
            (row,) = self.fetch(sa.select(sa.func.max(VERSIONS.c.version).label("version")))
        except ReviewError as error:
            if isinstance(error.__cause__, sa.exc.DBAPIError) and (
                code_of(error.__cause__) == MISSING_TABLE
            ):
                return 0
            raise
        return int(row["version"] or 0)

    def _connect(self) -> Any:
        import pg8000

        arguments = self._address.arguments()
        try:
            channel = self._address.connect()
        except OSError as error:
            raise unreachable(error) from None
        try:
            connection = pg8000.Connection(**arguments, sock=channel)
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(
                f"SELECT set_config('lock_timeout', '{_LOCK_S}s', false),"
                f" set_config('idle_in_transaction_session_timeout', '{_IDLE_S}s', false)"
            )
            cursor.close()
        except BaseException as error:
            channel.close()
            if isinstance(error, (pg8000.Error, OSError)):
                raise unreachable(error) from None
            raise
        return connection
