"""Two calls at once, crashes at any moment, and recordings that would never end."""

import errno
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from pipelines import scoring
from pipelines.batch import score_run
from pipelines.batch.limits import Limits, limit_memory
from pipelines.batch.lock import LOCK_NAME, locked
from pipelines.batch.workers import Died, in_processes
from pipelines.cli import main
from pipelines.errors import InputError, RecordingError, RunError, describe_error
from pipelines.retry import PAUSES_S, is_passing, with_retries
from pipelines.run_folder import RunFolder


def contents(run: Path) -> dict[str, bytes]:
    files = sorted((run / "recordings").rglob("*.parquet"))
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def start(model: Path, ward: Path, run: Path) -> subprocess.Popen:
    words = ["score", model, ward, "--out", run, "--device", "cpu"]
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_second_call_is_refused_and_a_dead_one_is_not(tmp_path):
    run = tmp_path / "deep/run"
    with locked(run):
        assert json.loads((run / LOCK_NAME).read_text())["pid"] == os.getpid()
        with pytest.raises(
            RunError, match=f"another call is writing into run .process {os.getpid()} on"
        ):
            locked(run).__enter__()
    assert not (tmp_path / "deep").exists()  # nothing was written
    run.mkdir(parents=True)
    (run / LOCK_NAME).write_text('{"pid": 1, "host": ' + json.dumps(socket.gethostname()) + "}")
    with locked(run):  # the system says that nobody holds it
        (run / "run.json").touch()
    assert [path.name for path in run.iterdir()] == ["run.json"]


def test_the_lock_of_another_computer_counts_while_it_is_touched(tmp_path):
    path = tmp_path / LOCK_NAME
    path.write_text('{"pid": 7, "host": "elsewhere"}')
    with pytest.raises(RunError, match="process 7 on elsewhere"):
        locked(tmp_path).__enter__()
    assert path.exists()
    os.utime(path, (0, time.time() - 600))
    with locked(tmp_path):
        assert json.loads(path.read_text())["host"] == socket.gethostname()


def test_score_into_a_run_at_work_is_one_line(tmp_path, tiny_model, write_eeg, capsys):
    source, run = write_eeg(tmp_path / "a.edf", 30), tmp_path / "run"
    with locked(run):
        words = ["score", str(tiny_model), str(source), "--out", str(run)]
        assert main(words) == 1
        [line] = capsys.readouterr().err.splitlines()
    assert "another call is writing into run" in line
    assert not run.exists()


def test_an_error_that_passes_is_tried_again():
    waited, left = [], [OSError(errno.ESTALE, "stale"), RecordingError("gone")]
    left[1].__cause__ = OSError(errno.EIO, "drive")

    def read():
        if left:
            raise left.pop()
        return "read"

    assert with_retries(read, waited.append) == "read"
    assert waited == list(PAUSES_S[:2])
    assert not is_passing(OSError(errno.ENOENT, "no such file"))
    with pytest.raises(RecordingError):
        with_retries(partial(fail, RecordingError("damaged")), waited.append)
    assert len(waited) == 2
    with pytest.raises(OSError, match="drive"):
        with_retries(partial(fail, OSError(errno.EIO, "drive")), waited.append)
    assert waited[2:] == list(PAUSES_S)


def fail(error):
    raise error


def test_a_drive_that_comes_back_costs_no_recording(tmp_path, tiny_model, write_eeg, monkeypatch):
    real, attempts = scoring.score_in_parts, []

    def away_once(model, recording, write, **options):
        attempts.append(recording)
        if len(attempts) == 1:
            raise RecordingError("x") from OSError(errno.ETIMEDOUT, "away")
        return real(model, recording, write, **options)

    monkeypatch.setattr("pipelines.scoring.score_in_parts", away_once)
    summary = score_run(tiny_model, [write_eeg(tmp_path / "a.edf", 30)], tmp_path / "run")
    assert (summary.done, len(attempts)) == (("a",), 2)


def make_hungry(folder):
    limit_memory(200 << 20)
    return partial(take, folder)


def take(folder, task):
    if task == "endless":
        time.sleep(600)
    try:
        return len(bytearray(task << 20))
    except MemoryError as error:
        return describe_error(error)


def test_time_and_memory_of_one_task_are_limited(tmp_path):
    found = dict(in_processes(partial(make_hungry, tmp_path), [10, "endless", 400, 20], 2, 3.0))
    assert found[10] == 10 << 20
    assert found[20] == 20 << 20
    assert found["endless"] == Died(None, 3.0)
    if sys.platform == "linux":
        assert found[400].startswith("not enough memory")


@pytest.mark.parametrize(
    "limits", [Limits(time_s=0), Limits(time_s=float("nan")), Limits(memory_bytes=1)]
)
def test_limits_that_make_no_sense_are_refused(limits, tmp_path, tiny_model):
    with pytest.raises(InputError, match=r"limit of .* (positive|at least 64 MiB)"):
        score_run(tiny_model, [tmp_path], tmp_path / "run", limits=limits)


