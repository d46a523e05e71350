"""A small run folder, written from the schemas: a real EDF and a real WFDB record under it."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import edfio
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipelines.run_folder import SEGMENT_SCHEMA, WINDOW_SCHEMA, RunFolder, write_json, write_parquet

REAL_MAIN = sys.modules["__main__"]
THRESHOLD = 2.0
EEG_NAMES = ("Fp1", "F3", "C3", "P3", "O1", "Fp2", "F4", "C4", "P4", "O2")


@pytest.fixture(autouse=True)
def _real_main() -> Iterator[None]:
    """Streamlit's AppTest leaves its script as ``__main__``; processes spawned later would run it."""
    yield
    sys.modules["__main__"] = REAL_MAIN


@dataclass(frozen=True)
class BuiltRun:
    """Where the run is, and the segments that were put into it."""

    path: Path
    segment_ids: dict[str, list[str]]


def write_edf(path: Path, seconds: int = 120, label: str = "EEG Fp1") -> Path:
    generator = np.random.default_rng(0)
    times = np.arange(seconds * 200) / 200
    labels = [label, *(f"EEG {name}" for name in EEG_NAMES[1:])]
    signals = [
        edfio.EdfSignal(
            30 * np.sin(2 * np.pi * 10 * times + i) + generator.normal(0, 5, len(times)),
            200,
            label=name,
            physical_dimension="uV",
        )
        for i, name in enumerate(labels)
    ]
    notes = [edfio.EdfAnnotation(30.0, 2.0, "<script>alert(1)</script> **eyes**")]
    edfio.Edf(signals, annotations=notes).write(path)
    return path


def write_wfdb(folder: Path, name: str = "holter", seconds: int = 120) -> Path:
    times = np.arange(seconds * 250) / 250
    beat = np.exp(-0.5 * ((times % 0.8 - 0.4) / 0.015) ** 2)
    digital = np.round(np.stack([beat, 0.5 * beat], axis=1) * 1000).astype("<i2")
    (folder / f"{name}.dat").write_bytes(digital.tobytes())
    header = folder / f"{name}.hea"
    header.write_text(
        f"{name} 2 250 {len(times)}\n"
        f"{name}.dat 16 1000/mV 16 0 0 0 0 MLII\n"
        f"{name}.dat 16 1000/mV 16 0 0 0 0 V1\n"
    )
    return header


def tables(recording_id: str, names: tuple[str, ...], seconds: int = 120):
    """Windows of 2 s every second: three flagged stretches, one that cannot be scored."""
    generator = np.random.default_rng(1)
    n = seconds - 1
    score = np.abs(generator.normal(0, 0.5, n))
    for first, height in ((20, 3.0), (60, 6.0), (90, 4.0)):
        score[first : first + 3] = height
    scorable = np.ones(n, dtype=bool)
    scorable[100:104] = False
    score[~scorable] = np.nan
    flagged = np.nan_to_num(score) > THRESHOLD
    windows = pd.DataFrame(
        {
            "recording_id": recording_id,
            "patient_id": f"patient of {recording_id}",
            "window_index": np.arange(n),
            "start_s": np.arange(n, dtype=float),
            "stop_s": np.arange(n) + 2.0,
            "center_s": np.arange(n) + 1.0,
            "log_prob": -score,
            "score": score,
            "p_value": np.where(scorable, np.where(flagged, 0.005, 0.4), np.nan),
            "flagged": flagged,
            "scorable": scorable,
            "reason": [None if ok else "flat signal on 8 of 10 channels" for ok in scorable],
            "top_features": [list(names[:3]) if f else [] for f in flagged],
            "top_channel": None,
        }
    )
    segments = pd.DataFrame(
        [
            {
                "recording_id": recording_id,
                "patient_id": f"patient of {recording_id}",
                "segment_id": f"{recording_id}@{first:.3f}",
                "start_s": float(first),
                "stop_s": first + 4.0,
                "n_windows": 3,
                "peak_score": height,
                "min_p_value": 0.005,
                "description": "does not fit in delta power",
                "top_features": list(names[:3]),
                "top_channel": None,
            }
            for first, height in ((20, 3.0), (60, 6.0), (90, 4.0))
        ]
    )
    features = pd.DataFrame(
        {
            "window_index": np.arange(n),
            **{x: generator.normal(size=n).astype(np.float32) for x in names},
        }
    )
    features.loc[60:62, names[0]] = 5.0
    return windows, segments, features


