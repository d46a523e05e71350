"""A RUN folder: what scoring writes and what exports, evaluation and the dashboard read.

::

    RUN/
      run.json                                   provenance of the whole run
      status.jsonl                               one line per recording: done or quarantined
      reviews.sqlite                             what people decided (see pipelines.store)
      recordings/<recording_id>/windows.parquet  one row a window
      recordings/<recording_id>/segments.parquet one row a flagged segment
      recordings/<recording_id>/features.parquet the features behind each window, for audit
      recordings/<recording_id>/rhythm.parquet   one row a minute of an ECG's rhythm, if it is scored
      recordings/<recording_id>/drift.json       is it, as a whole, like the recordings of the fit?
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import RunError

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.readers.declaration import Declaration
    from pipelines.recording import Recording

DRIFT, RHYTHM = "drift.json", "rhythm"
WINDOW_SCHEMA = pa.schema(
    [
        pa.field("recording_id", pa.string(), nullable=False),
        pa.field("patient_id", pa.string(), nullable=False),
        pa.field("window_index", pa.int64(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("stop_s", pa.float64(), nullable=False),
        pa.field("center_s", pa.float64(), nullable=False),
        pa.field("log_prob", pa.float64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("p_value", pa.float64(), nullable=False),
        pa.field("flagged", pa.bool_(), nullable=False),
        pa.field("scorable", pa.bool_(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("top_features", pa.list_(pa.string()), nullable=False),
        pa.field("top_channel", pa.string()),
    ]
)
"""Columns of ``windows.parquet``. Not scorable: log_prob, score, p_value are NaN."""

SEGMENT_SCHEMA = pa.schema(
    [
        pa.field("recording_id", pa.string(), nullable=False),
        pa.field("patient_id", pa.string(), nullable=False),
        pa.field("segment_id", pa.string(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("stop_s", pa.float64(), nullable=False),
        pa.field("n_windows", pa.int64(), nullable=False),
        pa.field("peak_score", pa.float64(), nullable=False),
        pa.field("min_p_value", pa.float64(), nullable=False),
        pa.field("description", pa.string(), nullable=False),
        pa.field("top_features", pa.list_(pa.string()), nullable=False),
        pa.field("top_channel", pa.string()),
    ]
)
"""Columns of ``segments.parquet``."""


@dataclass(frozen=True)
class RunFolder:
    """Read access to a run, and atomic writes into it.

    Parameters
    ----------
    path : pathlib.Path
        The folder; it need not exist before the first write.
    """

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open an existing run; raise :class:`RunError` if `path` is none."""
        run = cls(Path(path).resolve())
        if not run.manifest_path.is_file():
            raise RunError(
                f"{path} is not a run folder (no run.json); make one with "
                "'rarewave score MODEL INPUT --out RUN'"
            )
        return run

    @property
    def manifest_path(self) -> Path:
        """Path of ``run.json``."""
        return self.path / "run.json"

    @property
    def reviews_path(self) -> Path:
        """Path of ``reviews.sqlite``."""
        return self.path / "reviews.sqlite"

    def manifest(self) -> dict[str, Any]:
        """Return the parsed ``run.json``."""
        try:
            manifest: dict[str, Any] = json.loads(self.manifest_path.read_text("utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise RunError(
                f"cannot read {self.manifest_path.name}: {error}; score again into a new folder"
            ) from error
        return manifest

    def status(self) -> list[dict[str, Any]]:
        """Return the last status line of each recording, in order of first appearance.

        A line has ``recording_id``, ``state`` ("done" or "quarantined") and ``reason``; a done one
        also ``n_windows``, ``n_flagged``, ``n_segments``, ``n_not_scorable``, ``duration_s``.
        """
        path = self.path / "status.jsonl"
        if not path.is_file():
            return []
        latest: dict[str, dict[str, Any]] = {}
        for line in path.read_text("utf-8").splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:  # a line cut short by a crash: the recording is redone
                continue
            latest[entry["recording_id"]] = entry
        return list(latest.values())

    def append_status(self, entry: Mapping[str, Any]) -> None:
        """Append one line to ``status.jsonl`` and flush it to disk."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "status.jsonl").open("a+b") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            cut_short = file.read(1) not in (b"", b"\n")  # by a crash: begin a line of our own
            file.write(b"\n" * cut_short + json.dumps(dict(entry)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def recording_ids(self) -> list[str]:
        """Return the scored recordings, in order of name."""
        folder = self.path / "recordings"
        return sorted(p.parent.name for p in folder.glob("*/segments.parquet"))

    def recording_folder(self, recording_id: str) -> Path:
        """Return the folder that holds one recording's tables."""
        return self.path / "recordings" / recording_id

    def windows(self, recording_id: str) -> pd.DataFrame:
        """Return ``windows.parquet`` of one recording."""
        return self._table(recording_id, "windows")

    def segments(self, recording_id: str) -> pd.DataFrame:
        """Return ``segments.parquet`` of one recording."""
        return self._table(recording_id, "segments")

    def features(self, recording_id: str) -> pd.DataFrame:
        """Return ``features.parquet``: one row a window, one column a feature, by window_index."""
        return self._table(recording_id, "features")

    def rhythm(self, recording_id: str) -> pd.DataFrame:
        """Return ``rhythm.parquet``: the windows of rhythm, with their features as columns behind.

        No rows where the rhythm was not scored: of an EEG, by a model without that part, in runs
        of earlier versions.
        """
        if not (self.recording_folder(recording_id) / f"{RHYTHM}.parquet").is_file():
            empty: pd.DataFrame = WINDOW_SCHEMA.empty_table().to_pandas()
            return empty
        return self._table(recording_id, RHYTHM)

    def drift(self, recording_id: str) -> dict[str, Any] | None:
        """Return ``drift.json``: whether the recording differs as a whole from those of the fit.

        See :func:`pipelines.domain.check_domain` for its fields. None in runs of earlier versions.
        """
        path = self.recording_folder(recording_id) / DRIFT
        if not path.is_file():
            return None
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found

    def source(self, recording_id: str) -> Path:
        """Return the path of the recording that was scored."""
        return Path(self._input(recording_id)["path"])

    def declaration(self, recording_id: str) -> Declaration | None:
        """Return what the manifest declared of a table of samples, or None."""
        return _declared(self._input(recording_id))

    def open_source(self, recording_id: str) -> Recording:
        """Open the recording that was scored, with what its manifest declared of it."""
        from pipelines.readers import read_recording

        entry = self._input(recording_id)
        return read_recording(entry["path"], declared=_declared(entry))

    def _input(self, recording_id: str) -> dict[str, Any]:
        for entry in self.manifest()["inputs"]:
            if entry["recording_id"] == recording_id:
                return dict(entry)
        raise RunError(f"recording {recording_id!r} is not in this run's run.json")

    def _table(self, recording_id: str, name: str) -> pd.DataFrame:
        path = self.recording_folder(recording_id) / f"{name}.parquet"
        if not path.is_file():
            raise RunError(f"recording {recording_id!r} has no {path.name} in {self.path.name}")
        import pandas as pd  # a quarter of a second that scoring in other processes does not need

        return pd.read_parquet(path)


def run_id_of(manifest: Mapping[str, Any]) -> str:
    """Return what tells a run from others wherever its folder lies: ``run_id`` of ``run.json``.

    Of runs of earlier versions, which have none: a hash of when they were begun, the model and the
    names of the recordings; scoring more into such a run keeps it.

    Raises
    ------
    RunError
        If there is nothing to tell it by.
    """
    stated = manifest.get("run_id")
    if isinstance(stated, str) and stated:
        return stated
    facts = [
        manifest.get("created"),
        manifest.get("model", {}).get("sha256"),
        sorted(str(entry.get("recording_id")) for entry in manifest.get("inputs", [])),
    ]
    if not facts[0]:
        raise RunError(
            "run.json does not say when the run was begun; score again into a new folder"
        )
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _declared(entry: Mapping[str, Any]) -> Declaration | None:
    from pipelines.readers.declaration import Declaration

    declared = entry.get("declared")
    return Declaration(declared["sfreq"], declared["units"]) if declared else None


@contextmanager
def replacing_folder(final: Path, staged: Path) -> Iterator[Path]:
    """Give `staged` to be filled; it takes the place of `final` as a whole if all goes well.

    Parameters
    ----------
    final : pathlib.Path
    staged : pathlib.Path
        A name on the same disk that is not in use; nothing is left there.
    """
    replaced = staged.with_suffix(".old")
    try:
        yield staged
        final.parent.mkdir(exist_ok=True)
        if final.exists():
            final.rename(replaced)
        staged.rename(final)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to a temporary name beside `path`, flush it to disk and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write `value` as readable JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write an Arrow table as Parquet, atomically."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomically(path, sink.getvalue().to_pybytes())


class ParquetParts:
    """Tables that come part by part, one row group each, in a folder that nobody reads yet.

    Parameters
    ----------
    folder : pathlib.Path
        Made on entering. On leaving, ``<name>.parquet`` is whole and flushed to disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> ParquetParts:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, name: str, part: pa.Table) -> None:
        """Append rows to a table; all parts have the columns of the first."""
        if name not in self._writers:
            path = self._folder / f"{name}.parquet"
            self._writers[name] = pq.ParquetWriter(path, part.schema, compression="zstd")
        self._writers[name].write_table(part)

    def __exit__(self, *error: object) -> None:
        for name, writer in self._writers.items():
            writer.close()
            with (self._folder / f"{name}.parquet").open("rb") as file:
                os.fsync(file.fileno())
