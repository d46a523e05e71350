"""Reading runs and recordings for the screens: the only place that uses Streamlit's caches.

Every cache is bounded and keyed by path, time of change and size, so that a run scored again is
read again. What a cache returns is shared between users: never change it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app import RUN_VARIABLE, charts, messages
from app.keyboard import labels_for
from app.signal_page import Trace, View, read_page
from pipelines.errors import RarewaveError, RunError
from pipelines.recording import Recording
from pipelines.review.groups import Group, group_segments
from pipelines.review.reading import Reading
from pipelines.review.rescore import Progress, baseline_of, in_own_process
from pipelines.review.segments import merge_seconds, segment_counts, under_review
from pipelines.run_folder import RunFolder
from pipelines.store import (
    Decision,
    Event,
    Head,
    Kind,
    ReviewStore,
    Server,
    Verdict,
    given_url,
    open_reviews,
    server_at,
)
from pipelines.store.folding import State, assigned, by_recording, state_of

if TYPE_CHECKING:
    from pipelines.model import Model
    from pipelines.nearest_normal import NearestNormal

_GAIN_PAGES = 8
_PROFILE_BINS = 48
_SENSITIVITIES = 40
_Stamp = tuple[int, int]


@dataclass(frozen=True)
class RecordingRow:
    """One line of the list of recordings. `reason` is set where nothing was scored.

    `n_reviewed` counts what the user himself decided where recordings are read blind.
    """

    recording_id: str
    patient_id: str
    duration_s: float
    n_windows: int
    n_not_scorable: int
    n_segments: int
    n_reviewed: int
    min_p_value: float
    peak_score: float = float("nan")
    state: State = "new"
    reader: str = ""
    reason: str | None = None


def run_choices() -> dict[str, Path]:
    """Return the runs that can be opened, by name."""
    root = Path(os.environ.get(RUN_VARIABLE) or "runs").resolve()
    if (root / "run.json").is_file():
        return {root.name: root}
    found = [*root.glob("*/run.json"), *root.glob("*/*/run.json")]
    return {path.parent.relative_to(root).as_posix(): path.parent for path in sorted(found)}


def runs_root() -> str:
    """Return the folder that :func:`run_choices` looks into, as it was given."""
    return os.environ.get(RUN_VARIABLE) or "runs"


def manifest(run: RunFolder) -> dict[str, Any]:
    """Return ``run.json``."""
    return _manifest(str(run.path), _stamp(run.manifest_path))


def kind(run: RunFolder) -> str:
    """Return ``"ecg"`` or ``"eeg"``."""
    return str(manifest(run).get("model", {}).get("kind", "eeg"))


def model_name(run: RunFolder) -> str:
    """Return the name of the model's folder."""
    return Path(str(manifest(run).get("model", {}).get("path", ""))).name or "not stated"


def compared_with(run: RunFolder) -> str:
    """Say what the scores of this run are relative to."""
    return messages.compared_with(manifest(run).get("baseline"))


def threshold(run: RunFolder) -> float | None:
    """Return the score above which windows are flagged, if the run states it."""
    value = manifest(run).get("model", {}).get("threshold")
    return None if value is None else float(value)


def windows(run: RunFolder, recording_id: str) -> pd.DataFrame:
    """Return the windows of one recording."""
    return _read(run, recording_id, "windows")


def rhythm(run: RunFolder, recording_id: str) -> pd.DataFrame:
    """Return the windows of rhythm of one recording; no rows where there are none."""
    return _read(run, recording_id, "rhythm")


def segments(run: RunFolder, recording_id: str) -> pd.DataFrame:
    """Return the flagged segments of one recording, by time."""
    return _read(run, recording_id, "segments")


def features(run: RunFolder, recording_id: str) -> pd.DataFrame | None:
    """Return the features of one recording by window_index, or None if they were not kept."""
    if not (run.recording_folder(recording_id) / "features.parquet").is_file():
        return None
    return _read(run, recording_id, "features")


