"""Many readers at once, and a server that is killed: no decision is lost."""

import random
import threading
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from pipelines.store import ReviewStore

pytestmark = [pytest.mark.e2e, pytest.mark.extensive]
NAME = "holter"


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    """A run of 400 segments, written as the benchmark writes it."""
    import importlib.util

    path = Path(__file__).parents[2] / "benchmarks" / "dashboard.py"
    spec = importlib.util.spec_from_file_location("dashboard_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_run(tmp_path, 0.5, 400)


def read(chromium: str, address: str, user: str, seconds: float, report: dict) -> None:
    """Review as one reader until the time is over; report presses and problems."""
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        page.set_default_timeout(120_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{address}/review?recording={NAME}")
        box = page.get_by_role("textbox", name="Reviewer")
        box.fill(user)
        box.press("Enter")
        box.blur()
        page.wait_for_function("document.documentElement.dataset.rarewaveKeys !== undefined")
        page.wait_for_timeout(1500)
        generator, pressed = random.Random(user), 0
        stop = time.monotonic() + seconds
        while time.monotonic() < stop:
            page.keyboard.press("ArrowRight")
            page.keyboard.press(generator.choice("axu"))
            pressed += 1
            page.wait_for_timeout(generator.randint(200, 1500))
        page.wait_for_function(
            f"Number(document.documentElement.dataset.rarewaveKeys) >= {2 * pressed}"
        )
        report[user] = (pressed, problems, page.locator("[data-testid=stException]").count())
        browser.close()


def test_eight_readers_of_one_run_lose_nothing(chromium, run_path, serve):
    address = serve(run_path).address
    report: dict = {}
    readers = [
        threading.Thread(target=read, args=(chromium, address, f"reader {i}", 60.0, report))
        for i in range(8)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(400)
    store = ReviewStore(run_path / "reviews.sqlite")
    stored = dict.fromkeys(report, 0)
    for event in store.events(NAME):
        stored[event.user] += event.kind == "verdict"
    assert len(report) == 8
    assert stored == {user: pressed for user, (pressed, _, _) in report.items()}
    assert all(not problems and not errors for _, problems, errors in report.values())
    assert store.verify().n_entries == sum(stored.values()) > 8


def test_a_killed_server_loses_no_decision_that_it_showed(chromium, run_path, serve):
    store = ReviewStore(run_path / "reviews.sqlite")
    generator = random.Random(0)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for attempt in range(20):
            server = serve(run_path)
            page = browser.new_page(viewport={"width": 1200, "height": 800})
            page.set_default_timeout(120_000)
            page.goto(f"{server.address}/review?recording={NAME}")
            page.wait_for_function("document.documentElement.dataset.rarewaveKeys !== undefined")
            before = store.head().n_entries
            title = page.locator(".rw-title p")
            page.keyboard.press("n")
            page.keyboard.press("a")
            expect(title).to_contain_text("in review")
            page.wait_for_function("Number(document.documentElement.dataset.rarewaveKeys) >= 2")
            shown = store.head().n_entries
            assert shown == before + 1
            for _ in range(generator.randint(0, 6)):
                page.keyboard.press("n")
                page.keyboard.press("x")
            time.sleep(generator.random())
            server.process.kill()
            server.process.wait()
            after = store.verify().n_entries
            assert after >= shown, f"attempt {attempt}"
            page.close()
        browser.close()
