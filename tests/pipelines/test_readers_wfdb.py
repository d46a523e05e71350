from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.errors import RecordingError
from pipelines.readers import read_recording

# Only the wfdb package's way of writing headers warns, not its way of reading them.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

SAMPLE = Path(__file__).parents[2] / "sample_data" / "ecg_ahadb_0201.hea"


@pytest.fixture
def record(tmp_path):
    """Write a record of 1000 samples and two leads with its annotations; return the header."""

    def write(name="r", fmt="16", n=1000, seed=0, **fields):
        generator = np.random.default_rng(seed)
        digital = generator.integers(-500, 500, (n, 2))
        digital[10, 0] = {"16": -32768, "212": -2048, "24": -(2**23), "80": -128}[fmt]
        if fmt == "80":
            digital[:, :] = np.clip(digital, -128, 127)
        wfdb.wrsamp(
            name,
            fs=250,
            units=["mV", "mV"],
            sig_name=["MLII", "V1"],
            d_signal=digital,
            fmt=[fmt, fmt],
            adc_gain=[200.0, 100.0],
            baseline=[0, 50],
            write_dir=str(tmp_path),
            **fields,
        )
        return tmp_path / f"{name}.hea", digital

    return write


def test_sample_equals_the_wfdb_package():
    recording = read_recording(SAMPLE)
    reference = wfdb.rdrecord(str(SAMPLE.with_suffix("")))
    assert recording.format == "WFDB"
    assert [(c.name, c.kind, c.sfreq, c.unit) for c in recording.channels] == [
        ("ECG", "ecg", 250.0, "V"),
        ("ECG-2", "ecg", 250.0, "V"),
    ]
    data = recording.read(["ECG", "ECG-2"], recording.pieces[0])
    np.testing.assert_array_equal(data, reference.p_signal.T * 1e-3)
    beats = [a for a in recording.annotations if a.is_beat]
    assert len(beats) == 2278
    assert sum(a.description == "V" for a in beats) == 114
    assert {p.suffix for p in recording.files} == {".hea", ".dat", ".atr"}


@pytest.mark.parametrize("suffix", [".hea", ".dat", ".atr", ""])
def test_a_record_may_be_named_by_any_of_its_files(suffix):
    named = SAMPLE.with_suffix(suffix)
    assert read_recording(str(named)).path == SAMPLE


def test_bare_names_may_hold_dots(record):
    path, _ = record()
    for old in (path, path.with_suffix(".dat")):
        text = old.read_bytes()
        old.with_name(f"night.1{old.suffix}").write_bytes(text.replace(b"r.dat", b"night.1.dat"))
    header = path.with_name("night.1.hea")
    header.write_text(header.read_text().replace("night.1.dat", "r.dat"))
    assert read_recording(path.with_name("night.1")).duration_s == 4


@pytest.mark.parametrize("fmt", ["16", "212", "24", "80"])
def test_missing_samples_are_nan_and_the_rest_volts(record, fmt):
    path, digital = record(fmt=fmt)
    recording = read_recording(path)
    data = recording.read(["MLII", "V1"], recording.pieces[0])
    wanted = np.stack([digital[:, 0] / 200e3, (digital[:, 1] - 50) / 100e3])
    missing = {"16": -32768, "212": -2048, "24": -(2**23), "80": -128}[fmt]
    wanted[np.equal(digital.T, missing)] = np.nan
    np.testing.assert_allclose(data, wanted, rtol=1e-12)
    assert np.isnan(data[0, 10])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_slice_is_the_slice_of_the_whole(record, data):
    fmt = data.draw(st.sampled_from(["16", "212", "24", "80"]))
    path, _ = record(fmt=fmt, n=data.draw(st.sampled_from([99, 100])))
    skews = data.draw(st.lists(st.integers(0, 3), min_size=2, max_size=2))
    lines = path.read_text().splitlines()
    for i, skew in enumerate(skews, 1):
        lines[i] = lines[i].replace(f" {fmt} ", f" {fmt}:{skew} ", 1)
    path.write_text("\n".join(lines))
    recording = read_recording(path)
    whole = recording.read(["MLII", "V1"], recording.pieces[0])
    a = data.draw(st.integers(0, 100))
    b = data.draw(st.integers(a, 110))
    part = recording.read(["V1", "MLII"], recording.pieces[0], a, b)
    np.testing.assert_array_equal(part, whole[::-1, a:b])


def test_skewed_signals_are_aligned(record):
    path, digital = record()
    path.write_text(path.read_text().replace(" 16 ", " 16:3 ", 1))
    recording = read_recording(path)
    data = recording.read(["MLII", "V1"], recording.pieces[0])
    np.testing.assert_allclose(data[0, 20:-3], digital[23:, 0] / 200e3)
    assert np.isnan(data[0, -3:]).all()
    np.testing.assert_allclose(data[1], (digital[:, 1] - 50) / 100e3)


