import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipelines import scoring
from pipelines.batch import score_run
from pipelines.cli import main
from pipelines.errors import InputError, ModelError, RunError
from pipelines.run_folder import WINDOW_SCHEMA, RunFolder, run_id_of

pytestmark = pytest.mark.slow


@pytest.fixture
def ward(tmp_path, write_eeg):
    """Three recordings of one ward, one of them with something unusual in it."""
    for seed, name in enumerate(("a", "b", "c"), 1):
        special = {"event": 20, "flat": (5, 10)} if name == "b" else {}
        write_eeg(tmp_path / f"ward/{name}.edf", 40, seed=seed, **special)
    return tmp_path / "ward"


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "status.jsonl").read_text().splitlines()]


def test_a_run_holds_tables_status_and_provenance(ward, tiny_model, tmp_path):
    summary = score_run(tiny_model, [ward], tmp_path / "run", device="cpu")
    assert summary.done == ("a", "b", "c")
    assert summary.quarantined == summary.skipped == ()
    run = RunFolder.open(tmp_path / "run")
    manifest = run.manifest()
    assert [entry["recording_id"] for entry in manifest["inputs"]] == ["a", "b", "c"]
    digest = hashlib.sha256((ward / "a.edf").read_bytes()).hexdigest()
    assert manifest["inputs"][0]["sha256"] == {"a.edf": digest}
    assert manifest["inputs"][0]["path"] == str(ward / "a.edf")
    digest = hashlib.sha256((tiny_model / "manifest.json").read_bytes()).hexdigest()
    assert manifest["model"]["sha256"] == digest
    assert manifest["model"]["kind"] == "eeg"
    config = hashlib.sha256((tiny_model / "config.json").read_bytes()).hexdigest()
    assert manifest["model"]["files"]["config.json"] == config
    assert (manifest["seed"], manifest["device"]) == (0, "cpu")
    assert manifest["baseline"] is None
    assert manifest["versions"]["torch"]
    windows, segments = run.windows("b"), run.segments("b")
    status = {entry["recording_id"]: entry for entry in run.status()}["b"]
    assert status["n_windows"] == len(windows) == len(run.features("b")) == 39
    assert status["n_flagged"] == windows["flagged"].sum() > 0
    assert status["n_segments"] == len(segments) > 0
    assert status["n_not_scorable"] == 4
    assert windows.loc[~windows["scorable"], "reason"].notna().all()
    stored = pq.read_table(run.recording_folder("b") / "windows.parquet")
    assert stored.schema.remove_metadata() == WINDOW_SCHEMA
    assert stored["score"].null_count == 0  # a missing score is NaN, as the contract says
    assert ((segments["start_s"] < 28) & (segments["stop_s"] > 20)).any()
    assert set(manifest["inputs"][1]) == {"recording_id", "patient_id", "path", "sha256"}
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {"run.json", "status.jsonl", "recordings", "reviews.sqlite"}


def test_two_workers_give_the_same_bytes_as_one(ward, tiny_model, tmp_path):
    score_run(tiny_model, [ward], tmp_path / "one", workers=1)
    summary = score_run(tiny_model, [ward], tmp_path / "two", workers=2)
    assert summary.done == ("a", "b", "c")
    one, two = everything(tmp_path / "one/recordings"), everything(tmp_path / "two/recordings")
    assert {name: content for name, (_, content) in one.items()} == {
        name: content for name, (_, content) in two.items()
    }
    assert len(one) == 12  # three tables and what was found about the whole


def test_a_second_call_changes_nothing_and_loads_no_model(
    ward, tiny_model, tmp_path, monkeypatch, capsys
):
    score_run(tiny_model, [ward], tmp_path / "run")
    (tmp_path / "run/reviews.sqlite").write_bytes(b"what people decided")
    before = everything(tmp_path / "run")

    def fail(*_, **__):
        raise AssertionError

    monkeypatch.setattr("pipelines.model_folder.load_model", fail)
    summary = score_run(tiny_model, [ward], tmp_path / "run")
    assert (summary.done, summary.skipped) == ((), ("a", "b", "c"))
    assert everything(tmp_path / "run") == before
    words = ["score", str(tiny_model), str(ward), "--out", str(tmp_path / "run")]
    assert main(words) == 0
    assert "0 scored, 3 unchanged, 0 quarantined" in capsys.readouterr().out


def test_only_what_changed_is_scored_again(ward, tiny_model, tmp_path, write_eeg):
    run = tmp_path / "run"
    score_run(tiny_model, [ward], run)
    manifest = RunFolder.open(run).manifest()
    created = manifest["created"] = "2026-01-02T03:04:05+00:00"
    assert len(manifest.pop("run_id")) == 32  # as an earlier version wrote it: without
    told = run_id_of(manifest)
    (run / "run.json").write_text(json.dumps(manifest))
    write_eeg(ward / "a.edf", 40, seed=9)
    shutil.rmtree(run / "recordings/c")
    summary = score_run(tiny_model, [ward], run)
    assert (summary.done, summary.skipped) == (("a", "c"), ("b",))
    write_eeg(ward / "b.edf", 40, seed=8)
    summary = score_run(tiny_model, [ward / "b.edf"], run)
    assert summary.done == ("b",)
    manifest = RunFolder.open(run).manifest()
    assert manifest["created"] == created and manifest["run_id"] == told
    assert [entry["recording_id"] for entry in manifest["inputs"]] == ["a", "b", "c"]
    digest = hashlib.sha256((ward / "a.edf").read_bytes()).hexdigest()
    assert manifest["inputs"][0]["sha256"] == {"a.edf": digest}
    assert [line["recording_id"] for line in lines(run)] == ["a", "b", "c", "a", "c", "b"]


