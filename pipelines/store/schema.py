"""The tables of a shared review database, and the steps by which they come about.

``rarewave_events`` has the columns of the SQLite file, the run each entry belongs to, and the
layout its hash was made with: 1 for decisions that version 1 of the file recorded, 2 for events.
``rarewave_schema`` has a row for each step that was taken. All steps run within one transaction,
so nothing is ever half migrated. There is one step so far, of a table whose rows never change:
Alembic would bring an environment of its own and a version table that anybody may update, and
would have to be run by hand before the first decision. Reconsider it once a step moves rows.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

DECISION_LAYOUT, EVENT_LAYOUT = 1, 2

VERSIONS: Final = sa.Table("rarewave_schema", sa.MetaData(), sa.Column("version", sa.Integer))
ENTRIES: Final = sa.Table(
    "rarewave_events",
    sa.MetaData(),
    sa.Column("run_id", sa.Text),
    sa.Column("number", sa.Integer),
    sa.Column("layout", sa.Integer),
    sa.Column("kind", sa.Text),
    sa.Column("recording_id", sa.Text),
    sa.Column("segment_id", sa.Text),
    sa.Column("content", sa.Text),
    sa.Column("user", sa.Text, quote=True),
    sa.Column("at", sa.Text),
    sa.Column("previous_hash", sa.Text),
    sa.Column("hash", sa.Text),
)
STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE rarewave_schema (version integer PRIMARY KEY,"
        " made_at timestamptz NOT NULL DEFAULT now())",
        "CREATE TABLE rarewave_events (run_id text NOT NULL, number integer NOT NULL"
        " CHECK (number > 0), layout integer NOT NULL, kind text NOT NULL, recording_id text NOT"
        ' NULL, segment_id text NOT NULL, content text NOT NULL, "user" text NOT NULL, at text NOT'
        " NULL, previous_hash text NOT NULL, hash text NOT NULL, PRIMARY KEY (run_id, number))",
        "CREATE INDEX rarewave_events_by_recording"
        " ON rarewave_events (run_id, recording_id, number)",
        "CREATE INDEX rarewave_events_by_kind"
        " ON rarewave_events (run_id, kind, recording_id, number)",
        "CREATE FUNCTION rarewave_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RAISE EXCEPTION ''entries are append-only''; END'",
        *(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION rarewave_append_only()"
            for table in ("rarewave_schema", "rarewave_events")
        ),
        *(
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only"
            for table in ("rarewave_schema", "rarewave_events")
        ),
    ),
)
"""The statements that lead from each version to the next."""
