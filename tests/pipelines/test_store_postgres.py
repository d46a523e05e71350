"""Review logs in a PostgreSQL database, against a real server."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest
import sqlalchemy as sa

from pipelines.errors import ReviewError
from pipelines.store import ReviewStore, server_at
from pipelines.store.postgres import PostgresLog

A = {"recording_id": "a", "segment_id": "a@1.000"}


@pytest.fixture
def connect(tmp_path):
    """Open logs at a URL, as processes of their own would; closed at the end."""
    servers = []

    def open_log(url: str, run_id: str = "r") -> ReviewStore:
        servers.append(server_at(url))
        return ReviewStore(tmp_path / "other.sqlite", PostgresLog(servers[-1], run_id))

    yield open_log
    for server in servers:
        server.close()


def run_of(store: ReviewStore) -> str:
    return store.identity.rpartition("#")[2]


def decide(store: ReviewStore, n: int, user: str = "kim") -> None:
    for i in range(n):
        store.append("verdict", user, recording_id="a", segment_id=f"a@{i}", verdict="accepted")


def test_runs_share_a_database_and_nothing_else(review_server, tmp_path):
    one, other = (
        ReviewStore(tmp_path / name / "reviews.sqlite", PostgresLog(review_server, uuid4().hex))
        for name in "ab"
    )
    decide(one, 2)
    decide(other, 1, "lee")
    assert (one.head().n_entries, other.verify().n_entries) == (2, 1)
    assert {e.user for e in one.events()} == {"kim"} and one.identity != other.identity


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rarewave_events SET content='{}'",
        "DELETE FROM rarewave_events WHERE number < 0",
        "TRUNCATE rarewave_events",
        "DELETE FROM rarewave_schema",
        "INSERT INTO rarewave_events SELECT * FROM rarewave_events"
        " ON CONFLICT (run_id, number) DO UPDATE SET content='{}'",
        "SET session_replication_role=replica; DELETE FROM rarewave_events",
    ],
)
def test_the_database_itself_refuses_changes(shared_store, execute_sql, statement):
    import pg8000

    decide(shared_store, 1)
    with pytest.raises(pg8000.Error, match="append-only"):
        execute_sql(statement)
    assert shared_store.verify().n_entries == 1


@pytest.mark.parametrize(
    ("change", "which"),
    [
        ("UPDATE rarewave_events SET content='x' WHERE number=2", "entry 2 "),
        ("UPDATE rarewave_events SET \"user\"='eve' WHERE number=3", "entry 3 "),
        ("UPDATE rarewave_events SET layout=1 WHERE number=3", "entry 3 "),
        ("DELETE FROM rarewave_events WHERE number=1", "entry 1 "),
        ("DELETE FROM rarewave_events WHERE number=3", "has 2 entries and once had 3"),
    ],
)
def test_verify_finds_what_was_changed_behind_the_triggers(
    shared_store, execute_sql, change, which
):
    decide(shared_store, 3)
    triggers = "ALTER TABLE rarewave_events {} TRIGGER rarewave_events_append_only"
    execute_sql(
        "BEGIN",
        triggers.format("DISABLE"),
        f"{change} AND run_id='{run_of(shared_store)}'",
        triggers.format("ENABLE ALWAYS"),
        "COMMIT",
    )
    with pytest.raises(ReviewError, match=which):
        shared_store.verify()


def test_reading_an_empty_database_makes_nothing_and_a_viewer_may_only_look(
    new_database, execute_sql, connect
):
    role = f"viewer_{uuid4().hex[:8]}"
    execute_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'look'", url=new_database)
    before, _, query = new_database.partition("?")
    at = f"{role}:look@{before.rpartition('@')[2]}"
    viewer = connect(f"postgresql://{at}?{query}")
    assert (viewer.events(), viewer.verify().n_entries) == ((), 0)
    tables = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'rarewave%'"
    assert execute_sql(tables, url=new_database)[0][0] == 0
    with pytest.raises(ReviewError, match="does not allow this to its user"):
        decide(viewer, 1)
    owner = connect(new_database)
    decide(owner, 2)
    with pytest.raises(ReviewError, match="does not allow this to its user"):
        viewer.events()
    execute_sql(f"GRANT SELECT ON rarewave_schema, rarewave_events TO {role}", url=new_database)
    assert viewer.verify() == owner.head()
    with pytest.raises(ReviewError, match="INSERT on rarewave_events"):
        decide(viewer, 1)
    execute_sql(f"GRANT INSERT ON rarewave_events TO {role}", url=new_database)
    decide(viewer, 1)
    assert owner.verify().n_entries == 3
    execute_sql(f"DROP OWNED BY {role}", f"DROP ROLE {role}", url=new_database)


def test_tables_are_made_once_and_those_of_a_newer_version_are_refused(
    new_database, execute_sql, connect
):
    stores = [connect(new_database, f"r{i}") for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda store: decide(store, 1), stores))
    assert execute_sql("SELECT version FROM rarewave_schema", url=new_database) == [[1]]
    execute_sql("INSERT INTO rarewave_schema (version) VALUES (2)", url=new_database)
    for use in (lambda s: s.events(), lambda s: decide(s, 1)):
        with pytest.raises(ReviewError, match="update Rarewave"):
            use(connect(new_database))


def write_some(url: str, run_id: str, path: Path, n: int) -> None:
    server = server_at(url)
    decide(ReviewStore(path, PostgresLog(server, run_id)), n, path.name)
    server.close()


@pytest.mark.slow
def test_processes_and_threads_that_write_at_once_lose_nothing(shared_store, postgres_url):
    context = multiprocessing.get_context("spawn")
    run_id, folder = run_of(shared_store), shared_store.path.parent
    writers = [
        context.Process(target=write_some, args=(postgres_url, run_id, folder / f"p{i}", 12))
        for i in range(4)
    ]
    for writer in writers:
        writer.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: decide(shared_store, 6, f"t{i}"), range(8)))
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert shared_store.verify() == shared_store.head()
    assert shared_store.head().n_entries == 4 * 12 + 8 * 6
    users = [event.user for event in shared_store.events()]
    assert {user: users.count(user) for user in users} == {
        **{f"p{i}": 12 for i in range(4)},
        **{f"t{i}": 6 for i in range(8)},
    }


WRITER = """
import sys
from pathlib import Path
from pipelines.store import ReviewStore, server_at
from pipelines.store.postgres import PostgresLog
url, run_id, path, how = sys.argv[1:]
log = PostgresLog(server_at(url), run_id)
store = ReviewStore(Path(path), log)
if how == "between":
    with log.writing() as writer:
        head = writer.head()
        writer.add({"number": head.n_entries + 1, "kind": "comment", "recording_id": "a",
            "segment_id": "a@1", "content": "{}", "user": "half", "at": "now",
            "previous_hash": head.hash, "hash": "x"})
        print("added", flush=True)
        sys.stdin.read()
