"""Exports made from the screens: a folder in the run, and one file to download."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from pathlib import Path

from pipelines.errors import ExportError
from pipelines.exports import export_run
from pipelines.run_folder import RunFolder


def export(run: RunFolder, format: str, only: str) -> tuple[Path, bytes, str, int]:
    """Export into a new folder under ``RUN/exports``.

    Returns
    -------
    folder : pathlib.Path
    content : bytes
        The file, or a zip of all files where there are several.
    name : str
        What to call the download.
    n_files : int
    """
    moment = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S-%f")[:-3]
    folder = run.path / "exports" / f"{format}-{only}-{moment}"
    files = export_run(run.path, format, folder, only)
    if not files:
        raise ExportError(f"the export as {format} of '{only}' wrote no file")
    if len(files) == 1:
        return folder, files[0].read_bytes(), files[0].name, 1
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, Path(file).relative_to(folder).as_posix())
    return folder, buffer.getvalue(), f"rarewave-{run.path.name}-{format}-{only}.zip", len(files)
