"""The whole way on the sample recordings: fit, score, compare with labels, export."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipelines.batch import score_run
from pipelines.errors import InputError
from pipelines.evaluation import evaluate_run
from pipelines.exports import export_run
from pipelines.model import fit_model
from pipelines.model_folder import save_model
from pipelines.readers import read_recording
from pipelines.run_folder import RunFolder, write_json

Progress = Callable[[str, int, int], None]
EXPORTS = ("csv", "parquet", "edf", "html", "pdf")


@dataclass(frozen=True)
class Sample:
    """A sample recording, the event-free or unlabelled part to fit on, and its labels."""

    kind: Literal["ecg", "eeg"]
    recording: str
    fit_on_s: tuple[float, float]
    labels: str


SAMPLES = (
    Sample("ecg", "ecg_ahadb_0201.hea", (0, 300), "ecg_ahadb_0201_beats.csv"),
    Sample("eeg", "eeg_absence_480s.edf", (0, 230), "eeg_absence_480s_labels.csv"),
)


def sample_folder() -> Path:
    """Return the folder of the sample recordings, in a checkout or in an installed package."""
    here = Path(__file__).resolve().parent
    for folder in (here.parent / "sample_data", here / "sample_data"):
        if (folder / "SOURCES.md").is_file():
            return folder
    raise InputError("the sample recordings are not installed; run the demo from a checkout")


def run_demo(out: str | Path, progress: Progress | None = None) -> list[str]:
    """Fit, score and export every sample recording below `out`.

    Parameters
    ----------
    out : str or pathlib.Path
        Gets ``models/<kind>``, the run folder ``<kind>`` with its ``evaluation.json``, and
        ``exports/<kind>/<format>``. What an earlier demo left there is replaced; reviews stay.
    progress : callable, optional
        ``progress(stage, done, total)``.

    Returns
    -------
    list of str
        What was found against the labels, a line each.
    """
    folder, out = sample_folder(), Path(out).absolute()
    lines: list[str] = []
    for sample in SAMPLES:
        path = folder / sample.recording
        model_folder, run_folder = out / "models" / sample.kind, out / sample.kind
        model = fit_model(
            [read_recording(path)],
            sample.kind,
            baseline=sample.fit_on_s,
            progress=_named(sample.kind, progress),
        )
        shutil.rmtree(model_folder, ignore_errors=True)
        save_model(model, model_folder)
        score_run(model_folder, [path], run_folder, resume=False)
        result = evaluate_run(run_folder, folder / sample.labels)
        write_json(run_folder / "evaluation.json", result)
        lines += _found(sample, run_folder, result)
        for done, format_name in enumerate(EXPORTS, start=1):
            export_run(run_folder, format_name, out / "exports" / sample.kind / format_name)
            if progress is not None:
                progress(f"{sample.kind.upper()} exports", done, len(EXPORTS))
    return lines


def _named(kind: str, progress: Progress | None) -> Progress | None:
    if progress is None:
        return None
    return lambda stage, done, total: progress(f"{kind.upper()} {stage}", done, total)


def _found(sample: Sample, run_folder: Path, result: dict[str, Any]) -> list[str]:
    """Say in words what was found; the part that was fitted on does not count."""
    start_s, stop_s = sample.fit_on_s
    (recording_id,) = RunFolder.open(run_folder).recording_ids()
    segments = RunFolder.open(run_folder).segments(recording_id)
    later = int((segments["start_s"] >= stop_s).sum())
    head = (
        f"{sample.kind.upper()} {recording_id}, fitted on {start_s:g} to {stop_s:g} s: "
        f"{later} segments flagged after that"
    )
    pooled = result["pooled"]
    if sample.kind == "ecg":
        beats = pooled["classes"]["V"]
        return [
            head,
            f"  ventricular beats flagged: {beats['n_found']} of {beats['n']}; "
            f"AUROC against normal beats {pooled['auroc']:.4f} (random 0.5)",
            f"  normal beats flagged: {100 * pooled['false_positive_share']:.2f} %",
        ]
    events = pooled["events"]
    return [
        head,
        f"  absence seizures overlapped by a flagged segment: {events['n_found']} of "
        f"{events['n_events']}; other flagged segments: {events['n_false']}",
    ]
