import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from pipelines.errors import ExportError
from pipelines.exports import export_run
from pipelines.exports.report import STRIPS_PER_RECORDING
from pipelines.exports.selection import Selection
from pipelines.exports.strips import strip_of
from pipelines.readers import read_recording
from pipelines.store import ReviewStore

SPANS = [(20.0, 24.0), (60.5, 61.5)]
HOSTILE = '<img src=x onerror="alert(1)">&'


class Page(HTMLParser):
    """Counts tags, notes what would be fetched, and checks that tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.links, self.words = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "data", "action") or name.startswith("on"):
                self.links.append(value)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if "style" not in self.open:
            self.words.append(text)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def report(run, tmp_path, only="flagged"):
    (path, _) = export_run(run.path, "html", tmp_path / "out", only)
    return path.read_text("utf-8")


def test_the_report_shows_each_segment_with_its_reasons_and_decision(make_run, ecg_file, tmp_path):
    run = make_run({"night": ecg_file()}, SPANS, 120)
    ReviewStore(run.reviews_path).record("night", "night@20.000", "accepted", "looks wide", "kim")
    page = Page(report(run, tmp_path))
    for words in (
        "Research use only. Not a medical device.",
        "not the probability of a disease",
        "Threshold 4 ",
        "0:00:20.0 for 4.0 s , at 03:04:25 by the recorder's clock; peak score 6.25, p 0.002",
        "most on MLII",
        "earliness against the rhythm around; width of the main deflection against that of",
        "looks wide kim",
        "25 mm/s, 10 mm/mV",
    ):
        assert words.replace(" ,", ",") in page.text.replace(" ,", ","), words
    assert page.text.count("accepted") >= 2
    assert "Jane Doe" not in page.text
    assert page.tags.count("article") == 2
    assert "normal" not in page.text


def test_nothing_is_fetched_and_nothing_can_run(make_run, edf, signal, write, tmp_path):
    lead = signal(60, 100, label='ECG <b>&"x', physical=("-5", "5"), unit="mV")
    run = make_run({f"n {HOSTILE[:4]}": write(edf([lead]))}, SPANS[:1], 60)
    store = ReviewStore(run.reviews_path)
    store.record(f"n {HOSTILE[:4]}", f"n {HOSTILE[:4]}@20.000", "unsure", HOSTILE, HOSTILE)
    text = report(run, tmp_path)
    page = Page(text)
    assert not {"script", "img", "iframe", "link", "object", "b>&"} & set(page.tags)
    assert page.tags.count("b") == text.count("<b>") == 1
    assert all(link.startswith("#r") for link in page.links)
    assert HOSTILE in page.text
    outside = set(re.findall(r"(?:https?:)?//[^\s\"'<]+", text))
    assert outside == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\((?!#)", text)
    assert "default-src 'none'" in text


def test_only_the_highest_scores_are_drawn_and_all_are_listed(make_run, ecg_file, tmp_path):
    spans = [(4.0 * i, 4.0 * i + 1) for i in range(STRIPS_PER_RECORDING + 5)]
    page = Page(report(make_run({"night": ecg_file()}, spans, 120), tmp_path))
    assert page.tags.count("article") == STRIPS_PER_RECORDING
    assert f"the {STRIPS_PER_RECORDING} of highest score are drawn, all are listed" in page.text
    assert "0:00:00.0 for" not in page.text  # the lowest score of the fixture is its first
    assert "1 0:00:00.0 1.0 1 6.25" in page.text


def test_a_missing_recording_costs_its_strips_only(make_run, ecg_file, tmp_path):
    good, gone = ecg_file("good.edf"), ecg_file("gone.edf")
    run = make_run({"good": good, "gone": gone}, SPANS, 120)
    gone.unlink()
    run.append_status({"recording_id": "bad", "state": "quarantined", "reason": "no <ECG> lead"})
    with pytest.raises(ExportError, match=r"1 of 2 .* gone: cannot read"):
        export_run(run.path, "html", tmp_path / "out")
    page = Page((tmp_path / "out" / "report.html").read_text("utf-8"))
    assert page.tags.count("article") == 2
    assert "No signal is shown. cannot read gone.edf" in page.text
    assert "bad no <ECG> lead" in page.text


def test_a_recording_without_segments_is_not_called_in_order(make_run, ecg_file, tmp_path):
    page = Page(report(make_run({"quiet": ecg_file()}, [], 120), tmp_path))
    assert "That is no finding" in page.text


def segment_of(run, index=0):
    return Selection.of(run.path, "flagged").segments("x")[index]


def test_an_ecg_strip_is_true_to_scale(make_run, edf, signal, write):
    digital = np.zeros((40, 250), dtype=int)
    digital[22, 50:100] = 1000  # 1 mV from 22.2 s on for 0.2 s
    lead = signal(40, 250, digital=digital, label="ECG", unit="mV", physical=("-32.768", "32.767"))
    source = write(edf([lead]))
    segment = segment_of(make_run({"x": source}, [(21.5, 22.5)], 40))
    strip = strip_of(read_recording(source), "ecg", segment, 22.0)
    assert (strip.start_s, strip.stop_s, strip.mm_per_s, strip.gain) == (17.0, 27.0, 25.0, 10.0)
    (trace,) = strip.traces
    (line,) = trace.lines
    high = line[line[:, 1] < trace.middle_mm - 1]
    assert high[:, 1] == pytest.approx(trace.middle_mm - 10.0, abs=1e-6)
    assert high[0, 0] == pytest.approx((22.2 - 17) * 25, abs=0.3)
    assert high[-1, 0] == pytest.approx((22.4 - 17) * 25, abs=0.3)
    assert strip.shade_mm == pytest.approx(((21.5 - 17) * 25, (22.5 - 17) * 25))
    assert 0 < high[:, 1].min() < strip.height_mm


def test_an_eeg_strip_shows_all_channels_at_one_gain_and_breaks_at_gaps(
    make_run, edf, signal, write
):
    t = np.arange(40 * 200) / 200
    wave = np.rint(500 * np.sin(2 * np.pi * 8 * t)).astype(int).reshape(40, 200)  # 50 uV
    leads = [
        signal(40, 200, digital=wave * (1 + i), label=f"EEG {n}")
        for i, n in enumerate(["C3", "C4"])
    ]
    starts = [f"+{i if i < 20 else i + 2}" for i in range(40)]
    source = write(edf(leads, reserved="EDF+D", starts=starts))
    segment = segment_of(make_run({"x": source}, [(22.0, 23.0)], 42, kind="eeg"))
    strip = strip_of(read_recording(source), "eeg", segment, 22.5)
    assert [trace.name for trace in strip.traces] == ["C3", "C4"]
    for amplitude_uv, trace in zip((50, 100), strip.traces, strict=True):
        first, second = trace.lines
        assert first[-1, 0] == pytest.approx((20 - strip.start_s) * strip.mm_per_s, abs=0.3)
        assert second[0, 0] == pytest.approx((22 - strip.start_s) * strip.mm_per_s, abs=0.3)
        inside = second[second[:, 0] > (24 - strip.start_s) * strip.mm_per_s, 1]
        assert np.ptp(inside) / 2 * strip.gain == pytest.approx(amplitude_uv, rel=0.05)


def test_a_long_segment_is_shown_around_its_highest_score(make_run, ecg_file):
    source = ecg_file()
    segment = segment_of(make_run({"x": source}, [(20.0, 80.0)], 120))
    strip = strip_of(read_recording(source), "ecg", segment, 70.0)
    assert (strip.start_s, strip.shade_mm) == (65.0, (0.0, 250.0))
    assert "10 of 60 s, around the highest score" in strip.caption


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_prints_it_on_landscape_pages(make_run, ecg_file, tmp_path):
    run = make_run({"a": ecg_file("a.edf"), "b": ecg_file("b.edf")}, SPANS, 120)
    report(run, tmp_path)
    subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--print-to-pdf={tmp_path / 'x.pdf'}",
            (tmp_path / "out" / "report.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", (tmp_path / "x.pdf").read_bytes())
    assert boxes
    assert all(float(w) > float(h) for w, h in boxes)
