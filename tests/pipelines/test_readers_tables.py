"""Signal in CSV and Parquet files: rate and units are stated, never guessed."""

import json
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pipelines.errors import RecordingError
from pipelines.readers import read_recording
from pipelines.readers.declaration import Declaration

N = 1000


@pytest.fixture
def table(tmp_path):
    """Write columns as CSV or Parquet, with a sidecar; return the path."""

    def write(columns, suffix=".csv", name="t", *, sidecar=None, header=None, group=300):
        path = tmp_path / f"{name}{suffix}"
        if suffix == ".csv":
            rows = zip(*columns.values(), strict=True)
            text = (header or ",".join(columns)) + "\n"
            text += "".join(
                ",".join("" if v != v else repr(float(v)) for v in row) + "\n" for row in rows
            )
            path.write_text(text)
        else:
            parquet.write_table(pa.table(columns), path, row_group_size=group)
        if sidecar is not None:
            path.with_suffix(".json").write_text(json.dumps(sidecar))
        return path

    return write


def noise(seed=0):
    return np.round(np.random.default_rng(seed).normal(0, 1, N), 4)


def clock(sfreq=250.0, start=0.0):
    return start + np.arange(N) / sfreq


both = pytest.mark.parametrize("suffix", [".csv", ".parquet"])


@both
def test_a_sidecar_declares_rate_units_types_and_start(table, suffix):
    data = {"II": noise(0), "resp": noise(1), "note": noise(2)}
    data["II"][17] = np.nan
    sidecar = {
        "sfreq": 250,
        "units": "mV",
        "start_time": "2024-05-01T22:00:00",
        "channels": {"II": {}, "resp": {"unit": "a.u.", "type": "resp"}},
    }
    recording = read_recording(table(data, suffix, sidecar=sidecar))
    assert recording.format == {".csv": "CSV", ".parquet": "Parquet"}[suffix]
    assert recording.start_time == datetime(2024, 5, 1, 22)
    assert [(c.name, c.kind, c.sfreq, c.unit) for c in recording.channels] == [
        ("II", "ecg", 250.0, "V"),
        ("resp", "resp", 250.0, "a.u."),
    ]
    (piece,) = recording.pieces
    read = recording.read(["resp", "II"], piece)
    np.testing.assert_allclose(read, [data["resp"], data["II"] * 1e-3])
    assert np.isnan(read[1, 17])
    assert {file.suffix for file in recording.files} == {suffix, ".json"}


@both
def test_times_and_units_in_the_names_need_no_sidecar(table, suffix):
    data = {"time_s": clock(256, start=7.0), "EEG Fp1-REF [uV]": noise(), "T3 [uV]": noise(1)}
    recording = read_recording(table(data, suffix))
    assert [(c.name, c.label, c.kind, c.sfreq) for c in recording.channels] == [
        ("Fp1", "EEG Fp1-REF", "eeg", 256.0),
        ("T7", "T3", "eeg", 256.0),
    ]
    assert [(p.start_s, p.duration_s) for p in recording.pieces] == [(0, N / 256)]
    read = recording.read(["T7"], recording.pieces[0])
    np.testing.assert_allclose(read[0], data["T3 [uV]"] * 1e-6)


@both
def test_jumps_of_time_are_gaps(table, suffix, monkeypatch):
    monkeypatch.setattr("pipelines.readers.csv_rows.BLOCK_BYTES", 2000)
    times = clock(100)
    times[300:] += 5.0
    times[301:] += 0.01
    times[900:] += 60.0
    data = {"time_s": np.round(times, 3), "II [mV]": noise()}
    recording = read_recording(table(data, suffix))
    found = [(round(p.start_s, 6), round(p.stop_s, 6)) for p in recording.pieces]
    assert found == [(0, 3), (8, 8.01), (8.02, 14.01), (74.01, 75.01)]
    read = recording.read(["II"], recording.pieces[3], 2, 5)
    np.testing.assert_allclose(read[0], data["II [mV]"][902:905] * 1e-3)


@pytest.mark.parametrize("decimals", [3, 6])
@pytest.mark.parametrize("sfreq", [128.0, 256.0, 360.0, 1000 / 3, 62.5])
def test_rounded_times_give_the_rate_and_no_false_gap(table, sfreq, decimals, monkeypatch):
    monkeypatch.setattr("pipelines.readers.csv_rows.BLOCK_BYTES", 3000)
    data = {"time_s": np.round(clock(sfreq, start=3600.0), decimals), "II [mV]": noise()}
    recording = read_recording(table(data))
    assert recording.channels[0].sfreq == pytest.approx(sfreq, rel=2e-3)
    assert len(recording.pieces) == 1
    assert recording.pieces[0].n_samples(recording.channels[0].sfreq) == N


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    a=st.integers(0, N),
    b=st.integers(0, N),
    block=st.integers(200, 5000),
    suffix=st.sampled_from([".csv", ".parquet"]),
)
def test_a_slice_is_the_slice_of_the_whole(table, monkeypatch, a, b, block, suffix):
    monkeypatch.setattr("pipelines.readers.csv_rows.BLOCK_BYTES", block)
    data = {"I": noise(0), "II": noise(1)}
    recording = read_recording(table(data, suffix, sidecar={"sfreq": 250, "units": "V"}))
    (piece,) = recording.pieces
    np.testing.assert_array_equal(
        recording.read(["II", "I"], piece, a, b), np.stack([data["II"], data["I"]])[:, a:b]
    )


