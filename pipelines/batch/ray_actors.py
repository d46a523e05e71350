"""The same tasks on Ray actors: one computer, or the cluster that ``RAY_ADDRESS`` names.

Ray keeps silent for ever if it waits for processors that nothing will free (its issue 44687), so
a cluster started here counts one processor more than its actors take, and the start is watched.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipelines.batch.workers import Died
from pipelines.errors import InputError, RunError, describe_error

Task = TypeVar("Task")
Result = TypeVar("Result")
START_S = 120.0
"""Seconds in which a first actor has to be ready."""
ADDRESS = "RAY_ADDRESS"
_STORE_BYTES = 128 << 20  # paths go out and status lines come back: tables go to the run folder
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


@dataclass
class _Actor(Generic[Task]):
    """A Ray actor and what it was asked last; `task` is None until it is ready."""

    handle: Any
    asked: Any
    ready: bool = False
    task: Task | None = None
    begun_s: float = 0.0


class _Scorer:
    """What runs in an actor's process: makes its function once, then applies it to tasks."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        warnings.simplefilter("ignore")
        self._function: Callable[[Any], Any] | None = None
        self._problem: str | None = None
        try:
            self._function = make()
        except Exception as error:
            self._problem = describe_error(error)

    def problem(self) -> str | None:
        """Return why it cannot work, or None if it is ready."""
        return self._problem

    def work(self, task: Any) -> Any:
        """Apply the function."""
        if self._function is None:
            raise RunError(self._problem or "not ready")
        return self._function(task)


def check_ray() -> None:
    """Raise :class:`InputError` if Ray is not installed."""
    if find_spec("ray") is None:
        raise InputError(
            "--engine ray needs Ray; install it with: pip install 'rarewave[ray]', or use --engine "
            "local"
        )


def in_ray(
    make: Callable[[], Callable[[Task], Result]],
    tasks: Sequence[Task],
    n_workers: int,
    limit_s: float | None = None,
    num_gpus: float = 0,
    start_s: float = START_S,
) -> Generator[tuple[Task, Result | Died]]:
    """Yield each task with its result, in the order in which they finish.

    Parameters
    ----------
    make, tasks, n_workers, limit_s
        As for :func:`pipelines.batch.workers.in_processes`.
    num_gpus : float
        GPUs that each actor takes.
    start_s : float
        Seconds in which a first actor has to be ready.

    Yields
    ------
    tuple
        ``(task, result)``, or ``(task, Died(...))`` if its actor ended without an answer.

    Raises
    ------
    RunError
        If Ray does not start, or no actor is ready in time.
    """
    n_workers = min(n_workers, len(tasks))
    with _cluster(n_workers) as ray:
        remote = ray.remote(num_cpus=1, num_gpus=num_gpus, max_restarts=0)(_Scorer)

        def start() -> _Actor[Task]:
            handle = remote.remote(make)
            return _Actor(handle, handle.problem.remote(), begun_s=time.monotonic())

        yield from _spread(ray, start, list(reversed(tasks)), n_workers, limit_s, start_s)


def _spread(
    ray: Any,
    start: Callable[[], _Actor[Task]],
    waiting: list[Task],
    n_workers: int,
    limit_s: float | None,
    start_s: float,
) -> Generator[tuple[Task, Any]]:
    """Give tasks to actors; replace an actor that was lost at work, not one that cannot start."""
    actors: list[_Actor[Task]] = []
    begun_s = time.monotonic()
    while waiting or any(actor.task is not None for actor in actors):
        while waiting and len(actors) < n_workers:
            actors.append(start())
        for actor in _answered(ray, actors):
            lost, answer = _answer(ray, actor)
            task, actor.task = actor.task, None
            if lost:
                actors.remove(actor)
                n_workers -= not actor.ready  # who cannot start is not replaced
            else:
                _ask(actor, waiting)
            if task is not None:
                yield task, answer
            elif not n_workers:
                raise RunError(f"no Ray actor could start: {_why(answer)}")
        for actor, task in _overdue(actors, limit_s):
            ray.kill(actor.handle)
            actors.remove(actor)
            yield task, Died(None, limit_s)
        begun_s = _still_waiting(actors, begun_s, start_s)


def _still_waiting(actors: Sequence[_Actor[Task]], begun_s: float, start_s: float) -> float:
    """Return since when no actor has been ready; refuse to wait for ever."""
    now = time.monotonic()
    if any(actor.ready for actor in actors):
        return now
    if now - begun_s > start_s:
        raise RunError(
            f"no Ray actor was ready within {start_s:g} s; see that the cluster has a free "
            "processor (or GPU), give fewer --workers, or use --engine local"
        )
    return begun_s


def _answered(ray: Any, actors: Sequence[_Actor[Task]]) -> list[_Actor[Task]]:
    """Wait up to a second for answers; an actor without a question has nothing to say."""
    open_questions = [actor.asked for actor in actors if actor.asked is not None]
    if not open_questions:
        return []
    done, _ = ray.wait(open_questions, num_returns=1, timeout=1.0)
    return [actor for actor in actors if actor.asked in done]


def _answer(ray: Any, actor: _Actor[Task]) -> tuple[bool, Any]:
    """Return whether the actor is lost, and what it said or how it ended."""
    asked, actor.asked = actor.asked, None
    try:
        answer = ray.get(asked)
    except ray.exceptions.RayActorError:
        return True, Died(None)
    except ray.exceptions.RayError:  # it lives, but its answer cannot be had
        return not actor.ready, Died(None)
    if not actor.ready:
        actor.ready = answer is None  # or it says why it cannot start
        return not actor.ready, answer
    return False, answer


def _ask(actor: _Actor[Task], waiting: list[Task]) -> None:
    if waiting:
        actor.task = waiting.pop()
        actor.begun_s = time.monotonic()
        actor.asked = actor.handle.work.remote(actor.task)


def _overdue(
    actors: Sequence[_Actor[Task]], limit_s: float | None
) -> list[tuple[_Actor[Task], Task]]:
    if limit_s is None:
        return []
    latest = time.monotonic() - limit_s
    return [(a, a.task) for a in actors if a.task is not None and a.begun_s <= latest]


def _why(answer: object) -> str:
    return "its process ended" if isinstance(answer, Died) else str(answer)


@contextmanager
def _cluster(n_workers: int) -> Iterator[Any]:
    """Give Ray: the caller's, that of ``RAY_ADDRESS``, or one on this computer for this call."""
    check_ray()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
    if ray.is_initialized():
        yield ray
        return
    folder = Path(tempfile.mkdtemp(prefix="rw-", dir=_short_folder()))
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if not os.environ.get(ADDRESS):
        options |= {
            "num_cpus": n_workers + 1,
            "object_store_memory": _STORE_BYTES,
            "include_dashboard": False,
            "_temp_dir": str(folder),
            "_node_ip_address": "127.0.0.1",  # anybody who reaches a cluster can run code on it
        }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ray.init(**options)
            except (RuntimeError, OSError, ValueError, ConnectionError) as error:
                raise RunError(
                    f"Ray does not start ({type(error).__name__}); use --engine local, or see that "
                    f"{ADDRESS} is right"
                ) from error
            yield ray
    finally:
        with contextlib.suppress(Exception):
            ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _short_folder() -> str | None:
    """Return a place for sockets, whose paths must be short; None: the system's choice."""
    short = "/tmp"  # nosec B108
    return short if Path(short).is_dir() else None
