"""A model on recordings of another sampling rate, and with fewer EEG channels than it was fitted on.

Rates: a model of the first minutes of a recording scores that same recording brought to other
rates beforehand, which scoring then brings back to the model's rate; windows are compared with those
scored without the detour. Channels: the model of the 19-channel sample EEG scores it with some of
its channels; flagged are windows after the part it was fitted on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from pipelines import Model, Recording, fit_model, read_recording, score_recording
from pipelines.provenance import versions
from pipelines.recording import Channel, Piece
from pipelines.signals.plan import Kind
from pipelines.signals.resampling import Resampled

Floats = NDArray[np.float64]

SAMPLE = Path(__file__).parents[1] / "sample_data"
RECORDS: tuple[tuple[str, Kind, float, tuple[float, ...]], ...] = (
    ("ecg_ahadb_0201.hea", "ecg", 300.0, (128.0, 200.0, 360.0, 500.0)),
    ("eeg_absence_480s.edf", "eeg", 230.0, (128.0, 250.0, 256.0, 500.0)),
)
SUBSETS = {
    "16 of 19": ["Fz", "Cz", "Pz"],
    "12 of 19": ["Fz", "Cz", "Pz", "F7", "F8", "P7", "P8"],
    "10 of 19": ["Fz", "Cz", "Pz", "F7", "F8", "P7", "P8", "T7", "T8"],
}
"""Channels left out."""


class Without(Recording):
    """A recording that lacks some channels."""

    def __init__(self, source: Recording, missing: Sequence[str]) -> None:
        self.path, self.files, self.format = source.path, source.files, source.format
        self.pieces, self.annotations = source.pieces, source.annotations
        self.start_time = source.start_time
        self.channels = tuple(c for c in source.channels if c.name not in missing)
        self._source = source

    def _read(self, channels: Sequence[Channel], piece: Piece, start: int, stop: int) -> Floats:
        return self._source.read([c.name for c in channels], piece, start, stop)


def compare(own: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """Compare the scores of the same moments."""
    center, found = own["center_s"].to_numpy(), other["center_s"].to_numpy()
    nearest = np.abs(center[:, None] - found).argmin(axis=1)
    pair = (np.abs(center - found[nearest]) < 0.05) & own["scorable"].to_numpy()
    pair &= other["scorable"].to_numpy()[nearest]
    one, two = own["score"].to_numpy()[pair], other["score"].to_numpy()[nearest[pair]]
    flags = own["flagged"].to_numpy()[pair], other["flagged"].to_numpy()[nearest[pair]]
    return {
        "windows": len(own),
        "found_again": round(float((np.abs(center - found[nearest]) < 0.05).mean()), 4),
        "rank_correlation": round(float(spearmanr(one, two).statistic), 4),
        "median_change": round(float(np.median(two - one)), 4),
        "flagged": int(flags[0].sum()),
        "flagged_both": int((flags[0] & flags[1]).sum()),
        "flagged_only_after_the_detour": int((~flags[0] & flags[1]).sum()),
    }


def rates(
    model: Model, recording: Recording, after_s: float, targets: Sequence[float]
) -> dict[str, Any]:
    """Score a recording brought to other rates; only what follows the fitted part is compared.

    (The score holds the distance to fitted windows, which is nothing for those windows themselves.)
    """
    names = [c.name for c in recording.of_kind(model.kind)]
    own = score_recording(model, recording).windows
    own = own[own["start_s"] >= after_s]
    return {
        f"{target:g} Hz": compare(
            own, score_recording(model, Resampled(recording, names, target)).windows
        )
        for target in targets
    }


def channels(model: Model, recording: Recording) -> dict[str, Any]:
    """Score the sample EEG with some of its channels."""
    seizures = pd.read_csv(SAMPLE / "eeg_absence_480s_labels.csv")
    result = {}
    for name, missing in {"all": [], **SUBSETS}.items():
        windows = score_recording(model, Without(recording, missing)).windows
        windows = windows[windows["start_s"] >= 230]
        ictal = np.zeros(len(windows), dtype=bool)
        for seizure in seizures.itertuples():
            ictal |= (windows["start_s"] < seizure.offset_s).to_numpy() & (
                windows["stop_s"] > seizure.onset_s
            ).to_numpy()
        flagged = windows["flagged"].to_numpy(bool)
        result[name] = {
            "auroc_seizure": round(float(roc_auc_score(ictal, windows["score"])), 4),
            "seizure_windows_flagged": f"{(flagged & ictal).sum()} of {ictal.sum()}",
            "other_windows_flagged": f"{(flagged & ~ictal).sum()} of {(~ictal).sum()}",
        }
    return result


def main() -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "protocol": __doc__,
        "versions": versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    for name, kind, stop_s, targets in RECORDS:
        recording = read_recording(SAMPLE / name)
        model = fit_model([recording], kind, baseline=(0.0, stop_s), device="cpu")
        result[kind] = {"own_rate": model.sfreq, "rates": rates(model, recording, stop_s, targets)}
        if kind == "eeg":
            result[kind]["channels"] = channels(model, recording)
    print(json.dumps({k: result[k] for k in ("ecg", "eeg")}, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
