"""One call at a time writes into a run: ``RUN/.lock`` says which."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import RunError

LOCK_NAME = ".lock"
_BEAT_S = 20.0
_DEAD_AFTER_S = 6 * _BEAT_S
"""A lock of another computer that was not touched for this long was left by one that died."""


@contextmanager
def locked(run_path: Path) -> Iterator[None]:
    """Hold the lock of a run folder; create the folder, and remove it again if it stays empty.

    The operating system drops the lock of a process that dies, whatever it dies of. Between
    computers that share a disk without such locks, the age of the file decides.

    Raises
    ------
    RunError
        If another call holds it; says its process and computer.
    """
    made = _make(run_path)
    try:
        handle = _acquire(run_path)
    except BaseException:
        _remove_empty(made)
        raise
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(run_path / LOCK_NAME, stop), daemon=True)
    try:
        beat.start()
        yield
    finally:
        stop.set()
        (run_path / LOCK_NAME).unlink(missing_ok=True)
        os.close(handle)
        _remove_empty(made)


def _make(path: Path) -> list[Path]:
    """Create a folder with its parents; return those that were not there, the deepest first."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot make the folder {path.name}: {error.strerror}; give --out another place"
        ) from error
    return missing


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _acquire(run_path: Path) -> int:
    """Return the locked file, with this process written into it."""
    path = run_path / LOCK_NAME
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RunError(
                f"cannot write into {run_path.name}: {error.strerror}; check your rights"
            ) from error
        try:
            _take(handle, path)
            if path.exists() and os.fstat(handle).st_ino == path.stat().st_ino:
                break
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its owner removed it between our opening and our locking
    holder = {"pid": os.getpid(), "host": socket.gethostname()}
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(holder).encode(), 0)
    return handle


def _take(handle: int, path: Path) -> None:
    """Lock the open file, or say who holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(_busy(path, _holder(handle))) from None
    except OSError:
        pass  # a disk without locks: the age below is all there is
    holder = _holder(handle)
    here = holder.get("host") in (None, socket.gethostname())
    age_s = time.time() - os.fstat(handle).st_mtime
    if not here and age_s < _DEAD_AFTER_S:
        raise RunError(_busy(path, holder))


def _holder(handle: int) -> dict[str, object]:
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _busy(path: Path, holder: dict[str, object]) -> str:
    who = (
        f" (process {holder['pid']} on {holder['host']})" if {"pid", "host"} <= set(holder) else ""
    )
    return (
        f"another call is writing into {path.parent.name}{who}; wait until it has ended, or give "
        "--out another folder"
    )


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(_BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)
