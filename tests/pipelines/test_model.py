"""Models: thresholds, what is left out, and the folder on disk."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import flowcore
from pipelines import model_folder
from pipelines.baseline import typical_row
from pipelines.calibration import calibrate
from pipelines.config import parse_settings
from pipelines.errors import ModelError, SignalError
from pipelines.features.eeg_pattern import PATTERN_FEATURES
from pipelines.model import fit_model
from pipelines.model_folder import load_model, save_model
from pipelines.readers import read_recording
from pipelines.recording import Recording
from pipelines.scoring import score_recording

SAMPLE = Path(__file__).parents[2] / "sample_data"
QUICK = parse_settings({"flow": {"max_steps": 40, "n_blocks": 2, "hidden": 16}})


@pytest.fixture(scope="module")
def recording():
    return read_recording(SAMPLE / "ecg_ahadb_0201.hea")


@pytest.fixture(scope="module")
def model(recording):
    return fit_model([recording], "ecg", baseline=(0, 300), settings=QUICK)


@pytest.fixture
def folder(model, tmp_path):
    save_model(model, tmp_path / "m")
    return tmp_path / "m"


def test_a_stored_model_scores_bit_for_bit_alike(model, folder, recording):
    again = load_model(folder, "cpu")
    assert again.settings == model.settings
    assert again.sources == model.sources
    before, after = (score_recording(m, recording).windows for m in (model, again))
    for column in ("log_prob", "score", "p_value", "flagged"):
        np.testing.assert_array_equal(before[column], after[column])


def test_the_folder_holds_what_the_contract_names_and_is_a_flowcore_model_too(model, folder):
    names = {"model.safetensors", "config.json", "calibration.json", "card.md", "manifest.json"}
    assert {p.name for p in folder.iterdir()} == names
    hashes = json.loads((folder / "manifest.json").read_text())["sha256"]
    assert set(hashes) == names - {"manifest.json"}
    rows = np.zeros((3, len(model.names)))
    np.testing.assert_array_equal(
        flowcore.load(folder).score_samples(rows), model.estimator.score_samples(rows)
    )
    card = (folder / "card.md").read_text()
    assert "Research use only. Not a medical device." in card
    assert f"{model.threshold:.6g}" in card
    n = model.n_fitted + model.n_trimmed
    assert f"{model.n_trimmed} of {n} windows" in card
    assert model.sources["n_trimmed_by_recording"] == [model.n_trimmed]
    assert model.sources["n_windows_by_recording"] == [n]


@pytest.mark.parametrize("name", ["calibration.json", "card.md", "config.json"])
def test_an_altered_file_is_refused(folder, name):
    (folder / name).write_text((folder / name).read_text() + " ")
    with pytest.raises(ModelError, match=f"{name} does not match its hash"):
        load_model(folder)


def test_a_model_of_features_that_were_computed_otherwise_is_refused_by_name(
    model, tmp_path, monkeypatch
):
    odd = {name: 1 + (name == "early_next") for name in model_folder.versions_of(model.names)}
    monkeypatch.setattr(model_folder, "versions_of", lambda names: odd)
    save_model(model, tmp_path / "m")
    with pytest.raises(ModelError, match=r"early_next \(version 2 there, 1 here\)"):
        load_model(tmp_path / "m")


def test_an_eeg_model_keeps_its_pattern_and_one_without_it_still_scores(tmp_path):
    recording = read_recording(SAMPLE / "eeg_absence_480s.edf")
    model = fit_model([recording], "eeg", baseline=(0, 120), settings=QUICK)
    save_model(model, tmp_path / "m")
    again = load_model(tmp_path / "m", "cpu")
    assert again.pattern.pairs == model.pattern.pairs
    before, after = (m.features(recording)[1] for m in (model, again))
    np.testing.assert_array_equal(before, after)
    kept = [name for name in model.names if name not in ("asymmetry_median", "odd_power")]
    old = replace(model, names=tuple(kept), pattern=None)
    with pytest.raises(ModelError, match="odd_recorded"):
        old.features(recording)
    kept = [name for name in kept if name not in [f.name for f in PATTERN_FEATURES]]
    part = replace(old, names=tuple(kept)).features(recording)[1]
    np.testing.assert_array_equal(part, before[:, [model.names.index(name) for name in kept]])


def test_a_flow_without_a_pipeline_is_refused(model, tmp_path):
    model.estimator.save(tmp_path / "flow")
    with pytest.raises(ModelError, match="without a signal pipeline"):
        load_model(tmp_path / "flow")


def test_a_missing_model_is_refused(folder, tmp_path):
    shutil.rmtree(folder)
    with pytest.raises(ModelError, match="not a model folder"):
        load_model(folder)


def test_annotated_beats_are_left_out(recording):
    part = {"baseline": (300, 600), "settings": QUICK}
    whole = fit_model([recording], "ecg", **part)
    clean = fit_model([recording], "ecg", use_annotations=True, **part)
    n_all, n_clean = (m.n_fitted + m.n_trimmed for m in (whole, clean))
    marked = [a for a in recording.annotations if a.description == "V" and 300 < a.onset < 600]
    assert n_all - n_clean >= len(marked) > 0


def test_a_baseline_moves_the_confirmed_part_onto_the_model(model, recording):
    windows, X = model.features(recording, (300, 600))
    inside = windows.scorable & windows.within(300, 600)
    np.testing.assert_allclose(typical_row(X[inside]), model.center, atol=1e-9)
    assert not np.allclose(model.features(recording)[1][inside], X[inside])


class Louder(Recording):
    """A recording at twice the gain."""

    def __init__(self, whole):
        self.__dict__.update(whole.__dict__)
        self._whole = whole

    def _read(self, channels, piece, start, stop):
        return 2 * self._whole._read(channels, piece, start, stop)


def test_with_a_baseline_the_gain_of_an_eeg_does_not_matter():
    recording = read_recording(SAMPLE / "eeg_absence_480s.edf")
    model = fit_model([recording], "eeg", baseline=(0, 120), settings=QUICK)
    plain, louder = (model.features(r, (0, 120))[1] for r in (recording, Louder(recording)))
    apart = np.abs(louder - plain)  # a few windows more or less may count as usable
    assert np.nanquantile(apart, 0.99) < 0.05
    without = model.features(Louder(recording))[1]
    assert np.abs(without - model.features(recording)[1]).max() > 1


def test_a_short_baseline_is_refused(model, recording):
    with pytest.raises(SignalError, match=r"holds \d+ usable windows"):
        score_recording(model, recording, baseline=(0, 5))


def test_trimming_does_not_lower_the_threshold_of_the_rest():
    scores = np.random.default_rng(0).exponential(size=900)
    usual = scores < np.quantile(scores, 0.9)
    cut = calibrate(scores, usual, QUICK, 3600)
    whole = calibrate(scores, np.ones(900, dtype=bool), QUICK, 3600)
    assert cut.threshold == pytest.approx(np.log(1000), rel=0.2)
    assert whole.threshold == pytest.approx(np.log(1000), rel=0.2)
    assert cut.extrapolated
    assert len(cut.scores) == usual.sum()


def test_what_a_fit_leaves_out_sets_a_threshold_only_where_scores_are_many():
    """Some of it is usual: dropping it would flag more usual windows than asked for."""
    scores = np.random.default_rng(0).exponential(size=20_000)
    everything = np.ones(20_000, dtype=bool)
    fitted = scores < np.quantile(scores, 0.95)
    many = calibrate(scores, everything, QUICK, 3600, fitted=fitted)
    assert (scores > many.threshold).mean() == pytest.approx(1e-3, abs=3e-4)
    few, rare = scores[:500], np.full(50, 30.0)
    mixed, usual = np.append(few, rare), np.ones(550, dtype=bool)
    clean = np.append(np.ones(500, dtype=bool), np.zeros(50, dtype=bool))
    found = calibrate(mixed, usual, QUICK, 3600, fitted=clean)
    assert np.log(100) < found.threshold < 30
    assert len(found.scores) == 500


def test_scores_enough_decide_by_themselves_whatever_was_trimmed():
    scores = np.random.default_rng(0).uniform(size=8000)  # a tail far lighter than exponential
    usual = scores < 0.999
    found = calibrate(scores, usual, QUICK, 3600)
    assert found.threshold < 1.1


def test_events_per_hour_become_a_window_rate():
    scores = np.random.default_rng(0).exponential(size=5000)
    settings = parse_settings({"threshold": {"events_per_hour": 36.0}})
    found = calibrate(scores, np.ones(5000, dtype=bool), settings, 3600)
    assert found.window_rate == pytest.approx(0.01)
    assert (scores > found.threshold).mean() == pytest.approx(0.01, abs=1e-3)
    assert not found.extrapolated


def test_events_per_day_are_a_twenty_fourth_per_hour():
    scores = np.random.default_rng(0).exponential(size=5000)
    by_hour, by_day = (
        calibrate(scores, np.ones(5000, bool), parse_settings({"threshold": t}), 3600)
        for t in ({"events_per_hour": 36.0}, {"events_per_day": 864.0})
    )
    assert by_hour.threshold == by_day.threshold


def test_a_threshold_never_lies_far_beyond_everything_seen():
    """An exponential law through a wide middle would be ten times the highest score."""
    scores = np.append(np.linspace(0, 1, 90), np.full(30, 10.0))
    usual = np.append(np.ones(119, bool), False)
    found = calibrate(scores, usual, QUICK, 3600)
    assert flowcore.central_threshold(scores, 0.001) > 40
    assert 10 < found.threshold <= 10 + (10 - np.median(scores[usual]))
