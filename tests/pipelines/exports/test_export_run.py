import json

import pandas as pd
import pytest

from pipelines.errors import ExportError, RunError
from pipelines.exports import EXPORT_FORMATS, EXPORT_ONLY, export_run
from pipelines.store import ReviewStore

SPANS = [(20.0, 24.0), (60.5, 61.5)]


def test_unknown_format_choice_and_run_are_refused_before_anything_is_written(
    make_run, ecg_file, tmp_path
):
    run = make_run({"night": ecg_file()}, SPANS, 120)
    to = tmp_path / "out"
    with pytest.raises(ExportError, match=r"unknown export format 'docx'; accepted: csv, "):
        export_run(run.path, "docx", to)
    with pytest.raises(ExportError, match="accepted: accepted, flagged, all"):
        export_run(run.path, "csv", to, only="rejected")
    with pytest.raises(RunError, match="not a run folder"):
        export_run(tmp_path, "csv", to)
    assert not to.exists()


def test_a_folder_that_cannot_be_made_is_named(make_run, ecg_file, tmp_path):
    run = make_run({"night": ecg_file()}, SPANS, 120)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="cannot make the folder file"):
        export_run(run.path, "csv", tmp_path / "file")


@pytest.mark.parametrize("format", EXPORT_FORMATS)
@pytest.mark.parametrize("only", EXPORT_ONLY)
def test_every_format_is_whole_replaces_and_says_what_it_is(
    make_run, ecg_file, tmp_path, format, only
):
    kind = "eeg" if format == "szcore" else "ecg"
    run = make_run({"night": ecg_file()}, SPANS, 120, kind)
    ReviewStore(run.reviews_path).record("night", "night@20.000", "accepted", "yes", "kim")
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    to = tmp_path / "deep" / "out"
    files = export_run(run.path, format, to, only)
    assert files == export_run(run.path, format, to, only)
    there = sorted(p for p in to.rglob("*") if p.is_file())
    assert there == sorted(files), "a temporary file was left behind, or one was not named"
    assert all(path.stat().st_size for path in files)
    note = json.loads(files[-1].read_text("utf-8"))
    assert note["notice"] == "Research use only. Not a medical device."
    assert note["model"]["threshold"] == 4.0
    for path in files:
        assert b"Jane" not in path.read_bytes() or format in ("csv", "parquet")
        assert b"/somewhere" not in path.read_bytes()
        assert str(tmp_path).encode() not in path.read_bytes()
    after = {path: path.read_bytes() for path in run.path.rglob("*") if path in before}
    after = {path: content for path, content in after.items() if "sqlite" not in path.name}
    assert after == {path: c for path, c in before.items() if "sqlite" not in path.name}


def test_a_recording_that_fails_is_named_and_the_others_are_written(make_run, ecg_file, tmp_path):
    good, gone, changed = ecg_file("good.edf"), ecg_file("gone.edf"), ecg_file("changed.edf")
    run = make_run({"good": good, "gone": gone, "changed": changed}, SPANS, 120)
    gone.unlink()
    changed.write_bytes(changed.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ExportError) as caught:
        export_run(run.path, "edf", tmp_path / "out")
    assert "2 of 3" in str(caught.value)
    assert "gone: cannot read gone.edf" in str(caught.value)
    assert "changed.edf has changed since it was scored" in str(caught.value)
    assert "good" not in str(caught.value)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "good.edf",
        "rarewave-export-edf.json",
    ]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_a_damaged_table_costs_its_own_recording_only(make_run, ecg_file, tmp_path, format):
    path = ecg_file()
    run = make_run({"a": path, "b": path, "c": path}, SPANS, 120)
    (run.recording_folder("b") / "segments.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(ExportError, match="1 of 3 recordings could not be exported as"):
        export_run(run.path, format, tmp_path / "out")
    read = pd.read_csv if format == "csv" else pd.read_parquet
    assert list(read(tmp_path / "out" / f"segments.{format}")["recording_id"]) == list("aacc")
