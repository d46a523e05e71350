"""The chain of hashes over a log, and receipts of how far it went.

Every line carries the SHA-256 of the line before it, so whatever is changed, inserted or removed
*within* the log breaks the chain. Lines cut off the *end* leave a chain that is whole; they show
only against a :class:`Head` noted elsewhere: the sidecar beside the file (which whoever can cut
the file can change as well) or a receipt in other hands, as every export carries one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from pipelines.errors import ReviewError

FIRST_HASH: Final = "0" * 64
_DECISION: Final = ("recording_id", "segment_id", "verdict", "comment", "user", "decided_at")
_EVENT: Final = ("kind", "recording_id", "segment_id", "content", "user", "at")


@dataclass(frozen=True)
class Head:
    """How far a log goes: number of its entries, and the hash of the last one."""

    n_entries: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read a receipt: a JSON object with these two fields, or with them under ``reviews``."""
        try:
            found = json.loads(text)
            found = found.get("reviews", found)
            head = cls(int(found["n_entries"]), str(found["hash"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReviewError(
                "this is no receipt of a review log; needed is JSON with n_entries and hash, as "
                "'rarewave audit receipt RUN' prints it"
            ) from error
        return head

    def text(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self))


def row_hash(row: Mapping[str, Any]) -> str:
    """Return the hash of an entry, from its content and the hash before it.

    Entries of the first version (decisions) and events are told apart by their columns.
    """
    names = _EVENT if "kind" in row else _DECISION
    content = [row["previous_hash"], row["number"], *(row[name] for name in names)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def follow(rows: Iterable[Mapping[str, Any]], name: str, known: Head | None) -> Head:
    """Follow the chain from its beginning; see :meth:`ReviewStore.verify`."""
    previous, number, met = FIRST_HASH, 0, known is None or known.n_entries == 0
    for number, row in enumerate(rows, start=1):
        true = {**row, "number": number, "previous_hash": previous}
        if row["number"] != number or row["hash"] != row_hash(true):
            raise ReviewError(
                f"entry {number} in {name} was altered after it was recorded; "
                "compare the file with a backup"
            )
        previous = row["hash"]
        if known is not None and number == known.n_entries:
            if previous != known.hash:
                raise ReviewError(
                    f"entry {number} in {name} is not the one of the receipt: the log was "
                    "written anew; compare the file with a backup"
                )
            met = True
    if known is not None and not met:
        raise ReviewError(
            f"{name} has {number} entries and once had {known.n_entries}: entries were cut off "
            "its end; restore a backup"
        )
    return Head(number, previous)


def sidecar_of(path: Path) -> Path:
    """Return where the head of a log is noted: ``reviews.head.json`` beside ``reviews.sqlite``."""
    return path.with_name(f"{path.stem}.head.json")


def note(path: Path, head: Head) -> None:
    """Note a head in a sidecar. It may lag behind when several processes write, never be ahead."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        temporary.write_text(head.text() + "\n", "utf-8")
        temporary.replace(path)
    except OSError:  # the log itself is safe; verify says that there is no sidecar
        temporary.unlink(missing_ok=True)


def noted(path: Path) -> Head | None:
    """Return the head in a sidecar, or None if there is none."""
    try:
        return Head.parse(path.read_text("utf-8"))
    except OSError:
        return None
