"""The EEG data sets of the benchmark, written as files that the product reads.

The clinical recording is one HDF5 file (package eeghdf) and becomes an EDF+ with its annotations,
sample by sample the same numbers; the segments of Bonn are text files and become tables.
"""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal

from pipelines.labels import Interval

SFREQ_BONN = 173.61
ABSENCE, BONN = (
    "absence_epilepsy.eeg.h5",
    {"Z": "A_Z", "O": "B_O", "N": "C_N", "F": "D_F", "S": "E_S"},
)


def write_absence(source: Path, folder: Path) -> tuple[Path, list[Interval]]:
    """Write the recording with all its channels as EDF+; return it and its three seizures."""
    with h5py.File(source) as file:
        record = file["record-0"]
        rate = round(float(record.attrs["sample_frequency"]), 6)
        labels = [label.decode() for label in record["signal_labels"][:]]
        units = [unit.decode() for unit in record["physical_dimensions"][:]]
        ends = {
            name: record[f"signal_{name}"][:]
            for name in ("digital_mins", "digital_maxs", "physical_mins", "physical_maxs")
        }
        digital = record["signals"][:]
        notes = record["edf_annotations"]
        texts = [text.decode(errors="replace") for text in notes["texts"][:]]
        onsets = notes["starts_100ns"][:] / 1e7
    n = digital.shape[1] // round(rate) * round(rate)
    signals = [
        EdfSignal.from_digital(
            digital[k, :n],
            rate,
            label=labels[k][:16],
            physical_dimension=units[k][:8],
            physical_range=(float(ends["physical_mins"][k]), float(ends["physical_maxs"][k])),
            digital_range=(int(ends["digital_mins"][k]), int(ends["digital_maxs"][k])),
        )
        for k in range(len(labels))
    ]
    annotations = [
        EdfAnnotation(float(at), None, text) for at, text in zip(onsets, texts, strict=True)
    ]
    path = folder / "absence.edf"
    Edf(signals, annotations=annotations).write(path)
    starts, stops = (
        [float(at) for at, text in zip(onsets, texts, strict=True) if text == f"SZ {end}"]
        for end in ("START", "END")
    )
    return path, [Interval(a, b, "seizure") for a, b in zip(starts, stops, strict=True)]


def write_bonn(source: Path, folder: Path) -> dict[str, list[Path]]:
    """Write every segment as a table of one channel in microvolts; return them by class."""
    declared = {
        "sfreq": SFREQ_BONN,
        "units": "uV",
        "channels": {"EEG": {"type": "eeg"}},
    }
    found: dict[str, list[Path]] = {}
    for name, inner in BONN.items():
        found[name] = []
        for text in sorted((source / inner).glob("*.[tT][xX][tT]")):
            values = np.loadtxt(text)
            path = folder / f"{name}_{text.stem}.csv"
            path.write_text("EEG\n" + "\n".join(f"{value:g}" for value in values) + "\n")
            path.with_suffix(".json").write_text(json.dumps(declared))
            found[name].append(path)
    return found
