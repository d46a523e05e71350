"""FIF (``.fif``), also in several parts, through MNE after its names are checked."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.channel_names import printable
from pipelines.errors import RecordingError
from pipelines.readers.attempt import attempt
from pipelines.readers.fif_tags import parts_of
from pipelines.readers.mne_recording import MneChannel, MneRecording, mne_channels
from pipelines.recording import MAX_DURATION_S, Annotation, Piece

_UNITS = {101: "Hz", 107: "V", 112: "T", 114: "°C", 201: "T/m"}
_PAUSE = "BAD_ACQ_SKIP"


def read_fif(path: Path) -> MneRecording:
    """Open a FIF recording by its first part.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path. Parts that follow (``x_raw-1.fif``) are found by the names in the file.

    Raises
    ------
    RecordingError
        If the file is damaged, truncated or holds no continuous recording, or if a part names a
        file outside its folder, a link or a missing file; MNE opens nothing before these checks.
    """
    parts = parts_of(path)
    return attempt(partial(_open, path, parts), f"a continuous recording from {path.name}")


def _open(path: Path, parts: tuple[Path, ...]) -> MneRecording:
    import mne

    raw = mne.io.read_raw_fif(path, preload=False, allow_maxshield=True, verbose="ERROR")
    if [Path(name).name for name in raw.filenames] != [part.name for part in parts]:
        raise RecordingError(f"{path.name} and its parts contradict each other; save it again")
    sfreq, n_samples = float(raw.info["sfreq"]), len(raw.times)
    if not n_samples / sfreq <= MAX_DURATION_S:
        raise RecordingError(
            f"{path.name} claims a duration of {n_samples / sfreq:.0f} s, more than ten years; "
            "export it again"
        )
    events = _events(raw)
    pauses = [(onset, onset + length) for onset, length, words in events if words == _PAUSE]
    start_time = raw.info["meas_date"]
    return MneRecording(
        raw,
        path,
        parts,
        _described(raw),
        _between(pauses, n_samples, sfreq, path.name),
        [Annotation(*event) for event in events if event[2] != _PAUSE],
        start_time and start_time + timedelta(seconds=raw.first_time),
        "FIF",
    )


def _events(raw: Any) -> list[tuple[float, float, str]]:
    """Return onset after the first sample, duration and text of each annotation."""
    a = raw.annotations
    zero = raw.first_time if a.orig_time is not None else 0.0
    return [
        (float(onset) - zero, float(duration), printable(str(words)))
        for onset, duration, words in zip(a.onset, a.duration, a.description, strict=True)
    ]


def _between(
    pauses: list[tuple[float, float]], n_samples: int, sfreq: float, name: str
) -> tuple[Piece, ...]:
    """Return the pieces between pauses; the file holds zeros where it paused."""
    pieces, start = [], 0
    for onset_s, stop_s in [*sorted(pauses), (n_samples / sfreq, n_samples / sfreq)]:
        stop = min(round(onset_s * sfreq), n_samples)
        if stop > start:
            pieces.append(Piece(start / sfreq, (stop - start) / sfreq, start / sfreq))
        start = max(start, round(stop_s * sfreq))
    if not pieces:
        raise RecordingError(f"{name} holds pauses and no signal; export it again")
    return tuple(pieces)


def _described(raw: Any) -> list[MneChannel]:
    bad = set(raw.info["bads"])
    return [
        MneChannel(label, kind, _UNITS.get(int(facts["unit"]), ""), is_bad=label in bad)
        for (label, kind), facts in zip(mne_channels(raw), raw.info["chs"], strict=True)
    ]
