"""Watching recordings: what grows is scored as far as it is settled, what has ended as a whole.

The file is read again and again (see :mod:`pipelines.growing`). When the recording has ended it is
scored as a whole, so what stays is what ``rarewave score`` would have written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipelines.batch import Quarantined, RunSummary, score_run
from pipelines.batch.ledger import Ledger
from pipelines.batch.lock import locked
from pipelines.batch.resume import check_baseline, check_model, check_sources, read_earlier
from pipelines.batch.task import Job, put_tables, scored_status
from pipelines.errors import InputError, RarewaveError, RunError
from pipelines.growing import Settled
from pipelines.inputs import InputRecording, resolve_inputs
from pipelines.model_folder import load_model
from pipelines.provenance import model_hash
from pipelines.remote.address import is_url, refuse_url
from pipelines.run_folder import RunFolder

GROWING = "still growing"
"""Stands for the hash of a file that is being written: the final scoring does not trust it."""
Spans = tuple[tuple[float, float], ...]
"""``(start_s, stop_s)`` of windows."""


@dataclass(frozen=True)
class Watched:
    """What was found since the last look.

    Attributes
    ----------
    recording_id : str
    recorded_s, settled_s : float
        Length of the recording now, and up to where windows are settled.
    flagged : tuple of (float, float)
        ``(start_s, stop_s)`` of new flagged windows.
    provisional : tuple of (float, float)
        The same of all windows after `settled_s`, which may yet turn out otherwise.
    """

    recording_id: str
    recorded_s: float
    settled_s: float
    flagged: Spans
    provisional: Spans = ()


def watch_recording(
    model_path: str | Path,
    source: str | Path,
    run_path: str | Path,
    *,
    poll_s: float = 10.0,
    quiet_s: float = 120.0,
    device: str = "auto",
    tell: Callable[[Watched], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> RunSummary:
    """Score a recording that is being written, and as a whole when it has ended.

    Parameters
    ----------
    model_path, run_path, device
        As for :func:`pipelines.score_run`.
    source : str or pathlib.Path
        One recording whose header admits growth: an EDF or BDF with -1 data records.
    poll_s : float
        Seconds between two looks.
    quiet_s : float
        A file that has not grown for this long has ended.
    tell : callable, optional
        Called after each look that settled something, or found something provisionally.
    sleep : callable
        Waits.

    Raises
    ------
    RarewaveError
        If `source` is not one recording, or cannot be scored at its end.
    """
    refuse_url(run_path, "--out")
    [entry] = _one(source)
    digest = model_hash(model_path)
    run = RunFolder(Path(run_path).absolute())
    read_earlier(run)
    with locked(run.path):
        earlier = read_earlier(run)
        check_model(earlier, digest, [entry], resume=True)
        check_baseline(earlier, None, [entry], resume=True)
        check_sources(earlier, [entry])
        job = Job(Path(model_path).absolute(), digest, run.path, None, device)
        ledger = Ledger(job, earlier, [entry])
        settled = Settled(load_model(model_path, device=device), entry)
        try:
            _follow(settled, job, ledger, (poll_s, quiet_s), tell, sleep)
        finally:
            ledger.close()
    return score_run(model_path, [source], run_path, device=device)


def watch_folder(
    model_path: str | Path,
    folder: str | Path,
    run_path: str | Path,
    *,
    poll_s: float = 10.0,
    quiet_s: float = 120.0,
    device: str = "auto",
    tell: Callable[[RunSummary], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> None:
    """Score every recording of a folder once its files have been left alone; ends by interrupt.

    Parameters
    ----------
    model_path, run_path, device
        As for :func:`pipelines.score_run`.
    folder : str or pathlib.Path
        Searched with its subfolders, again and again.
    poll_s : float
        Seconds between two looks.
    quiet_s : float
        A recording whose file has not changed for this long is finished.
    tell : callable, optional
        Called after each look at which something was scored.
    sleep, clock : callable
        Wait, and tell the time.
    """
    tried: set[tuple[Path, float]] = set()
    while True:
        ready = _finished(Path(folder), clock() - quiet_s)
        if ready - tried:
            tried |= ready
            paths = sorted(path for path, _ in ready)
            try:
                summary = score_run(model_path, paths, run_path, device=device, by_marks=True)
            except RunError as error:  # not one of them could be scored
                summary = RunSummary((), (Quarantined(Path(folder).name, str(error)),), ())
            if tell is not None:
                tell(summary)
        sleep(poll_s)


def _finished(folder: Path, before: float) -> set[tuple[Path, float]]:
    """Return the recordings whose file was last changed before a moment, with that time."""
    try:
        entries = resolve_inputs([folder])
    except InputError:  # none yet
        return set()
    found = {(entry.path, entry.path.stat().st_mtime) for entry in entries}
    return {(path, changed) for path, changed in found if changed < before}


def _one(source: str | Path) -> tuple[InputRecording]:
    if is_url(source):
        raise InputError(
            "an address is given, and only what grows on a disk of this computer can be watched; "
            "give its path, or 'rarewave score' the recording when it has ended"
        )
    entries = resolve_inputs([source])
    if len(entries) != 1:
        raise RunError(f"{len(entries)} recordings are given; watch one, or their folder")
    return (entries[0],)


def _follow(
    settled: Settled,
    job: Job,
    ledger: Ledger,
    waits: tuple[float, float],
    tell: Callable[[Watched], None] | None,
    sleep: Callable[[float], None],
) -> None:
    """Look at the file again and again until it has been quiet for long enough."""
    poll_s, quiet_s = waits
    length_s, quiet = -1.0, 0.0
    while quiet < quiet_s:
        try:
            recording = settled.entry.open()
            if recording.duration_s > length_s:
                length_s, quiet = recording.duration_s, 0.0
                fresh = settled.extend(recording)
                if fresh is not None:
                    _keep(settled, job, ledger, length_s)
                found = _watched(settled, fresh, length_s)
                if tell is not None and (fresh is not None or found.provisional):
                    tell(found)
        except RarewaveError:  # too short yet, or caught in the middle of a write
            pass
        sleep(poll_s)
        quiet += poll_s


def _keep(settled: Settled, job: Job, ledger: Ledger, length_s: float) -> None:
    """Write the tables of what is settled, and say in the books that they are not final."""
    scored, entry = settled.tables(), settled.entry
    put_tables(job.run_path, entry.recording_id, scored)
    ledger.add(scored_status(job, entry, scored, length_s, {entry.path.name: GROWING}))


def _watched(settled: Settled, fresh: pd.DataFrame | None, length_s: float) -> Watched:
    until_s = 0.0 if settled.windows is None else float(settled.windows["stop_s"].iloc[-1])
    name = settled.entry.recording_id
    return Watched(name, length_s, until_s, _flagged(fresh), _flagged(settled.provisional))


def _flagged(windows: pd.DataFrame | None) -> Spans:
    if windows is None:
        return ()
    found = windows[windows["flagged"]]
    return tuple(zip(found["start_s"].tolist(), found["stop_s"].tolist(), strict=True))
