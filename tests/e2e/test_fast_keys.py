"""Keys pressed faster than the page is drawn: each one counts, once, where the reader was."""

import importlib.util
import random
from collections import Counter
from pathlib import Path

import pytest

from pipelines.store import ReviewStore

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "dashboard.py"
NAME = "holter"
N = 40


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    """A run of 40 segments, written as the benchmark of the dashboard writes it."""
    spec = importlib.util.spec_from_file_location("dashboard_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_run(tmp_path, 0.2, N)


def test_every_press_counts_once_however_the_page_is_interrupted(run_path: Path, serve, page):
    page.goto(f"{serve(run_path).address}/review?recording={NAME}")
    page.wait_for_function("document.documentElement.dataset.rarewaveKeys !== undefined")
    random_numbers, pressed = random.Random(0), ["m", *"ax" * (N // 2)]
    for key in pressed:
        page.keyboard.press(key)
        page.wait_for_timeout(random_numbers.choice([0, 30, 80, 150, 250, 400]))
    page.wait_for_function(
        f"Number(document.documentElement.dataset.rarewaveKeys) >= {len(pressed)}", timeout=60_000
    )
    events = ReviewStore(run_path / "reviews.sqlite").events(NAME)
    verdicts = [e.content["verdict"] for e in events if e.kind == "verdict"]
    assert verdicts == ["accepted", "rejected"] * (N // 2)
    assert set(Counter(e.segment_id for e in events).values()) == {1}
    assert page.problems == []


def test_the_browsers_back_returns_to_the_segment_before(run_path: Path, serve, page):
    page.goto(f"{serve(run_path).address}/review?recording={NAME}")
    page.wait_for_function("document.documentElement.dataset.rarewaveKeys !== undefined")
    for n in (2, 3):
        page.keyboard.press("ArrowRight")
        page.locator(".rw-section", has_text=f"Segment {n} of {N}").wait_for()
        page.wait_for_timeout(500)
    page.go_back()
    page.locator(".rw-section", has_text=f"Segment 2 of {N}").wait_for()
    page.keyboard.press("ArrowRight")
    page.locator(".rw-section", has_text=f"Segment 3 of {N}").wait_for()
    assert page.problems == []