def test_several_samples_a_frame_are_a_higher_rate(tmp_path):
    frames = np.arange(300, dtype="<i2").reshape(100, 3)  # two samples of I, one of RESP
    (tmp_path / "f.dat").write_bytes(frames.tobytes())
    (tmp_path / "f.hea").write_text(
        "f 2 100 100\nf.dat 16x2 1000/uV 16 0 0 0 0 I\nf.dat 16 10/NU 16 0 0 0 0 RESP\n"
    )
    recording = read_recording(tmp_path / "f")
    assert [(c.name, c.kind, c.sfreq, c.unit) for c in recording.channels] == [
        ("I", "ecg", 200.0, "V"),
        ("RESP", "resp", 100.0, "NU"),
    ]
    piece = recording.pieces[0]
    fast = frames[:, :2].ravel() * 1e-9
    np.testing.assert_allclose(recording.read(["I"], piece)[0], fast, rtol=1e-12)
    for a, b in ((0, 1), (1, 2), (1, 4), (7, 12), (199, 200)):
        np.testing.assert_array_equal(
            recording.read(["I"], piece, a, b), recording.read(["I"], piece)[:, a:b]
        )
    np.testing.assert_allclose(recording.read(["RESP"], piece)[0], frames[:, 2] / 10)


def test_segments_join_and_gaps_separate(record, tmp_path):
    first, one = record("s1", n=500)
    _, two = record("s2", n=300, seed=1)
    _, three = record("s3", n=200, seed=2)
    (tmp_path / "m.hea").write_text("m/5 2 250 1400\ns1 500\ns2 300\n~ 400\ns3 200\n~ 0\n")
    recording = read_recording(tmp_path / "m.hea")
    assert [(p.start_s, p.duration_s, p.stored_s) for p in recording.pieces] == [
        (0.0, 3.2, 0.0),
        (4.8, 0.8, 3.2),
    ]
    joined = recording.read(["V1"], recording.pieces[0])[0]
    np.testing.assert_allclose(joined, (np.r_[one[:, 1], two[:, 1]] - 50) / 100e3)
    np.testing.assert_array_equal(
        recording.read(["V1"], recording.pieces[0], 490, 510)[0], joined[490:510]
    )
    last = recording.read(["V1"], recording.pieces[1])[0]
    np.testing.assert_allclose(last, (three[:, 1] - 50) / 100e3)
    assert first in recording.files


def test_a_signal_absent_from_a_segment_is_nan_there(record, tmp_path):
    record("a", n=100)
    path, _ = record("b", n=50)
    path.write_text(path.read_text().replace("V1", "V5"))
    (tmp_path / "lay.hea").write_text(
        "lay 3 250 0\n~ 0 200/mV 0 0 0 0 0 MLII\n~ 0 200/mV 0 0 0 0 0 V1\n~ 0 200/mV 0 0 0 0 0 V5\n"
    )
    (tmp_path / "m.hea").write_text("m/3 3 250 150\nlay 0\na 100\nb 50\n")
    recording = read_recording(tmp_path / "m.hea")
    data = recording.read(["MLII", "V1", "V5"], recording.pieces[0])
    assert np.isnan(data[1, 100:]).all()
    assert np.isnan(data[2, :100]).all()
    assert np.isfinite(data[0, 11:100]).all()
    assert np.isfinite(data[1, :100]).all()
    assert np.isfinite(data[2, 100:]).all()


def test_a_signal_may_not_change_its_rate_between_segments(record, tmp_path):
    record("a", n=100)
    path, _ = record("b", n=50)
    path.write_text("b 1 250 50\nb.dat 16x2 200(0)/mV 16 0 0 0 0 MLII\n")
    (tmp_path / "m.hea").write_text("m/2 2 250 150\na 100\nb 50\n")
    with pytest.raises(RecordingError, match=r"'MLII' changes its sampling rate in segment b"):
        read_recording(tmp_path / "m.hea")


def test_annotations_are_beats_or_words(record, tmp_path):
    path, _ = record(base_datetime=datetime(2020, 5, 6, 7, 8, 9))
    wfdb.wrann(
        "r",
        "atr",
        np.array([10, 100, 250, 300, 500, 600, 700]),
        ["+", "N", "V", "[", "]", "~", '"'],
        aux_note=["(N", "", "", "", "", "", "patient moved"],
        fs=250,
        write_dir=str(tmp_path),
    )
    recording = read_recording(path)
    assert [(a.onset, a.duration, a.description, a.is_beat) for a in recording.annotations] == [
        (0.04, 3.96, "rhythm: N", False),
        (0.4, 0.0, "N", True),
        (1.0, 0.0, "V", True),
        (1.2, 0.8, "ventricular flutter or fibrillation", False),
        (2.0, 0.0, "end of ventricular flutter or fibrillation", False),
        (2.4, 0.0, "signal quality change", False),
        (2.8, 0.0, "patient moved", False),
    ]
    assert recording.start_time == datetime(2020, 5, 6, 7, 8, 9)


