"""From a file into a database: by function and by command, and which of both counts."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from pipelines.cli.program import main
from pipelines.errors import ReviewError, RunError
from pipelines.run_folder import RunFolder, run_id_of
from pipelines.store import ReviewStore, copy_reviews, open_reviews, reviews_of

A = {"recording_id": "a", "segment_id": "a@1.000"}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    (tmp_path / "run.json").write_text(json.dumps({"run_id": uuid4().hex, "created": "then"}))
    return RunFolder.open(tmp_path)


def decide(store: ReviewStore, n: int, user: str = "kim") -> None:
    for i in range(n):
        store.append("verdict", user, recording_id="a", segment_id=f"a@{i}", verdict="accepted")


def write_version_1(path: Path) -> None:
    """Write a file as version 1 wrote it, with two decisions."""
    import hashlib
    import sqlite3
    from contextlib import closing

    previous = "0" * 64
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(
            "CREATE TABLE decisions (number INTEGER PRIMARY KEY, recording_id TEXT, segment_id "
            "TEXT, verdict TEXT, comment TEXT, user TEXT, decided_at TEXT, previous_hash TEXT, "
            "hash TEXT)"
        )
        for number in (1, 2):
            at = f"2026-01-0{number}T10:00:00.000000+00:00"
            facts = ["a", f"a@{number}.000", "accepted", 'ö \\ "old"', "kim", at]
            digest = hashlib.sha256(json.dumps([previous, number, *facts]).encode()).hexdigest()
            values = (number, *facts, previous, digest)
            raw.execute("INSERT INTO decisions VALUES (?,?,?,?,?,?,?,?,?)", values)
            previous = digest
        raw.execute("PRAGMA application_id=0x52415245")
        raw.execute("PRAGMA user_version=1")
        raw.commit()


def test_a_log_is_copied_with_its_chain_old_decisions_included(run, review_server):
    write_version_1(run.reviews_path)
    file = open_reviews(run)
    file.append("label", "lee", **A, label="V")
    shared = open_reviews(run, review_server)
    for use in (shared.head, shared.verify, lambda: decide(shared, 1)):
        with pytest.raises(ReviewError, match=r"3 entries that are not in .*rarewave audit copy"):
            use()
    assert copy_reviews(run, review_server) == file.head()
    assert shared.events() == file.events() and shared.verify() == file.verify()
    assert shared.events(kinds=["verdict"]) == file.events(kinds=["verdict"])
    file.append("comment", "lee", **A, comment="since")
    assert copy_reviews(run, review_server).n_entries == 4  # only what is new
    assert shared.undo("a", "kim").number == 2
    assert copy_reviews(run, review_server) == shared.head()  # goes on from there
    assert run.reviews_path.is_file()


def test_two_logs_that_differ_are_not_mixed(run, review_server):
    shared = open_reviews(run, review_server)
    decide(shared, 2, "lee")
    decide(open_reviews(run), 3)
    with pytest.raises(ReviewError, match="has other entries for this run"):
        copy_reviews(run, review_server)
    with pytest.raises(ReviewError, match=r"not the one of the receipt|once had 3"):
        shared.verify()
    assert shared.head().n_entries == 2


def test_the_commands_take_the_url_by_option_and_by_the_environment(
    run, postgres_url, monkeypatch, capsys
):
    monkeypatch.delenv("RAREWAVE_REVIEWS_URL", raising=False)
    folder = str(run.path)
    decide(open_reviews(run), 3)
    assert main(["audit", "copy", folder]) == 1
    assert "give its URL in RAREWAVE_REVIEWS_URL" in capsys.readouterr().err
    assert main(["audit", "verify", folder, "--reviews", postgres_url]) == 1
    assert "rarewave audit copy" in capsys.readouterr().err
    assert main(["audit", "copy", folder, "--reviews", postgres_url]) == 0
    monkeypatch.setenv("RAREWAVE_REVIEWS_URL", postgres_url)
    with reviews_of(run) as shared:
        decide(shared, 1, "lee")
    capsys.readouterr()
    assert main(["audit", "receipt", folder]) == 0
    receipt = run.path / "receipt.json"
    receipt.write_text(capsys.readouterr().out)
    assert main(["audit", "verify", folder, "--receipt", str(receipt)]) == 0
    assert "4 entries, none altered, the first 4 as in the receipt" in capsys.readouterr().out
    monkeypatch.setenv("RAREWAVE_REVIEWS_URL", postgres_url.replace("@/", "x@/", 1))
    for words in (["audit", "verify", folder], ["dashboard", folder]):
        assert main(words) == 1
        told = capsys.readouterr()
        assert told.err.startswith("rarewave: the review database refuses this user or password")
        assert told.err.count("\n") == 1 and "p%40ss" not in told.err + told.out
    texts = [p.read_bytes() for p in run.path.rglob("*") if p.is_file()]
    assert not any(word in text for text in texts for word in (b"p@ss", b"p%40ss", b"reviewer"))


def test_a_run_is_told_by_its_identifier_or_by_how_it_was_begun():
    assert run_id_of({"run_id": "x", "created": "then"}) == "x"
    old = {
        "created": "2026-01-01T00:00:00+00:00",
        "model": {"sha256": "a"},
        "inputs": [{"recording_id": "r1", "path": "/here/r1.edf"}, {"recording_id": "r2"}],
    }
    elsewhere = {**old, "updated": "later", "inputs": [{"recording_id": n} for n in ("r2", "r1")]}
    assert run_id_of(old) == run_id_of(elsewhere)
    for change in ({"created": "x"}, {"model": {"sha256": "b"}}, {"inputs": []}):
        assert run_id_of({**old, **change}) != run_id_of(old)
    with pytest.raises(RunError, match="when the run was begun"):
        run_id_of({})