def recording_rows(run: RunFolder, user: str) -> list[RecordingRow]:
    """Return every recording of the run: those with the highest scores first, then those set aside.

    A recording that is signed off comes after those that are not.
    """
    status = {entry["recording_id"]: entry for entry in run.status()}
    patients = {
        entry["recording_id"]: str(entry.get("patient_id") or entry["recording_id"])
        for entry in manifest(run).get("inputs", [])
    }
    rows = []
    scored = run.recording_ids()
    logs, how = by_recording(all_events(run)), reading(run)
    for recording_id in scored:
        found, log = segments(run, recording_id), logs.get(recording_id, [])
        latest = how.decisions(user, log, set(found["segment_id"]))
        counts = status.get(recording_id, {})
        if not {"n_windows", "n_not_scorable", "duration_s"} <= counts.keys():
            counts = _counted(windows(run, recording_id))
        rows.append(
            RecordingRow(
                recording_id,
                patients.get(recording_id, recording_id),
                float(counts["duration_s"]),
                int(counts["n_windows"]),
                int(counts["n_not_scorable"]),
                len(found),
                sum(s in latest and latest[s].verdict != "undecided" for s in found["segment_id"]),
                float(found["min_p_value"].min()) if len(found) else float("nan"),
                float(found["peak_score"].max()) if len(found) else float("nan"),
                state_of(log),
                assigned(log),
            )
        )
    rows.sort(key=lambda row: (row.state == "final", -np.nan_to_num(row.peak_score, nan=-np.inf)))
    for recording_id, entry in status.items():
        if recording_id not in scored and entry.get("state") == "quarantined":
            nothing = float("nan")
            patient = patients.get(recording_id, recording_id)
            reason = str(entry.get("reason") or "no reason given")
            row = RecordingRow(recording_id, patient, nothing, 0, 0, 0, 0, nothing, reason=reason)
            rows.append(row)
    return rows


def verdict_counts(run: RunFolder) -> dict[Verdict, int]:
    """Return how many of the run's flagged segments have each verdict."""
    latest = _reviews(run).latest()
    counts: dict[Verdict, int] = dict.fromkeys(messages.VERDICT_WORDS, 0)
    for recording_id in run.recording_ids():
        for segment_id in segments(run, recording_id)["segment_id"]:
            decision = latest.get((recording_id, segment_id))
            counts[decision.verdict if decision else "undecided"] += 1
    return counts


def events(run: RunFolder, recording_id: str) -> tuple[Event, ...]:
    """Return the log of one recording, read again only when the log has grown."""
    store = _reviews(run)
    return _events(store, store.identity, store.head(), recording_id)


def reading(run: RunFolder) -> Reading:
    """Return how the run is read: by one reader or by several, blind or not."""
    store = _reviews(run)
    return _reading(store, store.identity, store.head())


def reviewed_segments(
    run: RunFolder, recording_id: str, latest: Mapping[str, Decision], threshold: float | None
) -> pd.DataFrame:
    """Return the segments to review at a threshold (None: that of the run), decided ones kept."""
    return under_review(
        segments(run, recording_id),
        windows(run, recording_id),
        latest,
        _merge_seconds(run),
        threshold,
        rhythm(run, recording_id),
    )


def groups(run: RunFolder, recording_id: str, threshold: float | None) -> tuple[Group, ...]:
    """Return the groups of alike segments among those flagged at a threshold."""
    path = run.recording_folder(recording_id) / "windows.parquet"
    return _groups(run, str(path), recording_id, _stamp(path), threshold)


def sensitivities(run: RunFolder, recording_id: str) -> tuple[tuple[float, float, int], ...]:
    """Return thresholds to choose from, with flagged segments per hour and their number."""
    path = run.recording_folder(recording_id) / "windows.parquet"
    return _sensitivities(run, str(path), recording_id, _stamp(path))


