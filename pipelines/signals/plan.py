"""How a recording is looked at: which channels, at which rate, in which windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pipelines.config import EegSettings

Kind = Literal["ecg", "eeg"]


@dataclass(frozen=True)
class Plan:
    """What fitting fixes and scoring repeats.

    Attributes
    ----------
    channels : tuple of str
        Channels to look at, in order; empty: the recording's own. An empty name among the leads
        of an ECG stands for any lead.
    sfreq : float or None
        Rate in Hz to which recordings of another rate are brought; None: the recording's own.
    eeg : EegSettings
        Windows and reference of an EEG.
    """

    channels: tuple[str, ...] = ()
    sfreq: float | None = None
    eeg: EegSettings = field(default_factory=EegSettings)
