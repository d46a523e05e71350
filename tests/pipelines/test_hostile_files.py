"""Damaged and ill-meant files, through the real command line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).parents[2] / "sample_data"


def truncated(folder, write_eeg):
    path = write_eeg(folder / "bad.edf")
    path.write_bytes(path.read_bytes()[:700])
    return path


def empty(folder, write_eeg):
    path = folder / "bad.edf"
    path.write_bytes(b"")
    return path


def text_renamed(folder, write_eeg):
    path = folder / "bad.edf"
    path.write_text("Dear colleague, Jane Doe's recording is attached.\n" * 40)
    return path


def header_without_signal(folder, write_eeg):
    path = folder / "bad.hea"
    path.write_text("bad 1 250 5000\nbad.dat 16 200 16 0 0 0 0 EEG Fp1\n")
    return path


def header_of_9e12_samples(folder, write_eeg):
    path = folder / "bad.hea"
    path.write_text("bad 1 250 9000000000000\nbad.dat 16 200 16 0 0 0 0 EEG Fp1\n")
    (folder / "bad.dat").write_bytes(bytes(1000))
    return path


def records_of_the_age_of_the_earth(folder, write_eeg):
    path = write_eeg(folder / "bad.edf")
    content = bytearray(path.read_bytes())
    content[236:244] = b"99999999"
    path.write_bytes(bytes(content))
    return path


def all_missing(folder, write_eeg):
    path = folder / "bad.hea"
    names = ("Fp1", "C3", "O1", "Pz")
    lines = [f"bad.dat 16 200/uV 16 0 -32768 0 0 EEG {name}" for name in names]
    path.write_text("\n".join(["bad 4 128 7680", *lines]) + "\n")
    samples = np.random.default_rng(0).integers(-100, 100, (7680, 4)).astype("<i2")
    samples[:, 1] = -32768
    (folder / "bad.dat").write_bytes(samples.tobytes())
    return path


def three_seconds(folder, write_eeg):
    return write_eeg(folder / "bad.edf", 3)


def slow_rate(folder, write_eeg):
    return write_eeg(folder / "bad.edf", 60, sfreq=64)


HOSTILE = {
    truncated: "bad.edf",
    empty: "bad.edf",
    text_renamed: "bad.edf",
    header_without_signal: "bad",
    header_of_9e12_samples: "bad",
    records_of_the_age_of_the_earth: "bad.edf",
    all_missing: "no valid sample on C3",
    three_seconds: "3.0 s; at least 10 s",
    slow_rate: "64 Hz; at least 100",
}
READABLE = (all_missing, three_seconds, slow_rate)
each_file = pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)


def rarewave(*words):
    command = [sys.executable, "-m", "pipelines.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stdout + done.stderr
    assert "Jane" not in done.stdout + done.stderr
    return done


def complaints(done):
    return [line for line in done.stderr.splitlines() if line.startswith("rarewave: ")]


@each_file
def test_score_alone_is_one_line_and_leaves_nothing(make, tmp_path, write_eeg, tiny_model):
    bad = make(tmp_path, write_eeg)
    done = rarewave("score", tiny_model, bad, "--out", tmp_path / "run")
    assert done.returncode == 1
    [line] = complaints(done)
    assert HOSTILE[make] in line
    assert "this is a bug" not in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_score_beside_a_good_recording_sets_the_bad_ones_aside(
    workers, tmp_path, write_eeg, tiny_model
):
    for make in HOSTILE:
        folder = tmp_path / "ward" / make.__name__
        folder.mkdir(parents=True)
        make(folder, write_eeg)
    write_eeg(tmp_path / "ward/good.edf", 60, seed=3)
    run = tmp_path / "run"
    done = rarewave("score", tiny_model, tmp_path / "ward", "--out", run, "--workers", workers)
    assert done.returncode == 2
    found = complaints(done)
    assert len(found) == len(HOSTILE)
    for make, text in HOSTILE.items():
        [line] = [line for line in found if f"quarantined {make.__name__}" in line]
        assert text in line
        assert "this is a bug" not in line
    assert [path.name for path in (run / "recordings").iterdir()] == ["good"]
    assert f"1 scored, 0 unchanged, {len(HOSTILE)} quarantined" in done.stdout
    assert not (run / ".scoring").exists()


@each_file
def test_info_says_it_in_one_line(make, tmp_path, write_eeg):
    done = rarewave("info", make(tmp_path, write_eeg))
    if make in READABLE:
        assert done.returncode == 0
        assert not done.stderr
        assert "128 Hz" in done.stdout or "64 Hz" in done.stdout
    else:
        assert done.returncode == 1
        [line] = complaints(done)
        assert HOSTILE[make] in line
        assert "this is a bug" not in line


@each_file
def test_fit_says_it_in_one_line_and_leaves_no_half_model(make, tmp_path, write_eeg, tiny_settings):
    """What cannot be read is left out; what does not go with the others stops the fit."""
    bad = make(tmp_path, write_eeg)
    good = write_eeg(tmp_path / "good.edf", 60)
    options = ["--kind", "eeg", "--out", tmp_path / "model", "--config", tiny_settings]
    done = rarewave("fit", good, bad, *options)
    [line] = complaints(done)
    assert HOSTILE[make] in line or "recordings of rates [128.0, 256.0] Hz" in line
    assert "this is a bug" not in line
    made = [path.name for path in tmp_path.iterdir() if "model" in path.name]
    assert (done.returncode, made) in ((2, ["model"]), (1, []))
    assert (done.returncode == 2) == ("left out" in line)


def test_a_model_that_was_tampered_with_is_refused(tmp_path, write_eeg, tiny_model):
    import shutil

    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    content = bytearray((model / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (model / "model.safetensors").write_bytes(bytes(content))
    good = write_eeg(tmp_path / "good.edf", 30)
    done = rarewave("score", model, good, "--out", tmp_path / "run")
    assert done.returncode == 1
    [line] = complaints(done)
    assert "model.safetensors" in line
    assert not (tmp_path / "run").exists()


def test_fit_replaces_a_model_only_when_told(tmp_path, write_eeg, tiny_settings, tiny_model):
    good = write_eeg(tmp_path / "good.edf", 90)
    words = ["fit", good, "--kind", "eeg", "--config", tiny_settings, "--out"]
    model = tmp_path / "model"
    assert rarewave(*words, model).returncode == 0
    before = (model / "manifest.json").read_bytes()
    again = rarewave(*words, model, "--seed", "1")
    assert again.returncode == 1
    assert "is a model already" in complaints(again)[0]
    assert (model / "manifest.json").read_bytes() == before
    assert rarewave(*words, model, "--seed", "1", "--force").returncode == 0
    assert (model / "manifest.json").read_bytes() != before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/letter.txt").write_text("keep me")
    other = rarewave(*words, tmp_path / "notes", "--force")
    assert other.returncode == 1
    assert "is no model folder" in complaints(other)[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.edf", "model", "notes"]


def brainvision(folder, data):
    """Write a header that names `data` as its signal."""
    (folder / "real.eeg").write_bytes(bytes(4000))
    if not (folder / "link.eeg").is_symlink():
        (folder / "link.eeg").symlink_to("/etc/passwd")
    text = "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFormat=BINARY\n"
    text += f"DataOrientation=MULTIPLEXED\nNumberOfChannels=1\nSamplingInterval=4000\n{data}\n"
    text += "[Binary Infos]\nBinaryFormat=INT_16\n[Channel Infos]\nCh1=Fp1,,0.1,uV\n"
    return text + "[Comment]\nJane Doe\n"


def other_formats(folder):
    """Write one hostile file a way of being hostile; return what must be said of each."""
    due = {}

    def put(name, content, message):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        due[name.partition(".")[0]] = message

    for name, data, message in (
        ("up", "DataFile=../secret.eeg", "outside its own folder"),
        ("root", "DataFile=/etc/passwd", "outside its own folder"),
        ("link", "DataFile=link.eeg", "is a link"),
        ("gone", "DataFile=gone.eeg", "which is not there"),
        ("wide", "DataFile=real.eeg\nNumberOfChannels=999999999", "is no valid BrainVision"),
        ("long", "DataFile=real.eeg\nDataPoints=9000000000000", "truncated"),
    ):
        put(f"{name}.vhdr", brainvision(folder, data), message)
    header = bytearray(522)
    header[:8] = b"ISHNE1.0"
    header[14:18] = (2**31 - 1).to_bytes(4, "little")
    put("huge_ishne.ecg", bytes(header), "cannot be true")
    put("short_ishne.ecg", bytes(header[:100]), "ends within its header")
    elements = b"\x02\x00\x02\x00UI\x1e\x001.2.840.10008.5.1.4.1.1.9.1.3\0"
    elements += b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
    meta = b"DICM\x02\x00\x00\x00UL\x04\x00" + len(elements).to_bytes(4, "little") + elements
    waveform = b"\x00\x54\x00\x01SQ\0\0\xff\xff\xff\x7f"
    put("huge_dicom.dcm", bytes(128) + meta + waveform, "truncated or damaged")
    put("letter_fif.fif", "Dear colleague, Jane Doe" * 20, "not a FIF file")
    put("letter_set.set", "Dear colleague, Jane Doe" * 20, "no EEGLAB file")
    (folder / "words.json").write_text("{}")
    put("words.csv", "time_s,Fp1 [mV]\n0,1\n1,Jane\n2,3\nJane,4\n", "hold text")
    (folder / "huge_parquet.json").write_text("{}")
    footer = (2**31 - 1).to_bytes(4, "little") + b"PAR1"
    put("huge_parquet.parquet", b"PAR1" + bytes(20) + footer, "no readable Parquet")
    (folder / "deep.json").write_text("[" * 100_000)
    put("deep.csv", "Fp1\n1\n", "not valid JSON")
    return due


def test_hostile_files_of_other_formats_are_one_line_each(tmp_path, write_eeg, tiny_model):
    ward = tmp_path / "ward"
    ward.mkdir()
    due = other_formats(ward)
    (tmp_path / "secret.eeg").write_bytes(b"secret" * 1000)
    write_eeg(ward / "good.edf", 60, seed=3)
    done = rarewave("score", tiny_model, ward, "--out", tmp_path / "run")
    assert done.returncode == 2
    found = dict(line.split("quarantined ")[1].split(": ", 1) for line in complaints(done))
    assert found.keys() == due.keys()
    for name, message in due.items():
        assert message in found[name]
        assert "this is a bug" not in found[name]
    assert [path.name for path in (tmp_path / "run/recordings").iterdir()] == ["good"]
