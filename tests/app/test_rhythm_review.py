"""A segment of rhythm on the review page, beside segments of beats."""

import numpy as np
import pandas as pd
import pyarrow as pa

from app import services
from pipelines.batch.task import as_arrow
from pipelines.rhythm.segments import segments_of
from pipelines.run_folder import SEGMENT_SCHEMA, WINDOW_SCHEMA, RunFolder, write_parquet
from pipelines.store import ReviewStore

NAME = "holter@30.000~rhythm"


def add_rhythm(run: RunFolder) -> None:
    """Write what scoring writes of the rhythm: one minute of three is flagged."""
    score = np.array([0.1, 7.0, 0.2])
    table = pd.DataFrame(
        {
            "recording_id": "holter",
            "patient_id": "patient of holter",
            "window_index": np.arange(3),
            "start_s": [0.0, 30.0, 60.0],
            "stop_s": [60.0, 90.0, 120.0],
            "center_s": [30.0, 60.0, 90.0],
            "log_prob": -score,
            "score": score,
            "p_value": [0.5, 0.005, 0.4],
            "flagged": score > 2,
            "scorable": True,
            "reason": None,
            "top_features": [[], ["rhythm_irregularity"], []],
            "top_channel": None,
            "rhythm_irregularity": score,
        }
    )
    fields = [*WINDOW_SCHEMA, pa.field("rhythm_irregularity", pa.float32())]
    folder = run.recording_folder("holter")
    write_parquet(folder / "rhythm.parquet", as_arrow(table, pa.schema(fields)))
    segments = segments_of(run.windows("holter"), table, 2.0)
    write_parquet(folder / "segments.parquet", as_arrow(segments, SEGMENT_SCHEMA))


def html(app) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


def test_a_rhythm_is_reviewed_like_any_segment(ecg_run, open_app):
    run = RunFolder.open(ecg_run.path)
    add_rhythm(run)
    app = open_app(ecg_run.path, recording="holter", segment=NAME)
    shown = html(app)
    assert "irregular intervals between beats" in shown
    assert "0:30.0 to 1:30.0" in shown
    app.button(key="rw_decide_accept").click().run()
    assert ReviewStore(run.reviews_path).latest()["holter", NAME].verdict == "accepted"
    assert not app.exception
    offered = services.sensitivities(run, "holter")
    strictest = offered[-1][0]
    latest = {d.segment_id: d for d in ReviewStore(run.reviews_path).latest().values()}
    kept = services.reviewed_segments(run, "holter", latest, strictest).set_index("segment_id")
    assert NAME in kept.index
    # three segments of beats and one of rhythm at the run's own threshold
    assert {value: count for value, _, count in offered}[2.0] == 4
    groups = services.groups(run, "holter", None)
    assert {NAME} in [set(group.segment_ids) for group in groups]
