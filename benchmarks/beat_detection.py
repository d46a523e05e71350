"""How well beats are found, and whether they depend on where a recording is cut.

MIT-BIH DS1 and the four paced records, all 30 minutes, 150 ms, ventricular flutter left out (it has
no labelled beats). `detect_beats` on both leads and on the first alone, and sleepecg on the first,
each in chunks of several lengths with margins of 20 seconds, as recordings are read. `BEAT_SHARE`
was chosen on these records; sleepecg's settings were not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sleepecg import detect_heartbeats

from pipelines.label_rules import aami_class
from pipelines.provenance import versions
from pipelines.readers import read_recording
from pipelines.recording import Recording
from pipelines.signals.heartbeats import detect_beats
from pipelines.signals.preprocessing import iter_chunks

Floats = NDArray[np.float64]
Samples = NDArray[np.int64]
CHUNKS_S = (600.0, 250.0, 100.0, 1e9)
TOLERANCE_S = 0.15
DETECTORS: dict[str, Callable[[Floats, float], Samples]] = {
    "ours, both leads": detect_beats,
    "ours, first lead": lambda data, sfreq: detect_beats(data[:1], sfreq),
    "sleepecg, first lead": lambda data, sfreq: np.asarray(detect_heartbeats(data[0], sfreq)),
}


def detect(recording: Recording, detector: str, chunk_s: float) -> tuple[Samples, float]:
    """Return the beats of a recording and the processor seconds, chunk by chunk."""
    names = [channel.name for channel in recording.channels]
    sfreq, found, spent = recording.channels[0].sfreq, [], 0.0
    for chunk in iter_chunks(recording, names, chunk_s):
        data, start = np.nan_to_num(chunk.data), time.process_time()
        at = DETECTORS[detector](data, sfreq) + chunk.start
        spent += time.process_time() - start
        found.append(at[(at >= chunk.core[0]) & (at < chunk.core[1])])
    return np.concatenate(found), spent


def matched(labelled: Floats, found: Floats) -> NDArray[np.bool_]:
    """Return which labelled beats have a beat found of their own."""
    result, k = np.zeros(len(labelled), dtype=bool), 0
    for i, at in enumerate(labelled):
        while k < len(found) and found[k] < at - TOLERANCE_S:
            k += 1
        if k < len(found) and found[k] <= at + TOLERANCE_S:
            result[i], k = True, k + 1
    return result


def judge(recording: Recording, found_s: Floats) -> dict[str, int]:
    """Count labelled, found and matched beats outside flutter."""
    beats = [(a.onset, aami_class(a.description)) for a in recording.annotations if a.is_beat]
    labelled, classes = (np.array(part) for part in zip(*beats, strict=True))
    for a in recording.annotations:
        if a.description == "rhythm: VFL":
            found_s = found_s[(found_s < a.onset) | (found_s > a.onset + a.duration)]
    hit = matched(labelled, found_s)
    return {
        "labelled": len(labelled),
        "found": len(found_s),
        "matched": int(hit.sum()),
        "ventricular": int((classes == "V").sum()),
        "ventricular_matched": int(hit[classes == "V"].sum()),
    }


def summarise(counts: list[dict[str, int]]) -> dict[str, float]:
    """Return sensitivity, precision and F1 over all records."""
    total = {key: sum(count[key] for count in counts) for key in counts[0]}
    return total | {
        "sensitivity": round(total["matched"] / total["labelled"], 4),
        "precision": round(total["matched"] / total["found"], 4),
        "f1": round(2 * total["matched"] / (total["labelled"] + total["found"]), 4),
        "ventricular_sensitivity": round(total["ventricular_matched"] / total["ventricular"], 4),
    }


def main() -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"), type=Path)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("pass --data FOLDER (or set RAREWAVE_DATA) with records of MIT-BIH")
    recordings = [read_recording(path) for path in sorted(arguments.data.glob("[12]*.hea"))]
    result: dict[str, Any] = {
        "protocol": __doc__,
        "versions": versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "records": [recording.path.stem for recording in recordings],
        "detectors": {},
    }
    for name in DETECTORS:
        runs = {c: [detect(r, name, c) for r in recordings] for c in CHUNKS_S}
        usual = [
            judge(r, at / r.channels[0].sfreq)
            for r, (at, _) in zip(recordings, runs[CHUNKS_S[0]], strict=True)
        ]
        result["detectors"][name] = summarise(usual) | {
            "cpu_s": round(sum(spent for _, spent in runs[CHUNKS_S[0]]), 2),
            "beats_by_chunk_s": {
                f"{c:g}": sum(len(at) for at, _ in found) for c, found in runs.items()
            },
            "records_that_depend_on_chunks": sum(
                any(not np.array_equal(runs[c][k][0], runs[CHUNKS_S[0]][k][0]) for c in CHUNKS_S)
                for k in range(len(recordings))
            ),
        }
    print(json.dumps(result["detectors"], indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
