"""EEGLAB (``.set``, with its ``.fdt`` if it has one), through MNE after its names are checked."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.channel_names import printable
from pipelines.errors import RecordingError
from pipelines.readers.attempt import attempt
from pipelines.readers.breaks import Break, on_clock, pieces_from
from pipelines.readers.companions import companion
from pipelines.readers.mat_layout import check_mat
from pipelines.readers.mne_recording import MneChannel, MneRecording, mne_channels
from pipelines.recording import Annotation

_VOLTAGES = frozenset({"eeg", "seeg", "ecog", "dbs", "ecg", "eog", "emg", "bio"})


def read_eeglab(path: Path) -> MneRecording:
    """Open an EEGLAB recording by its ``.set`` file.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path. A signal stored in a separate ``.fdt`` is read in chunks; one inside the
        ``.set`` is loaded whole when first read, so the file may unpack to 1 GiB at most.

    Raises
    ------
    RecordingError
        If the file is damaged, too large, of MATLAB 7.3, in epochs, or names a file outside its
        folder, a link or a missing or truncated file.
    """
    _check_container(path)
    facts = attempt(lambda: _facts(path), path.name)
    files = [path]
    if facts["data_file"]:
        files.append(_data_file(path, facts))
    return attempt(partial(_open, path, files), path.name)


def _open(path: Path, files: list[Path]) -> MneRecording:
    import mne

    raw = mne.io.read_raw_eeglab(path, preload=False, verbose="ERROR")
    if {Path(name).name for name in raw.filenames} - {file.name for file in files}:
        raise RecordingError(f"{path.name} names two data files; save it again in EEGLAB")
    sfreq, n_samples = float(raw.info["sfreq"]), len(raw.times)
    with mne.use_log_level("ERROR"):
        marks = mne.read_annotations(path)  # those of raw are cut at the end of the samples
    events = [
        (float(onset), float(np.nan_to_num(duration)), printable(str(words)))
        for onset, duration, words in zip(
            marks.onset, marks.duration, marks.description, strict=True
        )
        if onset <= n_samples / sfreq
    ]
    breaks = [
        Break(int(np.ceil(onset * sfreq - 1e-6)), duration)
        for onset, duration, words in events
        if words == "boundary"
    ]
    pieces = pieces_from(n_samples, sfreq, breaks, path.name)
    annotations = [
        Annotation(on_clock(onset, pieces), max(0.0, duration), words)
        for onset, duration, words in events
        if words != "boundary"
    ]
    described = [
        MneChannel(label, kind) if kind in _VOLTAGES else MneChannel(label, kind, "", 1e6)
        for label, kind in mne_channels(raw)
    ]
    return MneRecording(raw, path, files, described, pieces, annotations, None, "EEGLAB")


def _check_container(path: Path) -> None:
    """Check that `path` is a MATLAB file (up to version 7.2) of bearable size."""
    with path.open("rb") as file:
        head = file.read(128)
        if head.startswith((b"MATLAB 7.3", b"\x89HDF")):
            raise RecordingError(
                f"{path.name} is saved as MATLAB 7.3; save it in EEGLAB without '-v7.3' "
                "(File > Preferences, or pop_saveset with 'version', '7')"
            )
        if len(head) < 128 or head[126:128] not in (b"IM", b"MI"):
            raise RecordingError(
                f"{path.name} is no EEGLAB file: it does not begin like a MATLAB file of version 5 "
                "to 7.2; save it again in EEGLAB"
            )
    check_mat(path)


def _facts(path: Path) -> dict[str, Any]:
    """Return what the checks need to know of the EEG structure."""
    from scipy.io import loadmat

    names = ["EEG", "ALLEEG", "data", "datfile", "nbchan", "pnts", "trials"]
    content = loadmat(path, squeeze_me=True, mat_dtype=False, variable_names=names)
    if "ALLEEG" in content:
        raise RecordingError(f"{path.name} holds several data sets; save each of them by itself")
    eeg = content.get("EEG")
    fields = content if eeg is None else {key: eeg[key].item() for key in eeg.dtype.names or ()}
    if "data" not in fields:
        raise RecordingError(f"{path.name} holds no EEG structure; save it again in EEGLAB")
    trials = int(_number(fields, "trials", 1))
    if trials > 1:
        raise RecordingError(
            f"{path.name} holds {trials} epochs; Rarewave needs the continuous recording"
        )
    named = fields["data"] if isinstance(fields["data"], str) else ""
    return {
        "data_file": str(named),
        "bytes": 4 * int(_number(fields, "nbchan", 0)) * int(_number(fields, "pnts", 0)),
    }


def _number(fields: Any, key: str, otherwise: int) -> Any:
    value = np.ravel(fields[key]) if key in fields else np.empty(0)
    return value[0] if value.size else otherwise


def _data_file(path: Path, facts: dict[str, Any]) -> Path:
    """Return the file that holds the signal, checked; as in EEGLAB, a renamed pair is accepted."""
    name = facts["data_file"]
    if name == path.name:
        return path
    renamed = path.with_suffix(".fdt")
    if name == Path(name).name and not path.with_name(name).is_file() and renamed.is_file():
        name = renamed.name
    file = companion(path, name, "data file")
    if file.suffix.lower() != ".fdt":
        raise RecordingError(
            f"{path.name} stores its signal in {file.name}, where a .fdt file is needed; "
            "save it again in a current EEGLAB"
        )
    present = file.stat().st_size
    if present != facts["bytes"] or not present:
        raise RecordingError(
            f"{file.name} has {present} bytes, where {path.name} promises {facts['bytes']}; "
            "copy or save both again"
        )
    return file
