"""A report in one HTML file: no script, nothing fetched, true to scale when printed on A4."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from pipelines.exports.report import READING, chapters, facts, quarantined, summary, time_text
from pipelines.exports.selection import Exporter, Failures, Selection
from pipelines.exports.writing import NOTICE, replacing


def exporter(format: str) -> Exporter:
    """Return the exporter; `format` is ``"html"``."""

    def export(selection: Selection, to: Path, failures: Failures) -> Sequence[Path]:
        path = to / "report.html"
        template = _environment().get_template("report.html.j2")
        stream = template.stream(
            notice=NOTICE,
            reading=READING,
            run=selection.run.path.name,
            n_recordings=len(selection.recording_ids),
            facts=facts(selection),
            quarantined=quarantined(selection),
            summary=summary(selection, failures),
            anchors={name: f"r{i}" for i, name in enumerate(selection.recording_ids, start=1)},
            chapters=chapters(selection, failures),
            written=datetime.now(UTC),
        )
        with replacing(path) as temporary:
            stream.dump(str(temporary), encoding="utf-8")
        return [path]

    return export


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipelines.exports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["path"] = path_data
    environment.filters["time"] = time_text
    return environment


def path_data(line: NDArray[np.float64]) -> str:
    """Return an SVG path through points in mm, in hundredths, each relative to the one before.

    Examples
    --------
    >>> path_data(np.array([[0.0, 1.0], [0.5, 1.25]]))
    'M0 100l50 25'
    """
    points = np.rint(line * 100).astype(int)
    steps = np.diff(points, axis=0)
    first = f"M{points[0, 0]} {points[0, 1]}"
    if not len(steps):
        return f"{first}h1"
    return first + "l" + " ".join(f"{x} {y}" for x, y in steps.tolist())
