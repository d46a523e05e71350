"""Events of every kind and what they amount to."""

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.errors import ReviewError
from pipelines.store import MAX_LABEL, Head, ReviewStore, may
from pipelines.store.chain import FIRST_HASH, row_hash, sidecar_of
from pipelines.store.folding import assigned, by_recording, of_reader, state_of

A = {"recording_id": "a", "segment_id": "a@1.000"}
KEY = ("a", "a@1.000")


def test_undo_restores_the_verdict_before(store):
    store.append("verdict", "kim", **A, verdict="accepted", comment="seen")
    store.append("verdict", "kim", **A, verdict="rejected", comment="artefact")
    store.append("label", "kim", **A, label="V")
    assert store.undo("a", "kim").kind == "label"
    assert (store.latest()[KEY].verdict, store.latest()[KEY].label) == ("rejected", "")
    store.undo("a", "kim")
    restored = store.latest()[KEY]
    assert (restored.verdict, restored.comment) == ("accepted", "seen")
    store.undo("a", "kim")
    assert store.latest() == {}
    assert store.undo("a", "kim") is None
    assert [e.kind for e in store.history(*KEY)] == ["verdict", "verdict", "label", *["undo"] * 3]
    assert store.verify().n_entries == 6


def test_one_reader_cannot_take_back_what_another_did(store):
    number = store.append("verdict", "kim", **A, verdict="accepted").number
    assert store.undo("a", "lee") is None
    with pytest.raises(ReviewError, match="cannot be taken back"):
        store.append("undo", "lee", recording_id="a", undoes=number)
    store.append("undo", "kim", recording_id="a", undoes=number)
    with pytest.raises(ReviewError, match="already was"):
        store.append("undo", "kim", recording_id="a", undoes=number)


def test_a_group_is_one_event_for_many_segments_and_one_undo(store):
    store.append("verdict", "kim", **A, verdict="unsure")
    ids = [f"a@{i}.000" for i in range(1, 5)]
    spans = [[float(i), i + 0.5] for i in range(1, 5)]
    store.append(
        "group", "kim", recording_id="a", segments=ids, spans=spans, label="V", verdict="accepted"
    )
    found = store.latest("a")
    assert {d.label for d in found.values()} == {"V"} and len(found) == 4
    assert {d.verdict for d in found.values()} == {"accepted"}
    assert found["a", "a@3.000"].span == (3.0, 3.5)
    assert len(store.history("a", "a@3.000")) == 1
    store.undo("a", "kim")
    assert {k: d.verdict for k, d in store.latest("a").items()} == {KEY: "unsure"}


def test_bounds_comments_and_added_events(store):
    store.append("verdict", "kim", **A, verdict="accepted", span=(1.0, 2.0))
    store.append("bounds", "kim", **A, start_s=0.5, stop_s=2.25)
    store.append("comment", "lee", **A, comment="couplet")
    found = store.latest()[KEY]
    assert (found.bounds, found.span, found.comment) == ((0.5, 2.25), (1.0, 2.0), "couplet")
    assert (found.verdict, found.user, found.added) == ("accepted", "kim", False)
    event = store.append("added", "kim", recording_id="a", start_s=9.0, stop_s=9.5, label="V")
    assert event.segment_id == "a+4"
    added = store.latest()["a", "a+4"]
    assert (added.added, added.verdict, added.bounds) == (True, "accepted", (9.0, 9.5))
    store.undo("a", "kim")
    assert ("a", "a+4") not in store.latest()


def test_decisions_made_without_seeing_each_other_are_both_kept_and_told_apart(store):
    store.append("verdict", "kim", **A, verdict="accepted", seen=0)
    store.append("verdict", "lee", **A, verdict="rejected", seen=0)
    assert store.latest()[KEY].conflict
    assert of_reader(store.events(), "kim")[KEY].verdict == "accepted"
    assert of_reader(store.events(), "lee")[KEY].verdict == "rejected"
    store.append("verdict", "kim", **A, verdict="rejected", seen=2)
    assert not store.latest()[KEY].conflict


def test_who_corrects_what_he_has_seen_is_in_no_conflict(store):
    store.append("verdict", "kim", **A, verdict="accepted", seen=0)
    store.append("verdict", "lee", **A, verdict="rejected", seen=1)
    assert not store.latest()[KEY].conflict


def test_an_adjudication_counts_before_later_verdicts(store):
    store.append("verdict", "kim", **A, verdict="accepted")
    store.append("adjudication", "ada", **A, verdict="unsure", label="S")
    store.append("verdict", "lee", **A, verdict="rejected")
    found = store.latest()[KEY]
    assert (found.verdict, found.user, found.label) == ("unsure", "ada", "S")