def labels(run: RunFolder) -> tuple[str, ...]:
    """Return the labels on the keys 1 to 9."""
    return labels_for(kind(run), run.path)


def append(run: RunFolder, kind: Kind, user: str, **more: Any) -> Event:
    """Add an event to the run's log; see :meth:`pipelines.store.ReviewStore.append`."""
    return _reviews(run).append(kind, user, **more)


def roles(run: RunFolder) -> dict[str, str]:
    """Return the role of each user who has one."""
    store = _reviews(run)
    return _roles(store, store.identity, store.head())


def all_events(run: RunFolder) -> tuple[Event, ...]:
    """Return the whole log."""
    store = _reviews(run)
    return _events(store, store.identity, store.head(), None)


def confirm_baseline(
    run: RunFolder, recording_id: str, span: tuple[float, float] | None, user: str, show: Progress
) -> None:
    """Note that a part is normal for this patient, and score the recording against it."""
    if span is not None:
        append(
            run,
            "baseline",
            user,
            recording_id=recording_id,
            start_s=float(span[0]),
            stop_s=float(span[1]),
        )
    in_own_process(run, recording_id, span, show)


def baseline(run: RunFolder, recording_id: str) -> tuple[float, float] | None:
    """Return the confirmed part that a recording was scored against, or None."""
    stamps = _stamp(run.manifest_path), _stamp(run.path / "status.jsonl")
    return _baseline(str(run.path), recording_id, *stamps)


def verdicts(latest: Mapping[str, Decision]) -> dict[str, Verdict]:
    """Return the verdict of each segment about which anything was decided."""
    return {segment_id: decision.verdict for segment_id, decision in latest.items()}


def undo(run: RunFolder, recording_id: str, user: str) -> Event | None:
    """Take back the last thing a user did to the segments of a recording; return it, or None."""
    return _reviews(run).undo(recording_id, user)


def recording(run: RunFolder, recording_id: str) -> Recording:
    """Open the recording that was scored; its samples are read page by page."""
    path = run.source(recording_id)
    return _recording(run, recording_id, str(path), _stamp(path))


def profile(run: RunFolder, recording_id: str) -> list[float]:
    """Return the highest score, at least zero, in each of 48 equal parts of a recording."""
    path = run.recording_folder(recording_id) / "windows.parquet"
    return _profile(run, str(path), recording_id, _stamp(path))


def channel_names(run: RunFolder, recording_id: str) -> list[str]:
    """Return the channels of the run's kind, or none if the recording cannot be read now."""
    try:
        source = recording(run, recording_id)
    except RarewaveError:
        return []
    return [
        channel.name
        for channel in source.channels
        if channel.kind == kind(run) and not channel.is_bad
    ]


def nearest(run: RunFolder, recording_id: str, window_index: int) -> NearestNormal:
    """Return a window beside what would fit in its place.

    Raises
    ------
    RarewaveError
        If the model has moved or changed, or the recording has too few windows that fit.
    """
    path = run.recording_folder(recording_id) / "windows.parquet"
    return _nearest(run, recording_id, window_index, str(path), _stamp(path))


def overview(run: RunFolder, recording_id: str) -> dict[str, Any]:
    """Return the unchanging part of the overview of one recording."""
    path = run.recording_folder(recording_id) / "windows.parquet"
    return _overview(run, str(path), recording_id, _stamp(path), threshold(run))


def page(run: RunFolder, recording_id: str, view: View) -> tuple[Trace, ...]:
    """Return the signal of one page."""
    path = run.source(recording_id)
    return _page(recording(run, recording_id), str(path), _stamp(path), kind(run), view)


