"""What abnormal windows among those fitted on cost: unlabelled recordings are rarely clean.

Every fit is the product's (``pipelines.fit_model``), with its trimming and without, and with 0, 2, 5
and 10 % of the windows abnormal. The share is set through annotations: those of windows that are
meant to stay in are taken away, and fitting with ``use_annotations`` leaves out the rest. The usual
windows are the same at every share.

ECG: MIT-BIH DS1, fitted on the patients of one fold, with beats of classes S, V and F drawn at random
among theirs, as far as there are so many (one fold has 5.5 %); scored on the patients of the other, S, V and F against N, without a baseline.

EEG: the sample recording, seconds 0 to 130, with stretches of two of its three seizures put in; scored
on the third and what lies between them. One patient, one seizure a fit: no more than an example.

    python benchmarks/unclean.py --data FOLDER --json OUT.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

import pipelines.model
from pipelines import fit_model, read_recording
from pipelines.config import Settings
from pipelines.evaluation.beats import ABNORMAL, match
from pipelines.label_rules import aami_class
from pipelines.labels import abnormal_intervals
from pipelines.model import Model
from pipelines.provenance import versions
from pipelines.recording import Annotation, Recording
from pipelines.signals.windows import Windows

FOLDS = (
    ["101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122"],
    ["124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230"],
)
EVERY = 4
"""Of the beats of the patients scored every fourth counts: it is the fits that differ."""
SHARES = (0.0, 0.02, 0.05, 0.10)
USUAL_EEG_S = (0.0, 130.0)
SAMPLE = Path(__file__).parents[1] / "sample_data"
Row = dict[str, Any]
Judge = Callable[[Model], Row]


def without(recording: Recording, dropped: Sequence[Annotation]) -> Recording:
    """Return the recording with fewer annotations."""
    gone = set(dropped)
    recording.annotations = tuple(a for a in recording.annotations if a not in gone)
    return recording


def abnormal_beats(recording: Recording) -> list[Annotation]:
    """Return the beats of classes S, V and F."""
    beats = [a for a in recording.annotations if a.is_beat]
    return [beat for beat in beats if aami_class(beat.description) in ABNORMAL]


def contaminated(paths: Sequence[Path], share: float, seed: int) -> tuple[list[Recording], float]:
    """Return recordings with abnormal beats that nothing tells, and their share of the beats."""
    recordings = [read_recording(path) for path in paths]
    n_usual = sum(
        aami_class(a.description) == "N" for r in recordings for a in r.annotations if a.is_beat
    )
    odd = [(k, beat) for k, r in enumerate(recordings) for beat in abnormal_beats(r)]
    wanted = min(len(odd), round(share / (1 - share) * n_usual))
    chosen = [odd[i] for i in np.random.default_rng(seed).permutation(len(odd))[:wanted]]
    for k, recording in enumerate(recordings):
        without(recording, [beat for owner, beat in chosen if owner == k])
    return recordings, wanted / (wanted + n_usual)


def judge_ecg(paths: Sequence[Path]) -> Judge:
    """Return what scores the beats of other patients."""

    def judge(model: Model) -> Row:
        truth, scores, each = [], [], []
        for path in paths:
            recording = read_recording(path)
            windows, X = model.features(recording)
            beats = [a for a in recording.annotations if a.is_beat]
            at = match(np.array([b.onset for b in beats]), windows.center_s)
            label = np.array([aami_class(b.description) for b in beats])
            ok = (at >= 0) & np.isin(label, ("N", *ABNORMAL))
            ok[ok] = windows.scorable[at[ok]]
            truth.append((label[ok] != "N")[::EVERY])
            scores.append(model.estimator.anomaly_score(X[at[ok][::EVERY]]))
            if 0 < truth[-1].sum() < len(truth[-1]):
                each.append(roc_auc_score(truth[-1], scores[-1]))
        y, s = np.concatenate(truth), np.concatenate(scores)
        return {**figures(y, s, model.threshold), "per_record_auroc": float(np.mean(each))}

    return judge


def figures(y: NDArray[np.bool_], s: NDArray[np.float64], threshold: float) -> Row:
    """Return what ranks, and what the model's own threshold flags."""
    return {
        "auroc": float(roc_auc_score(y, s)),
        "ap": float(average_precision_score(y, s)),
        "flagged_of_abnormal": float((s[y] > threshold).mean()),
        "flagged_of_usual": float((s[~y] > threshold).mean()),
    }


def mixed_eeg(left_out: int, share: float) -> tuple[Recording, Judge, list[tuple[float, float]]]:
    """Return the sample with seizures that nothing tells, and what scores the third of them.

    Everything else is marked as abnormal, so that fitting leaves it out.
    """
    recording = read_recording(SAMPLE / "eeg_absence_480s.edf")
    seizures = [(e.onset_s, e.offset_s) for e in abnormal_intervals(recording) if e.offset_s > 0]
    seizures = [s for s in seizures if s[1] - s[0] > 2]
    held = seizures[left_out]
    n_usual = int(USUAL_EEG_S[1] - USUAL_EEG_S[0]) - 1
    wanted = share / (1 - share) * n_usual  # windows, one a second
    kept, fitted = [USUAL_EEG_S], []
    for onset, offset in (s for s in seizures if s != held):
        length = min(wanted, offset - onset + 1.0)
        if length >= 1:
            fitted.append((onset - 1.0, onset + length))  # windows of 2 s, as many as seconds
            wanted -= length
    kept += fitted
    edges = [0.0, *(edge for stretch in kept for edge in stretch), recording.duration_s]
    gaps = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
    recording.annotations = tuple(Annotation(a + 1e-6, b - a - 2e-6, "seizure") for a, b in gaps)

    def judge(model: Model) -> Row:
        windows, X = model.features(recording)
        inside = windows.touching([held])
        other = windows.touching([s for s in seizures if s != held])
        seen = windows.start_s < USUAL_EEG_S[1]
        ok = windows.scorable & ~(other | seen)
        return figures(inside[ok], model.estimator.anomaly_score(X[ok]), model.threshold)

    return recording, judge, seizures


