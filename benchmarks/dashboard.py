"""How fast the dashboard answers in a real Chromium: keys, pages, opening a long recording.

    python benchmarks/dashboard.py --json benchmarks/results/dashboard.json [--hours 24]

Fits and scores nothing: it writes an EDF of synthetic signal and the tables of a run over it, with
as many flagged segments as asked for, serves it, and measures from the key press to the moment at
which the canvas has been painted anew. The timings are of this machine, and of the load on it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pandas as pd

from pipelines.batch.task import as_arrow
from pipelines.merging import merge
from pipelines.run_folder import (
    SEGMENT_SCHEMA,
    WINDOW_SCHEMA,
    RunFolder,
    write_json,
    write_parquet,
)

SFREQ, BEAT_S = 128, 0.8
NAME = "holter"
WATCH = """() => {
  const clear = CanvasRenderingContext2D.prototype.clearRect;
  CanvasRenderingContext2D.prototype.clearRect = function (...all) {
    const label = this.canvas.getAttribute('aria-label') || '';
    if (label.startsWith('ECG')) window.painted = performance.now();
    return clear.apply(this, all);
  };
  document.addEventListener('keydown', () => { window.pressed = performance.now(); }, true);
}"""


def make_run(folder: Path, hours: float, n_segments: int) -> Path:
    """Write a two-lead recording of synthetic beats and the run over it."""
    n_times = round(hours * 3600 * SFREQ)
    times = np.arange(n_times) / SFREQ
    beat = np.exp(-0.5 * ((times % BEAT_S - 0.4) / 0.02) ** 2).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.02, n_times).astype(np.float32)
    leads = [(beat + noise) * 1000, (0.5 * beat - noise) * 1000]
    signals = [
        edfio.EdfSignal(lead, SFREQ, label=f"ECG {name}", physical_dimension="uV")
        for lead, name in zip(leads, ("MLII", "V1"), strict=True)
    ]
    source = folder / f"{NAME}.edf"
    edfio.Edf(signals).write(source)
    n = int(hours * 3600 / BEAT_S) - 2
    centers = 0.4 + BEAT_S * np.arange(n)
    scores = np.abs(np.random.default_rng(1).normal(0, 0.5, n))
    scores[np.linspace(5, n - 5, n_segments).astype(int)] = 6.0
    flagged = scores > 5
    windows = pd.DataFrame(
        {
            "recording_id": NAME,
            "patient_id": NAME,
            "window_index": np.arange(n),
            "start_s": centers - 0.24,
            "stop_s": centers + 0.39,
            "center_s": centers,
            "log_prob": -scores,
            "score": scores,
            "p_value": np.where(flagged, 0.001, 0.5),
            "flagged": flagged,
            "scorable": True,
            "reason": pd.Series([None] * n, dtype=object),
            "top_features": [["early"] if f else [] for f in flagged],
            "top_channel": pd.Series(["MLII"] * n, dtype=object),
        }
    )
    run = RunFolder(folder / "run")
    tables = run.recording_folder(NAME)
    rr = pd.DataFrame({"window_index": np.arange(n), "early": np.zeros(n, np.float32)})
    segments = merge(windows, 0.0)
    write_parquet(tables / "windows.parquet", as_arrow(windows, WINDOW_SCHEMA))
    write_parquet(tables / "segments.parquet", as_arrow(segments, SEGMENT_SCHEMA))
    write_parquet(tables / "features.parquet", as_arrow(rr))
    inputs = [{"recording_id": NAME, "patient_id": NAME, "path": str(source), "sha256": {}}]
    model = {"path": "synthetic", "kind": "ecg", "threshold": 5.0, "sha256": "0" * 64}
    write_json(run.manifest_path, {"inputs": inputs, "model": model, "baseline": None})
    run.append_status({"recording_id": NAME, "state": "done", "reason": None})
    return run.path


def serve(run: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the dashboard and return it with its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "app", str(run), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server, server.stdout.readline().strip().partition(": ")[2]


def key_times(page: Any, keys: list[str]) -> list[float]:
    """Return the milliseconds from each press to the last painting that follows it."""
    found = []
    for key in keys:
        page.evaluate("() => { window.painted = 0; }")
        page.keyboard.press(key)
        page.wait_for_function("() => window.painted > window.pressed", timeout=30_000)
        found.append(page.evaluate("() => window.painted - window.pressed"))
        page.wait_for_timeout(250)
    return found


def facts(values: list[float]) -> dict[str, float]:
    """Return the median, the 95th percentile and the number of measurements, milliseconds."""
    return {
        "median_ms": round(statistics.median(values), 1),
        "p95_ms": round(float(np.percentile(values, 95)), 1),
        "n": len(values),
    }


def measure(run: Path) -> dict[str, Any]:
    """Open the run in Chromium and measure."""
    from playwright.sync_api import sync_playwright

    server, address = serve(run)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(60_000)
            page.goto(address)
            page.locator(".rw-tiles").wait_for()
            started = time.monotonic()
            page.goto(f"{address}/review?recording={NAME}")
            page.locator(".rw-section", has_text="Segment 1 of").wait_for()
            page.locator("canvas[role=img]").nth(1).wait_for()
            opened = time.monotonic() - started
            page.wait_for_timeout(2000)
            page.evaluate(WATCH)
            key_times(page, ["ArrowRight"] * 3)  # the first are warm-up
            stepped = key_times(page, ["ArrowRight"] * 20)
            decided = key_times(page, ["a", "x", "u", "z"] * 4)
            turned = key_times(page, ["Shift+ArrowRight"] * 10)
            browser.close()
        return {
            "open_s": round(opened, 2),
            "next_segment": facts(stepped),
            "decision": facts(decided),
            "half_a_page": facts(turned),
        }
    finally:
        server.terminate()
        server.wait(20)


def main() -> None:
    """Measure a short recording with few segments and a long one with many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--hours", type=float, default=24.0)
    given = parser.parse_args()
    result: dict[str, Any] = {
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "load_average": os.getloadavg()[0],
    }
    for name, hours, n in (("short", 0.5, 100), ("long", given.hours, 10_000)):
        with tempfile.TemporaryDirectory() as folder:
            run = make_run(Path(folder), hours, n)
            result[name] = {"hours": hours, "segments": n, **measure(run)}
            print(name, json.dumps(result[name]))
    result["load_average_after"] = os.getloadavg()[0]
    if given.json:
        write_json(given.json, result)


if __name__ == "__main__":
    main()
