"""A person's way through the dashboard, in a real browser, on a real recording."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipelines.store import ReviewStore

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SAMPLE = Path(__file__).parents[2] / "sample_data" / "eeg_absence_480s.edf"


def rarewave(*words: str) -> None:
    command = [str(Path(sys.executable).with_name("rarewave")), *words]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def run_path(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit and score the sample EEG through the command line."""
    folder = tmp_path_factory.mktemp("e2e")
    model, run = folder / "model", folder / "run"
    rarewave("fit", str(SAMPLE), "--kind", "eeg", "--baseline", "0:230", "--out", str(model))
    rarewave("score", str(model), str(SAMPLE), "--out", str(run))
    return run


@pytest.fixture
def server(run_path: Path, serve) -> str:
    """Serve the run and return the address that the server prints."""
    return serve(run_path).address


def verdict(page, words: str):
    return page.locator(".rw-verdict b", has_text=words)


def section(page, words: str):
    return page.locator(".rw-section", has_text=words)


def badge(page, words: str) -> None:
    verdict(page, words).wait_for()


def position(page, words: str) -> None:
    section(page, words).wait_for()


def press(page, key: str, locator) -> None:
    """Press a key once, as soon as keys are listened to, and wait for what it does."""
    page.wait_for_function("document.documentElement.dataset.rarewaveKeys !== undefined")
    page.keyboard.press(key)
    locator.wait_for()


def drawn_colours(page, index: int) -> int:
    """Count the different colours of a canvas: a blank one has one."""
    return (
        page.locator("canvas[role=img]")
        .nth(index)
        .evaluate(
            """canvas => {
            const { width, height } = canvas;
            const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
            return new Set(new Uint32Array(pixels.buffer)).size;
        }"""
        )
    )


def test_open_accept_reload_and_find_it_accepted(run_path: Path, server: str, page):
    page.goto(server)
    page.get_by_text("Research use only. Not a medical device.").first.wait_for()
    page.get_by_role("textbox", name="Reviewer").fill("Dr Ada")
    page.get_by_role("textbox", name="Reviewer").press("Enter")
    page.get_by_role("button", name="Review the next recording").click()
    page.get_by_role("heading", name="eeg_absence_480s").wait_for()
    badge(page, "Not reviewed")
    page.locator("canvas[role=img]").nth(1).wait_for()
    assert drawn_colours(page, 0) > 10 and drawn_colours(page, 1) > 10
    page.get_by_role("button", name="Accept").click()
    badge(page, "Accepted")
    address = page.url
    assert "recording=eeg_absence_480s" in address and "segment=" in address

    page.reload()
    badge(page, "Accepted")
    page.get_by_text("by Dr Ada").first.wait_for()
    stored = ReviewStore(run_path / "reviews.sqlite").latest("eeg_absence_480s")
    assert [(d.verdict, d.user) for d in stored.values()] == [("accepted", "Dr Ada")]
    assert page.problems == []


def test_keys_step_and_decide(run_path: Path, server: str, page):
    page.goto(f"{server}/?recording=eeg_absence_480s")
    position(page, "Segment 1 of")
    press(page, "ArrowRight", section(page, "Segment 2 of"))
    press(page, "x", verdict(page, "Rejected"))
    press(page, "z", verdict(page, "Not reviewed"))
    press(page, "ArrowLeft", section(page, "Segment 1 of"))
    assert page.problems == []


def test_click_into_the_overview_opens_a_segment_there(run_path: Path, server: str, page):
    import pandas as pd

    segments = pd.read_parquet(run_path / "recordings/eeg_absence_480s/segments.parquet")
    page.goto(f"{server}/?recording=eeg_absence_480s")
    position(page, "Segment 1 of")
    canvas = page.locator("canvas[role=img]").first
    box = canvas.bounding_box()
    middle = (segments["start_s"].iloc[2] + segments["stop_s"].iloc[2]) / 2
    left, right = 44, 12
    x = left + (box["width"] - left - right) * middle / 480.0
    canvas.click(position={"x": x, "y": 60})
    position(page, "Segment 3 of")
    assert page.problems == []


def test_two_reviewers_share_decisions_but_not_places(run_path: Path, server: str, page):
    other = page.context.browser.new_page()
    for each in (page, other):
        each.set_default_timeout(30_000)
        each.goto(f"{server}/?recording=eeg_absence_480s")
        position(each, "Segment 1 of")
    press(page, "ArrowRight", section(page, "Segment 2 of"))
    press(page, "u", verdict(page, "Unsure"))
    position(other, "Segment 1 of")
    other.get_by_role("button", name="Next →").click()
    position(other, "Segment 2 of")
    badge(other, "Unsure")


def test_export_downloads_what_the_run_folder_keeps(run_path: Path, server: str, page):
    page.goto(f"{server}/export")
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as started:
        page.get_by_role("button", name="Download").click()
    with zipfile.ZipFile(started.value.path()) as archive:
        names = set(archive.namelist())
        text = "".join(archive.read(n).decode() for n in names if n.endswith(".csv"))
    folder = next((run_path / "exports").glob("csv-flagged-*"))
    kept = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert names == kept
    assert "eeg_absence_480s@" in text
    assert page.problems == []


def test_tables_open_what_is_clicked_and_give_the_keys_back(run_path: Path, server: str, page):
    page.goto(server)
    table = page.get_by_test_id("stDataFrame")
    table.locator("canvas").first.wait_for()
    for _ in range(2):  # coming back, the same row opens again
        page.wait_for_timeout(1_500)
        table.click(position={"x": 80, "y": 55})
        position(page, "Segment 1 of")
        page.get_by_role("link", name="Recordings").click()
        page.locator(".rw-tiles").wait_for()
    page.goto(f"{server}/review?recording=eeg_absence_480s")
    position(page, "Segment 1 of")
    page.wait_for_timeout(1_500)
    table.click(position={"x": 80, "y": 36 + 35 + 15})
    position(page, "Segment 2 of")
    press(page, "ArrowRight", section(page, "Segment 3 of"))
    assert page.problems == []
