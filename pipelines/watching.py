"""Scoring a recording while it is still being written.

The file is read again and again, and what is new is scored by the same code as a whole recording.
A window is *settled*, and told, once nothing that is still to come can change its score: the
filters need 20 s after it, and a beat is compared with the beats around it, which is why an ECG is
told :data:`ECG_BEATS` beats late, about a quarter of an hour. When the recording has
ended it is scored as a whole, so what stays is what ``rarewave score`` would have written.

Only the last twenty minutes or so are read each time. One thing can make an interim score differ
from the final one: interference from the mains is looked for in what is read (setting
``eeg.notch``; fix it at 50, 60 or none to rule that out).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.batch import Quarantined, RunSummary, score_run
from pipelines.batch.ledger import Ledger
from pipelines.batch.lock import locked
from pipelines.batch.resume import check_baseline, check_model, check_sources, read_earlier
from pipelines.batch.task import Job, put_tables
from pipelines.errors import InputError, RarewaveError, RunError
from pipelines.features.rhythm import MINUTES
from pipelines.features.usual_beat import BEATS_NEEDED
from pipelines.inputs import InputRecording, resolve_inputs
from pipelines.model import Model
from pipelines.model_folder import load_model
from pipelines.provenance import model_hash, now
from pipelines.recording import Channel, Piece, Recording
from pipelines.rhythm.segments import segments_of
from pipelines.run_folder import RunFolder
from pipelines.scoring import Scored, score_recording
from pipelines.signals.preprocessing import CHUNK_S, MARGIN_S

ECG_BEATS = BEATS_NEEDED + MINUTES - 1
"""Beats on each side that a score depends on: the usual beat, and the rhythm that weighs it."""
GROWING = "still growing"
"""Stands for the hash of a file that is being written: the final scoring does not trust it."""


class Part(Recording):
    """The end of a recording, cut where the whole would be cut into chunks.

    Parameters
    ----------
    whole : Recording
    sfreq : float
        Rate of the channels that are read, Hz.
    from_s : float
        The part begins one chunk before the one that holds this moment, so that what lies after
        it is computed from the same samples as in the whole.
    """

    def __init__(self, whole: Recording, sfreq: float, from_s: float) -> None:
        self.path, self.files, self.format = whole.path, whole.files, whole.format
        self.channels, self.annotations = whole.channels, whole.annotations
        self.start_time = whole.start_time
        self._whole = whole
        self._places: dict[Piece, tuple[Piece, float]] = {}
        step = round(CHUNK_S * sfreq)
        for piece in whole.pieces:
            if piece.stop_s < from_s - CHUNK_S:
                continue
            chunk = math.floor((from_s - piece.start_s) * sfreq / step) - 1
            cut_s = max(0, chunk) * step / sfreq
            part = Piece(piece.start_s + cut_s, piece.duration_s - cut_s, piece.stored_s + cut_s)
            self._places[part] = piece, cut_s
        self.pieces = tuple(self._places)

    def _read(
        self, channels: Sequence[Channel], piece: Piece, start: int, stop: int
    ) -> NDArray[np.float64]:
        whole, cut_s = self._places[piece]
        cut = round(cut_s * channels[0].sfreq)
        names = [channel.name for channel in channels]
        return self._whole.read(names, whole, cut + start, cut + stop)


@dataclass
class Settled:
    """The windows of a growing recording that nothing can change any more.

    Attributes
    ----------
    model : Model
    entry : InputRecording
    windows, features : pandas.DataFrame or None
        As in :class:`pipelines.scoring.Scored`; None before the first.
    rhythm : pandas.DataFrame or None
        The same of windows of rhythm that end before the last settled beat.
    """

    model: Model
    entry: InputRecording
    windows: pd.DataFrame | None = None
    features: pd.DataFrame | None = None
    rhythm: pd.DataFrame | None = None
    _drift: dict[str, Any] = field(default_factory=dict)

    @property
    def until_s(self) -> float:
        """Start of the last settled window, -inf if there is none."""
        return -math.inf if self.windows is None else float(self.windows["start_s"].iloc[-1])

    def extend(self, recording: Recording) -> pd.DataFrame | None:
        """Score what is new, keep and return the windows that are settled now, None if none."""
        found = score_recording(
            self.model,
            self._part(recording),
            recording_id=self.entry.recording_id,
            patient_id=self.entry.patient_id,
        )
        table = found.windows
        last = len(table) - (ECG_BEATS if self.model.kind == "ecg" else 0)
        end_s = recording.duration_s - MARGIN_S
        new = (table["start_s"] > self.until_s) & (table["stop_s"] <= end_s)
        new &= np.arange(len(table)) < last
        if not new.any():
            return None
        self._drift = found.drift
        before = 0 if self.windows is None else len(self.windows)
        numbers = before + np.arange(int(new.sum()))
        fresh = table[new].assign(window_index=numbers)
        rows = found.features[new].assign(window_index=numbers)
        self.windows = fresh if self.windows is None else pd.concat([self.windows, fresh])
        self.features = rows if self.features is None else pd.concat([self.features, rows])
        if found.rhythm is not None:
            self._extend_rhythm(found.rhythm, float(fresh["stop_s"].iloc[-1]))
        return fresh

    def _extend_rhythm(self, found: pd.DataFrame, settled_s: float) -> None:
        """Keep the windows of rhythm that are new and settled."""
        known = found.iloc[:0] if self.rhythm is None else self.rhythm
        after_s = float(known["start_s"].iloc[-1]) if len(known) else -math.inf
        fresh = found[(found["start_s"] > after_s) & (found["stop_s"] <= settled_s)]
        numbered = fresh.assign(window_index=len(known) + np.arange(len(fresh)))
        self.rhythm = numbered if known.empty else pd.concat([known, numbered])

    def _part(self, recording: Recording) -> Recording:
        """Return the end of the recording that new windows need; the whole if rates differ."""
        rates = {channel.sfreq for channel in recording.of_kind(self.model.kind)}
        if self.windows is None or rates != {self.model.sfreq}:
            return recording
        beats = self.windows["start_s"].to_numpy()[-ECG_BEATS:]
        is_ecg = self.model.kind == "ecg"
        return Part(recording, self.model.sfreq, float(beats[0]) if is_ecg else self.until_s)

    def tables(self) -> Scored:
        """Return the tables of what is settled; there must be something."""
        if self.windows is None or self.features is None:
            raise RunError("nothing has been scored yet; wait for more of the recording")
        segments = segments_of(self.windows, self.rhythm, self.model.settings.segments.merge_s)
        return Scored(self.windows, segments, self.features, self._drift, self.rhythm)


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
    """

    recording_id: str
    recorded_s: float
    settled_s: float
    flagged: tuple[tuple[float, float], ...]


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
        Called after each look that settled something.
    sleep : callable
        Waits.

    Raises
    ------
    RarewaveError
        If `source` is not one recording, or cannot be scored at its end.
    """
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
                summary = score_run(model_path, paths, run_path, device=device)
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
                    if tell is not None:
                        tell(_watched(settled, fresh, length_s))
        except RarewaveError:  # too short yet, or caught in the middle of a write
            pass
        sleep(poll_s)
        quiet += poll_s


def _keep(settled: Settled, job: Job, ledger: Ledger, length_s: float) -> None:
    """Write the tables of what is settled, and say in the books that they are not final."""
    scored, entry = settled.tables(), settled.entry
    put_tables(job.run_path, entry.recording_id, scored)
    ledger.add(
        {
            "recording_id": entry.recording_id,
            "patient_id": entry.patient_id,
            "state": "done",
            "reason": None,
            "n_windows": len(scored.windows),
            "n_flagged": int(scored.windows["flagged"].sum()),
            "n_segments": len(scored.segments),
            "n_not_scorable": int((~scored.windows["scorable"]).sum()),
            "duration_s": length_s,
            "drift": scored.drift,
            "sha256": {entry.path.name: GROWING},
            "model_sha256": job.model_sha256,
            "baseline": None,
            "at": now(),
        }
    )


def _watched(settled: Settled, fresh: pd.DataFrame, length_s: float) -> Watched:
    flagged = fresh[fresh["flagged"]]
    spans = tuple(zip(flagged["start_s"].tolist(), flagged["stop_s"].tolist(), strict=True))
    return Watched(settled.entry.recording_id, length_s, float(fresh["stop_s"].iloc[-1]), spans)