@pytest.mark.slow
def test_a_recording_without_end_is_set_aside(tmp_path, tiny_model, write_eeg, capsys):
    write_eeg(tmp_path / "ward/good.edf", 30)
    os.mkfifo(tmp_path / "ward.edf")  # opening it blocks, as a hung network drive does
    manifest = tmp_path / "list.csv"
    manifest.write_text("path\nward.edf\nward/good.edf\n")
    words = ["score", str(tiny_model), str(manifest), "--out", str(tmp_path / "run")]
    assert main([*words, "--time-limit", "0.2"]) == 2
    said = capsys.readouterr().err
    assert "quarantined ward: it took longer than the 0.2 minutes" in said
    assert RunFolder.open(tmp_path / "run").recording_ids() == ["good"]


@pytest.mark.slow
def test_a_recording_that_takes_the_program_down_does_so_once(
    tmp_path, tiny_model, write_eeg, monkeypatch
):
    """Opening `b` blocks, and the process that tries is killed; the next call is more careful."""
    for seed, name in enumerate("ac"):
        write_eeg(tmp_path / f"ward/{name}.edf", 30, seed=seed)
    os.mkfifo(tmp_path / "ward/b.edf")
    manifest = tmp_path / "list.csv"
    manifest.write_text("path\nward/a.edf\nward/b.edf\nward/c.edf\n")
    run = tmp_path / "run"
    first = start(tiny_model, manifest, run)
    marker = run / ".scoring/at_work"
    until(lambda: marker.is_file() and marker.read_text() == "b", first)
    first.kill()
    first.wait()
    first.stderr.close()
    monkeypatch.setattr("pipelines.batch.engines.DEFAULT_TIME_S", 6.0)  # of another process
    summary = score_run(tiny_model, [manifest], run)
    assert (summary.done, summary.skipped) == (("c",), ("a",))
    [(name, reason)] = summary.quarantined
    assert (name, reason[:35]) == ("b", "it took longer than the 0.1 minutes")
    assert not marker.parent.exists()


def until(condition, process, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)


def whole_and_once(run: Path, names: list[str]) -> None:
    """Check the books of a run that was cut short: what they call done is there, once, whole."""
    folder = RunFolder(run)
    for name in folder.recording_ids():
        windows = folder.windows(name)
        assert len(windows) == len(folder.features(name))
        assert set(folder.segments(name)["recording_id"]) <= {name}
    done = [line["recording_id"] for line in folder.status() if line["state"] == "done"]
    assert len(done) == len(set(done))
    assert set(done) <= set(folder.recording_ids()) <= set(names)


def killed_at(moments, tmp_path, tiny_model, write_eeg):
    names = [f"r{n}" for n in range(4)]
    for n, name in enumerate(names):
        write_eeg(tmp_path / f"ward/{name}.edf", 40, seed=n, event=20 if n % 2 else None)
    began = time.monotonic()
    whole = start(tiny_model, tmp_path / "ward", tmp_path / "whole")
    until((tmp_path / "whole/.scoring").exists, whole)
    first_s = time.monotonic() - began
    whole.communicate(timeout=120)
    last_s = time.monotonic() - began
    for k, moment in enumerate(moments):
        run = tmp_path / f"run{k}"
        process = start(tiny_model, tmp_path / "ward", run)
        time.sleep(first_s * 0.9 + moment * (last_s - first_s * 0.9))
        process.kill()
        process.communicate()
        if run.exists():
            whole_and_once(run, names)
        score_run(tiny_model, [tmp_path / "ward"], run, device="cpu")
        assert contents(run) == contents(tmp_path / "whole")
        assert len(contents(run)) == 3 * len(names)
        lines = (run / "status.jsonl").read_text().splitlines()
        assert sorted(json.loads(x)["recording_id"] for x in lines if x.endswith("}")) == names
        assert {path.name for path in run.iterdir()} == {
            "run.json",
            "status.jsonl",
            "reviews.sqlite",
            "recordings",
        }
        assert all(entry["sha256"] for entry in RunFolder.open(run).manifest()["inputs"])
        shutil.rmtree(run)


@pytest.mark.slow
def test_a_run_killed_at_two_moments_is_completed(tmp_path, tiny_model, write_eeg):
    killed_at([0.3, 0.7], tmp_path, tiny_model, write_eeg)


@pytest.mark.extensive
def test_a_run_killed_at_twenty_random_moments_is_completed(tmp_path, tiny_model, write_eeg):
    generator = random.Random(7)
    moments = [generator.random() for _ in range(20)]
    killed_at(moments, tmp_path, tiny_model, write_eeg)


def test_a_status_line_cut_short_does_not_swallow_the_next(tmp_path):
    run = RunFolder(tmp_path)
    run.append_status({"recording_id": "a", "state": "done"})
    with (tmp_path / "status.jsonl").open("a") as file:
        file.write('{"recording_id": "b", "sta')
    run.append_status({"recording_id": "c", "state": "done"})
    assert [line["recording_id"] for line in run.status()] == ["a", "c"]
