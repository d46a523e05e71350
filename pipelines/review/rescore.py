"""Score one recording of a run again, against a part of it that a reader confirmed as normal.

Only that recording's tables are replaced, as a whole, and ``status.jsonl`` says what it was
compared with; decisions stay in the review log and stay attached (see
:mod:`pipelines.review.segments`). Runs in a process of its own, ``python -m pipelines.review.rescore``,
which says on stdout how far it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import RarewaveError, RunError, describe_error
from pipelines.run_folder import RunFolder

Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)``."""
_STAGES = ("loading the model", "scoring the recording", "writing the tables")
_PATIENCE_S = 3600.0


def baseline_of(run: RunFolder, recording_id: str) -> tuple[float, float] | None:
    """Return the confirmed part ``(start_s, stop_s)`` a recording was scored against, or None."""
    return baselines_of(run, [recording_id])[recording_id]


def baselines_of(
    run: RunFolder, recording_ids: Iterable[str]
) -> dict[str, tuple[float, float] | None]:
    """Return :func:`baseline_of` each of some recordings, reading the run's books once."""
    of_run = run.manifest().get("baseline")
    known = {entry["recording_id"]: entry.get("baseline", of_run) for entry in run.status()}
    found = {name: known.get(name, of_run) for name in recording_ids}
    return {name: (float(p[0]), float(p[1])) if p else None for name, p in found.items()}


def rescore(
    run: RunFolder,
    recording_id: str,
    baseline: tuple[float, float] | None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a recording of a run again and return its new line of ``status.jsonl``.

    Parameters
    ----------
    run : RunFolder
    recording_id : str
        A recording that was scored in this run and has not changed since.
    baseline : tuple of float or None
        ``(start_s, stop_s)`` of what is normal for this patient; None: the model's own patients.
    progress : callable, optional

    Raises
    ------
    RunError
        If the model or the recording is missing or has changed, or cannot be scored so: too few
        usable windows in the baseline, for example. The tables are then as they were.
    """
    from pipelines import provenance
    from pipelines.batch.lock import locked
    from pipelines.batch.task import READER, Job, make_scorer
    from pipelines.inputs import InputRecording

    report = progress or (lambda stage, done, total: None)
    report(_STAGES[0], 0, len(_STAGES))
    manifest = run.manifest()
    model_path = Path(manifest["model"]["path"])
    found = provenance.model_hash(model_path)
    if found != manifest["model"]["sha256"]:
        raise RunError(
            f"the model {model_path.name} has changed since this run was scored; score the "
            "recordings again into a new run"
        )
    entry = next((e for e in manifest["inputs"] if e["recording_id"] == recording_id), None)
    if entry is None:
        raise RunError(f"recording {recording_id!r} is not in this run's run.json")
    recording = InputRecording.from_books(entry, run.declaration(recording_id))
    score = make_scorer(Job(model_path, found, run.path, baseline, "auto"))
    report(_STAGES[1], 1, len(_STAGES))
    with locked(run.path):
        status = score(recording)
        if status["state"] != "done":
            raise RunError(str(status["reason"]))
        report(_STAGES[2], 2, len(_STAGES))
        status["baseline_by"] = READER
        run.append_status(status)
    report("done", len(_STAGES), len(_STAGES))
    return status


def in_own_process(
    run: RunFolder,
    recording_id: str,
    baseline: tuple[float, float] | None,
    progress: Progress,
) -> None:
    """Do :func:`rescore` in a process of its own; see there.

    The caller's process stays free for others, and keeps the memory that a model takes.
    """
    given = {"run": str(run.path), "recording_id": recording_id, "baseline": baseline}
    command = [sys.executable, "-P", "-m", "pipelines.review.rescore", json.dumps(given)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        lines = child.stdout or ()
        reason = "the process that scored it ended without an answer; score it on the command line"
        for line in lines:
            said = json.loads(line)
            reason = said.get("error", reason)
            if "stage" in said:
                progress(said["stage"], said["done"], said["total"])
        if child.wait(_PATIENCE_S):
            raise RunError(reason)


def main(words: Sequence[str]) -> int:
    """Do what :func:`in_own_process` asks for; one line of JSON for each step."""

    def say(**fields: Any) -> None:
        print(json.dumps(fields), flush=True)  # noqa: T201

    given = json.loads(words[0])
    span = given["baseline"]
    try:
        rescore(
            RunFolder.open(given["run"]),
            given["recording_id"],
            None if span is None else (float(span[0]), float(span[1])),
            lambda stage, done, total: say(stage=stage, done=done, total=total),
        )
    except (RarewaveError, OSError, KeyError, ValueError) as error:
        say(error=describe_error(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
