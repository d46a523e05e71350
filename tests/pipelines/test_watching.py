import os
import time

import numpy as np
import pandas as pd
import pytest

from pipelines.batch import score_run
from pipelines.cli import main
from pipelines.demo import sample_folder
from pipelines.errors import InputError
from pipelines.growing import ECG_BEATS, Settled
from pipelines.inputs import InputRecording
from pipelines.model_folder import load_model
from pipelines.readers import read_recording
from pipelines.run_folder import RunFolder
from pipelines.scoring import score_recording
from pipelines.watching import GROWING, watch_folder, watch_recording

pytestmark = pytest.mark.slow


def grown(content: bytes, seconds: int) -> bytes:
    """Return an EDF of one-second records as it was after some seconds, length unknown."""
    first, records = int(content[184:192]), int(content[236:244])
    size = (len(content) - first) // records
    head = content[:236] + b"-1".ljust(8) + content[244:first]
    return head + content[first : first + seconds * size] + b"half a record"


def same(found: pd.DataFrame, whole: pd.DataFrame, atol: float) -> None:
    """Windows told early are windows of the whole, with the scores of the whole."""
    together = found.merge(whole, on="start_s", suffixes=("", "_whole"))
    assert len(together) == len(found)
    assert (together["window_index"] == together["window_index_whole"]).all()
    assert (together["scorable"] == together["scorable_whole"]).all()
    for column in ("score", "log_prob", "p_value"):
        a, b = together[column].to_numpy(), together[f"{column}_whole"].to_numpy()
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def test_a_growing_eeg_has_the_scores_of_the_whole(tmp_path, write_eeg, tiny_model):
    path = write_eeg(tmp_path / "g.edf", 1400, seed=4, event=900, flat=(1210, 1230))
    content = path.read_bytes()
    model = load_model(tiny_model, device="cpu")
    whole = score_recording(model, read_recording(path)).windows
    settled = Settled(model, InputRecording(path, "g", "g"))
    for seconds in (15, 101, 640, 1250, 1400):
        path.write_bytes(grown(content, seconds))
        settled.extend(read_recording(path))
    assert settled.until_s == 1400 - 20 - 2  # as late as is said
    assert settled.windows["flagged"].sum() > 0
    same(settled.windows, whole, 1e-9)
    np.testing.assert_array_equal(settled.windows["window_index"], np.arange(1379))


@pytest.mark.extensive
def test_a_growing_ecg_has_the_scores_of_the_whole(tmp_path, tiny_settings):
    name = "ecg_ahadb_0201"
    source, model = str(sample_folder() / f"{name}.hea"), str(tmp_path / "model")
    words = ["fit", source, "--kind", "ecg", "--baseline", "0:300", "--device", "cpu"]
    assert main([*words, "--config", str(tiny_settings), "--out", model]) == 0
    model = load_model(model, device="cpu")
    whole = score_recording(model, read_recording(source)).windows
    (tmp_path / f"{name}.dat").write_bytes((sample_folder() / f"{name}.dat").read_bytes())
    header = (sample_folder() / f"{name}.hea").read_text()
    path = tmp_path / f"{name}.hea"
    settled = Settled(model, InputRecording(path, name, name))
    same_verdict = []
    for seconds in (1000, 1550, 2100):
        path.write_text(header.replace("525000", str(250 * seconds)))
        settled.extend(read_recording(path))
        ahead = settled.provisional.merge(whole, on="start_s", suffixes=("", "_whole"))
        assert len(ahead) > 1000
        assert ahead["stop_s"].iloc[-1] <= seconds - 20
        same_verdict.append((ahead["flagged"] == ahead["flagged_whole"]).mean())
    assert min(same_verdict) > 0.99, same_verdict
    assert len(settled.windows) > 1000
    assert len(whole) - len(settled.windows) >= ECG_BEATS == 1050
    same(settled.windows, whole, 1e-6)  # sums over beats are rounded by how many there are


def test_watching_ends_with_what_scoring_would_have_written(tmp_path, write_eeg, tiny_model):
    path = write_eeg(tmp_path / "g.edf", 200, seed=4, event=60)
    content = path.read_bytes()
    path.write_bytes(grown(content, 5))
    steps, told, states = [30, 120, 200], [], []

    def sleep(seconds):
        if steps:
            path.write_bytes(grown(content, steps.pop(0)))
        elif not states:
            [line] = RunFolder.open(tmp_path / "run").status()
            states.append(line["sha256"])

    options = {"poll_s": 10, "quiet_s": 30, "device": "cpu", "sleep": sleep}
    summary = watch_recording(tiny_model, path, tmp_path / "run", tell=told.append, **options)
    assert summary.done == ("g",)
    assert states == [{"g.edf": GROWING}]
    assert [seen.recorded_s for seen in told] == [30, 120, 200]
    assert any(60 <= start < 68 for seen in told for start, _ in seen.flagged)
    score_run(tiny_model, [path], tmp_path / "plain", device="cpu")
    for name in ("windows", "segments", "features"):
        one, two = (tmp_path / r / f"recordings/g/{name}.parquet" for r in ("run", "plain"))
        assert one.read_bytes() == two.read_bytes()


def test_only_what_grows_on_a_disk_is_watched(tmp_path):
    with pytest.raises(InputError, match="only what grows on a disk"):
        watch_recording(tmp_path, "s3://ward/a.edf", tmp_path / "run")


def test_a_folder_is_scored_as_recordings_are_finished(
    tmp_path, write_eeg, tiny_model, monkeypatch
):
    ward, run, rounds = tmp_path / "ward", tmp_path / "run", []
    os.utime(write_eeg(ward / "a.edf", 40, seed=1), (0, 10**9))
    monkeypatch.setattr(
        "pipelines.batch.resume.input_hashes", lambda paths: 1 / 0
    )  # not read again
    (ward / "bad.edf").write_bytes(b"0" * 300)
    clock = [time.time() + 1000.0]

    def sleep(seconds):
        rounds.append(RunFolder(run).recording_ids())
        clock[0] += seconds
        if len(rounds) == 1:
            os.utime(write_eeg(ward / "b.edf", 40, seed=2), (0, clock[0] - 1))
        if len(rounds) == 5:
            raise KeyboardInterrupt

    found = []
    options = {"poll_s": 10, "quiet_s": 25, "device": "cpu", "tell": found.append, "sleep": sleep}
    with pytest.raises(KeyboardInterrupt):
        watch_folder(tiny_model, ward, run, clock=lambda: clock[0], **options)
    assert rounds == [["a"], ["a"], ["a"], ["a"], ["a", "b"]]
    assert [summary.done for summary in found] == [("a",), ("b",)]  # and "bad" is tried once
    assert [name for name, _ in found[0].quarantined] == ["bad"]