for i in range(10**6):
    store.append("verdict", "kim", recording_id="a", segment_id=f"a@{i}", verdict="accepted")
    print(i, flush=True)
"""


def kill_writer(url: str, store: ReviewStore, how: str, after: int) -> int:
    """Start a writer, kill it, and return how many lines it had said."""
    words = [sys.executable, "-c", WRITER, url, run_of(store), str(store.path), how]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        said = [writer.stdout.readline() for _ in range(after)]
        os.kill(writer.pid, signal.SIGKILL)
        return len(said) + len(writer.stdout.read().splitlines())


def test_a_writer_killed_in_mid_append_leaves_nothing_half_done(shared_store, postgres_url):
    decide(shared_store, 2)
    assert kill_writer(postgres_url, shared_store, "between", 1) == 1
    decide(shared_store, 1, "lee")  # does not wait for the dead one's lock
    assert [e.user for e in shared_store.events()] == ["kim", "kim", "lee"]
    assert shared_store.verify().n_entries == 3


def test_what_was_recorded_survives_a_killed_process(shared_store, postgres_url):
    confirmed = kill_writer(postgres_url, shared_store, "many", 15)
    assert confirmed <= shared_store.verify().n_entries <= confirmed + 1


@pytest.mark.extensive
def test_nothing_is_lost_in_twenty_killed_processes(shared_store, postgres_url):
    before = 0
    for attempt in range(20):
        confirmed = kill_writer(postgres_url, shared_store, "many", attempt + 1)
        now = shared_store.verify().n_entries
        assert before + confirmed <= now <= before + confirmed + 1
        before = now


END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='{}' AND pid<>pg_backend_pid()"


def end_sessions(execute_sql, url: str) -> None:
    execute_sql(END_ALL.format(url.partition("?")[0].rpartition("/")[2]))


def test_a_connection_that_dies_between_uses_is_replaced(new_database, execute_sql, connect):
    store = connect(new_database)
    decide(store, 1)
    end_sessions(execute_sql, new_database)
    assert store.head().n_entries == 1
    end_sessions(execute_sql, new_database)
    decide(store, 1)
    assert store.verify().n_entries == 2


def test_a_connection_lost_in_mid_append_is_told_and_nothing_is_there(
    new_database, execute_sql, connect, monkeypatch
):
    from pipelines.store import rules

    store = connect(new_database)
    decide(store, 1)
    check = rules.check_open

    def check_and_lose(log, recording_id):
        check(log, recording_id)
        end_sessions(execute_sql, new_database)

    with monkeypatch.context() as patch:
        patch.setattr(rules, "check_open", check_and_lose)
        with pytest.raises(ReviewError, match=r"was lost; nothing of what .* is there, try again"):
            decide(store, 1)
    assert store.verify().n_entries == 1
    decide(store, 1)
    assert store.verify().n_entries == 2


@pytest.mark.parametrize("arrives", [True, False])
def test_an_answer_lost_at_the_commit_is_looked_up(
    new_database, execute_sql, connect, monkeypatch, arrives
):
    from sqlalchemy.engine import Connection

    store = connect(new_database)
    decide(store, 1)
    run = Connection.exec_driver_sql

    def lose_commit(self, statement, *more):
        if statement != "COMMIT":
            return run(self, statement, *more)
        monkeypatch.setattr(Connection, "exec_driver_sql", run)
        if arrives:
            run(self, statement)
        end_sessions(execute_sql, new_database)
        return run(self, "SELECT 1")  # its answer is lost as that of the commit would be

    monkeypatch.setattr(Connection, "exec_driver_sql", lose_commit)
    if arrives:
        decide(store, 1)
    else:
        with pytest.raises(ReviewError, match="nothing of what was being saved is there"):
            decide(store, 1)
    assert store.verify().n_entries == 1 + arrives


def test_a_lock_that_is_not_given_back_is_told(shared_store, postgres_url, connect, monkeypatch):
    from pipelines.store import server

    monkeypatch.setattr(server, "_LOCK_S", 1)
    other = connect(postgres_url, run_of(shared_store))
    with shared_store._log.writing():
        assert other.head().n_entries == 0  # who only looks does not wait
        with pytest.raises(ReviewError, match="locked by another process"):
            decide(other, 1)


def parts(url: str) -> tuple[str, str, str]:
    """Return what stands before, in and behind the password."""
    scheme, _, rest = url.partition("://")
    user, _, rest = rest.partition(":")
    return f"{scheme}://{user}", *rest.split("@", 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, p, b: f"{a}:{p}SECRET@{b}", "refuses this user or password"),
        (lambda a, p, b: f"{a}:{p}@{b.replace('/postgres?', '/SECRET?')}", "does not exist"),
        (lambda a, p, b: f"{a}:{p}@{b}-SECRET", "does not answer"),
        (lambda a, p, b: f"{a}:{p}@{b}&sslmode=require", "offers no TLS"),
        (lambda a, p, b: f"{a}:{p}@{b}&sslmode=SECRET", "sslmode is unknown"),
        (lambda a, p, b: f"{a}:{p}@{b}&timeout=SECRET", "timeout is not"),
        (lambda a, p, b: f"{a}:{p}@{b}&SECRET=1", "1 of its options are unknown"),
        (lambda a, p, b: f"{a}:{p}@127.0.0.1:1/SECRET", "does not answer"),
        (lambda a, p, b: f"{a}:SECRET/@@127.0.0.1:1/y", "percent-encoded"),
        (lambda a, p, b: "mysql://u:SECRET@x/y", "not of PostgreSQL"),
        (lambda a, p, b: "SECRET", "cannot be read as a URL"),
        (lambda a, p, b: "postgresql://u:SECRET@x:SECRET/y", "cannot be read as a URL"),
        (lambda a, p, b: "postgresql://u:SECRET@x", "host or database are missing"),
    ],
)
def test_a_wrong_url_is_told_in_one_line_without_it(postgres_url, connect, change, message):
    url = change(*parts(postgres_url))
    with pytest.raises(ReviewError, match=message) as caught:
        connect(url).head()
    shown = "".join(traceback.format_exception(caught.value))
    told = str(caught.value)
    assert "\n" not in told and "SECRET" not in shown and quote("p@ss") not in shown
    assert "p@ss" not in shown and "/tmp" not in told


def test_tls_is_used_and_the_certificate_checked_as_the_url_says(tls_url, connect):
    bare, _, root = tls_url.partition("?")
    for query in (f"{root}&sslmode=verify-full", f"{root}&sslmode=verify-ca", "sslmode=require"):
        store = connect(f"{bare}?{query}", query)
        decide(store, 1)
        (found,) = store._log._server.fetch(
            sa.text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        )
        assert found["ssl"] and store.head().n_entries == 1
    elsewhere = bare.replace("localhost", "127.0.0.1")
    decide(connect(f"{elsewhere}?{root}&sslmode=verify-ca", "number"), 1)
    for url in (f"{bare}?sslmode=verify-full", f"{elsewhere}?{root}&sslmode=verify-full"):
        with pytest.raises(ReviewError, match="certificate of the review database is not trusted"):
            connect(url).head()
    with pytest.raises(ReviewError, match="no readable file of certificates"):
        connect(f"{bare}?sslmode=verify-full&sslrootcert=/nowhere").head()


def test_a_missing_driver_is_told(postgres_url, monkeypatch):
    monkeypatch.setitem(sys.modules, "pg8000", None)
    with pytest.raises(ReviewError, match=r"pip install 'rarewave\[postgres\]'"):
        server_at(postgres_url)


def test_no_password_is_shown_by_what_people_print(postgres_url, shared_store, monkeypatch):
    from pipelines.store.address import Address

    address = Address.parse(postgres_url)
    server = server_at(postgres_url)
    shown = repr([address, address.identity, vars(server), shared_store.identity])
    assert address.password and address.password not in shown
    monkeypatch.setenv("PGPASSWORD", "from elsewhere")
    assert Address.parse("postgresql://u@localhost/d").password == "from elsewhere"
    assert Address.parse("postgresql://u@db.example/d").tls == "verify-full"
    assert Address.parse("postgresql://u@localhost/d").tls == "disable"


def test_an_append_and_a_look_take_few_queries(review_server, shared_store):
    statements: list[str] = []
    sa.event.listen(
        review_server._engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *more: statements.append(statement),
    )
    decide(shared_store, 1)
    statements.clear()
    shared_store.head(), shared_store.events("a")
    assert len(statements) == 2
    statements.clear()
    decide(shared_store, 1)
    assert len(statements) == 6  # begin and lock, roles, signed off?, head, insert, commit


def test_a_note_of_the_head_lies_beside_the_run_and_no_url_anywhere(shared_store, postgres_url):
    decide(shared_store, 3)
    folder = shared_store.path.parent
    assert [path.name for path in folder.iterdir()] == ["reviews.shared.head.json"]
    text = (folder / "reviews.shared.head.json").read_text()
    assert set(json.loads(text)) == {"n_entries", "hash"} and "p@ss" not in text
    assert threading.active_count() < 50
