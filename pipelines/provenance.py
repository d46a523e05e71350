"""What a result was made with: versions, machine, hashes of inputs and model."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import ModelError, RecordingError

if TYPE_CHECKING:
    from pipelines.recording import Recording

PACKAGES = (
    "rarewave",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pyarrow",
    "edfio",
    "wfdb",
    "mne",
    "pydicom",
)
"""Packages whose version can change a number."""
MODEL_MANIFEST = "manifest.json"
NO_SIGNAL = (".hea", ".atr", ".vhdr", ".vmrk", ".json", ".tsv")
"""Files of a recording that hold no samples."""
_BLOCK = 1 << 20
_SETTLED_S = 2.0


def versions() -> dict[str, str]:
    """Return the versions of Python and of every package that can change a number."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> dict[str, str]:
    """Return operating system and processor; nothing that names the computer or its user."""
    return {"system": platform.platform(), "processor": platform.machine()}


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, read block by block."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def file_marks(files: Iterable[Path]) -> dict[str, str | None]:
    """Return ``{file name: size and time of change}``, None for what cannot be told apart by it.

    Where the same is found again, the content is the same: of a file that was changed within the
    last seconds nothing is said, since it may change again within one tick of its clock.
    """
    marks: dict[str, str | None] = {}
    for path in files:
        try:
            status = path.stat()
        except OSError:
            marks[path.name] = None
        else:
            settled = time.time() - status.st_mtime > _SETTLED_S
            marks[path.name] = f"{status.st_size} {status.st_mtime_ns}" if settled else None
    return marks


def input_hashes(files: Iterable[Path]) -> dict[str, str]:
    """Return ``{file name: SHA-256}`` of the files that a recording consists of.

    Raises
    ------
    RecordingError
        If a file cannot be read.
    """
    hashes = {}
    for path in files:
        try:
            hashes[path.name] = sha256_of(path)
        except OSError as error:
            raise RecordingError(
                f"cannot read {path.name}: {error.strerror}; check that it has not been moved"
            ) from error
    return hashes


def signal_hash(recording: Recording) -> str:
    """Return what identifies the samples of a recording; see :func:`signal_hash_of`."""
    return signal_hash_of(input_hashes(recording.files))


def signal_hash_of(hashes: Mapping[str, str]) -> str:
    """Return a SHA-256 over the hashes of a recording's signal files.

    Names, headers and annotations kept in files of their own do not enter: a renamed copy is the
    same, and two records are not the same for want of annotations.

    Parameters
    ----------
    hashes : mapping of str to str
        As :func:`input_hashes` returns them.
    """
    signal = [digest for name, digest in hashes.items() if Path(name).suffix not in NO_SIGNAL]
    return hashlib.sha256(" ".join(signal or hashes.values()).encode()).hexdigest()


def model_files(model: str | Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a model, configuration included, as it was written."""
    manifest = json.loads((Path(model) / MODEL_MANIFEST).read_text("utf-8"))
    return {str(name): str(digest) for name, digest in manifest["sha256"].items()}


def model_hash(model: str | Path) -> str:
    """Return what identifies a model: the SHA-256 of its list of hashes, ``manifest.json``.

    Raises
    ------
    ModelError
        If the folder holds no such list.
    """
    try:
        return sha256_of(Path(model) / MODEL_MANIFEST)
    except OSError as error:
        raise ModelError(
            f"{model} is not a model folder (no {MODEL_MANIFEST}); make one with "
            "'rarewave fit INPUT --kind ecg|eeg --out MODEL'"
        ) from error
