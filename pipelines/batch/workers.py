"""Tasks in processes of their own: a process that dies takes one task with it, not the batch."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Died:
    """A process ended without an answer.

    Attributes
    ----------
    exit_code : int or None
        Negative: the signal that ended it.
    """

    exit_code: int | None


@dataclass
class _Worker(Generic[Task]):
    process: SpawnProcess
    connection: Connection
    task: Task | None = None


def in_processes(
    make: Callable[[], Callable[[Task], Result]], tasks: Sequence[Task], n_workers: int
) -> Generator[tuple[Task, Result | Died]]:
    """Yield each task with its result, in the order in which they finish.

    Parameters
    ----------
    make : callable
        Called once in each process; returns the function that is applied to tasks. It can be
        pickled, and so can tasks and results. The function raises nothing.
    tasks : sequence
    n_workers : int
        Processes, started afresh (spawn). One that dies is replaced.

    Yields
    ------
    tuple
        ``(task, result)``, or ``(task, Died(...))`` if its process ended without an answer.
    """
    waiting = list(reversed(tasks))
    workers: list[_Worker[Task]] = []
    try:
        while waiting or any(worker.task is not None for worker in workers):
            while waiting and len(workers) < n_workers:
                workers.append(_start(make))
            for worker in workers:
                if worker.task is None and waiting:
                    worker.task = waiting.pop()
                    _send(worker)
            busy = {w.connection: w for w in workers if w.task is not None}
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                task, worker.task = worker.task, None
                result: Result | Died = _receive(worker)
                if isinstance(result, Died):
                    workers.remove(worker)
                yield task, result  # type: ignore[misc]
    finally:
        for worker in workers:
            _stop(worker)


def _start(make: Callable[[], Callable[[Task], Result]]) -> _Worker[Task]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, make), daemon=True)
    process.start()
    theirs.close()  # or the death of the process would not be noticed
    return _Worker(process, ours)


def _serve(connection: Connection, make: Callable[[], Callable[[Task], Result]]) -> None:
    """Answer tasks until the other end is closed; runs in the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    warnings.simplefilter("ignore")
    function = make()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        connection.send(function(task))


def _send(worker: _Worker[Task]) -> None:
    with contextlib.suppress(OSError):  # it died while it was idle: receiving will say so
        worker.connection.send(worker.task)


def _receive(worker: _Worker[Task]) -> Result | Died:
    try:
        result: Result = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join(_PATIENCE_S)
        _stop(worker)
        return Died(worker.process.exitcode)
    return result


def _stop(worker: _Worker[Task]) -> None:
    worker.connection.close()
    worker.process.terminate()
    worker.process.join(_PATIENCE_S)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
