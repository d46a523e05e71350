"""What is exported: the segments of a run joined with what is decided about each."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import pandas as pd

from pipelines.errors import ExportError, RarewaveError
from pipelines.recording import Recording
from pipelines.review.segments import merge_seconds, under_review
from pipelines.run_folder import RunFolder
from pipelines.store import Decision, Head, reviews_of
from pipelines.store.folding import State, by_recording, fold, state_of

REVIEW_COLUMNS: Final = (
    "verdict",
    "comment",
    "reviewer",
    "decided_at",
    "label",
    "origin",
    "found_start_s",
    "found_stop_s",
    "readers_differ",
)
NO_DECISION: Final = "undecided"


@dataclass(frozen=True)
class Segment:
    """A segment and the present decision about it, for formats that are no tables.

    Attributes
    ----------
    segment_id : str
    start_s, stop_s : float
        Seconds on the recording's clock, as readers set them.
    peak_score, min_p_value : float
        Of its windows; no unit. NaN for an added event on which nothing was scored.
    n_windows : int
    description : str
    top_features : tuple of str
        Names of features, most responsible first.
    top_channel : str or None
    verdict : str
        "undecided" where nobody decided.
    decision : Decision or None
    label : str
        What a reader called it; empty if nothing.
    origin : str
        "flagged", "kept" (decided about, not flagged by the scores the run has now) or "added"
        (by a reader).
    found_start_s, found_stop_s : float
        Where scoring found it, before a reader moved its bounds.
    """

    segment_id: str
    start_s: float
    stop_s: float
    peak_score: float
    min_p_value: float
    n_windows: int
    description: str
    top_features: tuple[str, ...]
    top_channel: str | None
    verdict: str
    decision: Decision | None
    label: str
    origin: str
    found_start_s: float
    found_stop_s: float

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.stop_s - self.start_s

    @property
    def is_scored(self) -> bool:
        """False for an added event on which nothing was scored."""
        return not math.isnan(self.peak_score)

    @property
    def score_words(self) -> str:
        """Peak score and smallest p-value in words."""
        if not self.is_scored:
            return "not scored"
        return f"score {self.peak_score:.3g}, p {self.min_p_value:.2g}"

    @property
    def review_words(self) -> str:
        """Verdict and label in words. The label is untrusted text."""
        words = f"{self.verdict}, labelled {self.label}" if self.label else self.verdict
        return f"{words}, added by a reader" if self.origin == "added" else words


@dataclass(frozen=True)
class Selection:
    """The part of a run that is exported.

    Attributes
    ----------
    run : RunFolder
    only : str
        ``"accepted"``, ``"flagged"`` or ``"all"``.
    manifest : mapping
        ``run.json``.
    recording_ids : tuple of str
        The scored recordings.
    decisions : mapping
        The present decision per ``(recording_id, segment_id)``.
    head : Head
        How far the review log went when it was read: a receipt.
    states : mapping
        Per recording ``"new"``, ``"in_review"`` or ``"final"`` (signed off).
    """

    run: RunFolder
    only: str
    manifest: Mapping[str, Any]
    recording_ids: tuple[str, ...]
    decisions: Mapping[tuple[str, str], Decision]
    head: Head
    states: Mapping[str, State]

    @classmethod
    def of(cls, run: str | Path, only: str, reviews: str | None = None) -> Selection:
        """Open a run for export; raise :class:`ExportError` if nothing in it was scored.

        `reviews` is the URL of the database with its review log, as in
        :func:`pipelines.exports.export_run`.
        """
        folder = RunFolder.open(run)
        recording_ids = tuple(folder.recording_ids())
        if not recording_ids:
            raise ExportError(
                f"{folder.path.name} holds no scored recording; see status.jsonl in it for why"
            )
        manifest = folder.manifest()
        with reviews_of(folder, reviews, manifest) as store:
            head, events = store.head(), store.events()
        events = tuple(event for event in events if event.number <= head.n_entries)
        logs = by_recording(events)
        states = {name: state_of(logs.get(name, ())) for name in recording_ids}
        return cls(folder, only, manifest, recording_ids, fold(events), head, states)

    @property
    def kind(self) -> str:
        """``"ecg"`` or ``"eeg"``, from the model."""
        return str(self.manifest.get("model", {}).get("kind", ""))

    @cached_property
    def _decided(self) -> dict[str, list[Decision]]:
        """The decisions by recording."""
        return by_recording(self.decisions.values())

    def segments(self, recording_id: str) -> tuple[Segment, ...]:
        """Return the chosen segments of one recording in order of time."""
        return tuple(
            Segment(
                segment_id=str(row["segment_id"]),
                start_s=float(row["start_s"]),
                stop_s=float(row["stop_s"]),
                peak_score=float(row["peak_score"]),
                min_p_value=float(row["min_p_value"]),
                n_windows=int(row["n_windows"]),
                description=str(row["description"]),
                top_features=tuple(map(str, row["top_features"])),
                top_channel=str(row["top_channel"]) if pd.notna(row["top_channel"]) else None,
                verdict=str(row["verdict"]),
                decision=self.decisions.get((recording_id, str(row["segment_id"]))),
                label=str(row["label"]),
                origin=str(row["origin"]),
                found_start_s=float(row["found_start_s"]),
                found_stop_s=float(row["found_stop_s"]),
            )
            for row in self.segment_table(recording_id).to_dict("records")
        )

    def segment_table(self, recording_id: str) -> pd.DataFrame:
        """Return the chosen segments of one recording as a table, in order of time.

        The columns of ``segments.parquet`` and :data:`REVIEW_COLUMNS`; `decided_at` is a UTC
        timestamp or missing, `verdict` is "undecided" where nobody decided. Segments that were
        decided about or added are in it whatever is flagged now, with the bounds readers set.
        """
        own = {d.segment_id: d for d in self._decided.get(recording_id, [])}
        flagged = self.run.segments(recording_id).sort_values("start_s", kind="stable")
        if own:
            windows, merge_s = self.run.windows(recording_id), merge_seconds(self.run)
            rhythm = self.run.rhythm(recording_id)
        else:
            windows, merge_s, rhythm = flagged, 0.0, None
        table = under_review(flagged, windows, own, merge_s, rhythm=rhythm)
        known = [own.get(s) for s in table["segment_id"]]
        table["verdict"] = pd.array([d.verdict if d else NO_DECISION for d in known], dtype="str")
        table["comment"] = pd.array([d.comment if d else "" for d in known], dtype="str")
        table["reviewer"] = pd.array([d.user if d else "" for d in known], dtype="str")
        table["decided_at"] = pd.array(
            [d.decided_at if d else None for d in known], dtype=pd.DatetimeTZDtype("us", "UTC")
        )
        table["label"] = pd.array([d.label if d else "" for d in known], dtype="str")
        table["readers_differ"] = [bool(d and d.conflict) for d in known]
        if self.only == "accepted":
            table = table[table["verdict"] == "accepted"]
        return table.reset_index(drop=True)

    def source(self, recording_id: str) -> Recording:
        """Open the recording that was scored; refuse one that has changed since."""
        recording = self.run.open_source(recording_id)
        (entry,) = (e for e in self.manifest["inputs"] if e["recording_id"] == recording_id)
        for file in recording.files:
            scored = entry.get("sha256", {}).get(file.name)
            if scored is not None and scored != _sha256(file):
                raise ExportError(
                    f"{file.name} has changed since it was scored; score it again into a new run"
                )
        return recording


class Exporter(Protocol):
    """Writes one format and returns the files; failures of single recordings are collected."""

    def __call__(self, selection: Selection, to: Path, failures: Failures) -> Sequence[Path]:
        """Write `selection` into the folder `to`."""


@dataclass(frozen=True)
class Collecting:
    """Swallows an error and notes its reason under the name of a recording."""

    reasons: dict[str, str]
    recording_id: str

    def __enter__(self) -> None:
        """Begin to collect."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Note any error; interrupts go through."""
        if not isinstance(error, Exception):
            return False
        if isinstance(error, RarewaveError):
            reason = str(error)
        elif isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
        else:  # a damaged table can fail in any way
            reason = f"its part of the run is damaged ({type(error).__name__})"
        self.reasons[self.recording_id] = reason
        return True


@dataclass
class Failures:
    """Recordings that could not be exported, and why; the others go on."""

    reasons: dict[str, str] = field(default_factory=dict)

    def collecting(self, recording_id: str) -> Collecting:
        """Return a context that notes an error about one recording instead of raising it."""
        return Collecting(self.reasons, recording_id)

    def raise_if_any(self, format: str, n_recordings: int) -> None:
        """Raise one :class:`ExportError` that names every recording that failed."""
        if self.reasons:
            named = "; ".join(f"{name}: {reason}" for name, reason in self.reasons.items())
            raise ExportError(
                f"{len(self.reasons)} of {n_recordings} recordings could not be exported as "
                f"{format}, what else was asked for is written: {named}"
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
