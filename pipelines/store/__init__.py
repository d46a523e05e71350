"""What people decided about the segments of a run: an append-only log with a chain of hashes.

``events`` says what can be written and ``rules`` by whom, ``chain`` how changes are found and
``folding`` what it all amounts to. ``database`` keeps a run's log in a file of its own; ``postgres``
keeps those of many runs in a database (``address``, ``server``, ``schema``). :func:`open_reviews`
is the door: it returns the :class:`ReviewStore` of a run.
"""

from pipelines.store.address import REVIEWS_VARIABLE, given_url
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
from pipelines.store.opening import copy_reviews, open_reviews, reviews_of, server_at
from pipelines.store.reviews import ReviewStore
from pipelines.store.rules import may
from pipelines.store.server import Server

__all__ = [
    "KINDS",
    "MAX_COMMENT",
    "MAX_LABEL",
    "MAX_USER",
    "REVIEWS_VARIABLE",
    "ROLES",
    "SCHEMA_VERSION",
    "VERDICTS",
    "Decision",
    "Event",
    "Head",
    "Kind",
    "ReviewStore",
    "Server",
    "Verdict",
    "copy_reviews",
    "given_url",
    "may",
    "open_reviews",
    "reviews_of",
    "server_at",
]
