"""The log of a run's review: everything that people did is added to it, nothing is ever changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from pipelines.errors import ReviewError
from pipelines.store import chain, folding
from pipelines.store.chain import FIRST_HASH, Head
from pipelines.store.database import DECISIONS, EVENTS, SqliteFile, tables
from pipelines.store.events import (
    MAX_ID,
    MAX_USER,
    OF_SEGMENTS,
    ROLES,
    UNDOABLE,
    Event,
    Kind,
    check_text,
    checked,
)
from pipelines.store.folding import Decision, Key

_NEEDED: Final = {
    "adjudication": "adjudicator",
    "assign": "adjudicator",
    "reading": "admin",
    "role": "admin",
}
"""The least role for a kind of event; for all others a reader."""
_OF_ONE: Final = {*UNDOABLE} - {"added", "group"}


class ReviewStore:
    """The review log of a run, in a file that :meth:`create` or the first :meth:`append` makes.

    Several processes may write at once: each waits for the others, and what :meth:`append` has
    returned survives a crash.

    Parameters
    ----------
    path : pathlib.Path
        ``reviews.sqlite`` of a run, on a local disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._database = SqliteFile(self.path)

    def create(self) -> None:
        """Make the log, without an entry; a file that is there already is left alone.

        Raises
        ------
        ReviewError
            If it cannot be made there.
        """
        if not self.path.exists():
            with self._database.writing():
                pass

    def append(
        self,
        kind: Kind,
        user: str,
        *,
        recording_id: str = "",
        segment_id: str = "",
        **content: Any,
    ) -> Event:
        """Add an event and return it once it is safely on disk.

        Parameters
        ----------
        kind : str
        user : str
            Who did it.
        recording_id, segment_id : str
            What it is about. An added event gets its segment_id here.
        **content
            What was done; see :mod:`pipelines.store.events`. ``seen``, the number of the last
            event that the user had before his eyes, lets two decisions made at once be told from
            a decision that corrects another.

        Raises
        ------
        ReviewError
            If something of it cannot be stored, the recording is signed off, the user's role
            does not allow it, or the file is damaged, of a newer version, or stays locked 30 s.
        """
        given = {name: value for name, value in content.items() if value is not None}
        text = checked(kind, given)
        check_text("user", user, MAX_USER)
        check_text("recording_id", recording_id, MAX_ID, may_be_empty=kind in ("reading", "role"))
        check_text("segment_id", segment_id, MAX_ID, may_be_empty=kind not in _OF_ONE)
        with self._database.writing() as connection:
            _check_role(connection, kind, user, given)
            if kind in OF_SEGMENTS:
                _check_open(connection, recording_id)
            if kind == "undo":
                segment_id = _check_undo(connection, recording_id, user, given["undoes"])
            last = _head(connection)
            if kind == "added":
                segment_id = f"{recording_id}+{last.n_entries + 1}"
            row: dict[str, Any] = {
                "number": last.n_entries + 1,
                "kind": kind,
                "recording_id": recording_id,
                "segment_id": segment_id,
                "content": text,
                "user": user,
                "at": datetime.now(UTC).isoformat(timespec="microseconds"),
                "previous_hash": last.hash,
            }
            row["hash"] = chain.row_hash(row)
            connection.execute(sa.insert(EVENTS).values(row))
        chain.note(chain.sidecar_of(self.path), Head(row["number"], row["hash"]))
        return _event(row)

    def record(
        self,
        recording_id: str,
        segment_id: str,
        verdict: str,
        comment: str,
        user: str,
        **more: Any,
    ) -> Decision:
        """Append a verdict and return what is now decided about its segment."""
        self.append(
            "verdict",
            user,
            recording_id=recording_id,
            segment_id=segment_id,
            verdict=verdict,
            comment=comment,
            **more,
        )
        return self.latest(recording_id)[recording_id, segment_id]

    def undo(self, recording_id: str, user: str) -> Event | None:
        """Take back the last thing that a user did to a recording's segments.

        What held before it holds again; both stay in the log. Returns what was taken back, or
        None if there is nothing.
        """
        target = folding.last_undoable(self.events(recording_id), user)
        if target is None:
            return None
        self.append("undo", user, recording_id=recording_id, undoes=target.number)
        return target

    def events(
        self, recording_id: str | None = None, *, kinds: Sequence[Kind] | None = None
    ) -> tuple[Event, ...]:
        """Return events in order, also those of version 1 (all of them verdicts).

        Parameters
        ----------
        recording_id : str, optional
            Only this recording.
        kinds : sequence of str, optional
            Only these kinds.
        """
        with self._database.reading() as connection:
            if connection is None:
                return ()
            found: list[Event] = []
            known = tables(connection)
            for table in (DECISIONS, EVENTS):
                if table.name not in known:
                    continue
                query = sa.select(table).order_by(table.c.number)
                if recording_id is not None:
                    query = query.where(table.c.recording_id == recording_id)
                if kinds is not None and table is EVENTS:
                    query = query.where(table.c.kind.in_(kinds))
                rows = connection.execute(query).mappings()
                found += (_event(dict(row)) for row in rows)
        return tuple(e for e in found if kinds is None or e.kind in kinds)

    def latest(self, recording_id: str | None = None) -> dict[Key, Decision]:
        """Return the present decision about each ``(recording_id, segment_id)``."""
        return folding.fold(self.events(recording_id))

    def history(self, recording_id: str, segment_id: str) -> tuple[Event, ...]:
        """Return every event about one segment, oldest first, what was taken back included."""
        return tuple(
            event
            for event in self.events(recording_id)
            if segment_id == event.segment_id or segment_id in event.content.get("segments", ())
        )

    def head(self) -> Head:
        """Return how far the log goes: a receipt, against which :meth:`verify` can check it."""
        with self._database.reading() as connection:
            return Head(0, FIRST_HASH) if connection is None else _head(connection)

    def verify(self, receipt: Head | None = None) -> Head:
        """Check the chain of hashes and return how far it goes.

        An entry changed, inserted or removed within the log is found. Entries cut off its end are
        found against the sidecar (unless that was changed as well) or against a `receipt`.

        Raises
        ------
        ReviewError
            Naming the first entry that does not fit, or how many are missing.
        """
        sidecar = chain.noted(chain.sidecar_of(self.path))
        rows = self._rows()
        if receipt is not None:
            chain.follow(rows, self.path.name, receipt)
        return chain.follow(rows, self.path.name, sidecar)

    def roles(self) -> dict[str, str]:
        """Return the role of each user who has one; empty: nobody has, and all may do all."""
        events = self.events(kinds=["role"])
        return {str(e.content["name"]): str(e.content["role"]) for e in events}

    def _rows(self) -> list[dict[str, Any]]:
        """Return all entries as they are stored."""
        with self._database.reading() as connection:
            if connection is None:
                return []
            known = tables(connection)
            rows: list[dict[str, Any]] = []
            for table in (DECISIONS, EVENTS):
                if table.name in known:
                    query = sa.select(table).order_by(table.c.number)
                    rows += (dict(row) for row in connection.execute(query).mappings())
            return rows


