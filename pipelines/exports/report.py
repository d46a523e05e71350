"""What the HTML and the PDF report show, apart from how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from pipelines.channel_names import printable
from pipelines.exports.overview import Overview, overview_of
from pipelines.exports.selection import Failures, Segment, Selection
from pipelines.exports.strips import Strip, strip_of
from pipelines.features.registry import describe
from pipelines.recording import Recording
from pipelines.store import VERDICTS

STRIPS_PER_RECORDING: Final = 12
STRIPS_PER_RUN: Final = 240
REVIEW_WORDS: Final = {
    "new": "Nothing of it was reviewed.",
    "in_review": "Its review is not signed off.",
    "final": "Its review is signed off.",
}
READING: Final = (
    "The score says how little a stretch of signal resembles what the model was fitted on. It is "
    "not the probability of a disease, and what is not flagged has not been found to be in order. "
    "The p-value is the share of held-out usual windows with a score at least as high. Every "
    "segment needs a qualified reader."
)


@dataclass(frozen=True)
class Card:
    """A segment, its place in the list of its recording, and its strip if it has one."""

    number: int
    segment: Segment
    clock: str | None
    reasons: tuple[str, ...]
    strip: Strip | None


@dataclass(frozen=True)
class Chapter:
    """One recording of the report.

    Attributes
    ----------
    recording_id : str
    segments : tuple of Card
        In order of time; the highest scores have a strip.
    overview : Overview
    n_windows, n_not_scorable : int
    signal_problem : str or None
        Why no strip could be drawn.
    review : str
        How far the review is, in words.
    """

    recording_id: str
    segments: tuple[Card, ...]
    overview: Overview
    n_windows: int
    n_not_scorable: int
    signal_problem: str | None
    review: str

    @property
    def duration_s(self) -> float:
        """Seconds of recording."""
        return self.overview.duration_s

    @property
    def n_strips(self) -> int:
        """Segments that are drawn."""
        return sum(card.strip is not None for card in self.segments)

    def count(self, verdict: str) -> int:
        """Return the number of segments with a verdict."""
        return sum(card.segment.verdict == verdict for card in self.segments)


def chapters(selection: Selection, failures: Failures) -> Iterator[Chapter]:
    """Yield the recordings of a run one by one; a failing one is noted and left out."""
    most = max(1, min(STRIPS_PER_RECORDING, STRIPS_PER_RUN // len(selection.recording_ids)))
    durations = {entry["recording_id"]: entry.get("duration_s") for entry in selection.run.status()}
    for recording_id in selection.recording_ids:
        with failures.collecting(recording_id):
            yield _chapter(selection, recording_id, durations.get(recording_id), most, failures)


def _chapter(
    selection: Selection, recording_id: str, duration_s: float | None, most: int, failures: Failures
) -> Chapter:
    windows = selection.run.windows(recording_id)
    segments = selection.segments(recording_id)
    recording: Recording | None = None
    with failures.collecting(recording_id):
        recording = selection.source(recording_id)
        duration_s = recording.duration_s
    if duration_s is None:
        duration_s = float(windows["stop_s"].max()) if len(windows) else 0.0
    ranked = sorted(segments, key=lambda s: -np.nan_to_num(s.peak_score, nan=np.inf))
    drawn = {s.segment_id for s in ranked[:most]} if recording else set()
    cards = []
    for number, segment in enumerate(segments, start=1):
        strip = None
        if recording is not None and segment.segment_id in drawn:
            with failures.collecting(recording_id):
                strip = strip_of(recording, selection.kind, segment, _peak_s(windows, segment))
        reasons = tuple(printable(describe(name)) for name in segment.top_features)
        cards.append(Card(number, segment, _clock(recording, segment.start_s), reasons, strip))
    return Chapter(
        recording_id=recording_id,
        segments=tuple(cards),
        overview=overview_of(windows, segments, threshold(selection.manifest), duration_s),
        n_windows=len(windows),
        n_not_scorable=int((~windows["scorable"].astype(bool)).sum()),
        signal_problem=failures.reasons.get(recording_id),
        review=REVIEW_WORDS[selection.states.get(recording_id, "new")],
    )


def threshold(manifest: Mapping[str, Any]) -> float | None:
    """Return the model's threshold as the run states it."""
    value = manifest.get("model", {}).get("threshold")
    return float(value) if isinstance(value, (int, float)) else None


def facts(selection: Selection) -> list[tuple[str, str]]:
    """Return what the head of a report says about the run, as names and values."""
    manifest = selection.manifest
    model = manifest.get("model", {})
    limit = threshold(manifest)
    baseline = manifest.get("baseline")
    versions = manifest.get("versions", {})
    return [
        ("Model", f"{model.get('kind', '?')}".upper()),
        ("Model file", f"{str(model.get('sha256', ''))[:12] or 'not stated'}"),
        ("Threshold", "not stated" if limit is None else f"{limit:.4g}"),
        (
            "Baseline",
            f"{baseline[0]:g}-{baseline[1]:g} s of each recording, confirmed as usual"
            if baseline
            else "none: scores are against the population model",
        ),
        (
            "Segments",
            {"accepted": "accepted by a reader", "all": "all"}.get(selection.only, "all flagged"),
        ),
        (
            "Versions",
            ", ".join(f"{name} {value}" for name, value in versions.items()) or "not stated",
        ),
    ]


def summary(selection: Selection, failures: Failures) -> list[dict[str, Any]]:
    """Return one row a recording for the table at the front: counts, by verdict too."""
    status = {entry["recording_id"]: entry for entry in selection.run.status()}
    rows = []
    for recording_id in selection.recording_ids:
        with failures.collecting(recording_id):
            entry = status.get(recording_id, {})
            verdicts = [segment.verdict for segment in selection.segments(recording_id)]
            rows.append(
                {
                    "recording_id": recording_id,
                    "duration_s": entry.get("duration_s"),
                    "n_windows": entry.get("n_windows"),
                    "n_not_scorable": entry.get("n_not_scorable"),
                    "n_segments": len(verdicts),
                    **{verdict: verdicts.count(verdict) for verdict in VERDICTS},
                }
            )
    return rows


def quarantined(selection: Selection) -> Sequence[tuple[str, str]]:
    """Return the recordings that could not be scored, and why."""
    return [
        (str(entry["recording_id"]), printable(str(entry.get("reason") or "")))
        for entry in selection.run.status()
        if entry.get("state") != "done"
    ]


def time_text(seconds: float) -> str:
    """Return a time within a recording.

    Examples
    --------
    >>> time_text(3725.25), time_text(59.96)
    ('1:02:05.2', '0:01:00.0')
    """
    tenths = round(seconds * 10)
    hours, rest = divmod(tenths, 36000)
    minutes, rest = divmod(rest, 600)
    return f"{hours}:{minutes:02d}:{rest / 10:04.1f}"


def _peak_s(windows: pd.DataFrame, segment: Segment) -> float:
    inside = windows[
        (windows["start_s"] >= segment.start_s) & (windows["stop_s"] <= segment.stop_s)
    ].dropna(subset="score")
    if inside.empty:
        return (segment.start_s + segment.stop_s) / 2
    return float(inside["center_s"].to_numpy()[inside["score"].to_numpy().argmax()])


def _clock(recording: Recording | None, at_s: float) -> str | None:
    """Return the time of day at a moment of the recording, if its file states a start."""
    if recording is None or recording.start_time is None:
        return None
    return f"{recording.start_time + timedelta(seconds=at_s):%H:%M:%S}"
