"""What people decided about the segments of a run: an append-only SQLite file.

A decision is never changed or removed; a later one about the same segment supersedes it. Each row
carries the SHA-256 of the row before it, so that :meth:`ReviewStore.verify` finds any row that
was altered afterwards. The file is in WAL mode with full synchronisation: what
:meth:`ReviewStore.record` has returned survives a crash, and several processes may write at once.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

import sqlalchemy as sa

from pipelines.errors import ReviewError

Verdict = Literal["accepted", "rejected", "unsure", "undecided"]
VERDICTS: Final[tuple[str, ...]] = get_args(Verdict)
MAX_COMMENT: Final = 2000
"""Most characters of a comment."""
MAX_USER: Final = 100
"""Most characters of a user's name."""
SCHEMA_VERSION: Final = 1
_MAX_ID: Final = 1000
_APPLICATION_ID: Final = 0x52415245
_BUSY_S: Final = 30.0
_FIRST_HASH: Final = "0" * 64

_DECISIONS: Final = sa.Table(
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
    sa.Index("decisions_by_segment", "recording_id", "segment_id", "number"),
)
_CONTENT: Final = ("recording_id", "segment_id", "verdict", "comment", "user", "decided_at")


@dataclass(frozen=True)
class Decision:
    """One decision of one person about one segment.

    Attributes
    ----------
    recording_id, segment_id : str
    verdict : str
        ``"accepted"``, ``"rejected"``, ``"unsure"`` or ``"undecided"`` (a decision taken back).
    comment : str
        Free text, possibly empty. Untrusted: escape it wherever it is shown.
    user : str
    decided_at : datetime.datetime
        UTC, aware.
    """

    recording_id: str
    segment_id: str
    verdict: Verdict
    comment: str
    user: str
    decided_at: datetime


class ReviewStore:
    """Decisions in one SQLite file, which is created by the first :meth:`record`.

    Parameters
    ----------
    path : pathlib.Path
        ``reviews.sqlite`` of a run. Its folder must be on a local disk (WAL).
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def record(
        self, recording_id: str, segment_id: str, verdict: str, comment: str, user: str
    ) -> Decision:
        """Append a decision and return it once it is safely on disk.

        Raises
        ------
        ReviewError
            If the verdict is unknown, a text is too long or not storable, the file is damaged,
            of a newer version, or stays locked by another process for 30 s.
        """
        if verdict not in VERDICTS:
            raise ReviewError(f"unknown verdict {verdict!r}; accepted: {', '.join(VERDICTS)}")
        _check_text("recording_id", recording_id, _MAX_ID)
        _check_text("segment_id", segment_id, _MAX_ID)
        _check_text("comment", comment, MAX_COMMENT, may_be_empty=True)
        _check_text("user", user, MAX_USER)
        with self._connection(for_writing=True) as connection:
            last = connection.execute(
                sa.select(_DECISIONS.c.number, _DECISIONS.c.hash)
                .order_by(_DECISIONS.c.number.desc())
                .limit(1)
            ).first()
            row: dict[str, Any] = {
                "number": last.number + 1 if last else 1,
                "recording_id": recording_id,
                "segment_id": segment_id,
                "verdict": verdict,
                "comment": comment,
                "user": user,
                "decided_at": datetime.now(UTC).isoformat(timespec="microseconds"),
                "previous_hash": last.hash if last else _FIRST_HASH,
            }
            row["hash"] = _hash(row)
            connection.execute(sa.insert(_DECISIONS).values(row))
        return _decision(row)

    def latest(self, recording_id: str | None = None) -> dict[tuple[str, str], Decision]:
        """Return the last decision of each ``(recording_id, segment_id)``.

        Parameters
        ----------
        recording_id : str, optional
            Only this recording.
        """
        query = sa.select(_DECISIONS).order_by(_DECISIONS.c.number)
        if recording_id is not None:
            query = query.where(_DECISIONS.c.recording_id == recording_id)
        return {(d.recording_id, d.segment_id): d for d in map(_decision, self._rows(query))}

    def history(self, recording_id: str, segment_id: str) -> tuple[Decision, ...]:
        """Return every decision about one segment, oldest first."""
        query = (
            sa.select(_DECISIONS)
            .where(_DECISIONS.c.recording_id == recording_id)
            .where(_DECISIONS.c.segment_id == segment_id)
            .order_by(_DECISIONS.c.number)
        )
        return tuple(map(_decision, self._rows(query)))

    def verify(self) -> int:
        """Check the chain of hashes and return the number of decisions.

        A row changed, inserted or removed by hand is found; rows cut off at the very end are not,
        unless the number of decisions was noted elsewhere.

        Raises
        ------
        ReviewError
            Naming the first decision that does not fit the one before it.
        """
        rows = self._rows(sa.select(_DECISIONS).order_by(_DECISIONS.c.number))
        previous = _FIRST_HASH
        for number, row in enumerate(rows, start=1):
            true = {**row, "number": number, "previous_hash": previous}
            if row["number"] != number or row["hash"] != _hash(true):
                raise ReviewError(
                    f"decision {number} in {self.path.name} was altered after it was recorded; "
                    "compare the file with a backup"
                )
            previous = row["hash"]
        return len(rows)

    def _rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        with self._connection(for_writing=False) as connection:
            if not _has_schema(connection, self.path):
                return []
            return [dict(row) for row in connection.execute(query).mappings()]

    @contextmanager
    def _connection(self, *, for_writing: bool) -> Iterator[sa.Connection]:
        """Open the file for one transaction, and say what is wrong where that fails."""
        engine = sa.create_engine(
            "sqlite://", creator=self._connect, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT"
        )
        try:
            if for_writing:
                self._prepare()
            with engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE" if for_writing else "BEGIN")
                try:
                    if for_writing and not _has_schema(connection, self.path):
                        _create_schema(connection)
                    yield connection
                except BaseException:
                    connection.exec_driver_sql("ROLLBACK")
                    raise
                connection.exec_driver_sql("COMMIT")
        except (sa.exc.DBAPIError, sqlite3.Error, OSError) as error:
            raise self._explained(error) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _prepare(self) -> None:
        """Create the file in WAL mode; its tables come with the first transaction."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect()) as raw:
            if raw.execute("PRAGMA user_version").fetchone()[0] == 0:
                raw.execute("PRAGMA journal_mode=WAL")

    def _explained(self, error: Exception) -> ReviewError:
        text = str(getattr(error, "orig", None) or error)
        if "locked" in text or "busy" in text:
            return ReviewError(
                f"{self.path.name} is locked by another process; close it there and try again"
            )
        if "not a database" in text or "malformed" in text:
            return ReviewError(
                f"{self.path.name} is damaged ({text}); move it away and restore a backup"
            )
        return ReviewError(
            f"cannot use {self.path.name} ({text}); check free space and that you may write there"
        )


