import csv
from datetime import timedelta
from functools import partial

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipelines.exports import export_run
from pipelines.exports.tables import neutral
from pipelines.store import ReviewStore

SPANS = [(20.0, 24.0), (60.5, 61.5), (100.0, 101.0)]


@pytest.fixture
def run(make_run, ecg_file):
    run = make_run({"-night": ecg_file()}, SPANS, 120)
    store = ReviewStore(run.reviews_path)
    store.record("-night", "-night@20.000", "rejected", "", "kim")
    store.record("-night", "-night@20.000", "accepted", '=cmd|" /C calc"!A0', "@kim")
    store.record("-night", "-night@60.500", "rejected", "two\nlines, “quoted”", "lee")
    return run


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_holds_every_flagged_segment_with_its_last_decision(run, tmp_path):
    (path, _) = export_run(run.path, "csv", tmp_path / "out")
    first, second, third = rows(path)
    assert [r["start_s"] for r in (first, second, third)] == ["20.0", "60.5", "100.0"]
    assert [r["verdict"] for r in (first, second, third)] == ["accepted", "rejected", "undecided"]
    assert first["comment"] == '\'=cmd|" /C calc"!A0'
    assert first["reviewer"] == "'@kim"
    assert first["recording_id"] == "'-night"
    assert first["segment_id"] == "'-night@20.000"
    assert first["top_features"] == "early;width_change_lead2"
    assert first["peak_score"] == "6.25"
    assert second["comment"] == "two\nlines, “quoted”"
    decided = pd.Timestamp(first["decided_at"])
    assert decided.utcoffset() == timedelta(0)
    assert third["comment"] == third["decided_at"] == third["reviewer"] == ""


@pytest.mark.parametrize("format", ["csv", "parquet"])
@pytest.mark.parametrize(("only", "n"), [("accepted", 1), ("flagged", 3), ("all", 3)])
def test_the_choice_of_segments(run, tmp_path, format, only, n):
    files = export_run(run.path, format, tmp_path / "out", only)
    exact = partial(pd.read_csv, dtype={"score": object})  # text: some parsers are not exact
    read = exact if format == "csv" else pd.read_parquet
    assert len(read(files[0])) == n
    assert [f.name for f in files[:-1]] == [f"segments.{format}"] + (
        [f"windows.{format}"] if only == "all" else []
    )
    if only == "all":
        windows = read(files[1])
        assert len(windows) == 120
        assert windows["score"].isna().sum() == (~windows["scorable"]).sum() > 0
        pd.testing.assert_series_equal(
            windows["score"].astype(float), run.windows("-night")["score"], check_exact=True
        )


def test_parquet_keeps_types_and_text_as_it_is(run, tmp_path):
    (path, _) = export_run(run.path, "parquet", tmp_path / "out")
    table = pq.read_table(path)
    assert str(table.schema.field("decided_at").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("top_features").type).startswith("list<")
    first, _, third = table.to_pylist()
    assert first["comment"].startswith("=cmd")
    assert first["top_features"] == ["early", "width_change_lead2"]
    assert first["decided_at"].utcoffset() == timedelta(0)
    assert third["decided_at"] is None
    assert table.schema.metadata[b"notice"].startswith(b"Research use only")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_what_a_spreadsheet_would_run_is_neutralised(start):
    assert neutral(f"{start}1") == f"'{start}1"
    assert neutral(f"1{start}") == f"1{start}"


def test_a_run_without_segments_gives_a_table_with_columns_and_no_rows(
    make_run, ecg_file, tmp_path
):
    run = make_run({"quiet": ecg_file()}, [], 120)
    (path, _) = export_run(run.path, "csv", tmp_path / "out")
    assert rows(path) == []
    assert path.read_text().startswith("recording_id,patient_id,segment_id,")
    (path, _) = export_run(run.path, "parquet", tmp_path / "out")
    assert pq.read_table(path).num_rows == 0
