"""FIF files written by MNE, read through the product."""

import struct
from datetime import UTC, datetime, timedelta

import mne
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.errors import RecordingError
from pipelines.readers import read_recording

START = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
KINDS = {"EEG Fp1-REF": "eeg", "T4": "eeg", "MLII": "ecg", "Grip": "misc"}


@pytest.fixture
def fif(tmp_path):
    """Write 4000 samples at 200 Hz; return path and data."""

    def write(name="f_raw.fif", *, skip=None, first_samp=0, **options):
        info = mne.create_info(list(KINDS), 200.0, list(KINDS.values()))
        info["subject_info"] = {"last_name": "Doe", "first_name": "Jane", "his_id": "Jane-1970"}
        info["experimenter"] = "Dr Jane Who"
        data = np.random.default_rng(0).normal(0, 5e-5, (len(KINDS), 4000))
        raw = mne.io.RawArray(data, info, first_samp=first_samp, verbose="ERROR")
        raw.set_meas_date(START)
        zero = first_samp / 200
        marks = [[zero + 1.0, 0.5, "seizure"], *([[*skip, "BAD_ACQ_SKIP"]] if skip else [])]
        raw.set_annotations(mne.Annotations(*zip(*marks, strict=True), orig_time=START))
        raw.info["bads"] = ["T4"]
        raw.save(tmp_path / name, verbose="ERROR", fmt="double", **options)
        return tmp_path / name, data

    return write


def test_channels_samples_start_and_marks(fif):
    path, data = fif(first_samp=400)
    recording = read_recording(path)
    assert recording.format == "FIF"
    assert [(c.name, c.kind, c.unit, c.is_bad) for c in recording.channels] == [
        ("Fp1", "eeg", "V", False),
        ("T8", "eeg", "V", True),
        ("MLII", "ecg", "V", False),
        ("Grip", "misc", "", False),
    ]
    assert [c.name for c in recording.of_kind("eeg")] == ["Fp1"]
    assert recording.start_time == START + timedelta(seconds=2)
    assert [(a.onset, a.duration, a.description) for a in recording.annotations] == [
        (1.0, 0.5, "seizure")
    ]
    read = recording.read(["MLII", "T8", "Fp1"], recording.pieces[0])
    np.testing.assert_allclose(read, data[[2, 1, 0]], rtol=1e-12)


def test_no_name_is_kept(fif):
    path, _ = fif()
    recording = read_recording(path)
    assert "Jane" not in repr(vars(recording)) + repr(dict(recording._raw.info))


def test_a_pause_is_a_gap(fif):
    path, data = fif(skip=(5.0, 2.5), first_samp=400, buffer_size_sec=0.5)
    recording = read_recording(path)
    assert [(p.start_s, p.stop_s) for p in recording.pieces] == [(0.0, 3.0), (5.5, 20.0)]
    assert [a.description for a in recording.annotations] == ["seizure"]
    read = recording.read(["Fp1"], recording.pieces[1], 0, 40)
    np.testing.assert_allclose(read[0], data[0, 1100:1140])


def test_split_files_are_one_recording(fif, tmp_path):
    path, data = fif()
    raw = mne.io.read_raw_fif(path, verbose="ERROR")
    long = mne.concatenate_raws([raw.copy() for _ in range(18)], verbose="ERROR")
    long.set_annotations(None)
    split = tmp_path / "s_raw.fif"
    long.save(split, split_size="2MB", buffer_size_sec=1.0, verbose="ERROR", fmt="double")
    recording = read_recording(split)
    names = [file.name for file in recording.files]
    assert names == ["s_raw.fif", "s_raw-1.fif", "s_raw-2.fif"]
    (piece,) = recording.pieces
    np.testing.assert_allclose(recording.read(["Fp1"], piece)[0], np.tile(data[0], 18))
    second = split.with_name("s_raw-1.fif")
    content = second.read_bytes()
    second.unlink()
    with pytest.raises(RecordingError, match=r"next part s_raw-1\.fif, which is not there"):
        read_recording(split)
    elsewhere = tmp_path.parent / "elsewhere.fif"
    elsewhere.write_bytes(content)
    second.symlink_to(elsewhere)
    with pytest.raises(RecordingError, match="is a link"):
        read_recording(split)
    for name, message in (
        (b"../elsewher", "outside its own folder"),
        (b"s_raw.fif\0\0", "one of the parts before it"),
    ):
        text = split.read_bytes()
        split.write_bytes(text.replace(b"s_raw-1.fif", name))
        with pytest.raises(RecordingError, match=message):
            read_recording(split)
        split.write_bytes(text)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(a=st.integers(0, 4000), b=st.integers(0, 4000))
def test_a_slice_is_the_slice_of_the_whole(fif_open, monkeypatch, a, b):
    monkeypatch.setattr("pipelines.readers.mne_recording.CHUNK_BYTES", 4000)
    for piece in fif_open.pieces:
        whole = fif_open.read(["MLII", "Fp1"], piece)
        np.testing.assert_array_equal(fif_open.read(["MLII", "Fp1"], piece, a, b), whole[:, a:b])


@pytest.fixture
def fif_open(fif):
    return read_recording(fif(skip=(3.0, 2.5), buffer_size_sec=0.5, overwrite=True)[0])


def test_damaged_files_are_refused_in_words(fif):
    path, _ = fif()
    content = path.read_bytes()
    huge = bytearray(content)
    struct.pack_into(">i", huge, 56 + 8, 2**31 - 1)
    hidden = bytearray(content)
    struct.pack_into(">i", hidden, 36 + 16, 1000)
    for changed, message in (
        (bytes(hidden), "directory does not fit its tags"),
        (b"", "is empty"),
        (b"Dear colleague, Jane Doe" * 9, "not a FIF file"),
        (content[:-2000], "truncated"),
        (content[:3000], "truncated"),
        (bytes(huge), "truncated or damaged"),
    ):
        path.write_bytes(changed)
        with pytest.raises(RecordingError, match=message) as caught:
            read_recording(path)
        assert "Jane" not in str(caught.value)


def test_a_file_without_a_continuous_recording_is_refused(tmp_path):
    info = mne.create_info(["Fp1"], 200.0, "eeg")
    epochs = mne.EpochsArray(np.zeros((2, 1, 200)), info, verbose="ERROR")
    epochs.save(tmp_path / "x-epo.fif", verbose="ERROR")
    with pytest.raises(RecordingError, match=r"cannot read a continuous recording from x-epo\.fif"):
        read_recording(tmp_path / "x-epo.fif")


def test_damage_is_refused_or_read_never_crashes(fif):
    path, _ = fif()
    content = path.read_bytes()
    generator = np.random.default_rng(1)
    for _ in range(40):
        damaged = bytearray(content)
        for place in generator.integers(0, 4000, 3):
            damaged[place] = generator.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            recording = read_recording(path)
            recording.read([recording.channels[0].name], recording.pieces[0], 0, 10)
        except RecordingError as error:
            assert "\n" not in str(error)