def test_no_resume_scores_all_again_and_leaves_reviews_alone(ward, tiny_model, tmp_path):
    run = tmp_path / "run"
    score_run(tiny_model, [ward], run)
    (run / "reviews.sqlite").write_bytes(b"what people decided")
    before = pd.read_parquet(run / "recordings/b/windows.parquet")
    assert score_run(tiny_model, [ward], run, resume=False).done == ("a", "b", "c")
    pd.testing.assert_frame_equal(pd.read_parquet(run / "recordings/b/windows.parquet"), before)
    assert (run / "reviews.sqlite").read_bytes() == b"what people decided"


@pytest.fixture
def other(tiny_model, tmp_path):
    """A model that counts as another one: its manifest is spelled differently."""
    shutil.copytree(tiny_model, tmp_path / "other")
    manifest = json.loads((tmp_path / "other/manifest.json").read_text())
    (tmp_path / "other/manifest.json").write_text(json.dumps(manifest, indent=7))
    return tmp_path / "other"


def test_another_model_is_never_mixed_in(ward, tiny_model, other, tmp_path):
    run = tmp_path / "run"
    score_run(tiny_model, [ward], run)
    before = everything(run)
    with pytest.raises(RunError, match="another model; give --out a new folder"):
        score_run(other, [ward], run)
    with pytest.raises(RunError, match="2 recordings that are not given now"):
        score_run(other, [ward / "a.edf"], run, resume=False)
    assert everything(run) == before
    assert score_run(other, [ward], run, resume=False).done == ("a", "b", "c")
    shutil.copytree(tiny_model, tmp_path / "moved")  # the same model elsewhere is the same model
    score_run(tiny_model, [ward], tmp_path / "run2")
    assert score_run(tmp_path / "moved", [ward], tmp_path / "run2").skipped == ("a", "b", "c")


def test_scores_with_and_without_a_baseline_are_never_mixed(ward, tiny_model, tmp_path, capsys):
    run = tmp_path / "run"
    words = ["score", str(tiny_model), str(ward / "a.edf"), "--out", str(run)]
    assert main(words) == 0
    before = everything(run)
    capsys.readouterr()
    assert main([*words[:2], str(ward / "b.edf"), *words[3:], "--baseline", "0:36"]) == 1
    said = capsys.readouterr().err
    assert "run was scored without a baseline; give --out a new folder" in said
    assert said.count("\n") == 1
    assert everything(run) == before
    assert score_run(tiny_model, [ward / "a.edf"], run, baseline=(0, 36), resume=False).done
    with pytest.raises(RunError, match="with the baseline 0:36; give --out a new folder"):
        score_run(tiny_model, [ward / "b.edf"], run)
    with pytest.raises(RunError, match="0:36 and holds 1 recordings that are not given now"):
        score_run(tiny_model, [ward / "b.edf"], run, baseline=(0, 35), resume=False)
    assert score_run(tiny_model, [ward], run, baseline=(0, 36)).skipped == ("a",)


def test_two_files_of_one_name_do_not_replace_each_other(ward, tiny_model, tmp_path, write_eeg):
    score_run(tiny_model, [ward / "a.edf"], tmp_path / "run")
    write_eeg(tmp_path / "other/a.edf", 40, seed=5)
    with pytest.raises(RunError, match="another recording called 'a'"):
        score_run(tiny_model, [tmp_path / "other/a.edf"], tmp_path / "run")


def test_an_unexpected_error_sets_one_recording_aside(ward, tiny_model, tmp_path, monkeypatch):
    real = scoring.score_in_parts

    def fail_on_b(model, recording, write, **options):
        if options["recording_id"] == "b":
            raise ValueError("Jane Doe, born 1970")
        return real(model, recording, write, **options)

    monkeypatch.setattr("pipelines.scoring.score_in_parts", fail_on_b)
    run = tmp_path / "run"
    summary = score_run(tiny_model, [ward], run)
    assert summary.done == ("a", "c")
    [(name, reason)] = summary.quarantined
    assert name == "b"
    assert reason.startswith("unexpected ValueError at test_batch.py:")
    assert sorted(path.name for path in (run / "recordings").iterdir()) == ["a", "c"]
    for path in run.rglob("*"):
        assert path.is_dir() or b"Jane" not in path.read_bytes()
    n_lines = len(lines(run))
    assert score_run(tiny_model, [ward], run).skipped == ("a", "c")
    assert len(lines(run)) == n_lines  # the same failure is not said twice
    monkeypatch.undo()
    assert score_run(tiny_model, [ward], run).done == ("b",)