def fitting_gain(run: RunFolder, recording_id: str, view: View, steps: tuple[float, ...]) -> float:
    """Return the gain that suits the recording as a whole under the filters of `view`."""
    path = run.source(recording_id)
    anywhere = replace(view, start_s=0.0, stop_s=10.0)
    source = recording(run, recording_id)
    return _gain(source, str(path), _stamp(path), kind(run), anywhere, steps)


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def _merge_seconds(run: RunFolder) -> float:
    config = Path(str(manifest(run).get("model", {}).get("path", ""))) / "config.json"
    return _merge_s(str(run.path), _stamp(run.manifest_path), _stamp(config))


def _counted(table: pd.DataFrame) -> dict[str, float]:
    return {
        "n_windows": len(table),
        "n_not_scorable": int((~table["scorable"]).sum()),
        "duration_s": float(table["stop_s"].max()) if len(table) else 0.0,
    }


def _read(run: RunFolder, recording_id: str, name: str) -> pd.DataFrame:
    path = run.recording_folder(recording_id) / f"{name}.parquet"
    return _table(str(run.path), recording_id, name, _stamp(path))


def _reviews(run: RunFolder) -> ReviewStore:
    """Return the review log of a run: in its own file, or in the database that a URL names."""
    url = given_url()
    return open_reviews(run) if url is None else open_reviews(run, _server(url), manifest(run))


@st.cache_resource(max_entries=4, show_spinner=False)
def _server(url: str) -> Server | None:
    return server_at(url)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs={Head: Head.text})
def _events(
    _store: ReviewStore, identity: str, head: Head, recording_id: str | None
) -> tuple[Event, ...]:
    found = _store.events(recording_id)
    return tuple(event for event in found if event.number <= head.n_entries)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs={Head: Head.text})
def _reading(_store: ReviewStore, identity: str, head: Head) -> Reading:
    return Reading.of(_store.events(kinds=["reading"]))


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs={Head: Head.text})
def _roles(_store: ReviewStore, identity: str, head: Head) -> dict[str, str]:
    return _store.roles()


@st.cache_resource(max_entries=64, show_spinner=False)
def _groups(
    _run: RunFolder, path: str, recording_id: str, stamp: _Stamp, threshold: float | None
) -> tuple[Group, ...]:
    found = reviewed_segments(_run, recording_id, {}, threshold)
    try:
        source: Recording | None = recording(_run, recording_id)
    except RarewaveError:
        source = None
    table = features(_run, recording_id)
    return group_segments(found, windows(_run, recording_id), table, source, kind(_run))


@st.cache_resource(max_entries=64, show_spinner=False)
def _sensitivities(
    _run: RunFolder, path: str, recording_id: str, stamp: _Stamp
) -> tuple[tuple[float, float, int], ...]:
    table = windows(_run, recording_id)
    scores = table.loc[table["scorable"], "score"].to_numpy(float)
    if not len(scores):
        return ()
    shares = 1 - np.geomspace(0.5, 0.2 / len(scores), _SENSITIVITIES)
    own = threshold(_run)
    chosen = {float(q) for q in np.quantile(scores, shares)} | ({own} if own is not None else set())
    ordered = sorted(chosen)
    counts = segment_counts(table, ordered, _merge_seconds(_run), rhythm(_run, recording_id))
    hours = max(float(table["stop_s"].max()) / 3600, 1e-9)
    kept: dict[int, float] = {}
    for value, count in zip(ordered, counts.tolist(), strict=True):
        if value == own or kept.get(count) != own:
            kept[count] = value
    rows = sorted((value, count / hours, count) for count, value in kept.items())
    return tuple(rows)


@st.cache_resource(max_entries=32, show_spinner=False)
def _manifest(run_path: str, stamp: _Stamp) -> dict[str, Any]:
    return RunFolder(Path(run_path)).manifest()


@st.cache_resource(max_entries=64, show_spinner=False)
def _baseline(
    run_path: str, recording_id: str, stamp: _Stamp, status: _Stamp
) -> tuple[float, float] | None:
    return baseline_of(RunFolder(Path(run_path)), recording_id)


