"""What a log refuses: who may add what, and to which recordings. Asked within the transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pipelines.errors import ReviewError
from pipelines.store.events import ROLES, UNDOABLE, Kind
from pipelines.store.log import Reader, event_of

_NEEDED: Final = {
    "adjudication": "adjudicator",
    "assign": "adjudicator",
    "reading": "admin",
    "role": "admin",
}
"""The least role for a kind of event; for all others a reader."""


def may(roles: dict[str, str], user: str, kind: Kind) -> bool:
    """Return True if a user's role allows a kind of event; without any roles all may do all."""
    if not roles:
        return True
    needed = _NEEDED.get(kind, "reader")
    return ROLES.index(roles.get(user, "viewer")) >= ROLES.index(needed)


def check_role(log: Reader, kind: Kind, user: str, content: Mapping[str, Any]) -> None:
    """Refuse what the user's role does not allow, and to take the last admin away."""
    given = [json.loads(row["content"]) for row in log.rows(kinds=["role"]) if "kind" in row]
    roles = {one["name"]: one["role"] for one in given}
    if not may(roles, user, kind):
        raise ReviewError(
            f"the role {roles.get(user, 'viewer')!r} does not allow a {kind.replace('_', ' ')}; "
            f"it needs {_NEEDED.get(kind, 'reader')!r}, ask an admin of this review"
        )
    if kind == "role" and "admin" not in {**roles, content["name"]: content["role"]}.values():
        raise ReviewError("a review with roles needs an admin; give somebody that role first")


def check_open(log: Reader, recording_id: str) -> None:
    """Refuse to change a recording that is signed off."""
    rows = log.rows(recording_id=recording_id, kinds=["sign_off", "reopen"])
    if rows and rows[-1]["kind"] == "sign_off":
        raise ReviewError("this recording is signed off; reopen it to change anything")


def check_undo(log: Reader, recording_id: str, user: str, number: int) -> str:
    """Return the segment of the event that is taken back; refuse another's, or one twice."""
    event = next((event_of(row) for row in log.rows(number=number)), None)
    undos = log.rows(recording_id=recording_id, kinds=["undo"])
    undone = {json.loads(row["content"])["undoes"] for row in undos}
    if (
        event is None
        or event.kind not in UNDOABLE
        or (event.recording_id, event.user) != (recording_id, user)
        or number in undone
    ):
        raise ReviewError(f"entry {number} cannot be taken back by this user, or already was")
    return event.segment_id
