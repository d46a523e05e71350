"""A PostgreSQL server for the tests of shared review logs, thrown away afterwards."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

URL_VARIABLE = "RAREWAVE_TEST_POSTGRES_URL"
PASSWORD = "p@ss/w:rd%é"
_PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt")


def find_program(name: str) -> str | None:
    on_path = shutil.which(name)
    beside = [str(p) for place in _PLACES for p in sorted(Path(place).glob(f"*/bin/{name}"))]
    return next(iter([on_path] * bool(on_path) + beside[::-1]), None)


def other_user() -> dict[str, object]:
    """PostgreSQL refuses to run as root: return whom to be instead."""
    if os.geteuid() != 0:
        return {}
    import pwd

    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def make_certificate(folder: Path, who: dict[str, object]) -> None:
    """Write a certificate of localhost, signed by itself."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", folder / "key.pem"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-out", folder / "cert.pem"]
    subprocess.run(command, check=True, cwd=folder, capture_output=True, **who)


@contextmanager
def running_server(with_tls: bool = False) -> Iterator[str]:
    """Give the URL of an empty server on a unix socket; with TLS on a port of this computer."""
    initdb, postgres = find_program("initdb"), find_program("postgres")
    if initdb is None or postgres is None:
        pytest.skip(f"no PostgreSQL here: install it, or give {URL_VARIABLE}")
    folder, who = Path(tempfile.mkdtemp(prefix="rw-pg-")), other_user()
    try:
        (folder / "password").write_text(PASSWORD)
        if who:
            for path in (folder, folder / "password"):
                os.chown(path, who["user"], who["group"])
        data, log = folder / "data", folder / "log"
        command = [initdb, "-D", data, "-U", "reviewer", "--pwfile", folder / "password"]
        command += ["--auth=scram-sha-256", "--no-sync", "--no-instructions", "-E", "UTF8"]
        subprocess.run([*command, "--locale=C"], check=True, cwd=folder, capture_output=True, **who)
        command = [postgres, "-D", data, "-k", folder, "-c", "listen_addresses=", "-F"]
        address = f"/postgres?host={folder}"
        if with_tls:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            make_certificate(folder, who)
            command += ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "ssl=on"]
            command += ["-c", f"ssl_cert_file={folder}/cert.pem", "-c"]
            command += [f"ssl_key_file={folder}/key.pem"]
            address = f"localhost:{port}/postgres?sslrootcert={folder}/cert.pem"
        with log.open("w") as output:
            server = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, **who)
        try:
            deadline = time.monotonic() + 120
            while "ready to accept connections" not in log.read_text():
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield f"postgresql://reviewer:{quote(PASSWORD, safe='')}@{address}"
        finally:
            server.send_signal(2)  # SIGINT: end sessions and stop
            server.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a database that may be filled; its user may do everything."""
    pytest.importorskip("pg8000", reason="needs pg8000: pip install 'rarewave[postgres]'")
    given = os.environ.get(URL_VARIABLE)
    if given:
        yield given
        return
    with running_server() as url:
        yield url


@pytest.fixture(scope="session")
def tls_url() -> Iterator[str]:
    """URL of a server that speaks TLS; names the certificate to trust."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here, which makes the certificate")
    with running_server(with_tls=True) as url:
        yield url


@pytest.fixture
def execute_sql(postgres_url: str):
    """Run statements as somebody other than Rarewave would."""
    import pg8000

    from pipelines.store.address import Address

    def execute(*statements: str, url: str = postgres_url) -> list:
        address = Address.parse(url)
        channel = address.connect()
        with (
            closing(channel),
            closing(pg8000.Connection(**address.arguments(), sock=channel)) as connection,
        ):
            connection.autocommit = True
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    return execute


@pytest.fixture
def new_database(postgres_url: str, execute_sql) -> Iterator[str]:
    """URL of a database without tables, dropped afterwards."""
    from uuid import uuid4

    name = f"rw_{uuid4().hex}"
    execute_sql(f"CREATE DATABASE {name}")
    before, _, query = postgres_url.partition("?")
    yield f"{before.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
    execute_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def review_server(postgres_url: str):
    """The server as Rarewave uses it."""
    from pipelines.store import server_at

    server = server_at(postgres_url)
    yield server
    server.close()


@pytest.fixture
def shared_store(review_server, tmp_path: Path):
    """The review log of a run of its own, in the database."""
    from uuid import uuid4

    from pipelines.store import ReviewStore
    from pipelines.store.postgres import PostgresLog

    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    return ReviewStore(folder / "reviews.sqlite", PostgresLog(review_server, uuid4().hex))


@pytest.fixture(params=["file", "postgres"])
def store(request, tmp_path: Path):
    """A review log in each of the places where one can be."""
    from pipelines.store import ReviewStore

    if request.param == "postgres":
        return request.getfixturevalue("shared_store")
    return ReviewStore(tmp_path / "run" / "reviews.sqlite")


@pytest.fixture
def file_store(tmp_path: Path):
    """A review log in a file."""
    from pipelines.store import ReviewStore

    return ReviewStore(tmp_path / "run" / "reviews.sqlite")
