"""Long recordings through `rarewave score`: seconds, peak memory, and where the time goes.

Every figure is of a whole process started afresh (imports included), read from the operating
system when it ends (wait4): wall seconds, processor seconds, and the largest resident memory. The
models are fitted before on a few minutes and do not count. The split comes from one more run under
a profiler and is given as shares. "Reading and sleepecg alone" reads the same samples in the same
chunks, asks sleepecg for the beats of each lead and does nothing else; it is a process of its own
and its time without imports is given too. Each case can be run by itself (`--only`); those already
in the file of `--json` stay. Wall seconds need a quiet machine: the load is given.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CASES = ("ecg", "growth", "flags", "sleep", "eeg", "workers")
_MEASURE = """
import json, os, subprocess, sys, time
start = time.monotonic()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(child.pid, 0)
print(json.dumps({
    "exit_code": os.waitstatus_to_exitcode(status),
    "wall_s": round(time.monotonic() - start, 2),
    "cpu_s": round(used.ru_utime + used.ru_stime, 2),
    "peak_mb": round(used.ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)),
}))
"""
"""Starts the command from a small process: a child counts as large as what it was forked from."""
_RAREWAVE = [sys.executable, "-c", "from pipelines.cli import main; raise SystemExit(main())"]


def measure(command: Sequence[str | Path]) -> dict[str, float]:
    """Run a command in a process of its own and return what it took."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *map(str, command)],
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    if found.pop("exit_code"):
        raise RuntimeError(f"{command} failed: {done.stderr.strip().splitlines()[-1]}")
    return found


def score(model: Path, inputs: Sequence[Path], folder: Path, *options: str) -> dict[str, Any]:
    """Score recordings into a fresh run and return what it took and found."""
    run = Path(tempfile.mkdtemp(dir=folder)) / "run"
    words = ["score", model, *inputs, "--out", run, "--device", "cpu", *options]
    figures: dict[str, Any] = measure([*_RAREWAVE, *words])
    status = [json.loads(line) for line in (run / "status.jsonl").read_text().splitlines()]
    for name in ("n_windows", "n_flagged", "n_not_scorable", "duration_s"):
        figures[name] = sum(entry[name] for entry in status)
    return figures


def step(name: str, *arguments: str | Path) -> dict[str, Any]:
    """Run a step of this file in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, HERE / "recordings_steps.py", name, *map(str, arguments)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def ecg_case(folder: Path) -> dict[str, Any]:
    """24 h of ECG, beside reading and sleepecg alone."""
    model, long = _model(folder, "ecg"), _ecg(folder, 24)
    scored = score(model, [long], folder)
    alone = measure([sys.executable, HERE / "recordings_steps.py", "alone", long])
    alone |= step("alone", long)
    return {
        "score": scored,
        "reading_and_sleepecg_alone": alone,
        "cpu_ratio": round(scored["cpu_s"] / alone["cpu_s"], 2),
        "split": step("split", model, long),
    }


def growth_case(folder: Path) -> dict[str, Any]:
    """6, 12, 24 and 48 h of ECG: time and memory against length."""
    model = _model(folder, "ecg")
    rows = {hours: score(model, [_ecg(folder, hours)], folder) for hours in (6, 12, 24, 48)}
    return {
        "by_hours": rows,
        "cpu_48_over_24": round(rows[48]["cpu_s"] / rows[24]["cpu_s"], 3),
        "mb_per_hour_from_24_to_48": round((rows[48]["peak_mb"] - rows[24]["peak_mb"]) / 24, 2),
    }


def flags_case(folder: Path) -> dict[str, Any]:
    """24 h of ECG, with the usual threshold and with half of everything flagged."""
    long = _ecg(folder, 24)
    return {
        "usual": score(_model(folder, "ecg"), [long], folder),
        "half": score(_model(folder, "ecg", window_rate=0.5), [long], folder),
    }


def sleep_case(folder: Path, data: Path | None) -> dict[str, Any] | None:
    """A night and a day of sleep EEG (sleep-edf SC4001), if it is there."""
    found = sorted(data.rglob("SC4001E0-PSG.edf")) if data else []
    if not found:
        return None
    model = folder / "sleep_model"
    step("fit", found[0], "eeg", "0:600", model)
    return {"score": score(model, found[:1], folder), "split": step("split", model, found[0])}


def eeg_case(folder: Path) -> dict[str, Any]:
    """24 h of 21 channels at 256 Hz."""
    model, long = _model(folder, "eeg"), folder / "eeg24.edf"
    if not long.exists():
        step("write", "eeg", "24", "0", long)
    return {"score": score(model, [long], folder), "split": step("split", model, long)}


def workers_case(folder: Path) -> dict[str, Any]:
    """Eight recordings of six hours with one and two workers."""
    model = _model(folder, "ecg")
    paths = [_ecg(folder, 6, seed) for seed in range(8)]
    rows = {n: score(model, paths, folder, "--workers", str(n)) for n in (1, 2)}
    return {"by_workers": rows, "speed_up": round(rows[1]["wall_s"] / rows[2]["wall_s"], 2)}


def _ecg(folder: Path, hours: int, seed: int = 0) -> Path:
    path = folder / f"ecg{hours}_{seed}.edf"
    if not path.exists():
        step("write", "ecg", str(hours), str(seed), path)
    return path


def _model(folder: Path, kind: str, window_rate: float | None = None) -> Path:
    model = folder / f"{kind}_model{'' if window_rate is None else f'_{window_rate:g}'}"
    if not model.exists():
        source = folder / f"{kind}_fit.edf"
        if not source.exists():
            step("write", kind, "0.25", "99", source)
        rate = [] if window_rate is None else [str(window_rate)]
        step("fit", source, kind, "0:600" if kind == "ecg" else "0:230", model, *rate)
    return model


def _earlier(path: Path | None) -> dict[str, Any]:
    """Return the cases of an earlier call, which those of this call replace one by one."""
    if path is None or not path.is_file():
        return {}
    earlier: dict[str, Any] = json.loads(path.read_text())
    return {name: earlier[name] for name in CASES if name in earlier}


def main() -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAREWAVE_DATA"), type=Path)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--folder", type=Path, help="keep the recordings here for the next time")
    parser.add_argument("--only", choices=CASES, nargs="+", default=CASES)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = _earlier(arguments.json) | {
            "protocol": __doc__,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": step("versions"),
        }
        cases = {
            "ecg": lambda: ecg_case(folder),
            "growth": lambda: growth_case(folder),
            "flags": lambda: flags_case(folder),
            "sleep": lambda: sleep_case(folder, arguments.data),
            "eeg": lambda: eeg_case(folder),
            "workers": lambda: workers_case(folder),
        }
        for name in arguments.only:
            load = [round(os.getloadavg()[0], 1)]
            found = cases[name]()
            if found is None:
                continue
            load.append(round(os.getloadavg()[0], 1))
            result[name] = found | {"load_before_and_after": load}
            print(name, json.dumps(result[name], indent=1), flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
