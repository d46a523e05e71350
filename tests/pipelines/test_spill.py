from dataclasses import fields

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.batch import score_run
from pipelines.domain import typical_values
from pipelines.model_folder import load_model
from pipelines.readers import read_recording
from pipelines.run_folder import RunFolder
from pipelines.scoring import score_recording
from pipelines.signals.extraction import extract, feature_matrix
from pipelines.signals.spill import Spill, release


def test_rows_come_back_as_they_went(tmp_path):
    rows = np.random.default_rng(0).normal(size=(1000, 3, 5)).astype(np.float32)
    spill = Spill(tmp_path / "new")
    for part in (rows[:10], rows[10:10], rows[10:]):
        spill.add(part)
    back = spill.array()
    np.testing.assert_array_equal(back, rows)
    release(back)  # what is given back is read again
    np.testing.assert_array_equal(back[::7], rows[::7])
    assert not list((tmp_path / "new").iterdir())
    with pytest.raises(ValueError, match="read-only"):
        back[0] = 0


def test_rows_without_content_and_no_rows_are_rows_too(tmp_path):
    spill, empty = Spill(tmp_path), Spill(tmp_path)
    spill.add(np.zeros((4, 0, 2), np.float32))
    empty.add(np.zeros((0, 3)))
    assert spill.array().shape == (4, 0, 2)
    assert empty.array().shape == (0, 3)
    release([1.0])


def test_windows_in_a_file_are_those_in_memory(write_eeg, tmp_path):
    recording = read_recording(write_eeg(tmp_path / "a.edf", 60))
    held, filed = extract(recording, "eeg"), extract(recording, "eeg", folder=tmp_path / "aside")
    assert isinstance(filed.channel_values, np.memmap)
    for f in fields(held):
        np.testing.assert_array_equal(getattr(filed, f.name), getattr(held, f.name))
    rows = feature_matrix(filed, "eeg", folder=tmp_path / "aside")
    np.testing.assert_array_equal(rows, feature_matrix(held, "eeg"))
    chosen = np.arange(len(rows)) % 3 > 0
    np.testing.assert_array_equal(
        typical_values(filed, rows, "eeg", chosen), np.median(rows[chosen], axis=0)
    )


def test_tables_in_parts_are_the_table_as_a_whole(write_eeg, tiny_model, tmp_path, monkeypatch):
    path = write_eeg(tmp_path / "a.edf", 90, seed=5)
    whole = score_recording(load_model(tiny_model, "cpu"), read_recording(path))
    monkeypatch.setattr("pipelines.scoring._BLOCK", 17)
    score_run(tiny_model, [path], tmp_path / "run", device="cpu")
    run = RunFolder.open(tmp_path / "run")
    file = pq.ParquetFile(run.recording_folder("a") / "windows.parquet")
    assert file.num_row_groups == -(-len(whole.windows) // 17)
    stored, features = run.windows("a"), run.features("a")
    for column in ("window_index", "start_s", "flagged", "scorable"):
        assert stored[column].tolist() == whole.windows[column].tolist()
    assert (
        stored["top_channel"].fillna("").tolist()
        == whole.windows["top_channel"].fillna("").tolist()
    )
    np.testing.assert_allclose(stored["score"], whole.windows["score"], rtol=1e-12)
    np.testing.assert_array_equal(features.to_numpy(), whole.features.to_numpy())
    assert run.segments("a")["segment_id"].tolist() == whole.segments["segment_id"].tolist()
    assert [list(names) for names in stored["top_features"]] == list(whole.windows["top_features"])
