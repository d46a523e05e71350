"""The log of a run's review: everything that people did is added to it, nothing is ever changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pipelines.errors import ReviewError
from pipelines.store import chain, folding, rules
from pipelines.store.chain import FIRST_HASH, Head
from pipelines.store.database import SqliteFile
from pipelines.store.events import (
    MAX_ID,
    MAX_USER,
    OF_SEGMENTS,
    UNDOABLE,
    Event,
    Kind,
    check_text,
    checked,
)
from pipelines.store.folding import Decision, Key
from pipelines.store.log import Log, Reader, Row, event_of

_SHARED: Final = "reviews.shared.sqlite"
"""Gives the name of the note that lies beside the run, no file of this name is made."""
_OF_ONE: Final = {*UNDOABLE} - {"added", "group"}


class ReviewStore:
    """The review log of a run, in a file that :meth:`create` or the first :meth:`append` makes.

    Several processes may write at once: each waits for the others, and what :meth:`append` has
    returned survives a crash.

    Parameters
    ----------
    path : pathlib.Path
        ``reviews.sqlite`` of a run, on a local disk.
    log : Log, optional
        Where the log is instead, as :func:`pipelines.store.open_reviews` finds out. Decisions left
        in the file are then refused until they are copied there.

    Attributes
    ----------
    identity : str
        Tells this log from every other; for caches. Holds no password.
    """

    def __init__(self, path: Path, log: Log | None = None) -> None:
        self.path = Path(path)
        self._log: Log = SqliteFile(self.path) if log is None else log
        self._left = None if log is None else SqliteFile(self.path)
        self.identity = self._log.identity
        self._sidecar = chain.sidecar_of(self.path if log is None else self.path.with_name(_SHARED))

    def create(self) -> None:
        """Make the log, without an entry; one that is there already is left alone.

        Raises
        ------
        ReviewError
            If it cannot be made there.
        """
        if self._left is not None or not self.path.exists():
            with self._log.writing():
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
        with self._log.writing() as log:
            rules.check_role(log, kind, user, given)
            if kind in OF_SEGMENTS:
                rules.check_open(log, recording_id)
            if kind == "undo":
                segment_id = rules.check_undo(log, recording_id, user, given["undoes"])
            last = self._head(log)
            if kind == "added":
                segment_id = f"{recording_id}+{last.n_entries + 1}"
            row: Row = {
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
            log.add(row)
        chain.note(self._sidecar, Head(row["number"], row["hash"]))
        return event_of(row)

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
        with self._log.reading() as log:
            rows = [] if log is None else log.rows(recording_id=recording_id, kinds=kinds)
        return tuple(event_of(row) for row in rows)

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
        with self._log.reading() as log:
            return self._head(log)

    def verify(self, receipt: Head | None = None) -> Head:
        """Check the chain of hashes and return how far it goes.

        An entry changed, inserted or removed within the log is found. Entries cut off its end are
        found against the sidecar (unless that was changed as well) or against a `receipt`.

        Raises
        ------
        ReviewError
            Naming the first entry that does not fit, or how many are missing.
        """
        sidecar = chain.noted(self._sidecar)
        with self._log.reading() as log:
            self._head(log)
            rows = [] if log is None else log.rows()
        for known in (receipt, self._head_left()):
            if known is not None:
                chain.follow(rows, self._log.name, known)
        return chain.follow(rows, self._log.name, sidecar)

    def roles(self) -> dict[str, str]:
        """Return the role of each user who has one; empty: nobody has, and all may do all."""
        events = self.events(kinds=["role"])
        return {str(e.content["name"]): str(e.content["role"]) for e in events}

    def _head(self, log: Reader | None) -> Head:
        head = Head(0, FIRST_HASH) if log is None else log.head()
        left = None if head.n_entries else self._head_left()
        if left is not None and left.n_entries:
            raise ReviewError(
                f"{self.path.name} of this run holds {left.n_entries} entries that are not in the "
                "review database; copy them there with 'rarewave audit copy RUN'"
            )
        return head

    def _head_left(self) -> Head | None:
        """Return how far the file goes that was used before the log was kept elsewhere."""
        if self._left is None:
            return None
        with self._left.reading() as log:
            return None if log is None else log.head()