def fits(recordings: Sequence[Recording], kind: Any, seed: int, judge: Judge) -> Iterator[Row]:
    """Fit with and without trimming and judge both."""
    for trim in (True, False):
        started = time.process_time()
        settings = Settings(trim=trim, rhythm=False)
        model = fit_model(
            recordings, kind, use_annotations=True, settings=settings, seed=seed, device="cpu"
        )
        yield {
            "kind": kind,
            "trim": trim,
            "seed": seed,
            "n_fitted": model.n_fitted,
            "n_trimmed": model.n_trimmed,
            "fit_cpu_s": round(time.process_time() - started, 2),
            **judge(model),
        }


def keep_windows() -> None:
    """Cut each recording once: its windows do not depend on its annotations."""
    cut, known = pipelines.model.extract, {}

    def extract(recording: Recording, kind: Any, plan: Any = None, *folder: Any) -> Windows:
        del folder  # windows are kept in memory
        key = (recording.path, str(plan))
        if key not in known:
            known[key] = cut(recording, kind, plan)
        found: Windows = known[key]
        return found

    pipelines.model.extract = extract


def run_ecg(data: Path, seeds: int) -> Iterator[Row]:
    """Yield a row a fit; the direction changes with the seed first, then all others follow."""
    folds = [[data / f"{name}.hea" for name in fold] for fold in FOLDS]
    tasks = [(s, (s + turn) % 2) for turn in (0, 1) for s in range(seeds)]
    for seed, test in tasks:
        for share in SHARES:
            recordings, actual = contaminated(folds[1 - test], share, seed)
            for row in fits(recordings, "ecg", seed, judge_ecg(folds[test])):
                yield {"share": share, "actual_share": actual, "test_fold": test, **row}


def run_eeg(seeds: int) -> Iterator[Row]:
    """Yield a row a fit; each seed leaves another seizure out."""
    for seed in range(seeds):
        for share in SHARES:
            recording, judge, seizures = mixed_eeg(seed % 3, share)
            for row in fits([recording], "eeg", seed, judge):
                yield {"share": share, "left_out_s": list(seizures[seed % 3]), **row}


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return the mean of each figure and its loss against clean fitting of the same seed and fold."""
    table = []
    for kind in ("ecg", "eeg"):
        for trim in (True, False):
            own = [row for row in rows if (row["kind"], row["trim"]) == (kind, trim)]
            clean = {_run(row): row for row in own if row["share"] == 0}
            for share in SHARES:
                part = [r for r in own if r["share"] == share and _run(r) in clean]
                if part:
                    lost = [clean[_run(row)]["auroc"] - row["auroc"] for row in part]
                    table.append(
                        {
                            "kind": kind,
                            "trim": trim,
                            "share": share,
                            "lowest_share": round(
                                min(r.get("actual_share", share) for r in part), 3
                            ),
                            "n_runs": len(part),
                            "auroc": round(float(np.mean([row["auroc"] for row in part])), 4),
                            "ap": round(float(np.mean([row["ap"] for row in part])), 4),
                            "auroc_lost": round(float(np.mean(lost)), 4),
                            "most_auroc_lost": round(max(lost), 4),
                            **{
                                key: round(float(np.mean([row[key] for row in part])), 4)
                                for key in ("flagged_of_abnormal", "flagged_of_usual")
                            },
                            "trimmed_share": round(float(np.mean([_trimmed(r) for r in part])), 4),
                        }
                    )
    return table


def _run(row: Row) -> tuple[Any, ...]:
    return row["seed"], row.get("test_fold")


def _trimmed(row: Row) -> float:
    return float(row["n_trimmed"] / (row["n_trimmed"] + row["n_fitted"]))


def commit() -> str | None:
    """Return the commit that is checked out, where git is there to tell."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def main() -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"))
    parser.add_argument("--json", type=Path, help="written anew after every fit")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=("ecg", "eeg"))
    arguments = parser.parse_args()
    found = sorted(Path(arguments.data).rglob("mitdb_ds1*/101.hea")) if arguments.data else []
    if not found and arguments.only != "eeg":
        print(
            "no ECG: pass --data FOLDER (or set RAREWAVE_DATA) with mitdb_ds1_paced, or --only eeg",
            file=sys.stderr,
        )
        return 1
    keep_windows()
    parts = [] if arguments.only == "ecg" else [run_eeg(arguments.seeds)]
    parts += [] if arguments.only == "eeg" else [run_ecg(found[0].parent, arguments.seeds)]
    rows: list[Row] = []
    for part in parts:
        for row in part:
            rows.append(row)
            print(row, file=sys.stderr, flush=True)
            if arguments.json:
                result = {"protocol": __doc__, "versions": versions(), "commit": commit()}
                result["summary"] = summary(rows)
                arguments.json.write_text(json.dumps({**result, "rows": rows}, indent=1) + "\n")
    print(json.dumps(summary(rows), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
