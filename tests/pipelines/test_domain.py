"""Does a recording differ as a whole from those of the fit?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines import RunFolder, load_model, read_recording
from pipelines.cli import main
from pipelines.domain import Domain, check_domain, descriptor_names, descriptors, learn_domain
from pipelines.signals.extraction import extract, feature_matrix, feature_names

SAMPLE = Path(__file__).parents[2] / "sample_data"
NAMES = ("a", "b", "c", "d")


def recordings(n, seed=0, shift=0.0):
    """Return windows of `n` recordings that lie around centres of their own."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(n, 4))
    return [center + shift + 0.3 * rng.normal(size=(60, 4)) for center in centers]


def domain_of(parts):
    return learn_domain(parts, NAMES, np.arange(len(parts)))


def test_alike_recordings_are_told_as_rarely_as_stated():
    told = []
    for seed in range(300):
        *parts, new = recordings(10, seed)
        answer = check_domain(domain_of(parts), new)
        assert answer["false_rate"] == pytest.approx(0.1)
        told.append(answer["differs"])
    assert 0.05 < np.mean(told) < 0.15  # one of ten; four standard errors are 0.07


def test_a_shift_of_everything_is_told_and_its_feature_named():
    parts = recordings(10)
    new = recordings(1, seed=1)[0]
    new[:, 2] += 12
    answer = check_domain(domain_of(parts), new)
    assert answer["differs"] is True
    assert answer["features"][0]["name"] == "c"
    assert answer["features"][0]["shift"] > 5
    assert "differs as a whole" in answer["sentence"]


def test_many_recordings_of_few_patients_show_little():
    parts = recordings(8)
    few = learn_domain(parts, NAMES, np.array([0, 0, 0, 1, 1, 2, 2, 2]))
    answer = check_domain(few, parts[3])
    assert answer["differs"] is None
    assert "fitted on 3 patients, 5 are needed" in answer["sentence"]
    assert check_domain(few, parts[3] + 100)["differs"] is True


def test_without_a_domain_or_windows_nothing_is_claimed():
    assert check_domain(None, np.zeros((3, 4)))["differs"] is None
    assert check_domain(domain_of(recordings(6)), np.empty((0, 4)))["differs"] is None


def test_what_is_relative_to_a_baseline_is_not_compared():
    parts = recordings(10)
    new = recordings(1, seed=1)[0] + 20
    answer = check_domain(domain_of(parts), new, 3)
    assert answer["differs"] is True
    assert [feature["name"] for feature in answer["features"]] == ["d"]
    answer = check_domain(domain_of(parts), new, 4)
    assert answer["differs"] is None
    assert "relative to a baseline" in answer["sentence"]


@pytest.fixture(scope="module")
def ecg():
    windows = extract(read_recording(SAMPLE / "ecg_ahadb_0201.hea"), "ecg")
    names = feature_names(windows, "ecg")

    def rows(start_s, stop_s, gain=1.0):
        changed = replace(windows, channel_values=(gain * windows.channel_values))
        found = descriptors(changed, feature_matrix(changed, "ecg"), "ecg")
        ok = windows.scorable & windows.within(start_s, stop_s) & np.isfinite(found).all(axis=1)
        return found[ok]

    return learn_domain([rows(0, 300)], names, np.zeros(1, int)), rows


def test_the_rest_of_the_same_recording_is_not_told(ecg):
    domain, rows = ecg
    assert check_domain(domain, rows(300, 2100))["differs"] is None


@pytest.mark.parametrize(("gain", "stem"), [(3.0, "amplitude"), (-1.0, "polarity")])
def test_a_gain_and_a_lead_turned_round_are_told(ecg, gain, stem):
    """No feature of the model knows them: its features count against the beats around."""
    domain, rows = ecg
    answer = check_domain(domain, rows(300, 2100, gain))
    assert answer["differs"] is True
    assert answer["features"][0]["name"].startswith(stem)
    assert "lead" in answer["features"][0]["meaning"]


def test_an_eeg_of_three_times_the_gain_is_told(monkeypatch):
    recording = read_recording(SAMPLE / "eeg_absence_480s.edf")
    windows = extract(recording, "eeg")
    names = feature_names(windows, "eeg")
    early, late = (windows.scorable & windows.within(*part) for part in ((0, 230), (230, 480)))
    X = feature_matrix(windows, "eeg")
    domain = learn_domain([X[early]], names, np.zeros(1, int))
    assert check_domain(domain, X[late])["differs"] is None
    read = type(recording)._read
    monkeypatch.setattr(type(recording), "_read", lambda *words: 3 * read(*words))
    louder = feature_matrix(extract(recording, "eeg"), "eeg")[late]
    answer = check_domain(domain, louder[np.isfinite(louder).all(axis=1)])
    assert answer["differs"] is True
    assert answer["features"][0]["name"].endswith("_median")


def test_a_run_holds_what_was_found_and_says_it(tiny_model, write_eeg, tmp_path, capsys):
    assert isinstance(load_model(tiny_model, "cpu").domain, Domain)
    write_eeg(tmp_path / "in" / "same.edf", 60, seed=3)
    source = write_eeg(tmp_path / "in" / "other.edf", 60, seed=4)
    content = bytearray(source.read_bytes())
    header = 256 * 6
    samples = np.frombuffer(bytes(content[header:]), "<i2").reshape(60, -1).copy()
    samples[:, : 4 * 128] = np.clip(samples[:, : 4 * 128] * 20, -32768, 32767)
    source.write_bytes(bytes(content[:header]) + samples.tobytes())
    assert main(["score", str(tiny_model), str(tmp_path / "in"), "--out", str(tmp_path / "r")]) == 0
    run = RunFolder.open(tmp_path / "r")
    assert run.drift("same")["differs"] is None
    assert run.drift("other")["differs"] is True
    assert {s["recording_id"]: s["differs"] for s in run.status()} == {"same": None, "other": True}
    said = capsys.readouterr().err
    assert "other: This recording differs as a whole" in said
    assert "same: This" not in said


def test_names_of_the_signal_descriptors_follow_the_leads():
    assert descriptor_names(("x",), 5) == (
        "x", "amplitude_lead1", "amplitude_lead2", "polarity_lead1", "polarity_lead2"
    )  # fmt: skip
