"""The steps of `recordings.py` that each run in a process of their own; prints one line of JSON."""

from __future__ import annotations

import cProfile
import json
import pstats
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SPLIT = {
    "open": ("read_recording",),
    "hash": ("input_hashes",),
    "read": ("read",),
    "detect": ("detect_beats",),
    "quality": ("ecg_faults", "eeg_faults", "faults", "find_line"),
    "filter": ("band_pass", "remove_line"),
    "features": (
        *("beat_waveforms", "with_rhythm", "feature_matrix", "relative_to"),
        *("channel_features", "spatial_features", "pair_features", "cut"),
    ),
    "likelihood": ("evaluate",),
    "explain": ("attribute", "top_features", "top_channels", "usual_values"),
    "rhythm": ("rhythm_windows",),
    "domain": ("typical_values", "check_typical"),
    "write": ("write", "_write_rest"),
}
"""Functions of the product whose time, with all they call, makes up each part."""


def write(kind: str, hours: str, seed: str, path: str) -> dict[str, Any]:
    """Write a long recording."""
    from long_recordings import write_ecg, write_eeg

    (write_ecg if kind == "ecg" else write_eeg)(Path(path), float(hours), int(seed))
    return {}


def fit(source: str, kind: str, part: str, out: str, window_rate: str = "") -> dict[str, Any]:
    """Fit a model on a part of a recording."""
    from pipelines import fit_model, read_recording, save_model
    from pipelines.config import parse_settings

    start_s, stop_s = map(float, part.split(":"))
    threshold = {"threshold": {"window_rate": float(window_rate)}} if window_rate else {}
    model = fit_model(
        [read_recording(source)],
        "ecg" if kind == "ecg" else "eeg",
        baseline=(start_s, stop_s),
        settings=parse_settings(threshold),
        device="cpu",
    )
    save_model(model, out)
    return {}


def alone(path: str) -> dict[str, Any]:
    """Read a recording in chunks and ask sleepecg for the beats of each lead."""
    import numpy as np
    from sleepecg import detect_heartbeats

    from pipelines import read_recording
    from pipelines.signals.preprocessing import iter_chunks

    recording = read_recording(path)
    names = [channel.name for channel in recording.of_kind("ecg")][:2]
    sfreq, n_beats = recording.channel(names[0]).sfreq, 0
    start, reading = time.process_time(), 0.0
    chunks = iter_chunks(recording, names)
    while True:
        before = time.process_time()
        chunk = next(chunks, None)
        reading += time.process_time() - before
        if chunk is None:
            break
        n_beats += sum(len(detect_heartbeats(np.nan_to_num(lead), sfreq)) for lead in chunk.data)
    return {
        "cpu_s_without_imports": round(time.process_time() - start, 2),
        "of_which_reading": round(reading, 2),
        "n_beats_both_leads": n_beats,
    }


def split(model: str, path: str) -> dict[str, Any]:
    """Score a recording under a profiler and return each part's share of the time."""
    from pipelines.batch import score_run

    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory() as folder:
        profile.enable()
        score_run(model, [path], Path(folder) / "run", device="cpu")
        profile.disable()
    stats = pstats.Stats(profile)
    entries = stats.stats.items()  # type: ignore[attr-defined]
    total = max(cumulative for _, (_, _, _, cumulative, _) in entries)
    shares = {
        part: sum(
            cumulative
            for (file, _, function), (_, _, _, cumulative, _) in entries
            if function in functions and _is_ours(file)
        )
        for part, functions in SPLIT.items()
    }
    shares = {part: round(seconds / total, 3) for part, seconds in shares.items()}
    return shares | {"other (imports, tables)": round(1 - sum(shares.values()), 3)}


def _is_ours(file: str) -> bool:
    """Return whether a file is the product's, and not the callee of another part of the split."""
    parts = Path(file).parts
    skipped = {"scorer.py", "store", "cli"}
    return bool({"pipelines", "flowcore"} & set(parts)) and not skipped & set(parts)


def versions() -> dict[str, Any]:
    """Return the versions of everything that can change a number."""
    from pipelines.provenance import versions

    return dict(versions())


STEPS = {"write": write, "fit": fit, "alone": alone, "split": split, "versions": versions}

if __name__ == "__main__":
    print(json.dumps(STEPS[sys.argv[1]](*sys.argv[2:])))