def arrow(table: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Keep NaN as NaN: the score columns are not nullable."""
    columns = [
        pa.array(table[f.name].tolist(), f.type, from_pandas=f.type == pa.string()) for f in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def write_recording(run: RunFolder, recording_id: str, names: tuple[str, ...]) -> list[str]:
    windows, segments, features = tables(recording_id, names)
    folder = run.recording_folder(recording_id)
    write_parquet(folder / "windows.parquet", arrow(windows, WINDOW_SCHEMA))
    write_parquet(folder / "segments.parquet", arrow(segments, SEGMENT_SCHEMA))
    write_parquet(folder / "features.parquet", pa.Table.from_pandas(features))
    run.append_status(
        {
            "recording_id": recording_id,
            "state": "done",
            "reason": None,
            "n_windows": len(windows),
            "n_flagged": int(windows["flagged"].sum()),
            "n_segments": len(segments),
            "n_not_scorable": int((~windows["scorable"]).sum()),
            "duration_s": 120.0,
        }
    )
    return list(segments["segment_id"])


def _hashes(path: Path) -> dict[str, str]:
    files = sorted(path.parent.glob(f"{path.stem}.*"))
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def write_manifest(run: RunFolder, kind: str, sources: dict[str, Path]) -> None:
    write_json(
        run.manifest_path,
        {
            "inputs": [
                {
                    "recording_id": recording_id,
                    "patient_id": f"patient of {recording_id}",
                    "path": str(path.resolve()),
                    "sha256": _hashes(path),
                }
                for recording_id, path in sources.items()
            ],
            "model": {"path": "m", "kind": kind, "threshold": THRESHOLD, "sha256": "0" * 64},
            "baseline": None,
            "versions": {"rarewave": "0.1.0"},
            "seed": 0,
            "device": "cpu",
            "timings": {"total_s": 1.5},
        },
    )


EEG_FEATURES = ("delta_median", "sharpness_median", "synchrony")
ECG_FEATURES = ("early", "width_change_lead1", "amplitude_change_lead2")


@pytest.fixture(scope="session")
def parts() -> SimpleNamespace:
    """The builders above, for tests that need only one of them."""
    return SimpleNamespace(write_edf=write_edf, tables=lambda: tables("x", EEG_FEATURES))


@pytest.fixture
def eeg_run(tmp_path: Path) -> BuiltRun:
    """Two scored EEG recordings and one that was set aside."""
    run = RunFolder(tmp_path / "eeg_run")
    sources = {name: write_edf(tmp_path / f"{name}.edf") for name in ("night_1", "night_2")}
    ids = {name: write_recording(run, name, EEG_FEATURES) for name in sources}
    run.append_status(
        {"recording_id": "broken", "state": "quarantined", "reason": "no EEG channel"}
    )
    write_manifest(run, "eeg", sources)
    return BuiltRun(run.path, ids)


@pytest.fixture
def ecg_run(tmp_path: Path) -> BuiltRun:
    """One scored ECG recording with two leads."""
    run = RunFolder(tmp_path / "ecg_run")
    source = write_wfdb(tmp_path)
    ids = {"holter": write_recording(run, "holter", ECG_FEATURES)}
    write_manifest(run, "ecg", {"holter": source})
    return BuiltRun(run.path, ids)


@pytest.fixture
def hostile_run(tmp_path: Path) -> BuiltRun:
    """A run whose recording, patient, reason and channel names are made to be misread."""
    name = "<img src=x onerror=alert(1)>"
    run = RunFolder(tmp_path / "hostile")
    source = write_edf(tmp_path / "hostile.edf", label="<b>x</b>")
    ids = {name: write_recording(run, name, ("<i>f</i>", "synchrony", "kurtosis_spread"))}
    bad = {"recording_id": "q", "state": "quarantined", "reason": "![x](http://example.org/x.png)"}
    run.append_status(bad)
    write_manifest(run, "eeg", {name: source})
    return BuiltRun(run.path, ids)


@pytest.fixture
def open_app(monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Run the app through its entry file, as Streamlit does."""
    from streamlit.testing.v1 import AppTest

    from app import RUN_VARIABLE, streamlit_app_path

    def start(path: Path, **parameters: str) -> AppTest:
        monkeypatch.setenv(RUN_VARIABLE, str(path))
        app = AppTest.from_file(str(streamlit_app_path()), default_timeout=30)
        for name, value in parameters.items():
            app.query_params[name] = value
        return app.run()

    return start