def _has_schema(connection: sa.Connection, path: Path) -> bool:
    """Return False for a file without content; refuse another program's or a newer file."""
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    if version > SCHEMA_VERSION and application == _APPLICATION_ID:
        raise ReviewError(
            f"{path.name} has schema version {version}, this Rarewave knows up to "
            f"{SCHEMA_VERSION}; update Rarewave"
        )
    if application == _APPLICATION_ID and version == SCHEMA_VERSION:
        return True
    if connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
        raise ReviewError(f"{path.name} was not written by Rarewave; move it away")
    return False


def _create_schema(connection: sa.Connection) -> None:
    _DECISIONS.metadata.create_all(connection)
    for action in ("UPDATE", "DELETE"):
        connection.exec_driver_sql(
            f"CREATE TRIGGER no_{action.lower()} BEFORE {action} ON decisions "
            "BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END"
        )
    connection.exec_driver_sql(f"PRAGMA application_id={_APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")


def _check_text(what: str, text: str, longest: int, *, may_be_empty: bool = False) -> None:
    if not text.strip() and not may_be_empty:
        raise ReviewError(f"the {what} of a decision is empty; give 1 to {longest} characters")
    if len(text) > longest:
        raise ReviewError(f"the {what} has {len(text)} characters; at most {longest} are kept")
    if "\x00" in text or not text.encode("utf-8", "ignore").decode() == text:
        raise ReviewError(f"the {what} holds a character that cannot be stored; remove it")


def _hash(row: dict[str, Any]) -> str:
    content = [row["previous_hash"], row["number"], *(row[name] for name in _CONTENT)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _decision(row: dict[str, Any]) -> Decision:
    values = {name: row[name] for name in _CONTENT}
    return Decision(**{**values, "decided_at": datetime.fromisoformat(row["decided_at"])})
