"""MIT-BIH DS1: atrial fibrillation seen as a rhythm, and what is raised in its absence.

The rhythm part of an ECG model is fitted on one fold of patients, as ``rarewave fit`` does it with
and without ``--use-annotations``, and scores the other; both directions, several seeds.
Fibrillation and flutter are in two records (201 and 203) of one fold: the first direction measures
what is found, both measure what is raised for nothing. A window is of fibrillation if at least half
of it is labelled AFIB or AFL, and usual if all of it is labelled N. A segment of rhythm is false if
it shares no time with a stretch that is labelled as any arrhythmia. Those that segments of beats
cover are not left out here, as the product does. A paced record with some fibrillation (217) is
scored by the first model too, and models of a single patient each score the fold that holds
fibrillation. A whole model of the first fold says how much of the fibrillation lies in segments of
beats, and what the rhythm part costs of scoring.

Nothing is chosen on these figures except whether the rhythm part is on by default, but the features
were chosen on these records: other patients will be harder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ecg_interpatient import FOLDS
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from pipelines import fit_model, read_recording, score_recording
from pipelines.calibration import Calibration
from pipelines.config import Settings, settings_for
from pipelines.labels import abnormal_rhythms
from pipelines.merging import merge
from pipelines.model import Model, one_thread
from pipelines.provenance import versions
from pipelines.recording import Recording
from pipelines.rhythm.model import Minutes
from pipelines.rhythm.scoring import rhythm_table
from pipelines.rhythm.segments import merge_rhythm
from pipelines.rhythm.windows import rhythm_windows
from pipelines.signals.extraction import extract
from pipelines.stretches import of_table, overlapping

Stretches = NDArray[np.float64]
PACED = ["217"]
ALONE = ["101", "112", "122"]
"""Models of one patient each, in sinus rhythm throughout."""
FIBRILLATION = ("AFIB", "AFL")
UNIT = Calibration(np.zeros(1), 0.0, 1.0, False)
"""Scores are brought to a scale on which the median of held-out windows is 0, the threshold 1."""


class Record:
    """A record, its heartbeats and its windows of rhythm."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.recording = name, read_recording(path)
        self.beats = extract(self.recording, "ecg")
        self.minutes = rhythm_windows(self.beats, self.recording.pieces)
        self.af = labelled(self.recording, FIBRILLATION)
        odd = [(i.onset_s, i.offset_s) for i in abnormal_rhythms(self.recording)]
        self.odd = np.array(odd).reshape(-1, 2)


def labelled(recording: Recording, codes: Sequence[str]) -> Stretches:
    """Return the stretches whose rhythm note is one of `codes`, shape (n, 2)."""
    found = [
        (a.onset, a.onset + a.duration)
        for a in recording.annotations
        if a.description in [f"rhythm: {code}" for code in codes]
    ]
    return np.array(found).reshape(-1, 2)


def shared_s(one: Stretches, other: Stretches) -> NDArray[np.float64]:
    """Return how many seconds of each stretch lie in disjoint others."""
    starts = np.maximum(one[:, :1], other[:, 0])
    return np.maximum(np.minimum(one[:, 1:], other[:, 1]) - starts, 0.0).sum(axis=1)


def run(
    train: Sequence[Record], test: Sequence[Record], seed: int = 0, use_annotations: bool = True
) -> dict[str, Any]:
    """Fit the rhythm part on some records and judge others."""
    gathered = Minutes(None, use_annotations)
    for record in train:
        gathered.add(record.recording, record.beats)
    settings = settings_for(Settings(), "ecg")
    model = gathered.fit(np.arange(len(train)), UNIT, settings, seed, "cpu")
    assert model is not None, "half an hour is enough"
    rows, scores = [], []
    for record in test:
        table = rhythm_table(model, UNIT.threshold, record.minutes)
        table = table.assign(recording_id=record.name, patient_id=record.name)
        usable = table[table["scorable"]]
        places, score = of_table(usable), usable["score"].to_numpy(float)
        is_af = shared_s(places, record.af) >= 0.5 * (places[:, 1] - places[:, 0])
        usual = labelled(record.recording, ["N"])
        is_usual = shared_s(places, usual) >= places[:, 1] - places[:, 0] - 1e-6
        found = of_table(merge_rhythm(table, settings.segments.merge_s))
        scores.append((score[is_af], score[is_usual]))
        rows.append(
            {
                "record": record.name,
                "hours": record.recording.duration_s / 3600,
                "af_s": float((record.af[:, 1] - record.af[:, 0]).sum()),
                "af_s_in_segments": float(shared_s(record.af, found).sum()),
                "n_not_scorable": len(table) - len(usable),
                "n_segments": len(found),
                "n_false": int((~overlapping(found, record.odd)).sum()),
                "n_usual": int(is_usual.sum()),
                "n_usual_flagged": int((score[is_usual] > UNIT.threshold).sum()),
            }
        )
    af, usual_scores = (np.concatenate([pair[k] for pair in scores]) for k in (0, 1))
    return {
        "seed": seed,
        "use_annotations": use_annotations,
        "n_fitted": model.n_fitted,
        "n_trimmed": model.n_trimmed,
        "note": model.note,
        "extrapolated": model.calibration.extrapolated,
        **summary(rows, af, usual_scores),
        "records": rows,
    }


