"""Two readers of one run: who reads, who sees what of the other, and when both are done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipelines.store import Decision, Event
from pipelines.store.folding import fold, of_reader


@dataclass(frozen=True)
class Reading:
    """How a run is read.

    Attributes
    ----------
    readers : tuple of str
        Those who each decide about every segment; empty: one decision a segment is enough.
    blind : bool
        A reader sees nothing of the other before both are done with a recording.
    """

    readers: tuple[str, ...] = ()
    blind: bool = False

    @classmethod
    def of(cls, events: Sequence[Event]) -> Reading:
        """Return what was last laid down, from events of the kind ``"reading"``."""
        laid_down = [event for event in events if event.kind == "reading"]
        if not laid_down:
            return cls()
        content = laid_down[-1].content
        return cls(tuple(content["readers"]), bool(content["blind"]))

    def is_done(self, events: Sequence[Event], segment_ids: Collection[str]) -> bool:
        """Return True if every reader has a verdict on every segment of one recording."""
        return all(not open_of(events, reader, segment_ids) for reader in self.readers)

    def hides(self, user: str, events: Sequence[Event], segment_ids: Collection[str]) -> bool:
        """Return True if a user may see only his own decisions about a recording as yet.

        That holds for everybody, so that a third person at the screen unblinds nobody.
        """
        return bool(self.readers) and self.blind and not self.is_done(events, segment_ids)

    def decisions(
        self, user: str, events: Sequence[Event], segment_ids: Collection[str]
    ) -> dict[str, Decision]:
        """Return the decisions about one recording's segments that a user may see."""
        if self.hides(user, events, segment_ids):
            events = [event for event in events if event.user == user]
        return {segment_id: decision for (_, segment_id), decision in fold(events).items()}


def open_of(events: Sequence[Event], user: str, segment_ids: Collection[str]) -> set[str]:
    """Return the segments of one recording on which a reader has no verdict yet."""
    decided = {
        segment_id
        for (_, segment_id), decision in of_reader(events, user).items()
        if decision.verdict != "undecided"
    }
    return set(segment_ids) - decided


def differing(
    events: Sequence[Event], readers: Sequence[str], segment_ids: Collection[str]
) -> dict[str, tuple[Decision, ...]]:
    """Return segments on which readers have different verdicts, with what each of them said."""
    said = [
        {segment_id: decision for (_, segment_id), decision in of_reader(events, one).items()}
        for one in readers
    ]
    found = {}
    for segment_id in segment_ids:
        each = tuple(reading[segment_id] for reading in said if segment_id in reading)
        verdicts = {decision.verdict for decision in each if decision.verdict != "undecided"}
        if len(verdicts) > 1:
            found[segment_id] = each
    return found
