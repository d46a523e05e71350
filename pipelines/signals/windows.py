"""Windows: the unit that is scored. A heartbeat in an ECG, a fixed length of time in an EEG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.signals.spill import Spill, release

Reasons = NDArray[np.object_]
_OF_CHANNELS = ("channel_values", "pair_values")


def _no_pairs() -> NDArray[np.float32]:
    return np.zeros((0, 0, 2), dtype=np.float32)


@dataclass(frozen=True)
class Windows:
    """The windows of one recording, before any model has seen them.

    Attributes
    ----------
    start_s, stop_s, center_s : ndarray of shape (n_windows,)
        Seconds on the recording's clock; sorted by `start_s`.
    channel_values : ndarray of shape (n_windows, n_channels, n_values)
        ECG: the aligned waveform of each lead in volts. EEG: the features of each channel.
    common_values : ndarray of shape (n_windows, n_common)
        What belongs to no single channel: intervals between beats, spatial features.
    reason : ndarray of object, shape (n_windows,)
        Why a window is not scorable, or None.
    channels : tuple of str
        Names along the second axis of `channel_values`.
    pair_values : ndarray of shape (n_windows, n_pairs, 2)
        EEG: how neighbouring channels hang together, see
        :func:`pipelines.features.eeg.pair_features`. Without any pair of an ECG.
    """

    start_s: NDArray[np.float64]
    stop_s: NDArray[np.float64]
    center_s: NDArray[np.float64]
    channel_values: NDArray[np.float32]
    common_values: NDArray[np.float64]
    reason: Reasons
    channels: tuple[str, ...]
    pair_values: NDArray[np.float32] = field(default_factory=_no_pairs)

    def __post_init__(self) -> None:
        if not self.pair_values.size:
            object.__setattr__(self, "pair_values", np.zeros((len(self), 0, 2), np.float32))

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def scorable(self) -> NDArray[np.bool_]:
        """True where no reason forbids a score."""
        return np.array([reason is None for reason in self.reason], dtype=bool)

    def within(self, start_s: float, stop_s: float) -> NDArray[np.bool_]:
        """Return a mask of the windows that lie wholly inside ``[start_s, stop_s]`` seconds."""
        return (self.start_s >= start_s) & (self.stop_s <= stop_s)

    def touching(self, intervals: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
        """Return a mask of the windows that overlap any ``(start_s, stop_s)`` interval."""
        mask = np.zeros(len(self), dtype=bool)
        for start_s, stop_s in intervals:
            mask |= (self.start_s <= stop_s) & (self.stop_s >= start_s)
        return mask

    def take(self, mask: NDArray[np.bool_]) -> Windows:
        """Return the windows where `mask` is true."""
        picked = {f.name: getattr(self, f.name)[mask] for f in fields(self) if f.name != "channels"}
        return Windows(**picked, channels=self.channels)

    def release(self) -> None:
        """Give back the memory that reading windows took which are kept in a file."""
        for f in fields(self):
            release(getattr(self, f.name))


class Gathering:
    """Windows of one recording that come part by part and are held once.

    Parameters
    ----------
    capacity : int
        More windows than will come: memory that is not written to is not used.
    folder : pathlib.Path, optional
        Where to keep what belongs to single channels, which is most of it, in place of memory.
    """

    def __init__(self, capacity: int, folder: Path | None = None) -> None:
        self._capacity, self._n = capacity, 0
        self._folder = folder
        self._spills: dict[str, Spill] = {}
        self._arrays: dict[str, NDArray[Any]] = {}
        self._channels: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self._n

    def add(self, part: Windows) -> None:
        """Append the windows of the next stretch."""
        first, self._n = self._n, self._n + len(part)
        self._channels = part.channels
        for f in fields(part):
            if f.name == "channels":
                continue
            values = getattr(part, f.name)
            if self._folder is not None and f.name in _OF_CHANNELS:
                if f.name not in self._spills:
                    self._spills[f.name] = Spill(self._folder)
                self._spills[f.name].add(values)
                continue
            if f.name not in self._arrays:
                shape = (max(self._capacity, self._n), *values.shape[1:])
                self._arrays[f.name] = np.empty(shape, dtype=values.dtype)
            if self._n > len(self._arrays[f.name]):
                longer = np.empty_like(self._arrays[f.name])
                self._arrays[f.name] = np.concatenate([self._arrays[f.name], longer])
            self._arrays[f.name][first : self._n] = values

    def windows(self) -> Windows:
        """Return all windows, in the order in which they came."""
        return Windows(
            **{name: values[: self._n] for name, values in self._arrays.items()},
            **{name: spill.array() for name, spill in self._spills.items()},
            channels=self._channels,
        )


def concatenate(parts: Sequence[Windows]) -> Windows:
    """Join the windows of consecutive stretches of one recording, in the order given."""
    gathered = Gathering(sum(map(len, parts)))
    for part in parts:
        gathered.add(part)
    return gathered.windows()


def cut(signal: NDArray[np.float64], starts: NDArray[np.int64], length: int) -> NDArray[np.float64]:
    """Return the stretches of `length` samples at `starts`: (n_starts, n_channels, length)."""
    index = np.asarray(starts)[:, None] + np.arange(length)
    stretches: NDArray[np.float64] = np.ascontiguousarray(signal[:, index].transpose(1, 0, 2))
    return stretches
