"""BrainVision files written here from the format's description, read through the product."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.errors import RecordingError
from pipelines.readers import read_recording

CHANNELS = (("EEG Fp1-REF", 0.1, "µV"), ("t4", 0.5, "µV"), ("ECG", 1.0, "mV"), ("Temp", 2.0, "C"))
TYPES = {"INT_16": "<i2", "INT_32": "<i4", "IEEE_FLOAT_32": "<f4"}


@pytest.fixture
def brainvision(tmp_path):
    """Write a recording of 1000 samples at 250 Hz; return header and digital samples."""

    def write(form="INT_16", order="MULTIPLEXED", n=1000, folder=tmp_path, name="b", **lines):
        digital = np.random.default_rng(0).integers(-3000, 3000, (len(CHANNELS), n))
        stored = digital if order == "VECTORIZED" else digital.T
        (folder / f"{name}.eeg").write_bytes(
            np.ascontiguousarray(stored).astype(TYPES[form]).tobytes()
        )
        markers = lines.pop("markers", "Mk1=New Segment,,1,1,0,20240102030405000000")
        (folder / f"{name}.vmrk").write_text(
            "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\n"
            f"Codepage=UTF-8\nDataFile={name}.eeg\n[Marker Infos]\n{markers}\n",
            encoding="utf-8",
        )
        common = {
            "DataFile": f"{name}.eeg",
            "MarkerFile": f"{name}.vmrk",
            "DataFormat": "BINARY",
            "DataOrientation": order,
            "NumberOfChannels": str(len(CHANNELS)),
            "SamplingInterval": "4000",
            "DataPoints": str(n),
            **lines,
        }
        text = "Brain Vision Data Exchange Header File Version 1.0\n"
        text += "; Data created by Jane Doe\n[Common Infos]\nCodepage=UTF-8\n"
        text += "".join(f"{key}={value}\n" for key, value in common.items() if value is not None)
        text += f"[Binary Infos]\nBinaryFormat={form}\n[Channel Infos]\n"
        for i, (label, resolution, unit) in enumerate(CHANNELS, start=1):
            text += f"Ch{i}={label},,{resolution},{unit}\n"
        text += "[Comment]\nPatient: Jane Doe\nDataFile=../nowhere\n"
        path = folder / f"{name}.vhdr"
        path.write_text(text, encoding="utf-8")
        return path, digital

    return write


@pytest.mark.parametrize("order", ["MULTIPLEXED", "VECTORIZED"])
@pytest.mark.parametrize("form", TYPES)
def test_samples_are_volts_or_the_unit_of_the_file(brainvision, form, order):
    path, digital = brainvision(form, order)
    recording = read_recording(path)
    assert recording.format == "BrainVision"
    assert [(c.name, c.kind, c.unit) for c in recording.channels] == [
        ("Fp1", "eeg", "V"),
        ("T8", "eeg", "V"),
        ("ECG", "ecg", "V"),
        ("Temp", "misc", "C"),
    ]
    assert recording.start_time == datetime(2024, 1, 2, 3, 4, 5)
    (piece,) = recording.pieces
    data = recording.read(["Temp", "Fp1", "T8", "ECG"], piece)
    scale = np.array([2.0, 0.1e-6, 0.5e-6, 1e-3])[:, None]
    np.testing.assert_allclose(data, digital[[3, 0, 1, 2]] * scale, rtol=1e-6)
    assert {file.suffix for file in recording.files} == {".vhdr", ".eeg", ".vmrk"}
    assert "Jane" not in repr(vars(recording)) + repr(vars(recording._raw))


def test_segments_with_dates_are_gaps_and_marks_move_with_them(brainvision):
    path, digital = brainvision(
        markers="Mk1=New Segment,,1,1,0,20240102030405000000\n"
        "Mk2=Stimulus,S  1,101,1,0\n"
        "Mk3=New Segment,,501,1,0,20240102030417000000\n"
        "Mk4=Comment,seizure,526,250,0\n"
        "Mk5=New Segment,,751,1,0\n"
    )
    recording = read_recording(path)
    assert [(p.start_s, p.duration_s) for p in recording.pieces] == [(0, 2), (12, 1), (13, 1)]
    assert recording.gaps == ((2.0, 12.0),)
    data = recording.read(["Fp1"], recording.pieces[1], 3, 9)
    np.testing.assert_allclose(data[0], digital[0, 503:509] * 1e-7)
    assert [(a.onset, a.duration, a.description) for a in recording.annotations] == [
        (0.4, 0.004, "Stimulus/S  1".replace("  ", " ")),
        (12.1, 1.0, "Comment/seizure"),
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(a=st.integers(0, 500), b=st.integers(0, 500), order=st.permutations(["Fp1", "T8", "ECG"]))
def test_a_slice_is_the_slice_of_the_whole(brainvision, monkeypatch, a, b, order):
    monkeypatch.setattr("pipelines.readers.mne_recording.CHUNK_BYTES", 1000)
    path, _ = brainvision(markers="Mk1=New Segment,,1,1,0,0\nMk2=New Segment,,501,1,0,0")
    recording = read_recording(path)
    for piece in recording.pieces:
        whole = recording.read(order, piece)
        np.testing.assert_array_equal(recording.read(order, piece, a, b), whole[:, a:b])


def test_a_side_file_stands_for_its_header(brainvision):
    path, _ = brainvision()
    for suffix in (".eeg", ".vmrk"):
        assert read_recording(path.with_suffix(suffix)).path == path


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"DataFile": "../secret.eeg"}, "outside its own folder"),
        ({"DataFile": "/etc/passwd"}, "outside its own folder"),
        ({"DataFile": "..\\secret.eeg"}, "outside its own folder"),
        ({"DataFile": "gone.eeg"}, r"data file gone\.eeg, which is not there"),
        ({"DataFile": "link.eeg"}, "is a link"),
        ({"DataFile": ""}, "DataFile"),
        ({"DataFile": "b.eeg\n DataFile = ../secret"}, "2 entries DataFile"),
        ({"MarkerFile": "../secret.vmrk"}, "outside its own folder"),
        ({"MarkerFile": "gone.vmrk"}, "marker file"),
        ({"NumberOfChannels": "999999999"}, "accepted are 1 to 4096"),
        ({"DataFormat": "ASCII"}, "export it as binary"),
        ({"DataPoints": "1001"}, "truncated"),
        ({"DataPoints": None, "NumberOfChannels": "3"}, "truncated"),
        ({"SamplingInterval": "0"}, "cannot read"),
        ({"SamplingInterval": None}, "cannot read"),
        ({"order": "VECTORIZED", "DataPoints": "900"}, "place of each channel"),
    ],
)
def test_what_a_header_may_not_say(brainvision, tmp_path, lines, message):
    path, _ = brainvision(**lines)
    (tmp_path.parent / "secret.eeg").write_bytes(b"secret" * 1000)
    (tmp_path / "link.eeg").symlink_to(tmp_path.parent / "secret.eeg")
    with pytest.raises(RecordingError, match=message) as caught:
        read_recording(path)
    assert "Jane" not in str(caught.value)


def test_damaged_headers_are_refused_or_read_never_crash(brainvision):
    path, _ = brainvision()
    content = path.read_bytes()
    generator = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(content)
        for place in generator.integers(0, len(content), 3):
            damaged[place] = generator.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            recording = read_recording(path)
            recording.read([recording.channels[0].name], recording.pieces[0], 0, 10)
        except RecordingError as error:
            assert "\n" not in str(error)
