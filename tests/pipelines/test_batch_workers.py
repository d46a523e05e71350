import os
import signal
import time
from contextlib import closing
from functools import partial

import pytest

from pipelines.batch.workers import Died, in_processes
from pipelines.errors import RunError


def make_worker(folder):
    return partial(work, folder, os.getpid())


def make_one_only(folder):
    """All but the first worker fail to start, as on a GPU whose memory is taken."""
    try:
        (folder / "first").touch(exist_ok=False)
    except FileExistsError:
        raise ValueError("Jane Doe") from None
    return partial(work, folder, os.getpid())


def make_none():
    raise MemoryError


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


def test_the_others_do_the_share_of_a_worker_that_cannot_start(tmp_path, capfd):
    with closing(in_processes(partial(make_one_only, tmp_path), ["a", "b", "c", "d"], 3)) as found:
        assert dict(found) == {k: k.upper() for k in "abcd"}
    assert not capfd.readouterr().err


def test_if_no_worker_can_start_it_is_said_in_one_line():
    with (
        closing(in_processes(make_none, ["a", "b"], 2)) as answers,
        pytest.raises(RunError, match="no worker process could start: not enough memory"),
    ):
        next(answers)


def test_a_worker_killed_while_idle_costs_no_task(tmp_path):
    with closing(in_processes(partial(make_worker, tmp_path), ["a", "b", "c"], 1)) as answers:
        assert next(answers) == ("a", "A")
        [path] = tmp_path.iterdir()
        os.kill(int(path.suffix[1:]), signal.SIGKILL)
        time.sleep(0.5)
        assert list(answers) == [("b", "B"), ("c", "C")]


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
