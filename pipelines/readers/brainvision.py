"""BrainVision (``.vhdr``, ``.vmrk``, ``.eeg``), binary, through MNE after its names are checked.

Layout: https://www.brainproducts.com/support-resources/brainvision-core-data-format-1-0/.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.channel_names import printable
from pipelines.errors import RecordingError
from pipelines.readers.attempt import attempt
from pipelines.readers.breaks import Break, on_clock, pieces_from
from pipelines.readers.companions import companion, text_of
from pipelines.readers.mne_recording import MneChannel, MneRecording, mne_channels
from pipelines.recording import Annotation

_MOST_CHANNELS = 4096
_MOST_MARKER_BYTES = 256 << 20
_SAMPLE_BYTES = {"INT_16": 2, "INT_32": 4, "IEEE_FLOAT_32": 4}
_SEGMENT = re.compile(r"^Mk\d+=New Segment,[^,\n]*,(\d{1,15}),[^,\n]*,[^,\n]*(?:,(\d{20}))?", re.M)
_UNITS_THAT_MNE_SCALES = {"µS": "S", "uS": "S"}


def read_brainvision(path: Path) -> MneRecording:
    """Open a BrainVision recording by its header.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path of the ``.vhdr`` file.

    Raises
    ------
    RecordingError
        If the header is damaged, names a file outside its folder, a link or a missing file, or if
        the data file is shorter than promised; MNE sees the header only after these checks.
    """
    text = text_of(path).split("[Comment]")[0]
    data = companion(path, _named(path, text, "DataFile"), "data file")
    _check_size(path, text, data)
    files = [path, data]
    markers = ""
    for name in _values(text, "MarkerFile"):
        if name:
            files.append(companion(path, name, "marker file"))
            markers = text_of(files[-1], _MOST_MARKER_BYTES)
    return attempt(partial(_open, path, data, files, markers), path.name)


def _open(path: Path, data: Path, files: list[Path], markers: str) -> MneRecording:
    import mne

    raw = mne.io.read_raw_brainvision(path, preload=False, verbose="ERROR")
    if [Path(name).name for name in raw.filenames] != [data.name]:
        raise RecordingError(f"{path.name} names its data file twice; repair the header")
    sfreq, n_samples = float(raw.info["sfreq"]), len(raw.times)
    breaks = _breaks(markers, sfreq)
    pieces = pieces_from(n_samples, sfreq, breaks, path.name)
    annotations = [
        Annotation(on_clock(float(onset), pieces), float(duration), printable(str(words)))
        for onset, duration, words in _marks(raw)
        if not str(words).startswith("New Segment/")
    ]
    start_time = raw.info["meas_date"]
    return MneRecording(
        raw,
        path,
        files,
        _described(raw),
        pieces,
        annotations,
        start_time and start_time.replace(tzinfo=None),  # the clock of the room, not UTC
        "BrainVision",
    )


def _values(text: str, key: str) -> list[str]:
    """Return every value that a header gives to `key`, in whatever spelling a parser accepts."""
    found: list[str] = re.findall(rf"^[ \t]*{key}[ \t]*[=:]([^\n\r]*)", text, re.M | re.I)
    return [value.strip() for value in found]


def _named(path: Path, text: str, key: str) -> str:
    """Return the one value of `key`."""
    values = _values(text, key)
    if len(values) != 1 or not values[0]:
        raise RecordingError(
            f"{path.name} is no valid BrainVision header: it has {len(values)} entries {key}, "
            "where 1 is needed; export it again or repair it"
        )
    return values[0]


def _check_size(path: Path, text: str, data: Path) -> None:
    """Check the data file against what the header promises."""
    if _named(path, text, "DataFormat").upper() != "BINARY":
        raise RecordingError(
            f"{path.name} stores its signal as text, which cannot be read in parts; "
            "export it as binary"
        )
    width = _SAMPLE_BYTES.get(_named(path, text, "BinaryFormat"), 0)
    channels = _named(path, text, "NumberOfChannels")
    if not width or not channels.isdecimal() or not 1 <= int(channels[:9]) <= _MOST_CHANNELS:
        raise RecordingError(
            f"{path.name} announces {channels[:20]!r} channels of "
            f"{_named(path, text, 'BinaryFormat')[:20]!r}; accepted are 1 to {_MOST_CHANNELS} of "
            f"{', '.join(_SAMPLE_BYTES)}"
        )
    frame, present = int(channels) * width, data.stat().st_size
    points = [value for value in _values(text, "DataPoints") if value.isdecimal() and int(value)]
    promised = int(points[0]) * frame if points else 0
    vectorized = _named(path, text, "DataOrientation").upper() == "VECTORIZED"
    if present == 0 or present % frame or present < promised:
        raise RecordingError(
            f"{data.name} is truncated: {present} bytes are there, and {path.name} promises "
            f"{promised or f'a multiple of {frame}'}; copy or export it again"
        )
    if vectorized and points and present != promised:
        raise RecordingError(
            f"{data.name} has {present} bytes and {path.name} promises {promised}, so the place of "
            "each channel is unknown; export it again"
        )


def _breaks(markers: str, sfreq: float) -> list[Break]:
    """Return where recording was paused, from the dates of the segments where they are given."""
    found: list[Break] = []
    zero: datetime | None = None
    for position, date in _SEGMENT.findall(markers):
        sample = int(position) - 1
        when = _date(date)
        if sample <= 0:
            zero = zero or when
            continue
        before = sum(b.missing_s for b in found)
        late_s = 0.0
        if zero and when:
            late_s = (when - zero).total_seconds() - sample / sfreq - before
        found.append(Break(sample, late_s if late_s > 0.5 / sfreq else 0.0))
    return found


def _date(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S%f")
    except ValueError:
        return None


def _marks(raw: Any) -> list[tuple[float, float, str]]:
    a = raw.annotations
    return list(zip(a.onset, a.duration, a.description, strict=True))


def _described(raw: Any) -> list[MneChannel]:
    """Describe the channels; what is no voltage keeps the unit of the file."""
    found = []
    for label, kind in mne_channels(raw):
        unit = "V"
        if kind == "misc":
            spelled = str(raw._orig_units.get(label, "")).strip()
            unit = _UNITS_THAT_MNE_SCALES.get(spelled, printable(spelled))
        found.append(MneChannel(label, kind, unit))
    return found