def test_a_manifest_may_declare_what_the_sidecar_does_not(table):
    path = table({"II": noise()}, sidecar={"units": "mV"})
    recording = read_recording(path, declared=Declaration(sfreq=500.0))
    assert recording.channels[0].sfreq == 500
    with pytest.raises(RecordingError, match="declares units 'mV' and the manifest 'V'"):
        read_recording(path, declared=Declaration(sfreq=500.0, units="V"))


@pytest.mark.parametrize("ending", ["", "\n", "\r\n\r\n", "\n\n\n"])
def test_lines_may_end_in_any_way(tmp_path, ending):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfII\r\n1\r\n2\r\n3" + ending.encode())
    path.with_suffix(".json").write_text('{"sfreq": 1, "units": "V"}')
    recording = read_recording(path)
    assert recording.read(["II"], recording.pieces[0]).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("text", "sidecar", "message"),
    [
        ("II\n1\n2\n", None, r'does not state its sampling rate; add .* \{"sfreq": 250'),
        ("II\n1\n2\n", {"sfreq": 250}, r"unit of its column 'II'.*'II \[mV\]'.*t\.json"),
        ("time_s,II\n0,1\n1,1\n", None, "unit of its column"),
        ("II\n1\n", {"sfreq": 0, "units": "V"}, "'0' as sfreq"),
        ("II\n1\n", {"sfreq": "250", "units": "V"}, "'250' as sfreq"),
        ("II\n1\n", {"sfreq": True, "units": "V"}, "'True' as sfreq"),
        ("II\n1\n", {"sfreq": 250, "unit": "V"}, "unknown key 'unit'; did you mean 'units'"),
        ("II\n1\n", {"channels": {"I": {}}}, "declares the channel 'I', which is no column"),
        ("II\n1\n", {"channels": {"II": {"type": "heart"}}}, "type 'heart'"),
        ("II\n1\n", {"start_time": "yesterday"}, "start_time"),
        ("II\n1\n", [], "must be a JSON object"),
        ("II\n", {"sfreq": 250, "units": "V"}, "no rows"),
        ("", {"sfreq": 250, "units": "V"}, "is empty"),
        ("I;II\n1;2\n", {"sfreq": 250, "units": "V"}, "not separated by commas"),
        ("II,II\n1,2\n", {"sfreq": 250, "units": "V"}, "equal names"),
        ("time_s\n1\n2\n", {"sfreq": 250, "units": "V"}, "no column of signal"),
        ("time_s,II\n0,1\n0,1\n", {"units": "V"}, "row 2 does not increase"),
        ("time_s,II\n0,1\n,1\n", {"units": "V"}, "row 2 is missing"),
        ("time_s,II\n0,1\n1e12,1\n1e12,2\n", {"units": "V", "sfreq": 1}, "does not increase"),
        ("time_s,II\n0,1\n1,1\n1e12,2\n", {"units": "V"}, "more than ten years"),
        ("time_s,II\n0,1\n", {"units": "V"}, "one row"),
        ("time_s,II\n0,1\nx,1\n", {"units": "V"}, r"hold text .*\(row 2\)"),
    ],
)
def test_what_a_table_must_state(tmp_path, text, sidecar, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    if sidecar is not None:
        path.with_suffix(".json").write_text(json.dumps(sidecar))
    with pytest.raises(RecordingError, match=message) as caught:
        read_recording(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("row", ["Jane", "1,2", "'1'", '"1"', ""])
def test_damaged_rows_are_told_when_read(tmp_path, row):
    path = tmp_path / "t.csv"
    path.write_text(f"II\n1\n{row}\n3\n")
    path.with_suffix(".json").write_text('{"sfreq": 1, "units": "V"}')
    recording = read_recording(path)
    if row == "":  # the same as an empty cell in a table of one column
        assert np.isnan(recording.read(["II"], recording.pieces[0])[0, 1])
        return
    with pytest.raises(RecordingError, match="rows 1 to 3") as caught:
        recording.read(["II"], recording.pieces[0])
    assert "Jane" not in str(caught.value)


def test_an_uneven_clock_is_refused_and_a_drifting_one_can_be_declared(table):
    times = clock(250) * 1.01
    times[500:] += 0.01 * clock(250)[:500]
    path = table({"time_s": times, "II [mV]": noise()})
    with pytest.raises(RecordingError, match=r"more than a row away from .* rows a second"):
        read_recording(path)


def test_a_table_larger_than_a_block_is_never_loaded_whole(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("II\n" + "0.123456\n" * 400_000)
    path.with_suffix(".json").write_text('{"sfreq": 100, "units": "V"}')
    recording = read_recording(path)
    seen = []
    parse = type(recording._rows)._parse
    monkeypatch.setattr(
        type(recording._rows),
        "_parse",
        lambda self, block, text, columns: (
            seen.append(len(text)) or parse(self, block, text, columns)
        ),
    )
    assert recording.read(["II"], recording.pieces[0], 200_000, 200_010).shape == (1, 10)
    assert len(seen) == 1
    assert max(seen) <= 600 << 10


def test_parquet_files_that_do_not_fit(tmp_path, table, monkeypatch):
    path = table(
        {"II": noise(), "who": ["Jane"] * N}, ".parquet", sidecar={"sfreq": 1, "units": "V"}
    )
    with pytest.raises(RecordingError, match="column 'who' holds string") as caught:
        read_recording(path)
    assert "Jane" not in str(caught.value)
    content = path.read_bytes()
    for damaged in (content[:-9], b"PAR1" + bytes(50), b""):
        path.write_bytes(damaged)
        with pytest.raises(RecordingError, match="no readable Parquet file"):
            read_recording(path)
    monkeypatch.setattr("pipelines.readers.parquet_rows.MOST_GROUP_BYTES", 1000)
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="row group"):
        read_recording(path)