def test_an_interrupt_keeps_what_is_done(ward, tiny_model, tmp_path, monkeypatch, capsys):
    real = scoring.score_in_parts

    def stop_on_b(model, recording, write, **options):
        if options["recording_id"] == "b":
            raise KeyboardInterrupt
        return real(model, recording, write, **options)

    monkeypatch.setattr("pipelines.scoring.score_in_parts", stop_on_b)
    run = tmp_path / "run"
    words = ["score", str(tiny_model), str(ward), "--out", str(run)]
    assert main(words) == 130
    assert "interrupted" in capsys.readouterr().err
    assert RunFolder.open(run).recording_ids() == ["a"]
    assert not (run / ".scoring").exists()
    monkeypatch.undo()
    summary = score_run(tiny_model, [ward], run)
    assert (summary.done, summary.skipped) == (("b", "c"), ("a",))


def test_a_change_of_model_that_was_cut_short_is_completed(
    ward, tiny_model, other, tmp_path, monkeypatch
):
    run, real = tmp_path / "run", scoring.score_in_parts
    score_run(tiny_model, [ward], run)

    def stop_on_b(model, recording, write, **options):
        if options["recording_id"] == "b":
            raise KeyboardInterrupt
        return real(model, recording, write, **options)

    monkeypatch.setattr("pipelines.scoring.score_in_parts", stop_on_b)
    with pytest.raises(KeyboardInterrupt):
        score_run(other, [ward], run, resume=False)
    monkeypatch.undo()
    summary = score_run(other, [ward], run)
    assert (summary.done, summary.skipped) == (("b", "c"), ("a",))


def test_a_run_cut_short_before_its_last_line_is_completed(ward, tiny_model, tmp_path):
    run = tmp_path / "run"
    score_run(tiny_model, [ward], run)
    manifest = json.loads((run / "run.json").read_text())
    for entry in manifest["inputs"]:
        entry["sha256"] = {}
    (run / "run.json").write_text(json.dumps(manifest))
    with (run / "status.jsonl").open("a") as file:
        file.write('{"recording_id": "a", "sta')
    assert score_run(tiny_model, [ward], run).skipped == ("a", "b", "c")
    assert all(entry["sha256"] for entry in RunFolder.open(run).manifest()["inputs"])


def test_a_killed_worker_sets_one_recording_aside(ward, tiny_model, tmp_path):
    os.mkfifo(tmp_path / "stuck.edf")  # opening it blocks, as a hung network drive does
    manifest = tmp_path / "list.csv"
    names = ["ward/a.edf", "stuck.edf", "ward/b.edf", "ward/c.edf"]
    manifest.write_text("\n".join(["path", *names]) + "\n")
    run, found = tmp_path / "run", []

    def score():
        found.append(score_run(tiny_model, [manifest], run, workers=2))

    thread = threading.Thread(target=score)
    thread.start()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and thread.is_alive():
        time.sleep(0.2)
        if (run / "status.jsonl").exists() and len(lines(run)) == 3:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)
    thread.join(30)
    [summary] = found
    assert summary.done == ("a", "b", "c")
    [(name, reason)] = summary.quarantined
    assert name == "stuck"
    assert "ended unexpectedly (exit code -9)" in reason
    assert [line["state"] for line in lines(run)] == ["done"] * 3 + ["quarantined"]


def test_relative_paths_work_from_any_folder(ward, tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(ward)
    shutil.copytree(tiny_model, ward / "m")
    score_run("m", ["a.edf"], "../run")
    monkeypatch.chdir("/")
    run = RunFolder.open(tmp_path / "run")
    assert run.source("a") == ward / "a.edf"
    assert score_run(ward / "m", [ward / "a.edf"], tmp_path / "run").skipped == ("a",)


def test_if_all_fail_nothing_is_left(tiny_model, tmp_path):
    for name in ("x", "y"):
        (tmp_path / f"{name}.edf").write_bytes(b"")
    inputs = [tmp_path / "x.edf", tmp_path / "y.edf"]
    with pytest.raises(RunError, match=r"none of the 2 recordings could be scored: x: x\.edf"):
        score_run(tiny_model, inputs, tmp_path / "deep/run")
    assert not (tmp_path / "deep").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"^x\.edf"):
        score_run(tiny_model, inputs[:1], tmp_path / "empty")
    assert not any((tmp_path / "empty").iterdir())


def test_wrong_arguments_are_refused_before_any_work(ward, tiny_model, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(InputError, match="workers=0"):
        score_run(tiny_model, [ward], run, workers=0)
    with pytest.raises(InputError, match="device='gpu'"):
        score_run(tiny_model, [ward], run, device="gpu")
    with pytest.raises(InputError, match="start_s < stop_s"):
        score_run(tiny_model, [ward], run, baseline=(5, 1))
    with pytest.raises(ModelError, match="is not a model folder"):
        score_run(ward, [ward], run)
    with pytest.raises(RunError, match="is no run folder"):
        score_run(tiny_model, [ward], ward)
    with pytest.raises(RunError, match="is a file"):
        score_run(tiny_model, [ward], ward / "a.edf")
    assert not run.exists()
