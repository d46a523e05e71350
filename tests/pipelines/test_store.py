import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.errors import ReviewError
from pipelines.store import MAX_COMMENT, MAX_USER, SCHEMA_VERSION, ReviewStore


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as raw:
        for statement in statements:
            raw.execute(statement)
        raw.commit()


def test_reading_without_a_file_returns_nothing_and_creates_nothing(file_store):
    assert file_store.latest() == {}
    assert file_store.history("a", "a@1.000") == ()
    assert file_store.verify().n_entries == 0
    assert not file_store.path.parent.exists()


def test_the_last_decision_counts_and_all_are_kept(store):
    before = datetime.now(UTC)
    first = store.record("a", "a@1.000", "accepted", "", "kim")
    second = store.record("a", "a@1.000", "rejected", "Artefakt – “β”\n=1+1", "lee")
    other = store.record("b", "b@2.000", "unsure", "", "kim")
    assert [e.user for e in store.history("a", "a@1.000")] == ["kim", "lee"]
    assert store.latest() == {("a", "a@1.000"): second, ("b", "b@2.000"): other}
    assert store.latest("b") == {("b", "b@2.000"): other}
    assert second.comment == "Artefakt – “β”\n=1+1"
    assert before <= first.decided_at <= second.decided_at <= datetime.now(UTC)
    assert first.decided_at.utcoffset() == timedelta(0)
    assert store.history("a", "a@1.000")[0].at.tzinfo is not None


@pytest.mark.parametrize("statement", ["UPDATE events SET user='x'", "DELETE FROM events"])
def test_the_file_itself_refuses_changes(file_store, statement):
    file_store.record("a", "a@1.000", "accepted", "", "kim")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        execute(file_store.path, statement)
    assert len(file_store.history("a", "a@1.000")) == 1
    with closing(sqlite3.connect(file_store.path)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("change", "which"),
    [
        ("UPDATE events SET content='{}' WHERE number=2", 2),
        ("UPDATE events SET at='2020-01-01T00:00:00+00:00' WHERE number=3", 3),
        ("DELETE FROM events WHERE number=1", 1),
        ("UPDATE events SET number=9 WHERE number=3", 3),
    ],
)
def test_verify_finds_what_was_changed_behind_the_triggers(file_store, change, which):
    for i in range(3):
        file_store.record("a", f"a@{i}.000", "accepted", "", "kim")
    assert file_store.verify().n_entries == 3
    execute(
        file_store.path, "DROP TRIGGER events_no_update", "DROP TRIGGER events_no_delete", change
    )
    with pytest.raises(ReviewError, match=f"entry {which} "):
        file_store.verify()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"verdict": "maybe"}, "accepted, rejected, unsure, undecided"),
        ({"comment": "x" * (MAX_COMMENT + 1)}, f"at most {MAX_COMMENT}"),
        ({"comment": "\ud800"}, "cannot be stored"),
        ({"comment": "a\x00b"}, "cannot be stored"),
        ({"user": "x" * (MAX_USER + 1)}, f"at most {MAX_USER}"),
        ({"user": "  "}, "user of a decision is empty"),
        ({"segment_id": ""}, "segment_id of a decision is empty"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(store, fields, message):
    given = {
        "recording_id": "a",
        "segment_id": "a@1.000",
        "verdict": "accepted",
        "comment": "x" * MAX_COMMENT,
        "user": "x" * MAX_USER,
    }
    with pytest.raises(ReviewError, match=message):
        store.record(**{**given, **fields})
    assert store.head().n_entries == 0 and not store.path.exists()
    store.record(**given)


def test_a_damaged_file_is_named(file_store):
    file_store.path.parent.mkdir()
    file_store.path.write_bytes(b"not a database at all, " * 100)
    for use in (
        file_store.latest,
        lambda: file_store.record("a", "a@1.000", "accepted", "", "kim"),
    ):
        with pytest.raises(ReviewError, match=r"reviews\.sqlite is damaged"):
            use()


def test_a_file_damaged_in_the_middle_is_named(file_store):
    for i in range(200):
        file_store.record("a", f"a@{i}.000", "accepted", "x" * 100, "kim")
    content = bytearray(file_store.path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file_store.path.write_bytes(content)
    with pytest.raises(ReviewError, match="damaged"):
        file_store.verify()


def test_a_newer_schema_and_another_programs_file_are_refused(file_store, tmp_path):
    file_store.record("a", "a@1.000", "accepted", "", "kim")
    execute(file_store.path, f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    with pytest.raises(ReviewError, match="update Rarewave"):
        file_store.latest()
    with pytest.raises(ReviewError, match="update Rarewave"):
        file_store.record("a", "a@1.000", "accepted", "", "kim")
    execute(tmp_path / "other.sqlite", "CREATE TABLE t (x)")
    with pytest.raises(ReviewError, match="not written by Rarewave"):
        ReviewStore(tmp_path / "other.sqlite").record("a", "a@1.000", "accepted", "", "kim")


def test_an_empty_file_is_as_good_as_none(file_store):
    file_store.path.parent.mkdir()
    file_store.path.touch()
    assert file_store.latest() == {}
    file_store.record("a", "a@1.000", "accepted", "", "kim")
    assert file_store.verify().n_entries == 1


def write_many(path: Path, name: str, n: int, barrier) -> None:
    barrier.wait()
    for i in range(n):
        ReviewStore(path).append(
            "verdict", name, recording_id="a", segment_id=f"a@{i}", verdict="accepted", seen=0
        )


@pytest.mark.slow
def test_eight_processes_that_write_at_once_lose_nothing(file_store):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(8)
    writers = [
        context.Process(target=write_many, args=(file_store.path, f"user {i}", 12, barrier))
        for i in range(8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 8
    assert file_store.verify() == file_store.head()
    assert file_store.head().n_entries == 96
    for i in range(12):
        assert {e.user for e in file_store.history("a", f"a@{i}")} == {
            f"user {k}" for k in range(8)
        }


def kill_while_writing(path: Path, after: int) -> int:
    """Return how many writes were confirmed before the writer was killed."""
    code = (
        "import sys; from pathlib import Path; from pipelines.store import ReviewStore\n"
        "store = ReviewStore(Path(sys.argv[1]))\n"
        "for i in range(10**6):\n"
        "    store.append('verdict', 'kim', recording_id='a', segment_id=f'a@{i}',"
        " verdict='accepted'); print(i, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        for line in writer.stdout:
            if int(line) >= after:
                os.kill(writer.pid, signal.SIGKILL)
                break
        return 1 + max([after, *(int(line) for line in writer.stdout.read().splitlines())])


@pytest.mark.slow
def test_what_was_recorded_survives_a_killed_process(file_store):
    confirmed = kill_while_writing(file_store.path, 20)
    assert confirmed <= file_store.verify().n_entries <= confirmed + 1
    assert file_store.record("a", "a@0", "rejected", "", "lee").user == "lee"


@pytest.mark.extensive
def test_nothing_is_lost_in_twenty_killed_processes(file_store):
    before = 0
    for attempt in range(20):
        confirmed = kill_while_writing(file_store.path, attempt)
        now = file_store.verify().n_entries
        assert before + confirmed <= now <= before + confirmed + 1
        before = now
