"""Where a reader is: a run, a recording, its segments as he may see them, and one of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from app import messages, review_queue, services, state
from pipelines.errors import RarewaveError
from pipelines.review.groups import Group
from pipelines.review.reading import Reading
from pipelines.run_folder import RunFolder
from pipelines.store import Decision, Event
from pipelines.store.folding import State, last_undoable, state_of

FILTERS = tuple(messages.FILTER_WORDS)
MANY = 2000
"""From so many segments on, groups are found only when the list is ordered by group."""


@dataclass(frozen=True)
class Place:
    """What the review page shows.

    Attributes
    ----------
    run : RunFolder
    recording_id : str
    segments : pandas.DataFrame
        As :func:`pipelines.review.segments.under_review` returns them.
    decisions : dict
        The decision about each segment that this user may see.
    queue : tuple of str
        Segments that pass the filter, in the chosen order.
    current : str or None
    events : tuple of Event
        The whole log of the recording, also what this user may not see.
    reading : Reading
    user : str
    """

    run: RunFolder
    recording_id: str
    segments: pd.DataFrame
    decisions: dict[str, Decision]
    queue: tuple[str, ...]
    current: str | None
    events: tuple[Event, ...]
    reading: Reading
    user: str

    @property
    def windows(self) -> pd.DataFrame:
        """Every window of the recording."""
        return services.windows(self.run, self.recording_id)

    @cached_property
    def segment(self) -> pd.Series | None:
        """The current segment's row."""
        if self.current is None:
            return None
        return self.segments[self.segments["segment_id"] == self.current].iloc[0]

    @cached_property
    def all_reviewed(self) -> set[str]:
        """Segments about which something was decided."""
        decided = {s for s, d in self.decisions.items() if d.verdict != "undecided"}
        return decided & set(self.segments["segment_id"])

    @cached_property
    def reviewed(self) -> set[str]:
        """Those of them that pass the filter."""
        return self.all_reviewed & set(self.queue)

    @cached_property
    def state(self) -> State:
        """``"new"``, ``"in_review"`` or ``"final"``."""
        return state_of(self.events)

    @cached_property
    def is_blind(self) -> bool:
        """True while other readers' decisions are hidden."""
        known = set(services.segments(self.run, self.recording_id)["segment_id"])
        return self.reading.hides(self.user, self.events, known)

    @property
    def undoable(self) -> Event | None:
        """What the next undo takes back."""
        return last_undoable(self.events, self.user)

    @property
    def has_groups(self) -> bool:
        """False where finding groups takes too long to be done unasked."""
        return len(self.segments) <= MANY or state.order() == "group"

    @cached_property
    def group(self) -> Group | None:
        """The group of the current segment; None also where groups were not asked for."""
        if not self.has_groups:
            return None
        threshold = state.threshold(self.recording_id)
        found = services.groups(self.run, self.recording_id, threshold)
        return next((g for g in found if self.current in g.segment_ids), None)

    @property
    def history(self) -> tuple[Event, ...]:
        """Events about the current segment that this user may see, oldest first."""
        blind = self.is_blind
        return tuple(
            event
            for event in self.events
            if (event.segment_id == self.current or self.current in _members(event))
            and (not blind or event.user == self.user)
        )


def _members(event: Event) -> tuple[str, ...]:
    return tuple(event.content.get("segments", ()))


def here(run: RunFolder, recording_id: str) -> Place:
    """Return the place that the address and the session name.

    A segment that does not pass the filter stays the current one until the reader moves on.
    """
    user = state.reviewer()
    events, reading = services.events(run, recording_id), services.reading(run)
    known = set(services.segments(run, recording_id)["segment_id"])
    decisions = reading.decisions(user, events, known)
    threshold = state.threshold(recording_id)
    segments = services.reviewed_segments(run, recording_id, decisions, threshold)
    order = state.order()
    numbers: dict[str, int] = {}
    if order == "group":
        found = services.groups(run, recording_id, threshold)
        numbers = {s: group.number for group in found for s in group.segment_ids}
    queue = review_queue.ordered(segments, order, numbers)
    wanted = _passing(str(state.chosen(state.FILTER) or "all"), decisions, run, recording_id)
    current = state.current(recording_id)
    if current not in set(queue):
        current = None
    if wanted is not None:
        queue = tuple(s for s in queue if wanted(s) or s == current)
    current = current or (queue[0] if queue else None)
    return Place(run, recording_id, segments, decisions, queue, current, events, reading, user)


def _passing(name: str, decisions: dict[str, Decision], run: RunFolder, recording_id: str):  # type: ignore[no-untyped-def]
    """Return the test of a filter, or None for the one that lets all pass."""
    if name.startswith("group "):
        try:
            groups = services.groups(run, recording_id, state.threshold(recording_id))
        except RarewaveError:
            return None
        number = int(name.removeprefix("group "))
        members = {s for g in groups if g.number == number for s in g.segment_ids}
        return members.__contains__
    if name.startswith("label "):
        label = name.removeprefix("label ")
        return lambda s: s in decisions and decisions[s].label == label
    if name in ("accepted", "rejected", "unsure"):
        return lambda s: s in decisions and decisions[s].verdict == name
    tests = {
        "open": lambda s: s not in decisions or decisions[s].verdict == "undecided",
        "conflict": lambda s: s in decisions and decisions[s].conflict,
        "added": lambda s: s in decisions and decisions[s].added,
    }
    return tests.get(name)
