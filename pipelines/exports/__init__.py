"""Exports: one small module a format, all reached through :func:`export_run`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.errors import ExportError
from pipelines.remote.address import refuse_url

if TYPE_CHECKING:
    from pipelines.exports.selection import Exporter

_MODULES: Final = {
    "csv": "tables",
    "parquet": "tables",
    "edf": "edf",
    "wfdb": "wfdb",
    "bids": "bids",
    "szcore": "szcore",
    "html": "html",
    "pdf": "pdf",
    "fhir": "fhir",
}
EXPORT_FORMATS: Final[tuple[str, ...]] = tuple(_MODULES)
"""Accepted values of `format`."""
EXPORT_ONLY: Final[tuple[str, ...]] = ("accepted", "flagged", "all")
"""Accepted values of `only`."""


def export_run(
    run: str | Path,
    format: str,
    to: str | Path,
    only: str = "flagged",
    *,
    reviews: str | None = None,
) -> tuple[Path, ...]:
    """Write the segments of a run, with what people decided about them, in another format.

    Parameters
    ----------
    run : str or pathlib.Path
        A run folder, as scoring writes it.
    format : str
        One of :data:`EXPORT_FORMATS`.
    to : str or pathlib.Path
        Folder to write into; created. A file of the same name is replaced at once or, if the
        export fails, not at all.
    only : str
        ``"flagged"``: every flagged segment, whatever was decided about it. ``"accepted"``: those
        whose last decision is "accepted". ``"all"``: tables also get every window, flagged or
        not; other formats as ``"flagged"``.
    reviews : str, optional
        URL of the PostgreSQL database with the review log, by default that of the environment
        variable ``RAREWAVE_REVIEWS_URL``; without one the log is ``reviews.sqlite`` in the run.

    Returns
    -------
    tuple of pathlib.Path
        Every file written; the last one, ``rarewave-export-<format>.json``, says from what.

    Raises
    ------
    ExportError
        If `format` or `only` is unknown, nothing was scored, or some recordings failed. In the
        last case all others were exported, and the error names those that were not.
    RunError
        If `run` is not a run folder or is damaged.
    ReviewError
        If its review log is damaged or cannot be reached.
    """
    if format not in EXPORT_FORMATS:
        raise ExportError(
            f"unknown export format {format!r}; accepted: {', '.join(EXPORT_FORMATS)}"
        )
    if only not in EXPORT_ONLY:
        raise ExportError(
            f"unknown choice {only!r} of segments; accepted: {', '.join(EXPORT_ONLY)}"
        )
    refuse_url(to, "--to")
    from pipelines.exports.selection import Failures, Selection
    from pipelines.exports.writing import prepare_folder, write_notice

    selection = Selection.of(run, only, reviews)
    folder = prepare_folder(Path(to))
    exporter: Exporter = import_module(f"pipelines.exports.{_MODULES[format]}").exporter(format)
    failures = Failures()
    files = list(exporter(selection, folder, failures))
    files.append(write_notice(selection, folder, format, files, failures))
    failures.raise_if_any(format, len(selection.recording_ids))
    return tuple(files)
