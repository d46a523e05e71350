"""The log of one run among those of many, in a PostgreSQL database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from pipelines.errors import ReviewError
from pipelines.store.chain import FIRST_HASH, Head
from pipelines.store.events import Kind
from pipelines.store.faults import NAME, LostAtCommitError
from pipelines.store.log import Row
from pipelines.store.schema import DECISION_LAYOUT, ENTRIES, EVENT_LAYOUT
from pipelines.store.server import Server

Fetch = Callable[[sa.Select[Any]], list[dict[str, Any]]]


class PostgresSession:
    """Looks at one run's log, one query each time.

    Parameters
    ----------
    run_id : str
    fetch : callable
        Answers a query with rows.
    """

    def __init__(self, run_id: str, fetch: Fetch) -> None:
        self._run_id = run_id
        self._fetch = fetch

    def rows(
        self,
        *,
        recording_id: str | None = None,
        kinds: Sequence[Kind] | None = None,
        number: int | None = None,
    ) -> list[Row]:
        """Return entries in order; see :class:`pipelines.store.log.Reader`."""
        columns = ENTRIES.c
        query = sa.select(ENTRIES).where(columns.run_id == self._run_id).order_by(columns.number)
        if recording_id is not None:
            query = query.where(columns.recording_id == recording_id)
        if kinds is not None:
            query = query.where(columns.kind.in_(kinds))
        if number is not None:
            query = query.where(columns.number == number)
        return [_as_written(row) for row in self._fetch(query)]

    def head(self) -> Head:
        """Return how far the log goes."""
        columns = ENTRIES.c
        query = sa.select(columns.number, columns.hash).where(columns.run_id == self._run_id)
        last = self._fetch(query.order_by(columns.number.desc()).limit(1))
        return Head(last[0]["number"], last[0]["hash"]) if last else Head(0, FIRST_HASH)


class PostgresWriter(PostgresSession):
    """Looks at one run's log and adds to it, within a transaction that holds the run's lock."""

    def __init__(self, run_id: str, connection: sa.Connection) -> None:
        super().__init__(run_id, lambda q: [dict(r) for r in connection.execute(q).mappings()])
        self._connection = connection
        self.last: Mapping[str, Any] | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Add an entry, as a file of either version holds it."""
        self.add_all([row])

    def add_all(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add entries at once."""
        kept = [{"run_id": self._run_id, **_as_kept(row)} for row in rows]
        if kept:
            self._connection.execute(sa.insert(ENTRIES), kept)
            self.last = rows[-1]


class PostgresLog:
    """The log of one run; its tables come with the first transaction that writes.

    Writers of one run wait for each other (an advisory lock), those of different runs do not.

    Parameters
    ----------
    server : Server
    run_id : str
        As ``run.json`` has it.
    """

    def __init__(self, server: Server, run_id: str) -> None:
        self.name = "the review log"
        self.identity = f"{server.identity}#{run_id}"
        self._server = server
        self._run_id = run_id
        digest = hashlib.sha256(f"rarewave reviews {run_id}".encode()).digest()
        self._lock = int.from_bytes(digest[:8], "big", signed=True)

    @contextmanager
    def reading(self) -> Iterator[PostgresSession | None]:
        """Open it for reading; None where no run has written yet."""
        ready = self._server.is_ready()
        yield PostgresSession(self._run_id, self._server.fetch) if ready else None

    @contextmanager
    def writing(self) -> Iterator[PostgresWriter]:
        """Open the one transaction that may write to this run's log; others wait, at most 30 s."""
        self._server.prepare()
        writer: PostgresWriter | None = None
        try:
            with self._server.transaction(self._lock) as connection:
                writer = PostgresWriter(self._run_id, connection)
                yield writer
        except LostAtCommitError as error:
            self._settle(writer, error)

    def _settle(self, writer: PostgresWriter | None, error: Exception) -> None:
        """Find out whether a transaction counts whose end was not heard; else say so."""
        if writer is None or writer.last is None:
            return
        try:
            with self._server.transaction(self._lock) as connection:  # waits for that one's end
                rows = PostgresWriter(self._run_id, connection).rows(number=writer.last["number"])
        except (ReviewError, LostAtCommitError) as later:
            raise ReviewError(
                f"the connection to {NAME} was lost while an entry was saved, and it is not known "
                "whether it is there; look before you decide again"
            ) from later
        if not rows or rows[0]["hash"] != writer.last["hash"]:
            raise ReviewError(
                f"the connection to {NAME} was lost; nothing of what was being saved is there, "
                "try again"
            ) from error


def _as_kept(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of the table for an entry of either version."""
    if "kind" in row:
        return {**row, "layout": EVENT_LAYOUT}
    kept = {k: v for k, v in row.items() if k not in ("verdict", "comment", "decided_at")}
    content = json.dumps({"comment": row["comment"], "verdict": row["verdict"]})
    return {
        **kept,
        "layout": DECISION_LAYOUT,
        "kind": "verdict",
        "content": content,
        "at": row["decided_at"],
    }


def _as_written(row: Mapping[str, Any]) -> Row:
    """Return an entry as the file of its version holds it: what its hash was made from."""
    event = {k: v for k, v in row.items() if k not in ("run_id", "layout")}
    if row["layout"] != DECISION_LAYOUT:
        return event
    del event["kind"]
    try:
        content = json.loads(event.pop("content"))
    except ValueError:  # somebody changed it: the hash will not fit
        content = {}
    said = {"verdict": content.get("verdict"), "comment": content.get("comment")}
    return {**event, **said, "decided_at": event.pop("at")}
