"""What the formats read through MNE have in common: one rate, samples fetched chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.channel_names import identify_all
from pipelines.readers.attempt import attempt
from pipelines.recording import Annotation, Channel, ChannelKind, Piece, Recording

CHUNK_BYTES = 4 << 20
"""About the most bytes of samples that are in memory beside the result while reading."""

_KINDS: dict[str, ChannelKind] = {
    "eeg": "eeg",
    "seeg": "eeg",
    "ecog": "eeg",
    "dbs": "eeg",
    "ecg": "ecg",
    "eog": "eog",
    "emg": "emg",
    "resp": "resp",
}


@dataclass(frozen=True, slots=True)
class MneChannel:
    """A channel of an MNE object and how its numbers become those of a recording.

    Attributes
    ----------
    label : str
        MNE's name of the channel.
    kind : str
        MNE's type of the channel: ``"eeg"``, ``"misc"``, ...
    unit : str
        The unit after multiplying by `factor`.
    factor : float
        What to multiply MNE's number by.
    is_bad : bool
        Marked as bad in the file.
    """

    label: str
    kind: str
    unit: str = "V"
    factor: float = 1.0
    is_bad: bool = False


class MneRecording(Recording):
    """A recording whose samples an MNE object reads without preloading.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        Opened with ``preload=False``; everything that names a patient is dropped from it.
    path : pathlib.Path
        The file that was opened.
    files : sequence of pathlib.Path
        All files that the recording consists of.
    described : sequence of MneChannel
        One a channel of `raw`, in its order.
    pieces : sequence of Piece
        ``stored_s`` counts from the first sample of `raw`.
    annotations : sequence of Annotation
        On the recording's clock.
    start_time : datetime.datetime or None
    file_format : str
        Name of the format.
    """

    def __init__(
        self,
        raw: Any,
        path: Path,
        files: Sequence[Path],
        described: Sequence[MneChannel],
        pieces: Sequence[Piece],
        annotations: Sequence[Annotation],
        start_time: datetime | None,
        file_format: str,
    ) -> None:
        forget_patient(raw)
        self.path = path
        self.files = tuple(dict.fromkeys(files))
        self.format = file_format
        self.pieces = tuple(pieces)
        self.annotations = tuple(sorted(annotations, key=lambda a: a.onset))
        self.start_time = start_time
        self.channels = _channels(described, float(raw.info["sfreq"]))
        self._raw = raw
        self._rows = {c.name: row for row, c in enumerate(self.channels)}
        self._factors = np.array([d.factor for d in described])

    def _read(
        self, channels: Sequence[Channel], piece: Piece, start: int, stop: int
    ) -> NDArray[np.float64]:
        first = round(piece.stored_s * channels[0].sfreq)
        rows = np.array([self._rows[c.name] for c in channels])
        out = np.empty((len(rows), stop - start))
        step = max(1, CHUNK_BYTES // (8 * max(1, len(self.channels))))
        order = np.argsort(rows)  # MNE hands channels out in the file's order
        for a in range(start, stop, step):
            b = min(stop, a + step)
            part, _ = attempt(
                partial(self._raw.__getitem__, (rows[order], slice(first + a, first + b))),
                f"samples {first + a} to {first + b} of {self.path.name}",
            )
            out[order, a - start : b - start] = part
        out *= self._factors[rows][:, None]
        return out


def forget_patient(raw: Any) -> None:
    """Drop what an MNE object knows about the patient and the staff."""
    for field in ("subject_info", "experimenter", "description"):
        raw.info[field] = None


def mne_channels(raw: Any) -> list[tuple[str, str]]:
    """Return ``(label, MNE's type)`` of each channel."""
    return list(zip(raw.ch_names, raw.get_channel_types(), strict=True))


def _channels(described: Sequence[MneChannel], sfreq: float) -> tuple[Channel, ...]:
    identified = identify_all(d.label for d in described)
    return tuple(
        Channel(name, d.label, _kind(d.kind, by_name), sfreq, d.unit, is_bad=d.is_bad)
        for (name, by_name), d in zip(identified, described, strict=True)
    )


def _kind(kind: str, by_name: ChannelKind) -> ChannelKind:
    """Return the kind of a channel: the file's word, but "eeg" is MNE's default and says little."""
    known = _KINDS.get(kind, "misc")
    if known == "eeg" and by_name != "misc":
        return by_name
    return known
