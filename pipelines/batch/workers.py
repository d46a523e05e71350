"""Tasks in processes of their own: a process that dies takes one task with it, not the batch."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import signal
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar, cast

from pipelines.errors import RunError, describe_error

Task = TypeVar("Task")
Result = TypeVar("Result")
_PATIENCE_S = 5.0
_OBJECTS = 50_000
"""New objects after which Python looks for garbage: loading a model makes half a million that stay."""


@dataclass(frozen=True)
class Died:
    """A process ended without an answer.

    Attributes
    ----------
    exit_code : int or None
        Negative: the signal that ended it. None if that is not known.
    overtime_s : float or None
        It was ended because it took longer than this.
    """

    exit_code: int | None
    overtime_s: float | None = None


@dataclass
class _Worker(Generic[Task]):
    """A process; it has a task while it works, and says so itself when it is ready."""

    process: SpawnProcess
    connection: Connection
    ready: bool = False
    task: Task | None = None
    begun_s: float = 0.0


def in_processes(
    make: Callable[[], Callable[[Task], Result]],
    tasks: Sequence[Task],
    n_workers: int,
    limit_s: float | None = None,
) -> Generator[tuple[Task, Result | Died]]:
    """Yield each task with its result, in the order in which they finish.

    Parameters
    ----------
    make : callable
        Called once in each process; returns the function that is applied to tasks. It can be
        pickled, and so can tasks and results. The function raises nothing.
    tasks : sequence
    n_workers : int
        Processes, started afresh (spawn). One that dies at work is replaced; one that cannot
        start is not, the others do its share.
    limit_s : float, optional
        Seconds after which a process that still works on one task is ended.

    Yields
    ------
    tuple
        ``(task, result)``, or ``(task, Died(...))`` if its process ended without an answer.

    Raises
    ------
    RunError
        If not one process could start.
    """
    n_workers = min(n_workers, len(tasks))
    waiting = list(reversed(tasks))
    workers: list[_Worker[Task]] = []
    try:
        while waiting or any(worker.task is not None for worker in workers):
            _give(workers, waiting)
            while waiting and len(workers) < n_workers:
                workers.append(_start(make))
            pending = {w.connection: w for w in workers if w.task is not None or not w.ready}
            finished = wait(list(pending), _time_left(workers, limit_s))
            for worker in _overdue(workers, limit_s, finished):
                _forget(worker, workers)
                yield cast(Task, worker.task), Died(None, limit_s)
            for connection in finished:
                worker = pending[cast(Connection, connection)]
                answer = _receive(worker)
                if isinstance(answer, Died):
                    workers.remove(worker)
                task, worker.task = worker.task, None
                if worker.ready and task is not None:
                    yield task, answer
                elif answer is None:
                    worker.ready = True
                else:  # it could not start, and says why or is dead
                    n_workers -= 1
                    _forget(worker, workers)
                    if not n_workers:
                        raise RunError(f"no worker process could start: {_why(answer)}")
    finally:
        for worker in workers:
            _stop(worker)


def _give(workers: list[_Worker[Task]], waiting: list[Task]) -> None:
    """Send a task to each worker that is ready; one found dead is dropped, its task kept."""
    for worker in [w for w in workers if w.ready and w.task is None]:
        if not waiting:
            return
        try:
            worker.connection.send(waiting[-1])
        except OSError:
            _forget(worker, workers)
        else:
            worker.task = waiting.pop()
            worker.begun_s = time.monotonic()


def _time_left(workers: list[_Worker[Task]], limit_s: float | None) -> float | None:
    """Return the seconds until the first of the workers is overdue."""
    begun = [worker.begun_s for worker in workers if worker.task is not None]
    if limit_s is None or not begun:
        return None
    return max(0.0, min(begun) + limit_s - time.monotonic())


def _overdue(
    workers: list[_Worker[Task]], limit_s: float | None, finished: Sequence[object]
) -> list[_Worker[Task]]:
    """Return the workers that have had their time and say nothing."""
    if limit_s is None:
        return []
    latest = time.monotonic() - limit_s
    busy = [worker for worker in workers if worker.task is not None]
    return [w for w in busy if w.begun_s <= latest and w.connection not in finished]


def _forget(worker: _Worker[Task], workers: list[_Worker[Task]]) -> None:
    if worker in workers:
        workers.remove(worker)
    _stop(worker)


def _why(answer: object) -> str:
    return f"exit code {answer.exit_code}" if isinstance(answer, Died) else str(answer)


def _start(make: Callable[[], Callable[[Task], Result]]) -> _Worker[Task]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, make), daemon=True)
    process.start()
    theirs.close()  # or the death of the process would not be noticed
    return _Worker(process, ours)


def _serve(connection: Connection, make: Callable[[], Callable[[Task], Result]]) -> None:
    """Say None when ready, then answer tasks until the other end is closed; runs in the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    gc.set_threshold(_OBJECTS)
    warnings.simplefilter("ignore")
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # parent is gone
        try:
            function = make()
        except Exception as error:
            connection.send(describe_error(error))
            return
        connection.send(None)
        while True:
            connection.send(function(connection.recv()))


def _receive(worker: _Worker[Task]) -> Any:
    """Return what a worker sent, or how it ended."""
    try:
        return worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join(_PATIENCE_S)
        _stop(worker)
        return Died(worker.process.exitcode)


def _stop(worker: _Worker[Task]) -> None:
    worker.connection.close()
    worker.process.terminate()
    worker.process.join(_PATIENCE_S)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
