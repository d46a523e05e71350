"""Small run folders, written from the schemas and not by the scoring."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipelines.run_folder import (
    SEGMENT_SCHEMA,
    WINDOW_SCHEMA,
    RunFolder,
    write_json,
    write_parquet,
)

Spans = Sequence[tuple[float, float]]


def window_rows(recording_id: str, spans: Spans, duration_s: float) -> list[dict]:
    generator = np.random.default_rng(1)
    rows = []
    for i in range(int(duration_s)):
        flagged = any(a <= i < b for a, b in spans)
        scorable = flagged or i % 10 != 9
        rows.append(
            {
                "recording_id": recording_id,
                "patient_id": "Jane Doe",
                "window_index": i,
                "start_s": float(i),
                "stop_s": i + 1.0,
                "center_s": i + 0.5,
                "log_prob": -9.0 if scorable else np.nan,
                "score": float(6 * flagged + generator.normal()) if scorable else np.nan,
                "p_value": (0.002 if flagged else 0.4) if scorable else np.nan,
                "flagged": flagged,
                "scorable": scorable,
                "reason": None if scorable else "flat",
                "top_features": ["early", "width_change_lead2"] if flagged else [],
                "top_channel": "MLII" if flagged else None,
            }
        )
    return rows


def segment_rows(recording_id: str, spans: Spans) -> list[dict]:
    return [
        {
            "recording_id": recording_id,
            "patient_id": "Jane Doe",
            "segment_id": f"{recording_id}@{a:.3f}",
            "start_s": a,
            "stop_s": b,
            "n_windows": int(b - a) or 1,
            "peak_score": 6.25 + i,
            "min_p_value": 0.002,
            "description": "does not fit in width of the beat's main deflection",
            "top_features": ["early", "width_change_lead2"],
            "top_channel": "MLII",
        }
        for i, (a, b) in enumerate(spans)
    ]


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunFolder]:
    def make(
        sources: Mapping[str, Path], spans: Spans, duration_s: float, kind: str = "ecg"
    ) -> RunFolder:
        run = RunFolder(tmp_path / "run")
        inputs = []
        for recording_id, path in sources.items():
            folder = run.recording_folder(recording_id)
            for name, schema, rows in (
                ("windows", WINDOW_SCHEMA, window_rows(recording_id, spans, duration_s)),
                ("segments", SEGMENT_SCHEMA, segment_rows(recording_id, spans)),
            ):
                write_parquet(folder / f"{name}.parquet", pa.Table.from_pylist(rows, schema))
            inputs.append(
                {
                    "recording_id": recording_id,
                    "patient_id": "Jane Doe",
                    "path": str(path),
                    "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest()},
                }
            )
            run.append_status(
                {
                    "recording_id": recording_id,
                    "state": "done",
                    "reason": None,
                    "n_windows": int(duration_s),
                    "n_flagged": 0,
                    "n_segments": len(spans),
                    "n_not_scorable": 0,
                    "duration_s": duration_s,
                }
            )
        model = {"path": "/somewhere/MODEL", "kind": kind, "threshold": 4.0, "sha256": "ab" * 32}
        write_json(
            run.manifest_path,
            {"inputs": inputs, "model": model, "baseline": None, "versions": {"rarewave": "x"}},
        )
        return run

    return make


def ecg_like(n: int, sfreq: float, bpm: float = 72) -> np.ndarray:
    """Return digital samples of narrow spikes on a wandering line, 1 mV at 200 per mV."""
    t = np.arange(n) / sfreq
    phase = (t * bpm / 60) % 1
    beat = np.exp(-0.5 * ((phase - 0.5) / 0.012) ** 2) + 0.2 * np.exp(
        -0.5 * ((phase - 0.75) / 0.04) ** 2
    )
    return np.rint(200 * (beat + 0.1 * np.sin(2 * np.pi * 0.3 * t))).astype(int)


@pytest.fixture
def ecg_file(edf, signal, write) -> Callable[..., Path]:
    """Return a writer of two-minute EDF+C files with two leads and a slow channel."""

    def make(name: str = "night.edf", **fields) -> Path:
        n = 120
        lead = ecg_like(n * 250, 250).reshape(n, 250)
        ranges = {"unit": "mV", "physical": ("-10", "10"), "limits": ("-2000", "2000")}
        signals = [
            signal(n, 250, digital=lead, label="ECG MLII", **ranges),
            signal(n, 250, digital=-lead // 2, label="ECG V1", **ranges),
            signal(n, 10, seed=3, label="Resp", unit="", physical=("-1", "1")),
        ]
        given = {
            "reserved": "EDF+C",
            "starts": [f"+{i}" for i in range(n)],
            "texts": [(3, "+3.5\x152\x14calibration\x14")],
        }
        return write(edf(signals, **{**given, **fields}), name)

    return make
