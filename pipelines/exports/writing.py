"""Writing exports: whole files or none, and a note on where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from pipelines.errors import ExportError
from pipelines.exports.selection import Failures, Selection
from pipelines.review.rescore import baselines_of
from pipelines.run_folder import write_json

NOTICE: Final = "Research use only. Not a medical device."


def prepare_folder(path: Path) -> Path:
    """Create the folder to export into, or say why it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"cannot make the folder {path.name} ({error.strerror}); give another with --to"
        ) from error
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` if nothing is raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex}.part{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def origin(selection: Selection) -> dict[str, Any]:
    """Return what an export says about where it comes from; no path and no patient."""
    model = selection.manifest.get("model", {})
    return {
        "notice": NOTICE,
        "rarewave": version("rarewave"),
        "run": selection.run.path.name,
        "only": selection.only,
        "model": {
            "name": Path(str(model.get("path", ""))).name,
            "kind": model.get("kind"),
            "threshold": model.get("threshold"),
            "sha256": model.get("sha256"),
        },
        "baseline": selection.manifest.get("baseline"),
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_notice(
    selection: Selection, to: Path, format: str, files: Sequence[Path], failures: Failures
) -> Path:
    """Write ``rarewave-export-<format>.json`` beside the files it speaks of."""
    path = to / f"rarewave-export-{format}.json"
    content = {
        **origin(selection),
        "format": format,
        "files": [file.relative_to(to).as_posix() for file in files],
        "failed": failures.reasons,
        "reviews": asdict(selection.head),
        "signed_off": [n for n in selection.recording_ids if selection.states[n] == "final"],
        "baselines": {
            name: list(baseline)
            for name, baseline in baselines_of(selection.run, selection.recording_ids).items()
            if baseline is not None
        },
    }
    write_json(path, content)
    return path
