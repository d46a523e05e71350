"""The demo's promises on the real sample recordings."""

import json

import pytest

from pipelines.demo import run_demo, sample_folder
from pipelines.run_folder import RunFolder


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    return out, run_demo(out)


@pytest.mark.slow
def test_ventricular_beats_stand_out_from_an_unlabelled_start(demo):
    out, _ = demo
    pooled = json.loads((out / "ecg/evaluation.json").read_text())["pooled"]
    assert pooled["auroc"] >= 0.95
    assert pooled["classes"]["V"]["n_found"] >= 110
    assert pooled["false_positive_share"] < 0.02
    assert pooled["n_missed"] == 0


@pytest.mark.slow
def test_three_seizures_are_flagged_and_little_else(demo):
    out, _ = demo
    events = json.loads((out / "eeg/evaluation.json").read_text())["pooled"]["events"]
    assert events["n_found"] == events["n_events"] == 3
    assert events["n_false"] <= 3
    segments = RunFolder.open(out / "eeg").segments("eeg_absence_480s")
    assert (segments["stop_s"] > 230).all()
    assert segments["top_channel"].notna().all()


@pytest.mark.slow
def test_what_is_printed_is_what_was_found(demo):
    out, lines = demo
    n = json.loads((out / "ecg/evaluation.json").read_text())["pooled"]["classes"]["V"]["n_found"]
    assert any(f"ventricular beats flagged: {n} of 114" in line for line in lines)
    for kind in ("ecg", "eeg"):
        for name in ("csv/segments.csv", "html/report.html", "pdf/report.pdf"):
            assert (out / "exports" / kind / name).stat().st_size > 500


def test_the_sample_recordings_are_there_with_their_sources():
    assert (sample_folder() / "SOURCES.md").is_file()
