import importlib.util
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from pipelines.batch import score_run
from pipelines.batch.engines import check_engine
from pipelines.batch.ray_actors import in_ray
from pipelines.batch.workers import Died
from pipelines.cli import main
from pipelines.errors import InputError, RunError

HAS_RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not HAS_RAY, reason="Ray is missing: pip install 'rarewave[ray]'")
pytestmark = pytest.mark.slow


def tables(run: Path) -> dict[str, bytes]:
    files = sorted((run / "recordings").rglob("*.parquet"))
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def make_worker():
    return work


def make_none():
    raise MemoryError


def work(task):
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "sleeps":
        time.sleep(600)
    return task.upper()


@pytest.fixture
def here(monkeypatch):
    """Let the actors import this very file."""
    folder = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", folder)
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module("test_batch_ray")


def test_without_ray_one_line_says_what_to_install(monkeypatch, tmp_path, tiny_model, capsys):
    monkeypatch.setattr("pipelines.batch.ray_actors.find_spec", lambda name: None)
    run = tmp_path / "run"
    words = ["score", str(tiny_model), str(tmp_path), "--out", str(run), "--engine", "ray"]
    assert main(words) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "pip install 'rarewave[ray]'" in line
    assert not run.exists()
    with pytest.raises(InputError, match="engine='dask' is unknown; choose from local, ray"):
        check_engine("dask")


@needs_ray
@pytest.mark.extensive
def test_ray_gives_the_same_bytes_as_this_process(tmp_path, write_eeg, tiny_model):
    for seed, name in enumerate("abcd"):
        special = {"event": 20} if name == "b" else {}
        write_eeg(tmp_path / f"ward/{name}.edf", 40, seed=seed, **special)
    (tmp_path / "ward/bad.edf").write_bytes(b"0" * 300)
    local = score_run(tiny_model, [tmp_path / "ward"], tmp_path / "local")
    command = [sys.executable, "-m", "pipelines.cli", "score", tiny_model, tmp_path / "ward"]
    done = subprocess.run(
        [*command, "--out", tmp_path / "ray", "--engine", "ray", "--workers", "3"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert len(local.done) == 4
    assert tables(tmp_path / "ray") == tables(tmp_path / "local")
    assert len(tables(tmp_path / "ray")) == 12
    said = [x for x in done.stderr.splitlines() if not x.startswith("scoring recordings: ")]
    [(name, reason)] = local.quarantined
    assert said == [f"rarewave: quarantined {name}: {reason}"]  # Ray itself says nothing
    assert not list(Path("/tmp").glob(f"rw-*/session_*_{os.getpid()}"))


@needs_ray
@pytest.mark.extensive
def test_an_actor_that_dies_or_hangs_takes_one_task_with_it(here):
    tasks = ["a", "killed", "b", "sleeps", "c"]
    with closing(in_ray(here.make_worker, tasks, 2, limit_s=5)) as answers:
        found = dict(answers)
    assert found["killed"] == Died(None)
    assert found["sleeps"] == Died(None, 5)
    assert {k: v for k, v in found.items() if len(k) == 1} == {"a": "A", "b": "B", "c": "C"}


@needs_ray
@pytest.mark.extensive
def test_actors_that_cannot_start_are_said_in_one_line(here):
    with (
        closing(in_ray(here.make_none, ["a", "b"], 2)) as answers,
        pytest.raises(RunError, match="no Ray actor could start: not enough memory"),
    ):
        next(answers)
    impossible = partial(in_ray, here.make_worker, ["a"], 1, num_gpus=64, start_s=4)
    with (
        closing(impossible()) as answers,
        pytest.raises(RunError, match=r"no Ray actor was ready within 4 s; .*--engine local"),
    ):
        next(answers)