def test_a_signed_off_recording_is_closed_until_it_is_reopened(store):
    assert state_of(store.events("a")) == "new"
    store.append("verdict", "kim", **A, verdict="accepted")
    assert state_of(store.events("a")) == "in_review"
    store.append("sign_off", "kim", recording_id="a", n_segments=1, n_reviewed=1)
    assert state_of(store.events("a")) == "final"
    with pytest.raises(ReviewError, match="signed off; reopen"):
        store.append("verdict", "kim", **A, verdict="rejected")
    with pytest.raises(ReviewError, match="signed off; reopen"):
        store.undo("a", "kim")
    store.append("verdict", "kim", recording_id="b", segment_id="b@1", verdict="accepted")
    store.append("reopen", "lee", recording_id="a", comment="second look")
    assert state_of(store.events("a")) == "in_review"
    store.append("verdict", "kim", **A, verdict="rejected")
    assert [e.kind for e in store.events("a", kinds=["sign_off", "reopen"])] == [
        "sign_off",
        "reopen",
    ]


def test_roles_are_asked_once_there_are_any(store):
    store.append("verdict", "anybody", **A, verdict="accepted")
    with pytest.raises(ReviewError, match="needs an admin"):
        store.append("role", "kim", name="lee", role="reader")
    store.append("role", "kim", name="kim", role="admin")
    store.append("role", "kim", name="lee", role="reader")
    with pytest.raises(ReviewError, match="'viewer' does not allow a verdict"):
        store.append("verdict", "anybody", **A, verdict="accepted")
    with pytest.raises(ReviewError, match="'reader' does not allow a adjudication"):
        store.append("adjudication", "lee", **A, verdict="accepted")
    with pytest.raises(ReviewError, match="'reader' does not allow a role"):
        store.append("role", "lee", name="lee", role="admin")
    with pytest.raises(ReviewError, match="needs an admin"):
        store.append("role", "kim", name="kim", role="reader")
    store.append("verdict", "lee", **A, verdict="rejected")
    assert store.roles() == {"kim": "admin", "lee": "reader"}
    assert may(store.roles(), "kim", "role") and not may(store.roles(), "x", "comment")


def test_who_reads_what_is_the_last_word(store):
    store.append("assign", "ada", recording_id="a", reader="kim")
    store.append("assign", "ada", recording_id="a", reader="lee")
    assert assigned(store.events("a")) == "lee"


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("bounds", {"start_s": 2.0, "stop_s": 1.0}, "not in order"),
        ("bounds", {"start_s": -1.0, "stop_s": 1.0}, "0 or more"),
        ("bounds", {"start_s": float("nan"), "stop_s": 1.0}, "0 or more"),
        ("bounds", {"start_s": 1.0}, "wrong: stop_s"),
        ("label", {"label": "x" * (MAX_LABEL + 1)}, f"at most {MAX_LABEL}"),
        ("label", {"label": "V", "verdit": "accepted"}, "wrong: verdit"),
        ("group", {"segments": []}, "list of 1"),
        ("nonsense", {}, "unknown kind"),
        ("verdict", {"verdict": "accepted", "seen": -1}, "whole number"),
    ],
)
def test_events_that_mean_nothing_are_refused(store, kind, content, message):
    with pytest.raises(ReviewError, match=message):
        store.append(kind, "kim", **A, **content)
    assert store.head().n_entries == 0 and not store.path.exists()


