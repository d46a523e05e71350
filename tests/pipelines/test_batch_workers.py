import os
import signal
import time
from contextlib import closing
from functools import partial

import pytest

from pipelines.batch.workers import Died, in_processes


def make_worker(folder):
    return partial(work, folder, os.getpid())


def work(folder, first_pid, task):
    assert os.getpid() == first_pid
    (folder / f"{task}.{os.getpid()}").touch()
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "exits":
        raise SystemExit(3)
    if task == "sleeps":
        time.sleep(600)
    return task.upper()


def test_a_process_that_dies_takes_one_task_with_it(tmp_path):
    tasks = ["a", "killed", "b", "exits", "c", "d"]
    with closing(in_processes(partial(make_worker, tmp_path), tasks, 2)) as answers:
        found = dict(answers)
    assert found["killed"] == Died(-signal.SIGKILL)
    assert found["exits"] == Died(3)
    assert {k: v for k, v in found.items() if k not in ("killed", "exits")} == {
        k: k.upper() for k in "abcd"
    }
    names = [path.name.split(".")[0] for path in tmp_path.iterdir()]
    assert sorted(names) == sorted(tasks)  # each was tried once


@pytest.mark.slow
def test_leaving_early_stops_the_processes(tmp_path):
    with closing(in_processes(partial(make_worker, tmp_path), ["a", "sleeps"], 2)) as answers:
        assert next(answers) == ("a", "A")
        deadline = time.monotonic() + 20
        while not list(tmp_path.glob("sleeps.*")) and time.monotonic() < deadline:
            time.sleep(0.05)
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.suffix[1:]), 0)
