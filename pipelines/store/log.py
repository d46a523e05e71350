"""What a place that keeps a review log has to offer, be it a file or a database."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from pipelines.store.chain import Head
from pipelines.store.events import Event, Kind

Row = dict[str, Any]
"""An entry as it is stored, its hash included; of version 1 a decision, else an event."""


class Reader(Protocol):
    """Looks at one run's log."""

    def rows(
        self,
        *,
        recording_id: str | None = None,
        kinds: Sequence[Kind] | None = None,
        number: int | None = None,
    ) -> list[Row]:
        """Return entries in order, or only those of a recording, some kinds or a number."""

    def head(self) -> Head:
        """Return how far the log goes."""


class Writer(Reader, Protocol):
    """Looks at one run's log and adds to it; nobody else writes meanwhile."""

    def add(self, row: Mapping[str, Any]) -> None:
        """Add an event; it counts once the transaction ends well."""


class Log(Protocol):
    """Keeps one run's log.

    Attributes
    ----------
    name : str
        For messages: a file's name or "the review log"; no path, no address.
    identity : str
        Tells it from every other log; for caches. Holds no password.
    """

    name: str
    identity: str

    def reading(self) -> AbstractContextManager[Reader | None]:
        """Open it for reading; None where nothing was written yet. Creates nothing."""

    def writing(self) -> AbstractContextManager[Writer]:
        """Open the one transaction that may write; everybody else waits, at most 30 s."""


def event_of(row: Mapping[str, Any]) -> Event:
    """Return an entry as an event; those of version 1 are all verdicts."""
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
