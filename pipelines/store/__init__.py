"""What people decided about the segments of a run: an append-only log with a chain of hashes.

``events`` says what can be written, ``database`` where to, ``chain`` how changes are found,
``folding`` what it all amounts to, and ``reviews`` is the door to it: :class:`ReviewStore`.
"""

from pipelines.store.chain import Head
from pipelines.store.database import SCHEMA_VERSION
from pipelines.store.events import (
    KINDS,
    MAX_COMMENT,
    MAX_LABEL,
    MAX_USER,
    ROLES,
    VERDICTS,
    Event,
    Kind,
    Verdict,
)
from pipelines.store.folding import Decision
from pipelines.store.reviews import ReviewStore, may

__all__ = [
    "KINDS",
    "MAX_COMMENT",
    "MAX_LABEL",
    "MAX_USER",
    "ROLES",
    "SCHEMA_VERSION",
    "VERDICTS",
    "Decision",
    "Event",
    "Head",
    "Kind",
    "ReviewStore",
    "Verdict",
    "may",
]
