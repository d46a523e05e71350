"""What readers did is in every export: labels, bounds, added events, who, and a receipt."""

import csv
import json

import pyarrow.parquet as pq
import pytest

from pipelines.exports import EXPORT_FORMATS, export_run
from pipelines.store import Head, ReviewStore

SPANS = [(20.0, 24.0), (60.5, 61.5), (100.0, 101.0)]
HOSTILE = "<b>V</b>"


@pytest.fixture
def run(make_run, ecg_file):
    run = make_run({"night": ecg_file()}, SPANS, 120)
    store = ReviewStore(run.reviews_path)
    store.record("night", "night@20.000", "accepted", "", "kim", span=[20.0, 24.0])
    store.append("label", "kim", recording_id="night", segment_id="night@20.000", label=HOSTILE)
    place = {"recording_id": "night", "segment_id": "night@20.000"}
    store.append("bounds", "kim", **place, start_s=20.5, stop_s=23.25)
    store.append("added", "lee", recording_id="night", start_s=40.0, stop_s=41.0, label="S")
    store.append("sign_off", "kim", recording_id="night", n_segments=3, n_reviewed=1)
    return run


def test_tables_hold_label_bounds_origin_and_reader(run, tmp_path):
    (path, notice) = export_run(run.path, "csv", tmp_path / "out")
    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    assert [r["origin"] for r in rows] == ["flagged", "added", "flagged", "flagged"]
    first, added = rows[:2]
    assert (first["start_s"], first["stop_s"]) == ("20.5", "23.25")
    assert (first["found_start_s"], first["found_stop_s"]) == ("20.0", "24.0")
    assert (first["label"], first["reviewer"], first["verdict"]) == (HOSTILE, "kim", "accepted")
    assert (added["label"], added["reviewer"], added["verdict"]) == ("S", "lee", "accepted")
    said = json.loads(notice.read_text())
    assert said["signed_off"] == ["night"]
    receipt = Head.parse(notice.read_text())
    assert receipt.n_entries == 5 and ReviewStore(run.reviews_path).verify(receipt) == receipt
    (accepted, _) = export_run(run.path, "parquet", tmp_path / "accepted", "accepted")
    assert pq.read_table(accepted)["start_s"].to_pylist() == [20.5, 40.0]


@pytest.mark.parametrize("format", [f for f in EXPORT_FORMATS if f not in ("szcore", "pdf")])
def test_every_format_carries_label_and_added_event(run, tmp_path, format):
    files = export_run(run.path, format, tmp_path / "out")
    text = b"".join(f.read_bytes() for f in files[:-1]).decode("utf-8", "replace")
    if format == "parquet":
        text = str(pq.read_table(files[0]).to_pylist())
    shown = "&lt;b&gt;V&lt;/b&gt;" if format == "html" else HOSTILE
    assert shown in text
    assert format != "html" or HOSTILE not in text
    assert "added" in text or "a reader" in text
    assert "nan" not in text.lower().split()


def test_the_pdf_carries_them_too(run, tmp_path):
    from pypdf import PdfReader

    path = export_run(run.path, "pdf", tmp_path / "out")[0]
    text = " ".join(" ".join(page.extract_text() for page in PdfReader(path).pages).split())
    assert f"accepted, labelled {HOSTILE}" in text
    assert "accepted, labelled S, added by a reader" in text
    assert "Its review is signed off." in text
    assert "0:00:20.5 for 2.8 s" in text or "0:00:20.5 for 2.7 s" in text
