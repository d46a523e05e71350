"""EEGLAB files written here with scipy, read through the product."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from pipelines.errors import RecordingError
from pipelines.readers import read_recording

LABELS = ("Fp1", "T4", "EKG", "trigger")


def records(rows):
    """Return a MATLAB struct array."""
    kinds = [(key, object) for key in rows[0]]
    return np.array([tuple(row.values()) for row in rows], dtype=kinds)


@pytest.fixture
def eeglab(tmp_path):
    """Write 1000 samples at 250 Hz as .set and .fdt, or as .set alone; return path and data."""

    def write(name="e", *, inside=False, flat=False, events=(), compressed=True, **fields):
        data = np.random.default_rng(0).normal(0, 50, (len(LABELS), 1000)).astype("<f4")
        types = ("EEG", "EEG", "ECG", "MISC")
        chanlocs = [
            {"labels": label, "type": kind} for label, kind in zip(LABELS, types, strict=True)
        ]
        eeg = {
            "setname": "Jane Doe at night",
            "subject": "Jane Doe",
            "comments": "born 1970",
            "nbchan": len(LABELS),
            "pnts": data.shape[1],
            "trials": 1,
            "srate": 250.0,
            "xmin": 0.0,
            "xmax": 3.996,
            "chanlocs": records(chanlocs),
            "event": records([dict(event) for event in events]) if events else np.empty(0),
            "data": data if inside else f"{name}.fdt",
            **fields,
        }
        (tmp_path / f"{name}.fdt").write_bytes(data.T.tobytes())
        path = tmp_path / f"{name}.set"
        savemat(path, eeg if flat else {"EEG": eeg}, appendmat=False, do_compression=compressed)
        return path, data.astype(float)

    return write


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("flat", [False, True])
def test_samples_are_volts_wherever_they_are_stored(eeglab, inside, flat):
    path, data = eeglab(inside=inside, flat=flat)
    recording = read_recording(path)
    assert recording.format == "EEGLAB"
    assert [(c.name, c.kind, c.unit, c.sfreq) for c in recording.channels] == [
        ("Fp1", "eeg", "V", 250.0),
        ("T8", "eeg", "V", 250.0),
        ("ECG", "ecg", "V", 250.0),
        ("trigger", "misc", "", 250.0),
    ]
    (piece,) = recording.pieces
    read = recording.read(["trigger", "Fp1", "T8", "ECG"], piece)
    scale = np.array([1.0, 1e-6, 1e-6, 1e-6])[:, None]
    np.testing.assert_allclose(read, data[[3, 0, 1, 2]] * scale, rtol=1e-6)
    assert len(recording.files) == (1 if inside else 2)
    assert "Jane" not in repr(vars(recording)) + repr(vars(recording._raw))


def test_boundaries_are_gaps_of_the_samples_removed(eeglab):
    events = [
        {"type": "stim", "latency": 101.0, "duration": 25.0},
        {"type": "boundary", "latency": 500.5, "duration": 2500.0},
        {"type": "late", "latency": 501.0, "duration": 0.0},
        {"type": "boundary", "latency": 750.5, "duration": np.nan},
    ]
    path, data = eeglab(events=events)
    recording = read_recording(path)
    assert [(p.start_s, p.duration_s) for p in recording.pieces] == [(0, 2), (12, 1), (13, 1)]
    assert [(a.onset, a.duration, a.description) for a in recording.annotations] == [
        (0.4, 0.1, "stim"),
        (12.0, 0.0, "late"),
    ]
    read = recording.read(["Fp1"], recording.pieces[1], 3, 9)
    np.testing.assert_allclose(read[0], data[0, 503:509] * 1e-6, rtol=1e-6)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(a=st.integers(0, 1000), b=st.integers(0, 1000), inside=st.booleans())
def test_a_slice_is_the_slice_of_the_whole(eeglab, monkeypatch, a, b, inside):
    monkeypatch.setattr("pipelines.readers.mne_recording.CHUNK_BYTES", 4000)
    path, _ = eeglab(inside=inside)
    recording = read_recording(path)
    names = ["ECG", "Fp1"]
    whole = recording.read(names, recording.pieces[0])
    np.testing.assert_array_equal(recording.read(names, recording.pieces[0], a, b), whole[:, a:b])


def test_a_renamed_pair_and_a_side_file_are_understood(eeglab):
    path, data = eeglab(data="before.fdt")
    recording = read_recording(path.with_suffix(".fdt"))
    assert recording.path == path
    read = recording.read(["Fp1"], recording.pieces[0])
    np.testing.assert_allclose(read[0], data[0] * 1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data": "../secret.fdt"}, "outside its own folder"),
        ({"data": "/etc/passwd"}, "outside its own folder"),
        ({"data": "link.fdt"}, "is a link"),
        ({"data": "letter.dat"}, r"where a \.fdt file is needed"),
        ({"pnts": 1001}, "promises 16016"),
        ({"pnts": 2**40}, "promises"),
        ({"trials": 5}, "5 epochs"),
        ({"srate": "fast"}, "cannot read"),
        ({"chanlocs": np.empty(0), "nbchan": 0}, "promises 0"),
    ],
)
def test_what_a_set_file_may_not_say(eeglab, tmp_path, fields, message):
    path, _ = eeglab(**fields)
    (tmp_path.parent / "secret.fdt").write_bytes(b"secret" * 3000)
    (tmp_path / "letter.dat").write_bytes(b"Dear Jane")
    (tmp_path / "link.fdt").symlink_to(tmp_path.parent / "secret.fdt")
    with pytest.raises(RecordingError, match=message) as caught:
        read_recording(path)
    assert "Jane" not in str(caught.value)


def test_other_containers_are_refused_in_words(tmp_path, eeglab):
    path, _ = eeglab()
    content = path.read_bytes()
    for changed, message in (
        (b"MATLAB 7.3 MAT-file" + content[19:], "saved as MATLAB 7.3"),
        (b"Dear colleague" * 40, "no EEGLAB file"),
        (b"", "no EEGLAB file"),
        (content[:-50], "truncated"),
        (content[:136] + bytes(200) + content[336:], "truncated or damaged"),
    ):
        path.write_bytes(changed)
        with pytest.raises(RecordingError, match=message):
            read_recording(path)


def test_what_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.readers.mat_layout.MOST_BYTES", 16 << 20)
    packer = zlib.compressobj(9)
    packed = packer.compress(struct.pack("<II", 14, 4 << 24))
    packed += b"".join(packer.compress(bytes(1 << 24)) for _ in range(4)) + packer.flush()
    path = tmp_path / "bomb.set"
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path.write_bytes(head + struct.pack("<II", 15, len(packed)) + packed)
    assert path.stat().st_size < 1e6
    with pytest.raises(RecordingError, match="unpacks to more than 16 MiB"):
        read_recording(path)


def test_damage_is_refused_or_read_never_crashes(eeglab):
    """Without the check of nesting, scipy ends the process on files like these."""
    path, _ = eeglab(compressed=False, inside=True)
    content = path.read_bytes()
    generator = np.random.default_rng(5)
    told = 0
    for _ in range(150):
        damaged = bytearray(content)
        for place in generator.integers(128, len(content), 5):
            damaged[place] = generator.integers(0, 256)
        start = int(generator.integers(128, 1500))
        damaged[start] = generator.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            recording = read_recording(path)
            recording.read([recording.channels[0].name], recording.pieces[0])
        except RecordingError as error:
            told += 1
            assert "\n" not in str(error)
    assert told > 20


def test_sizes_that_do_not_nest_are_refused_before_scipy(eeglab, monkeypatch):
    monkeypatch.setattr("scipy.io.loadmat", lambda *_, **__: pytest.fail("scipy saw the file"))
    path, _ = eeglab(compressed=False)
    content = path.read_bytes()
    name = content.index(b"setname")
    for place, value in (
        (132, 2**31 - 1),  # the size of EEG
        (160, 2**30),  # its dimensions
        (160, 2**32 - 1),
        (name - 4, 2**20),  # the size of its field names
        (name - 12, 0),  # the length of a field name
        (name - 12, 7),
    ):
        damaged = bytearray(content)
        struct.pack_into("<I", damaged, place, value)
        path.write_bytes(bytes(damaged))
        with pytest.raises(RecordingError, match=r"truncated or damaged|no EEGLAB"):
            read_recording(path)