GOOD = "r 1 250 100\nr.dat 16 200 16 0 0 0 0 II\n"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "is empty"),
        ("# a comment\n", "valid WFDB header|describes no signal|holds no"),
        (GOOD.replace("r.dat", "gone.dat"), r"gone\.dat, which is not there"),
        (GOOD.replace("r.dat", "../secret"), "outside its own folder"),
        (GOOD.replace("r.dat", "/etc/passwd"), "outside its own folder"),
        (GOOD.replace("r.dat", "..\\secret"), "outside its own folder"),
        (GOOD.replace(" 100", " 9000000000000"), "r.dat is truncated.*and 200 are there"),
        (GOOD.replace(" 100\n", " 101\n"), "promises 202 bytes and 200 are there"),
        (GOOD.replace(" 100\n", "\n"), "does not say how many samples"),
        (GOOD.replace(" 100\n", " 0\n"), "0 samples a signal"),
        (GOOD.replace("r 1", "r 0"), "describes no signal"),
        (GOOD.replace("r 1", "r 7"), "announces 7 signals but describes 1"),
        (GOOD.replace("r 1", "r 999999999999"), "announces 999999999999 signals"),
        (GOOD.replace("250", "0"), "sampling rate"),
        (GOOD.replace("16 200", "8 200"), "format 8, which cannot be read in parts"),
        (GOOD.replace("16 200", "77 200"), "format 77"),
        (GOOD.replace("16 200", "16x0 200"), "samples a frame"),
        (GOOD.replace("16 200", "516 200"), "not the FLAC file"),
        ("r 1 250 100\nhello\n", "valid WFDB header|describes"),
        ("hello, this is a letter\n", "valid WFDB header"),
        ("r/2 1 250 100\na 50\nb 50\n", r"segment a\.hea, which is not there"),
        ("r/2 1 250 100\n../a 50\nb 50\n", "outside its own folder"),
        ("r/1 1 250 100\nr 100\n", "itself in segments"),
        ("r/2 1 250 100\n~ 50\n~ 50\n", "hold"),
    ],
)
def test_damaged_headers_are_refused_in_one_line(tmp_path, header, message):
    (tmp_path / "r.hea").write_text(header)
    (tmp_path / "r.dat").write_bytes(bytes(200))
    (tmp_path.parent / "secret").write_bytes(bytes(200))
    with pytest.raises(RecordingError, match=message) as caught:
        read_recording(tmp_path / "r.hea")
    assert "\n" not in str(caught.value)
    assert "r.hea" in str(caught.value) or "r.dat" in str(caught.value)


def test_segments_may_not_claim_another_length(record, tmp_path):
    record("a", n=100)
    (tmp_path / "m.hea").write_text("m/1 2 250 90\na 90\n")
    with pytest.raises(RecordingError, match="100 samples a signal, where 90 are needed"):
        read_recording(tmp_path / "m.hea")
    (tmp_path / "m.hea").write_text("m/2 2 250 100000000100\na 100\n~ 100000000000\n")
    with pytest.raises(RecordingError, match="ten years"):
        read_recording(tmp_path / "m.hea")


def test_damaged_annotations_are_refused_in_one_line(record):
    path, _ = record()
    path.with_suffix(".atr").write_bytes(b"\x00\xec\xff")
    with pytest.raises(RecordingError, match=r"annotation file r\.atr is damaged"):
        read_recording(path)


def test_a_signal_file_without_header_is_refused(tmp_path):
    (tmp_path / "x.dat").write_bytes(b"1234")
    with pytest.raises(RecordingError, match=r"no WFDB header x\.hea beside it"):
        read_recording(tmp_path / "x.dat")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_corruption_is_read_or_refused_but_never_crashes(tmp_path, data):
    header, marks = (
        bytearray(GOOD.encode()),
        bytearray(SAMPLE.with_suffix(".atr").read_bytes()[:60]),
    )
    for content in (header, marks):
        for _ in range(data.draw(st.integers(0, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "r.hea").write_bytes(bytes(header))
    (tmp_path / "r.atr").write_bytes(bytes(marks))
    (tmp_path / "r.dat").write_bytes(bytes(200))
    try:
        recording = read_recording(tmp_path / "r.hea")
    except RecordingError as error:
        assert "\n" not in str(error)
        return
    for piece in recording.pieces:
        for channel in recording.channels:
            assert recording.read([channel.name], piece).shape[1] == piece.n_samples(channel.sfreq)


@pytest.mark.parametrize("fmt", ["516", "524"])
def test_compressed_signals_are_read_from_the_middle(tmp_path, fmt):
    digital = np.random.default_rng(0).integers(-500, 500, (9000, 2))
    fields = {"adc_gain": [200.0, 200.0], "baseline": [0, 0], "write_dir": str(tmp_path)}
    names = {"sig_name": ["MLII", "V1"], "units": ["mV", "mV"]}
    wfdb.wrsamp("c", fs=250, d_signal=digital, fmt=[fmt, fmt], **names, **fields)
    recording = read_recording(tmp_path / "c.hea")
    (piece,) = recording.pieces
    for a, b in ((0, 9000), (4090, 4100), (8999, 9000)):
        read = recording.read(["V1", "MLII"], piece, a, b)
        np.testing.assert_allclose(read, digital[a:b, ::-1].T / 200e3)
