"""WFDB, BIDS and SzCORE: the formats that are lists of events."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import wfdb

from pipelines.errors import ExportError
from pipelines.exports import export_run
from pipelines.store import ReviewStore

SPANS = [(20.0, 24.0), (60.5, 61.5)]


def test_wfdb_marks_are_read_back_at_the_right_samples(make_run, ecg_file, tmp_path):
    run = make_run({"night": ecg_file()}, SPANS, 120)
    ReviewStore(run.reviews_path).record("night", "night@60.500", "rejected", "", "kim")
    (path, _) = export_run(run.path, "wfdb", tmp_path / "out")
    assert path.name == "night.rarewave"
    marks = wfdb.rdann(str(path.with_suffix("")), "rarewave")
    assert marks.fs == 250
    assert list(marks.sample) == [1, 5000, 5999, 15125, 15374]
    assert set(marks.symbol) == {'"'}
    notes = [note.rstrip("\x00") for note in marks.aux_note]
    assert notes[0] == "Rarewave: Research use only. Not a medical device."
    assert notes[1].startswith("(does not fit: score 6.25, p 0.002, undecided; does not fit in")
    assert notes[2] == "end of night@20.000)"
    assert "rejected" in notes[3]
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []


def test_wfdb_keeps_a_segment_at_the_very_start(make_run, ecg_file, tmp_path):
    run = make_run({"night": ecg_file()}, [(0.0, 0.0), (0.0, 1.0)], 120)
    (path, _) = export_run(run.path, "wfdb", tmp_path / "out")
    marks = wfdb.rdann(str(path.with_suffix("")), "rarewave")
    assert list(marks.sample) == [1, 1, 1, 1, 249]


def test_wfdb_names_that_the_format_forbids(make_run, ecg_file, tmp_path):
    path = ecg_file()
    run = make_run({"a.b": path, "a_b": path, "é": path}, SPANS, 120)
    with pytest.raises(ExportError, match=r"a_b\.rarewave is also the name"):
        export_run(run.path, "wfdb", tmp_path / "out")
    names = sorted(p.name for p in (tmp_path / "out").glob("*.rarewave"))
    assert names == ["_.rarewave", "a_b.rarewave"]


def tsv(path):
    return pd.read_csv(path, sep="\t", keep_default_na=False)


def test_szcore_table(make_run, ecg_file, tmp_path):
    run = make_run({"night_eeg": ecg_file()}, SPANS, 120, kind="eeg")
    (path, _) = export_run(run.path, "szcore", tmp_path / "out")
    assert path.name == "night_events.tsv"
    table = tsv(path)
    assert list(table) == [
        "onset",
        "duration",
        "eventType",
        "confidence",
        "channels",
        "dateTime",
        "recordingDuration",
    ]
    assert list(table["onset"]) == [20.0, 60.5]
    assert list(table["duration"]) == [4.0, 1.0]
    assert set(table["eventType"]) == {"sz"}
    assert list(table["confidence"]) == [0.998, 0.998]
    assert set(table["recordingDuration"]) == {120.0}
    started = datetime.strptime(table["dateTime"][0], "%Y-%m-%d %H:%M:%S")
    assert started == datetime(2024, 1, 2, 3, 4, 5)


def test_szcore_without_segments_or_start_and_for_ecg(make_run, ecg_file, tmp_path):
    run = make_run({"x": ecg_file(date="xx.xx.xx")}, [], 120, kind="eeg")
    (path, _) = export_run(run.path, "szcore", tmp_path / "out")
    (row,) = tsv(path).to_dict("records")
    assert (row["onset"], row["duration"], row["eventType"]) == (0.0, 120.0, "bckg")
    assert row["dateTime"] == "1900-01-01 00:00:00"
    run = make_run({"x": ecg_file()}, [], 120, kind="ecg")
    with pytest.raises(ExportError, match="SzCORE tables are for EEG"):
        export_run(run.path, "szcore", tmp_path / "out2")


def bids_errors(dataset):
    """Return what the validator of the BIDS standard has against a data set."""
    program = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([program, "--format", "json", dataset], capture_output=True, text=True)
    return [i for i in json.loads(done.stdout)["issues"]["issues"] if i["severity"] == "error"]


def test_bids_keeps_entities_and_numbers_other_subjects(make_run, ecg_file, tmp_path):
    source = ecg_file()
    named = "sub-07_ses-01_task-sleep_run-02_eeg"
    run = make_run({named: source, "night": source, "next": source}, SPANS, 120, kind="eeg")
    ReviewStore(run.reviews_path).record("night", "night@20.000", "accepted", 'a\tb\n"c"', "kim")
    files = export_run(run.path, "bids", tmp_path / "out")
    root = tmp_path / "out" / "derivatives" / "rarewave"
    description = json.loads((root / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "Rarewave"
    kept = root / "sub-07/ses-01/eeg/sub-07_ses-01_task-sleep_run-02_desc-rarewave_events.tsv"
    first = root / "sub-rw001/eeg/sub-rw001_task-unknown_run-1_desc-rarewave_events.tsv"
    second = root / "sub-rw001/eeg/sub-rw001_task-unknown_run-2_desc-rarewave_events.tsv"
    assert {kept, first, second} <= set(files)
    table = tsv(second)
    assert list(table.columns[:2]) == ["onset", "duration"]
    assert list(table["onset"]) == [20.0, 60.5]
    assert list(table["verdict"]) == ["accepted", "undecided"]
    assert list(table["comment"]) == ["a b 'c'", "n/a"]
    sidecar = json.loads(second.with_suffix(".json").read_text())
    assert sidecar["Rarewave"]["recording_id"] == "night"
    assert set(table.columns) <= set(sidecar)
    assert bids_errors(root) == []


def test_bids_puts_an_ecg_into_beh(make_run, ecg_file, tmp_path):
    files = export_run(make_run({"x": ecg_file()}, SPANS, 120).path, "bids", tmp_path / "out")
    assert any(path.parent.name == "beh" and path.suffix == ".tsv" for path in files)
    assert bids_errors(tmp_path / "out/derivatives/rarewave") == []
