"""What scoring costs in processor time, and what that predicts for many recordings.

Measures `rarewave score` on the sample recordings, cut to two lengths and copied, with one worker
and with several; fits  cpu = start * processes + file * recordings + hour * recording_hours  by
least squares; and measures what the books of a run (status.jsonl, run.json) cost as it grows.

    python benchmarks/scale.py --json benchmarks/results/scale.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipelines import fit_model, provenance, read_recording, save_model
from pipelines.batch.ledger import Ledger
from pipelines.batch.resume import read_earlier
from pipelines.batch.task import Job
from pipelines.demo import SAMPLES, Sample, sample_folder
from pipelines.inputs import InputRecording
from pipelines.run_folder import RunFolder, write_json

SHORT_S = {"ecg": 300, "eeg": 120}
PLAN = (
    (1, "long", 1),
    (4, "long", 1),
    (8, "long", 1),
    (8, "short", 1),
    (8, "long", 2),
    (8, "short", 2),
)
"""Recordings, length, workers."""
DAYS = (1, 1_000, 1_000_000)


@dataclass(frozen=True)
class Assumptions:
    """What the predictions rest on and nobody has measured here; change them on the command line.

    Attributes
    ----------
    cores_per_machine, machines : int
    price_per_core_hour : float
        US dollars. An assumption: ask your provider.
    price_per_gb_month : float
        US dollars, for what a run writes.
    """

    cores_per_machine: int = 16
    machines: int = 50
    price_per_core_hour: float = 0.05
    price_per_gb_month: float = 0.03


def cut(sample: Sample, seconds: int | None, to: Path) -> float:
    """Write a sample recording, or its first seconds, under a new name; return its hours."""
    source = sample_folder() / sample.recording
    if source.suffix == ".hea":
        name, n_signals, sfreq, n = source.read_text().split()[:4]
        kept = int(n) if seconds is None else seconds * int(sfreq)
        text = source.read_text().replace(n, str(kept), 1).replace(name, to.stem)
        to.with_suffix(".hea").write_text(text)
        data = source.with_suffix(".dat").read_bytes()
        to.with_suffix(".dat").write_bytes(data[: kept * int(n_signals) * 3 // 2])
        return kept / int(sfreq) / 3600
    content = source.read_bytes()
    first, records, record_s = int(content[184:192]), int(content[236:244]), float(content[244:252])
    size = (len(content) - first) // records
    kept = records if seconds is None else int(seconds / record_s)
    head = content[:236] + str(kept).encode().ljust(8) + content[244:first]
    to.with_suffix(".edf").write_bytes(head + content[first : first + kept * size])
    return kept * record_s / 3600


def score(model: Path, folder: Path, run: Path, workers: int) -> dict[str, float]:
    """Run the command line; return wall-clock and processor seconds, children included."""
    words = ["score", model, folder, "--out", run, "--workers", workers, "--device", "cpu"]
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"scoring ended with exit code {process.returncode}")
    written = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    return {
        "wall_s": round(time.monotonic() - began, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_rss_mb": usage.ru_maxrss // 1024,
        "written_bytes": written,
    }


def measure(sample: Sample, folder: Path) -> dict[str, object]:
    """Fit a model on a sample recording, score copies of it, and fit the costs."""
    recording = read_recording(sample_folder() / sample.recording)
    save_model(fit_model([recording], sample.kind, baseline=sample.fit_on_s), folder / "model")
    rows, hours = [], {}
    for length, seconds in (("long", None), ("short", SHORT_S[sample.kind])):
        for n in {n for n, which, _ in PLAN if which == length}:
            place = folder / f"{length}{n}"
            place.mkdir()
            for i in range(n):
                hours[length] = cut(sample, seconds, place / f"r{i}")
    for k, (n, length, workers) in enumerate(PLAN):
        found = score(folder / "model", folder / f"{length}{n}", folder / f"run{k}", workers)
        rows.append({"recordings": n, "hours_each": hours[length], "workers": workers, **found})
        print(sample.kind, json.dumps(rows[-1]), flush=True)
    return {"measured": rows, **costs(rows), "input_bytes_per_hour": _input_rate(folder, hours)}


def _input_rate(folder: Path, hours: dict[str, float]) -> float:
    size = sum(path.stat().st_size for path in (folder / "long1").iterdir())
    return round(size / hours["long"])


def costs(rows: list[dict[str, float]]) -> dict[str, object]:
    """Return processor seconds a process, a file and a recording-hour, and the worst misfit."""
    processes = [1 + (row["workers"] if row["workers"] > 1 else 0) for row in rows]
    files = [row["recordings"] for row in rows]
    hours = [row["recordings"] * row["hours_each"] for row in rows]
    design = np.array([processes, files, hours], dtype=float).T
    cpu = np.array([row["cpu_s"] for row in rows])
    found, *_ = np.linalg.lstsq(design, cpu, rcond=None)
    longest = max(range(len(rows)), key=lambda i: hours[i])
    return {
        "cpu_s": dict(
            zip(("process", "file", "recording_hour"), found.round(3).tolist(), strict=True)
        ),
        "worst_misfit": round(float(np.abs(design @ found / cpu - 1).max()), 3),
        "written_bytes_per_hour": round(rows[longest]["written_bytes"] / hours[longest]),
    }


def books(folder: Path, counts: tuple[int, ...] = (100, 1000, 4000)) -> list[dict[str, float]]:
    """Return what the books cost a recording, and one writing of run.json, in runs of some sizes."""
    rows = []
    for n in counts:
        run = RunFolder(folder / f"books{n}")
        entries = [InputRecording(Path(f"/data/r{i}.edf"), f"r{i}", f"r{i}") for i in range(n)]
        job = Job(folder / "model", "0" * 64, run.path, None, "cpu")
        ledger = Ledger(job, read_earlier(run), entries)
        began = time.monotonic()
        for entry in entries:
            ledger.add(_done(entry))
        added = time.monotonic()
        ledger.close()
        closed = time.monotonic()
        read_earlier(run)
        row = {
            "recordings": n,
            "add_ms": round(1e3 * (added - began) / n, 3),
            "write_run_json_s": round(closed - added, 4),
            "read_again_s": round(time.monotonic() - closed, 4),
            "run_json_bytes_each": round(run.manifest_path.stat().st_size / n),
        }
        rows.append(row)
    return rows


def _done(entry: InputRecording) -> dict[str, object]:
    digest = {entry.path.name: "0" * 64}
    counts = dict.fromkeys(("n_windows", "n_flagged", "n_segments", "n_not_scorable"), 1)
    names = {"recording_id": entry.recording_id, "patient_id": entry.patient_id}
    state = {"state": "done", "reason": None, "sha256": digest, "duration_s": 86400.0}
    return {**names, **state, **counts, "model_sha256": "0" * 64, "at": provenance.now()}


def predict(found: dict[str, object], assumed: Assumptions) -> list[dict[str, float]]:
    """Return time and money for some numbers of recording-days, one recording a day."""
    cpu = found["cpu_s"]
    rows = []
    for days in DAYS:
        cores = min(assumed.cores_per_machine * assumed.machines, max(1, days))
        core_s = (
            days * (24 * cpu["recording_hour"] + max(0.0, cpu["file"])) + cores * cpu["process"]
        )
        gigabytes = days * 24 * found["written_bytes_per_hour"] / 1e9
        read = days * 24 * found["input_bytes_per_hour"] / 1e6
        wall_s = core_s / cores
        rows.append(
            {
                "recording_days": days,
                "cores": cores,
                "core_hours": round(core_s / 3600, 3),
                "wall_hours": round(wall_s / 3600, 3),
                "compute_usd": round(core_s / 3600 * assumed.price_per_core_hour, 4),
                "written_gb": round(gigabytes, 3),
                "storage_usd_a_month": round(gigabytes * assumed.price_per_gb_month, 4),
                "read_mb_per_s": round(read / wall_s, 1),
            }
        )
    return rows


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    for name, value in asdict(Assumptions()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = vars(parser.parse_args())
    path = options.pop("json")
    assumed = Assumptions(**options)
    result: dict[str, object] = {"assumptions": asdict(assumed)}
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        for sample in SAMPLES:
            folder = Path(name) / sample.kind
            folder.mkdir()
            found = measure(sample, folder)
            result[sample.kind] = {**found, "predicted": predict(found, assumed)}
            print(sample.kind, json.dumps(result[sample.kind]["predicted"], indent=1), flush=True)
        result["books"] = books(Path(name) / SAMPLES[0].kind)
    result["versions"], result["machine"] = provenance.versions(), provenance.machine()
    result["machine"]["processors"] = os.cpu_count()
    result["machine"]["load"] = os.getloadavg()[0]
    print(json.dumps(result["books"], indent=1))
    if path:
        write_json(path, result)


if __name__ == "__main__":
    main()