def may(roles: dict[str, str], user: str, kind: Kind) -> bool:
    """Return True if a user's role allows a kind of event; without any roles all may do all."""
    if not roles:
        return True
    needed = _NEEDED.get(kind, "reader")
    return ROLES.index(roles.get(user, "viewer")) >= ROLES.index(needed)


def _check_role(connection: sa.Connection, kind: Kind, user: str, content: dict[str, Any]) -> None:
    query = sa.select(EVENTS.c.content).where(EVENTS.c.kind == "role").order_by(EVENTS.c.number)
    rows = [json.loads(text) for text in connection.execute(query).scalars()]
    roles = {row["name"]: row["role"] for row in rows}
    if not may(roles, user, kind):
        raise ReviewError(
            f"the role {roles.get(user, 'viewer')!r} does not allow a {kind.replace('_', ' ')}; "
            f"it needs {_NEEDED.get(kind, 'reader')!r}, ask an admin of this review"
        )
    if kind == "role" and "admin" not in {**roles, content["name"]: content["role"]}.values():
        raise ReviewError("a review with roles needs an admin; give somebody that role first")


def _check_open(connection: sa.Connection, recording_id: str) -> None:
    query = (
        sa.select(EVENTS.c.kind)
        .where(EVENTS.c.recording_id == recording_id)
        .where(EVENTS.c.kind.in_(("sign_off", "reopen")))
        .order_by(EVENTS.c.number.desc())
        .limit(1)
    )
    if connection.execute(query).scalar() == "sign_off":
        raise ReviewError("this recording is signed off; reopen it to change anything")


def _check_undo(connection: sa.Connection, recording_id: str, user: str, number: int) -> str:
    """Return the segment of the event that is taken back; refuse another's, or one twice."""
    row: Any = None
    for table in (DECISIONS, EVENTS):
        if table.name in tables(connection):
            row = (
                row
                or connection.execute(sa.select(table).where(table.c.number == number))
                .mappings()
                .first()
            )
    event = None if row is None else _event(dict(row))
    query = sa.select(EVENTS.c.content).where(EVENTS.c.kind == "undo")
    query = query.where(EVENTS.c.recording_id == recording_id)
    undone = {json.loads(text)["undoes"] for text in connection.execute(query).scalars()}
    if (
        event is None
        or event.kind not in UNDOABLE
        or (event.recording_id, event.user) != (recording_id, user)
        or number in undone
    ):
        raise ReviewError(f"entry {number} cannot be taken back by this user, or already was")
    return event.segment_id


def _head(connection: sa.Connection) -> Head:
    known = tables(connection)
    for table in (EVENTS, DECISIONS):
        if table.name in known:
            query = sa.select(table.c.number, table.c.hash).order_by(table.c.number.desc()).limit(1)
            last = connection.execute(query).first()
            if last is not None:
                return Head(last.number, last.hash)
    return Head(0, FIRST_HASH)


def _event(row: dict[str, Any]) -> Event:
    if "kind" in row:
        content = json.loads(row["content"])
        kind, at = row["kind"], row["at"]
    else:
        content = {"verdict": row["verdict"], "comment": row["comment"]}
        kind, at = "verdict", row["decided_at"]
    return Event(
        number=row["number"],
        kind=kind,
        recording_id=row["recording_id"],
        segment_id=row["segment_id"],
        content=content,
        user=row["user"],
        at=datetime.fromisoformat(at),
    )
