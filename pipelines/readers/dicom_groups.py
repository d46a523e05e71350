"""One multiplex group of a DICOM waveform: its channels, its rate, and how to decode its samples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.channel_names import printable
from pipelines.errors import RecordingError
from pipelines.readers.dicom_layout import WaveformPlace
from pipelines.recording import MAX_DURATION_S
from pipelines.units import to_volts

_TYPES = {"SB": "<i1", "UB": "<u1", "SS": "<i2", "US": "<u2", "SL": "<i4", "UL": "<u4"}
_MOST_CHANNELS = 512
_LEAD = re.compile(r"(?:Lead\s+)?([A-Za-z0-9]+)\s*(?:\(.*\))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Lead:
    """One channel of a group.

    Attributes
    ----------
    label : str
        As the file spells it.
    unit : str
        ``"V"``, or the unit of the file; "" if it states none.
    scale, shift : float
        ``value = scale * stored + shift`` in `unit`.
    """

    label: str
    unit: str
    scale: float
    shift: float


@dataclass(frozen=True, slots=True)
class Group:
    """A multiplex group: channels sampled together.

    Attributes
    ----------
    leads : tuple of Lead
    sfreq : float
        Hz.
    n_samples : int
        Of each channel.
    offset_s : float
        Start after the acquisition time.
    is_derived : bool
        Computed from other waveforms, as an averaged beat.
    dtype : numpy.dtype
    padding : int or None
        The stored value that stands for "no sample".
    first_byte : int
        Place of the samples in the file.
    """

    leads: tuple[Lead, ...]
    sfreq: float
    n_samples: int
    offset_s: float
    is_derived: bool
    dtype: np.dtype[Any]
    padding: int | None
    first_byte: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sfreq


def group_from(place: WaveformPlace, described: Any, name: str) -> Group:
    """Return the group that a parsed item describes; every number is checked first.

    Parameters
    ----------
    place : WaveformPlace
    described : pydicom.Dataset
        The item without its samples.
    name : str
        File name, for messages.
    """
    kind = str(described.get("WaveformSampleInterpretation", ""))
    if kind not in _TYPES:
        raise RecordingError(
            f"{name} stores samples as {kind[:8]!r}; accepted are {', '.join(_TYPES)}"
        )
    dtype = np.dtype(_TYPES[kind])
    n, n_channels = int(described.NumberOfWaveformSamples), int(described.NumberOfWaveformChannels)
    sfreq = float(described.SamplingFrequency)
    leads = tuple(_lead(item) for item in described.ChannelDefinitionSequence)
    if not 1 <= n_channels <= _MOST_CHANNELS or n_channels != len(leads) or n < 1:
        raise RecordingError(
            f"{name} announces {n_channels} channels of {n} samples and describes {len(leads)}; "
            "export it again"
        )
    if not 0 < sfreq <= 1e6 or n / sfreq > MAX_DURATION_S:
        raise RecordingError(
            f"{name} has a rate of {sfreq:g} Hz, which cannot be true; export it again"
        )
    if n * n_channels * dtype.itemsize > place.n_bytes:
        raise RecordingError(
            f"{name} is truncated: it promises {n * n_channels * dtype.itemsize} bytes of samples "
            f"and {place.n_bytes} are there; copy or export it again"
        )
    return Group(
        leads=leads,
        sfreq=sfreq,
        n_samples=n,
        offset_s=float(described.get("MultiplexGroupTimeOffset") or 0) * 1e-3,
        is_derived=described.get("WaveformOriginality") == "DERIVED",
        dtype=dtype,
        padding=_padding(described.get("WaveformPaddingValue"), dtype),
        first_byte=place.first_byte,
    )


def _lead(item: Any) -> Lead:
    meaning = printable(str(item.ChannelSourceSequence[0].get("CodeMeaning", "")))
    label = meaning or printable(str(item.get("ChannelLabel") or ""))
    match = _LEAD.fullmatch(label)
    label = match[1] if match else label
    if item.get("ChannelSensitivity") is None:
        return Lead(label, "", 1.0, 0.0)
    unit, volts = to_volts(printable(str(item.ChannelSensitivityUnitsSequence[0].CodeValue)))
    scale = float(item.ChannelSensitivity) * float(
        item.get("ChannelSensitivityCorrectionFactor", 1)
    )
    return Lead(label, unit, scale * volts, float(item.get("ChannelBaseline") or 0) * volts)


def _padding(value: Any, dtype: np.dtype[Any]) -> int | None:
    """Return the padding value, which pydicom hands out as number or as bytes."""
    if value is None or (isinstance(value, bytes) and len(value) < dtype.itemsize):
        return None
    if isinstance(value, bytes):
        return int(np.frombuffer(value[: dtype.itemsize], dtype)[0])
    return int(value)
