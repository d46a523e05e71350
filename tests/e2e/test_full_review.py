"""A whole review of the sample ECG, by keyboard alone.

With RAREWAVE_SCREENSHOTS=FOLDER it leaves the pictures of docs/review_guide.md there.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pipelines.run_folder import RunFolder
from pipelines.store import ReviewStore

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SAMPLE = Path(__file__).parents[2] / "sample_data" / "ecg_ahadb_0201.hea"
NAME = "ecg_ahadb_0201"
PROGRESS = re.compile(r"(\d+) of (\d+) flagged")


@pytest.fixture(scope="module")
def run_path(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    for words in (
        ["fit", str(SAMPLE), "--kind", "ecg", "--baseline", "0:300", "--out", "model"],
        ["score", "model", str(SAMPLE), "--out", "ward"],
    ):
        program = str(Path(sys.executable).with_name("rarewave"))
        done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folder / "ward"


def picture(page, name: str) -> None:
    folder = os.environ.get("RAREWAVE_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(4000)
        page.screenshot(path=f"{folder}/guide-{name}.png")


def title(page):
    return page.locator(".rw-title p")


def progress(page) -> tuple[int, int]:
    words = page.locator(".rw-title span", has_text="flagged segments").inner_text()
    return tuple(map(int, PROGRESS.search(words).groups()))


def reviewed(page, n: int) -> None:
    """Wait until so many segments are reviewed."""
    words = re.compile(rf"^{n} of \d+ flagged")
    page.locator(".rw-title span").filter(has_text=words).wait_for(timeout=60_000)


def focus(page, role: str, name: str) -> None:
    """Put the keyboard on something, as Tab would."""
    page.get_by_role(role, name=name).first.focus()


def type_number(page, label: str, value: float) -> None:
    box = page.get_by_label(label).last
    box.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type(str(value))
    page.keyboard.press("Enter")


def listening(page) -> None:
    """Wait until keys are listened to, then until what came before has been dealt with."""
    page.wait_for_function("document.documentElement.dataset.rarewaveKeys !== undefined")


def test_a_whole_review_by_keyboard(run_path: Path, serve, page):
    store = ReviewStore(run_path / "reviews.sqlite")
    page.goto(serve(run_path).address)
    page.get_by_role("textbox", name="Reviewer").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("Dr Ada")
    page.keyboard.press("Enter")
    page.get_by_text("Research use only. Not a medical device.").first.wait_for()
    picture(page, "1-recordings")
    focus(page, "button", "Review the next recording")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=NAME).wait_for()
    listening(page)
    page.locator("canvas[role=img]").nth(1).wait_for()
    picture(page, "2-review")

    n = progress(page)[1]
    for key in ("a", "ArrowRight", "x"):  # without waiting: each press counts
        page.keyboard.press(key)
    reviewed(page, 2)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("g")
    page.keyboard.press("2")
    expect(page.locator(".rw-verdict b")).to_contain_text("V", timeout=30_000)
    picture(page, "3-group")
    page.keyboard.press("z")
    expect(page.locator(".rw-verdict b")).to_have_text("Not reviewed", timeout=30_000)
    group = [e for e in store.events(NAME) if e.kind == "group"]
    assert len(group) == 1 and len(group[0].content["segments"]) > 100
    for key in ("g", "2", "g", "a"):
        page.keyboard.press(key)
    members = len(group[0].content["segments"])
    reviewed(page, members)

    focus(page, "button", "Baseline")
    page.keyboard.press("Enter")
    page.get_by_label("Start, s").last.wait_for()
    type_number(page, "Start, s", 300)
    type_number(page, "Stop, s", 540)
    picture(page, "4-baseline")
    focus(page, "button", "Confirm and re-score")
    page.keyboard.press("Enter")
    expect(title(page)).to_contain_text("baseline, 5:00 to 9:00", timeout=60_000)
    page.keyboard.press("Escape")
    assert progress(page)[0] >= members  # decisions are still attached

    page.keyboard.press("m")
    page.keyboard.press("n")
    done, n = progress(page)
    for _ in range(n - done):
        page.keyboard.press("x")
    reviewed(page, n)
    page.keyboard.press("Shift+S")
    expect(title(page)).to_contain_text("signed off", timeout=30_000)
    picture(page, "5-signed-off")

    focus(page, "link", "Export")
    page.keyboard.press("Enter")
    page.locator(".rw-tiles").wait_for()
    page.get_by_role("button", name="Export", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Download").wait_for()
    picture(page, "6-export")
    (table,) = run_path.glob("exports/csv-flagged-*/segments.csv")
    text = table.read_text()
    assert text.count(",V,") >= members - 1 and "Dr Ada" in text

    assert page.problems == []
    kinds = [event.kind for event in store.events()]
    assert {"verdict", "group", "undo", "baseline", "sign_off"} <= set(kinds)
    assert store.verify().n_entries == len(kinds)
    assert RunFolder.open(run_path).status()[-1]["baseline"] == [300.0, 540.0]
