"""What a recording is: channels, continuous pieces, annotations, and lazy access to samples.

Nothing here knows a file format; each reader in :mod:`pipelines.readers` subclasses
:class:`Recording` and supplies :meth:`Recording._read`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import RecordingError

if TYPE_CHECKING:
    from pipelines.remote.fetching import Fetched

MAX_DURATION_S = 3.2e8
"""No recording is longer than about ten years; a header that says so is damaged."""

ChannelKind = Literal["eeg", "ecg", "eog", "emg", "resp", "misc"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One signal of a recording, at its own sampling rate.

    Attributes
    ----------
    name : str
        Normalised name (``"Fp1"``, ``"MLII"``); unique within the recording.
    label : str
        The name as the file spells it.
    kind : str
        ``"eeg"``, ``"ecg"``, ``"eog"``, ``"emg"``, ``"resp"`` or ``"misc"``.
    sfreq : float
        Sampling rate in Hz.
    unit : str
        ``"V"`` for every voltage; otherwise the unit of the file.
    is_bad : bool
        Marked as bad where the recording says so (BIDS ``channels.tsv``, FIF): it can be read but
        is left out by :meth:`Recording.of_kind`.
    """

    name: str
    label: str
    kind: ChannelKind
    sfreq: float
    unit: str = "V"
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a recording without a gap.

    Attributes
    ----------
    start_s : float
        Start in seconds on the recording's own clock (gaps included).
    duration_s : float
        Length in seconds.
    stored_s : float
        Where the piece starts among the stored samples, in seconds of stored signal
        (gaps excluded). Equal to `start_s` in a recording without gaps.
    """

    start_s: float
    duration_s: float
    stored_s: float

    @property
    def stop_s(self) -> float:
        """End in seconds on the recording's own clock."""
        return self.start_s + self.duration_s

    def n_samples(self, sfreq: float) -> int:
        """Return the number of samples of a channel of rate `sfreq` (Hz) in this piece."""
        return round(self.duration_s * sfreq)


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something a person or a device wrote about a moment or stretch of the recording.

    Attributes
    ----------
    onset, duration : float
        Seconds on the recording's own clock.
    description : str
        Free text, or the WFDB symbol of a beat. Text from a file is untrusted: escape it.
    is_beat : bool
        True if `description` is the WFDB symbol of a heartbeat.
    """

    onset: float
    duration: float
    description: str
    is_beat: bool = False


class Recording(ABC):
    """A recording on disk whose samples are read only when asked for.

    Attributes
    ----------
    path : pathlib.Path
        Absolute path of the file (for WFDB the header).
    files : tuple of pathlib.Path
        Every file that the recording consists of, for hashing.
    format : str
        ``"EDF+C"``, ``"WFDB"``, ...
    channels : tuple of Channel
    pieces : tuple of Piece
        In order of time, none overlapping.
    annotations : tuple of Annotation
        In order of onset.
    start_time : datetime.datetime or None
        Wall-clock start, if the file states one.
    fetched : Fetched or None
        Of a recording at an address: the copies that it is read from.
    """

    path: Path
    files: tuple[Path, ...]
    format: str
    channels: tuple[Channel, ...]
    pieces: tuple[Piece, ...]
    annotations: tuple[Annotation, ...]
    start_time: datetime | None
    fetched: Fetched | None = None

    @property
    def duration_s(self) -> float:
        """Seconds from the start to the end of the last piece, gaps included."""
        return self.pieces[-1].stop_s if self.pieces else 0.0

    @property
    def gaps(self) -> tuple[tuple[float, float], ...]:
        """``(start_s, stop_s)`` of each stretch without signal."""
        return tuple(
            (a.stop_s, b.start_s)
            for a, b in zip(self.pieces[:-1], self.pieces[1:], strict=True)
            if b.start_s - a.stop_s > 1e-9
        )

    def channel(self, name: str) -> Channel:
        """Return the channel called `name`; raise :class:`RecordingError` if there is none."""
        for channel in self.channels:
            if channel.name == name:
                return channel
        known = ", ".join(c.name for c in self.channels)
        raise RecordingError(f"no channel {name!r} in {self.path.name}; it has {known}")

    def of_kind(self, kind: ChannelKind) -> tuple[Channel, ...]:
        """Return the channels of one kind that are not marked as bad, in file order."""
        return tuple(c for c in self.channels if c.kind == kind and not c.is_bad)

    def read(
        self, names: Sequence[str], piece: Piece, start: int = 0, stop: int | None = None
    ) -> NDArray[np.float64]:
        """Read samples ``start:stop`` of some channels within one continuous piece.

        Parameters
        ----------
        names : sequence of str
            Channels of one common sampling rate.
        piece : Piece
            One of `pieces`.
        start, stop : int
            Sample indices within the piece at the channels' rate; clipped to the piece.

        Returns
        -------
        ndarray of shape (n_channels, n_times)
            Volts (or the channel's own unit), NaN where the file marks a sample as missing.
            The slice of the whole: ``read(names, p, a, b) == read(names, p)[:, a:b]``.

        Raises
        ------
        RecordingError
            If a channel is unknown, the rates differ, or the file ends too early.
        """
        chosen = [self.channel(name) for name in names]
        rates = {c.sfreq for c in chosen}
        if len(rates) != 1:
            raise RecordingError(
                f"channels {', '.join(names)} have rates {sorted(rates)} Hz; "
                "read channels of one rate at a time"
            )
        n = piece.n_samples(rates.pop())
        stop = n if stop is None else min(stop, n)
        start = max(start, 0)
        if start >= stop:
            return np.empty((len(chosen), 0))
        try:
            return self._read(chosen, piece, start, stop)
        except OSError as error:
            raise RecordingError(
                f"cannot read {self.path.name} any more ({error.strerror or error}); "
                "check that it has not been moved"
            ) from error

    @abstractmethod
    def _read(
        self, channels: Sequence[Channel], piece: Piece, start: int, stop: int
    ) -> NDArray[np.float64]:
        """Read ``0 <= start < stop <= n_samples`` of channels of one rate."""

    def read_between(
        self, names: Sequence[str], start_s: float, stop_s: float
    ) -> Iterator[tuple[float, NDArray[np.float64]]]:
        """Yield ``(first_sample_s, samples)`` of each continuous stretch in an interval of time.

        Made for display: `start_s` and `stop_s` are on the recording's clock, gaps yield nothing.
        """
        sfreq = self.channel(names[0]).sfreq
        for piece in self.pieces:
            a = max(0, int(np.ceil((start_s - piece.start_s) * sfreq - 1e-6)))
            b = int(np.ceil((stop_s - piece.start_s) * sfreq - 1e-6))
            data = self.read(names, piece, a, b) if b > a else np.empty((len(names), 0))
            if data.shape[1]:
                yield piece.start_s + a / sfreq, data
