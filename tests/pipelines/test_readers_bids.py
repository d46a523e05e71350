"""BIDS data sets: ids from entities, types and status from channels.tsv, marks from events.tsv."""

import json

import numpy as np
import pytest

from pipelines.cli import main
from pipelines.errors import RecordingError
from pipelines.inputs import resolve_inputs
from pipelines.readers import read_recording

CHANNELS = "name\ttype\tunits\tstatus\nEEG Fp1\tEEG\tuV\tgood\nEEG C3\tEEG\tuV\tbad\nEEG O1\tVEOG\tuV\tn/a\n"
EVENTS = (
    "onset\tduration\ttrial_type\tvalue\n5\t8\tseizure\t1\n12.5\tn/a\tn/a\t7\n-1\t0\tearly\tn/a\n"
)


@pytest.fixture
def dataset(tmp_path, write_eeg):
    """A data set of two subjects; the recording of sub-01 has side files."""
    root = tmp_path / "ds"
    base = root / "sub-01/ses-1/eeg/sub-01_ses-1_task-rest_run-01_eeg.edf"
    write_eeg(base, 30, event=5)
    write_eeg(root / "sub-02/eeg/sub-02_task-rest_eeg.edf", 10)
    write_eeg(root / "derivatives/clean/sub-01/eeg/sub-01_task-rest_eeg.edf", 10)
    write_eeg(root / "sourcedata/raw.edf", 10)
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    stem = "sub-01_ses-1_task-rest_run-01"
    base.with_name(f"{stem}_channels.tsv").write_text(CHANNELS)
    base.with_name(f"{stem}_events.tsv").write_text(EVENTS)
    base.with_name(f"{stem}_eeg.json").write_text('{"SamplingFrequency": 128}')
    (root / "participants.tsv").write_text("participant_id\tname\nsub-01\tJane Doe\n")
    return root


def test_ids_come_from_the_entities_and_derived_data_are_left_out(dataset):
    found = resolve_inputs([dataset])
    assert [(f.recording_id, f.patient_id) for f in found] == [
        ("sub-01_ses-1_task-rest_run-01", "sub-01"),
        ("sub-02_task-rest", "sub-02"),
    ]
    (one,) = resolve_inputs([dataset / "sub-01"])
    assert (one.recording_id, one.patient_id) == (found[0].recording_id, "sub-01")


def test_subjects_of_two_data_sets_are_two_patients(dataset, write_eeg):
    other = dataset.parent / "other"
    write_eeg(other / "sub-02/eeg/sub-02_task-rest_eeg.edf", 10)
    found = resolve_inputs([dataset, other])
    assert [f.patient_id for f in found] == ["sub-01", "ds_sub-02", "other_sub-02"]
    assert len({f.recording_id for f in found}) == 3


def test_side_files_settle_types_status_and_marks(dataset):
    entry = resolve_inputs([dataset])[0]
    recording = entry.open()
    assert [(c.name, c.kind, c.is_bad) for c in recording.channels] == [
        ("Fp1", "eeg", False),
        ("C3", "eeg", True),
        ("O1", "eog", False),
        ("Pz", "eeg", False),
    ]
    assert [c.name for c in recording.of_kind("eeg")] == ["Fp1", "Pz"]
    marks = [(a.onset, a.duration, a.description) for a in recording.annotations]
    assert marks == [(-1, 0, "early"), (5, 8, "seizure"), (12.5, 0, "7")]  # not seizure twice
    assert {file.suffix for file in recording.files} == {".edf", ".tsv"}
    plain = dataset / "sub-01/copy.edf"
    plain.write_bytes(entry.path.read_bytes())
    data = recording.read(["C3"], recording.pieces[0])
    copy = read_recording(plain)
    np.testing.assert_array_equal(data, copy.read(["C3"], copy.pieces[0]))


def test_the_nearest_fitting_side_file_counts(dataset):
    """A file higher up applies if its entities fit; one below goes before it."""
    (dataset / "task-rest_channels.tsv").write_text("name\ttype\nEEG Fp1\tMISC\n")
    (dataset / "task-sleep_channels.tsv").write_text("name\ttype\nEEG Pz\tMISC\n")
    first, second = (entry.open() for entry in resolve_inputs([dataset]))
    assert [c.kind for c in first.channels] == ["eeg", "eeg", "eog", "eeg"]
    assert [c.kind for c in second.channels] == ["misc", "eeg", "eeg", "eeg"]


def test_info_shows_bad_channels_and_no_participant(dataset, capsys):
    assert main(["info", str(dataset)]) == 0
    output = capsys.readouterr().out
    assert "C3 (bad)" in output
    assert "Jane" not in output
    assert main(["info", str(dataset), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [channel["bad"] for channel in facts[0]["channels"]] == [False, True, False, False]


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("events", "onset\tduration\nlate\t1\n", "line 2 has 'late' as its onset"),
        ("events", "onset\tduration\n1e99\t1\n", "line 2"),
        ("events", "start\tduration\n", "no column 'onset'"),
        ("channels", "label\ttype\n", "no column 'name'"),
        ("channels", "name\ttype\n\xff\tEEG\n", "not UTF-8"),
    ],
)
def test_malformed_side_files_are_refused_in_words(dataset, kind, content, message):
    entry = resolve_inputs([dataset])[0]
    file = entry.path.with_name(entry.path.name.replace("_eeg.edf", f"_{kind}.tsv"))
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(RecordingError, match=message):
        entry.open()


def test_a_name_alone_is_not_enough(tmp_path, write_eeg):
    """Outside a folder eeg, ieeg or ecg a file keeps its stem, as before."""
    write_eeg(tmp_path / "night/sub-01_task-rest_eeg.edf", 10)
    (found,) = resolve_inputs([tmp_path])
    assert (found.recording_id, found.patient_id) == ("sub-01_task-rest_eeg",) * 2
