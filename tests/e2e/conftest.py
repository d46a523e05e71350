"""A real server and a real Chromium for the tests of the dashboard."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = "no Chromium found; install it with 'sudo apt-get install chromium'"
ABSOLUTE = re.compile(r"https?://([^/:]+)")


@pytest.fixture(scope="session")
def chromium() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(INSTALL)
    if found is None:
        pytest.skip(INSTALL)
    return found


@dataclass
class Server:
    """A dashboard that is being served."""

    process: subprocess.Popen
    address: str


def start(run: Path, port: int | None = None) -> Server:
    """Serve a run and wait until the server prints its address."""
    if port is None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    command = [sys.executable, "-m", "app", str(run), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line.strip() == f"Rarewave dashboard: http://127.0.0.1:{port}"
    return Server(process, line.split(": ", 1)[1].strip())


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers that end with the test."""
    servers: list[Server] = []

    def begin(run: Path, port: int | None = None) -> Server:
        servers.append(start(run, port))
        return servers[-1]

    yield begin
    for server in servers:
        server.process.terminate()
        server.process.wait(timeout=20)
        server.process.stdout.close()


@pytest.fixture
def page(chromium: str):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(30_000)
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on(
            "console",
            lambda message: _note_error(page, message),
        )
        page.on("request", lambda request: _note_foreign(page, request.url))
        yield page
        browser.close()


def _note_error(page, message) -> None:
    """Note errors, but not that Streamlit first looks for its server under the page's path."""
    if message.type == "error" and "/_stcore/" not in message.location["url"]:
        page.problems.append(message.text)


def _note_foreign(page, url: str) -> None:
    host = ABSOLUTE.match(url)
    if host and host.group(1) != "127.0.0.1":
        page.problems.append(f"the page asked for {url}")