def summary(rows: Sequence[Mapping[str, Any]], af: Stretches, usual: Stretches) -> dict[str, Any]:
    """Pool the records of one direction; `af` and `usual` are scores of windows."""
    without = [row for row in rows if not row["af_s"]]
    hours = sum(row["hours"] for row in without)
    both = len(af) and len(usual)
    truth, score = np.repeat([1, 0], [len(af), len(usual)]), np.append(af, usual)
    af_s = sum(row["af_s"] for row in rows)
    in_segments = sum(row["af_s_in_segments"] for row in rows)
    return {
        "n_af_windows": len(af),
        "n_usual_windows": len(usual),
        "auroc": float(roc_auc_score(truth, score)) if both else None,
        "af_windows_flagged": float((af > UNIT.threshold).mean()) if len(af) else None,
        "af_time_in_segments": in_segments / af_s if af_s else None,
        "usual_windows_flagged": float((usual > UNIT.threshold).mean()) if len(usual) else None,
        "hours_without_af": hours,
        "segments_per_hour_without_af": sum(r["n_segments"] for r in without) / hours
        if hours
        else None,
        "false_per_hour_without_af": sum(r["n_false"] for r in without) / hours if hours else None,
    }


def whole_model(train: Sequence[Record], test: Sequence[Record]) -> dict[str, float]:
    """Return how much fibrillation segments of beats cover, and the cost of the rhythm part.

    Half an hour each: the cost of a call weighs more than in a long recording.
    """
    model = fit_model([r.recording for r in train], "ecg", use_annotations=True, device="cpu")
    covered, whole, part, af_s = 0.0, 0.0, 0.0, 0.0
    for record in test:
        start = time.process_time()
        scored = score_recording(model, record.recording)
        whole += time.process_time() - start
        part += _rhythm_s(model, record)
        beats = of_table(merge(scored.windows, model.settings.segments.merge_s))
        covered += float(shared_s(record.af, beats).sum())
        af_s += float((record.af[:, 1] - record.af[:, 0]).sum())
    return {
        "af_time_in_segments_of_beats": covered / af_s,
        "score_cpu_s": whole,
        "rhythm_cpu_s": part,
        "rhythm_share": part / whole,
    }


def _rhythm_s(model: Model, record: Record) -> float:
    """Return the CPU seconds of the rhythm part of scoring a record."""
    assert model.rhythm is not None, "eleven half hours are enough"
    start = time.process_time()
    minutes = rhythm_windows(record.beats, record.recording.pieces)
    rhythm_table(model.rhythm, model.threshold, minutes)
    return time.process_time() - start


def main() -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"))
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    found = {p.stem: p for p in Path(arguments.data).rglob("*.hea")} if arguments.data else {}
    names = [*FOLDS[0], *FOLDS[1], *PACED]
    if not all(name in found for name in names):
        print(
            "no data: pass --data FOLDER (or set RAREWAVE_DATA) with the MIT-BIH records of DS1",
            file=sys.stderr,
        )
        return 1
    with one_thread():
        records = {name: Record(name, found[name]) for name in names}
        one, two = ([records[name] for name in fold] for fold in FOLDS)
        runs = [
            {"fitted_on": words, **run(train, test, seed, use_annotations)}
            for use_annotations in (True, False)
            for words, train, test in (("one", one, two), ("two", two, one))
            for seed in range(arguments.seeds)
        ]
        result = {
            "protocol": __doc__,
            "versions": versions(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread used",
            "n_seeds": arguments.seeds,
            "runs": runs,
            "paced": run(one, [records[name] for name in PACED]),
            "alone": {name: run([records[name]], two) for name in ALONE},
            "whole_model": whole_model(one, two),
        }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    kept = ("runs", "paced", "alone")
    print(json.dumps({k: v for k, v in result.items() if k not in kept}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
