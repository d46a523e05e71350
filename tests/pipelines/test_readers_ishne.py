"""ISHNE Holter files written here from the standard, read through the product."""

import json
import struct
from datetime import datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.cli import main
from pipelines.errors import RecordingError
from pipelines.readers import read_recording

N = 3000


def crc_ccitt(content):
    """CRC-16/CCITT-FALSE by its table, not by the shift register of the reader."""
    table = []
    for i in range(256):
        value = i << 8
        for _ in range(8):
            value = (value << 1) ^ (0x1021 if value & 0x8000 else 0)
        table.append(value & 0xFFFF)
    crc = 0xFFFF
    for byte in content:
        crc = ((crc << 8) & 0xFFFF) ^ table[(crc >> 8) ^ byte]
    return crc


assert crc_ccitt(b"123456789") == 0x29B1  # the published check value


@pytest.fixture
def ishne(tmp_path):
    """Write three leads at 200 Hz; return path and digital samples."""

    def write(
        name="h.ecg",
        codes=(6, 11, 0),
        nanovolts=(2500, 1000, 500),
        sfreq=200,
        n=N,
        variable=b"Jane",
    ):
        digital = np.random.default_rng(0).integers(-3000, 3000, (N, len(codes)))
        digital[7, 1] = -32768
        pad = (0,) * (12 - len(codes))
        head = struct.pack("<4i", len(variable), n, 522, 522 + len(variable))
        head += struct.pack("<h", 1) + b"Jane".ljust(40, b"\0") + b"Doe".ljust(40, b"\0")
        head += b"Jane-1970".ljust(20, b"\0") + struct.pack("<2h", 2, 1)
        head += struct.pack("<3h", 1, 2, 1970)  # born
        head += struct.pack("<3h", 24, 12, 2023) + struct.pack("<3h", 25, 12, 2023)
        head += struct.pack("<3h", 22, 30, 15) + struct.pack("<h", len(codes))
        head += struct.pack("<12h", *codes, *pad) + struct.pack("<12h", *(0,) * 12)
        head += struct.pack("<12h", *nanovolts, *pad) + struct.pack("<h", 0)
        head += b"digital".ljust(40, b"\0") + struct.pack("<h", sfreq)
        head += b"Dr Jane Who".ljust(80, b"\0") + bytes(80) + bytes(88)
        assert len(head) == 512
        head += variable
        path = tmp_path / name
        body = digital.astype("<i2").tobytes()
        path.write_bytes(b"ISHNE1.0" + struct.pack("<H", crc_ccitt(head)) + head + body)
        return path, digital

    return write


def test_leads_samples_and_start(ishne):
    path, digital = ishne()
    recording = read_recording(path)
    assert recording.format == "ISHNE"
    assert recording.start_time == datetime(2023, 12, 24, 22, 30, 15)
    assert [(c.name, c.kind, c.sfreq, c.unit) for c in recording.channels] == [
        ("II", "ecg", 200.0, "V"),
        ("V1", "ecg", 200.0, "V"),
        ("Unknown", "ecg", 200.0, "V"),
    ]
    read = recording.read(["Unknown", "II", "V1"], recording.pieces[0])
    scale = np.array([500e-9, 2500e-9, 1000e-9])[:, None]
    due = digital.T[[2, 0, 1]] * scale
    due[2, 7] = np.nan
    np.testing.assert_allclose(read, due)


def test_the_format_is_told_by_content_and_totals_are_understood(ishne):
    path, _ = ishne(name="holter.bin", n=3 * N)
    assert read_recording(path).duration_s == N / 200


def test_no_name_is_kept_or_shown(ishne, capsys):
    path, _ = ishne()
    assert "Jane" not in repr(vars(read_recording(path)))
    assert main(["info", str(path), "--json"]) == 0
    output = capsys.readouterr().out
    assert "Jane" not in output
    assert "1970" not in output
    assert json.loads(output)[0]["duration_s"] == N / 200


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(a=st.integers(0, N), b=st.integers(0, N), names=st.permutations(["II", "V1", "Unknown"]))
def test_a_slice_is_the_slice_of_the_whole(ishne, monkeypatch, a, b, names):
    monkeypatch.setattr("pipelines.readers.ishne.CHUNK_BYTES", 700)
    recording = read_recording(ishne()[0])
    whole = recording.read(names, recording.pieces[0])
    np.testing.assert_array_equal(recording.read(names, recording.pieces[0], a, b), whole[:, a:b])


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (14, struct.pack("<i", 2**31 - 1), "checksum"),
        (8, b"\0\0", "checksum"),
        (10, struct.pack("<i", 2**31 - 1), "block sizes"),
        (22, struct.pack("<i", 2**31 - 1), "block sizes"),
        (22, struct.pack("<i", -5), "block sizes"),
    ],
)
def test_a_header_that_cannot_be_true_is_refused(ishne, place, value, message):
    path, _ = ishne()
    content = bytearray(path.read_bytes())
    content[place : place + len(value)] = value
    path.write_bytes(bytes(content))
    with pytest.raises(RecordingError, match=message) as caught:
        read_recording(path)
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n": 2**31 - 1}, "truncated"),
        ({"n": N + 1}, "truncated"),
        ({"n": 0}, "number of samples"),
        ({"n": -1}, "number of samples"),
        ({"sfreq": 0}, "0 Hz"),
        ({"nanovolts": (2500, 0, 500)}, "0 nV"),
        ({"codes": (), "nanovolts": ()}, "number of leads"),
    ],
)
def test_numbers_that_do_not_fit_the_file_are_refused(ishne, fields, message):
    if fields.get("codes") == ():
        path, _ = ishne()
        content = bytearray(path.read_bytes())
        content[156:158] = bytes(2)
        content[8:10] = struct.pack("<H", crc_ccitt(content[10:526]))
        path.write_bytes(bytes(content))
    else:
        path, _ = ishne(**fields)
    with pytest.raises(RecordingError, match=message):
        read_recording(path)


@pytest.mark.parametrize("n_bytes", [0, 8, 300, 521])
def test_a_file_cut_within_its_header(ishne, n_bytes):
    path, _ = ishne()
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(RecordingError, match="no ISHNE" if n_bytes < 8 else "within its header"):
        read_recording(path)