@st.cache_resource(max_entries=32, show_spinner=False)
def _merge_s(run_path: str, stamp: _Stamp, config: _Stamp) -> float:
    return merge_seconds(RunFolder(Path(run_path)))


@st.cache_resource(max_entries=256, show_spinner=False)
def _table(run_path: str, recording_id: str, name: str, stamp: _Stamp) -> pd.DataFrame:
    read = getattr(RunFolder(Path(run_path)), name)
    table: pd.DataFrame = read(recording_id)
    return table


@st.cache_resource(max_entries=16, show_spinner=False)
def _recording(_run: RunFolder, recording_id: str, path: str, stamp: _Stamp) -> Recording:
    return _run.open_source(recording_id)


@st.cache_resource(max_entries=64, show_spinner=False)
def _overview(
    _run: RunFolder, path: str, recording_id: str, stamp: _Stamp, threshold: float | None
) -> dict[str, Any]:
    table = windows(_run, recording_id)
    duration_s = float(table["stop_s"].max()) if len(table) else 0.0
    gaps: tuple[tuple[float, float], ...] = ()
    try:
        source = recording(_run, recording_id)
        duration_s, gaps = max(source.duration_s, duration_s), source.gaps
    except RarewaveError:  # moved or damaged since: the scores can still be reviewed
        pass
    lane = charts.trend(table, features(_run, recording_id), kind(_run), duration_s)
    return charts.overview(table, duration_s, threshold, gaps, lane)


@st.cache_data(max_entries=128, show_spinner=False)
def _page(_source: Recording, path: str, stamp: _Stamp, kind: str, view: View) -> tuple[Trace, ...]:
    return read_page(_source, kind, view)


@st.cache_data(max_entries=64, show_spinner=False)
def _gain(
    _source: Recording,
    path: str,
    stamp: _Stamp,
    kind: str,
    view: View,
    steps: tuple[float, ...],
) -> float:
    latest = max(_source.duration_s - view.stop_s, 0.0)
    starts = [latest * (i + 0.5) / _GAIN_PAGES for i in range(_GAIN_PAGES)]
    pages = (
        read_page(_source, kind, replace(view, start_s=start, stop_s=start + view.stop_s))
        for start in starts
    )
    return charts.fitting_gain(pages, kind, steps)


@st.cache_data(max_entries=1024, show_spinner=False)
def _profile(_run: RunFolder, path: str, recording_id: str, stamp: _Stamp) -> list[float]:
    table = windows(_run, recording_id)
    duration_s = float(table["stop_s"].max()) if len(table) else 0.0
    scores = charts.binned_scores(table, duration_s, _PROFILE_BINS)
    return [max(float(score), 0.0) if score == score else 0.0 for score in scores]


@st.cache_resource(max_entries=128, show_spinner=False)
def _nearest(
    _run: RunFolder, recording_id: str, window_index: int, path: str, stamp: _Stamp
) -> NearestNormal:
    from pipelines.nearest_normal import nearest_normal

    known, table = _run.manifest()["model"], features(_run, recording_id)
    if table is None:
        raise RunError("this run was scored before features were kept; score it again")
    model_path = Path(known["path"])
    model, rows = _model(str(model_path), _stamp(model_path / "manifest.json"), known["sha256"])
    return nearest_normal(
        model,
        recording(_run, recording_id),
        windows(_run, recording_id),
        table,
        window_index,
        rows,
    )


@st.cache_resource(max_entries=2, show_spinner=False)
def _model(path: str, stamp: _Stamp, sha256: str) -> tuple[Model, NDArray[np.float64]]:
    from pipelines import load_model
    from pipelines.nearest_normal import model_rows
    from pipelines.provenance import model_hash

    if model_hash(Path(path)) != sha256:
        raise RunError(f"the model {Path(path).name} has changed since this run was scored")
    model = load_model(path, device="cpu")
    return model, model_rows(model)
