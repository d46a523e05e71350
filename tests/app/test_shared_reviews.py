"""The dashboard's services and page over review logs that a database keeps."""

import json
from uuid import uuid4

import pytest
import sqlalchemy as sa

from app import services
from pipelines.run_folder import RunFolder


@pytest.fixture
def shared(postgres_url, monkeypatch):
    """Let the dashboard use the database, and close its connections afterwards."""
    monkeypatch.setenv("RAREWAVE_REVIEWS_URL", postgres_url)
    yield postgres_url
    services._server(postgres_url).close()
    services._server.clear()


def run_at(path) -> RunFolder:
    path.mkdir()
    (path / "run.json").write_text(json.dumps({"run_id": uuid4().hex, "created": "then"}))
    return RunFolder.open(path)


def decide(run: RunFolder, user: str) -> None:
    services.append(
        run, "verdict", user, recording_id="a", segment_id="a@1.000", verdict="accepted"
    )


def test_logs_of_equal_length_are_not_taken_for_each_other(shared, tmp_path, monkeypatch):
    one, other = run_at(tmp_path / "one"), run_at(tmp_path / "other")
    decide(one, "kim")
    decide(other, "lee")
    monkeypatch.delenv("RAREWAVE_REVIEWS_URL")
    assert services.all_events(one) == ()
    decide(one, "ann")
    seen = {"file": services.events(one, "a")[0].user}
    monkeypatch.setenv("RAREWAVE_REVIEWS_URL", shared)
    seen |= {"one": services.events(one, "a")[0].user, "other": services.events(other, "a")[0].user}
    assert seen == {"file": "ann", "one": "kim", "other": "lee"}
    services.append(one, "role", "kim", name="kim", role="admin")
    assert (services.roles(one), services.roles(other)) == ({"kim": "admin"}, {})
    services.append(one, "reading", "kim", readers=["kim", "lee"], blind=True)
    assert services.reading(one).readers == ("kim", "lee")
    assert services.undo(one, "a", "kim").number == 1


def test_a_log_replaced_by_one_of_equal_length_is_read_again(tmp_path, monkeypatch):
    monkeypatch.delenv("RAREWAVE_REVIEWS_URL", raising=False)
    run = run_at(tmp_path / "run")
    for user in ("kim", "lee"):
        for file in run.path.glob("reviews*"):
            file.unlink()
        decide(run, user)
        assert services.events(run, "a")[0].user == user


def test_a_drawing_of_the_review_page_takes_few_queries(shared, eeg_run, open_app):
    manifest = eeg_run.path / "run.json"
    facts = {**json.loads(manifest.read_text()), "run_id": uuid4().hex}
    manifest.write_text(json.dumps(facts))
    app = open_app(eeg_run.path, recording="night_1")
    assert not app.exception
    services.append(RunFolder.open(eeg_run.path), "assign", "ada", recording_id="a", reader="kim")
    app.run()
    statements: list[str] = []
    sa.event.listen(
        services._server(shared)._engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *more: statements.append(statement),
    )
    app.run()
    looked = len(statements)
    app.button(key="rw_decide_accept").click().run()
    decided = len(statements) - looked
    assert looked <= 3 and decided <= 14  # 6 of them add the entry
    assert services.verdict_counts(RunFolder.open(eeg_run.path))["accepted"] == 1
    assert not (eeg_run.path / "reviews.sqlite").exists()


def test_a_database_that_does_not_answer_is_told_on_the_page(eeg_run, open_app, monkeypatch):
    manifest = eeg_run.path / "run.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "run_id": "r"}))
    monkeypatch.setenv("RAREWAVE_REVIEWS_URL", "postgresql://u:SECRET@127.0.0.1:1/d")
    app = open_app(eeg_run.path, recording="night_1")
    assert not app.exception
    assert [e.value for e in app.error if "does not answer" in e.value and "SECRET" not in e.value]