def write_version_1(path: Path, n: int = 3) -> list[dict]:
    """Write a file as version 1 wrote it."""
    rows, previous = [], FIRST_HASH
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(
            "CREATE TABLE decisions (number INTEGER PRIMARY KEY, recording_id TEXT, segment_id "
            "TEXT, verdict TEXT, comment TEXT, user TEXT, decided_at TEXT, previous_hash TEXT, "
            "hash TEXT)"
        )
        raw.execute(
            "CREATE TRIGGER no_update BEFORE UPDATE ON decisions "
            "BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END"
        )
        for number in range(1, n + 1):
            row = {
                "number": number,
                "recording_id": "a",
                "segment_id": f"a@{number}.000",
                "verdict": "accepted",
                "comment": "old",
                "user": "kim",
                "decided_at": f"2026-01-0{number}T10:00:00.000000+00:00",
                "previous_hash": previous,
            }
            content = [previous, number, "a", f"a@{number}.000", "accepted", "old", "kim"]
            content.append(row["decided_at"])
            row["hash"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()
            raw.execute("INSERT INTO decisions VALUES (?,?,?,?,?,?,?,?,?)", tuple(row.values()))
            rows.append(row)
            previous = row["hash"]
        raw.execute("PRAGMA application_id=0x52415245")
        raw.execute("PRAGMA user_version=1")
        raw.commit()
    return rows


def test_a_file_of_version_1_is_read_continued_and_verified(file_store):
    rows = write_version_1(file_store.path)
    content = file_store.path.read_bytes()
    assert file_store.latest()[KEY].comment == "old" and file_store.verify().n_entries == 3
    assert file_store.path.read_bytes() == content  # reading changes nothing
    event = file_store.append("verdict", "lee", **A, verdict="rejected")
    assert event.number == 4 and file_store.verify().n_entries == 4
    assert file_store.latest()[KEY].verdict == "rejected"
    assert file_store.undo("a", "kim").number == 3  # also of what version 1 wrote
    assert set(file_store.latest()) == {("a", "a@1.000"), ("a", "a@2.000")}
    with closing(sqlite3.connect(file_store.path)) as raw:
        raw.row_factory = sqlite3.Row
        kept = [dict(row) for row in raw.execute("SELECT * FROM decisions ORDER BY number")]
        raw.execute("DROP TRIGGER no_update")
        raw.execute("UPDATE decisions SET user='eve' WHERE number=2")
        raw.commit()
    assert kept == rows
    with pytest.raises(ReviewError, match="entry 2 "):
        file_store.verify()


def cut(path: Path, after: int) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TRIGGER events_no_delete")
        raw.execute(f"DELETE FROM events WHERE number > {after}")
        raw.commit()


def test_entries_cut_off_the_end_show_against_the_sidecar_or_a_receipt(file_store):
    for i in range(5):
        file_store.append(
            "verdict", "kim", recording_id="a", segment_id=f"a@{i}", verdict="accepted"
        )
    receipt = Head.parse(file_store.head().text())
    assert file_store.verify(receipt) == receipt
    cut(file_store.path, 3)
    with pytest.raises(ReviewError, match="has 3 entries and once had 5"):
        file_store.verify()
    sidecar_of(file_store.path).unlink()  # without it the rest is a whole chain ...
    assert file_store.verify().n_entries == 3
    with pytest.raises(ReviewError, match="has 3 entries and once had 5"):
        file_store.verify(receipt)  # ... but the receipt is in other hands


def test_a_log_written_anew_shows_against_a_receipt(store, tmp_path):
    for user, target in (("kim", store), ("eve", ReviewStore(tmp_path / "new" / "r.sqlite"))):
        target.append("verdict", user, **A, verdict="accepted")
    receipt = store.head()
    with pytest.raises(ReviewError, match="written anew"):
        target.verify(receipt)


def test_a_receipt_must_be_one():
    with pytest.raises(ReviewError, match="no receipt"):
        Head.parse("[]")
    head = Head(3, "ab")
    assert Head.parse(json.dumps({"reviews": {"n_entries": 3, "hash": "ab"}})) == head
    assert Head.parse(head.text()) == head


def test_the_hash_covers_every_column():
    row = {
        "number": 1,
        "kind": "label",
        "recording_id": "a",
        "segment_id": "s",
        "content": "{}",
        "user": "kim",
        "at": "now",
        "previous_hash": FIRST_HASH,
    }
    hashes = {row_hash(row)}
    for name in row:
        hashes.add(row_hash({**row, name: 2 if name == "number" else "changed"}))
    assert len(hashes) == len(row) + 1


def test_the_audit_command_tells_a_whole_log_from_a_cut_one(tmp_path, capsys):
    from pipelines.cli.program import main

    (tmp_path / "run.json").write_text("{}")
    store = ReviewStore(tmp_path / "reviews.sqlite")
    for i in range(3):
        store.append("verdict", "kim", recording_id="a", segment_id=f"a@{i}", verdict="accepted")
    assert main(["audit", "receipt", str(tmp_path)]) == 0
    receipt = tmp_path / "receipt.json"
    receipt.write_text(capsys.readouterr().out)
    assert main(["audit", "verify", str(tmp_path), "--receipt", str(receipt)]) == 0
    assert "3 entries, none altered, the first 3 as in the receipt" in capsys.readouterr().out
    cut(store.path, 2)
    sidecar_of(store.path).unlink()
    assert main(["audit", "verify", str(tmp_path)]) == 0
    assert main(["audit", "verify", str(tmp_path), "--receipt", str(receipt)]) == 1
    assert "rarewave: reviews.sqlite has 2 entries and once had 3" in capsys.readouterr().err
    assert main(["audit", "verify", str(tmp_path), "--receipt", str(tmp_path / "no")]) == 1
    assert "cannot read the receipt no" in capsys.readouterr().err


def test_a_log_and_its_decisions_are_grouped_by_recording_in_order(store):
    store.append("reading", "kim", readers=["kim", "lee"], blind=False)
    for name in ("a", "b", "a"):
        store.record(name, f"{name}@1.000", "accepted", "", "kim")
    logs = by_recording(store.events())
    assert {name: [e.number for e in log] for name, log in logs.items()} == {
        "": [1],
        "a": [2, 4],
        "b": [3],
    }
    decided = by_recording(store.latest().values())
    assert {name: [d.segment_id for d in found] for name, found in decided.items()} == {
        "a": ["a@1.000"],
        "b": ["b@1.000"],
    }
