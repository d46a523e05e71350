"""The windows of a recording that is still being written: which of them nothing changes any more.

A window is *settled* once nothing that is still to come can change its score. The filters need
20 s after it. A beat is also compared with the usual beat and the usual rhythm around it, and
those with what is usual around them: the rhythm looks 150 beats ahead, its spread another 150, and
the usual beat, which is found in rounds, five times 150. A score is a function of all of these, so
an ECG is settled :data:`ECG_BEATS` beats late, about a quarter of an hour, and the same scores
cannot be had sooner. What lies between is scored with what is there: *provisional*, told but never
written.

Only the last twenty minutes or so are read each time. One thing can make a settled score differ
from the final one: interference from the mains is looked for in what is read (setting
``eeg.notch``; fix it at 50, 60 or none to rule that out).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.errors import RunError
from pipelines.features.rhythm import MINUTES
from pipelines.features.usual_beat import BEATS_NEEDED
from pipelines.inputs import InputRecording
from pipelines.model import Model
from pipelines.recording import Channel, Piece, Recording
from pipelines.rhythm.segments import segments_of
from pipelines.scoring import Scored, score_recording
from pipelines.signals.preprocessing import CHUNK_S, MARGIN_S

ECG_BEATS = BEATS_NEEDED + MINUTES - 1
"""Beats on each side that a score depends on: the usual beat, and the rhythm that weighs it."""


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
    provisional : pandas.DataFrame or None
        The windows after those, as the last look scored them: beats to come can still change it.
    """

    model: Model
    entry: InputRecording
    windows: pd.DataFrame | None = None
    features: pd.DataFrame | None = None
    rhythm: pd.DataFrame | None = None
    provisional: pd.DataFrame | None = None
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
        ahead = new & (np.arange(len(table)) >= last)
        self.provisional = table[ahead]
        new &= ~ahead
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
