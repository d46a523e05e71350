"""The sample recordings from the file to flagged segments, against their labels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.errors import SignalError
from pipelines.model import fit_model
from pipelines.readers import read_recording
from pipelines.scoring import score_recording
from pipelines.signals.extraction import extract
from pipelines.trimming import usual_rows

SAMPLE = Path(__file__).parents[2] / "sample_data"


@pytest.fixture(scope="module")
def ecg():
    recording = read_recording(SAMPLE / "ecg_ahadb_0201.hea")
    model = fit_model([recording], "ecg", baseline=(0, 300))
    return model, score_recording(model, recording)


@pytest.fixture(scope="module")
def eeg():
    recording = read_recording(SAMPLE / "eeg_absence_480s.edf")
    model = fit_model([recording], "eeg", baseline=(0, 230))
    return model, score_recording(model, recording)


@pytest.mark.slow
def test_ventricular_beats_rank_above_the_others(ecg):
    _, scored = ecg
    beats = pd.read_csv(SAMPLE / "ecg_ahadb_0201_beats.csv")
    windows = scored.windows[scored.windows["scorable"]]
    distance = np.abs(windows["center_s"].to_numpy()[:, None] - beats["time_s"].to_numpy())
    matched = distance.min(axis=0) <= 0.15
    scores = windows["score"].to_numpy()[distance.argmin(axis=0)]
    assert matched.mean() > 0.99
    ventricular = (beats["symbol"] == "V").to_numpy()
    assert roc_auc_score(ventricular[matched], scores[matched]) >= 0.95


@pytest.mark.slow
def test_all_three_seizures_are_flagged_and_little_else(eeg):
    _, scored = eeg
    seizures = pd.read_csv(SAMPLE / "eeg_absence_480s_labels.csv")
    segments = scored.segments[scored.segments["stop_s"] > 230]
    hit = np.zeros(len(segments), dtype=bool)
    for seizure in seizures.itertuples():
        overlap = (segments["start_s"] < seizure.offset_s) & (segments["stop_s"] > seizure.onset_s)
        assert overlap.any()
        hit |= overlap.to_numpy()
    assert (~hit).sum() <= 3


@pytest.mark.slow
def test_tables_keep_the_contract(ecg):
    model, scored = ecg
    windows = scored.windows
    assert windows["start_s"].is_monotonic_increasing
    assert windows.loc[windows["scorable"], "p_value"].between(0, 1, inclusive="right").all()
    unscored = windows[~windows["scorable"]]
    assert len(unscored)
    assert unscored["reason"].notna().all()
    assert unscored[["log_prob", "score", "p_value"]].isna().all().all()
    flagged = windows[windows["flagged"]]
    assert (flagged["score"] > model.threshold).all()
    assert flagged["top_features"].map(len).between(1, 5).all()
    assert scored.segments["n_windows"].sum() == len(flagged)


@pytest.mark.slow
def test_a_model_refuses_what_it_does_not_fit(ecg):
    eeg_recording = read_recording(SAMPLE / "eeg_absence_480s.edf")
    with pytest.raises(SignalError, match=r"1 ECG lead\(s\) \(ECG X1\), the model looks at 2"):
        ecg[0].features(eeg_recording)


def test_too_short_a_baseline_is_refused():
    recording = read_recording(SAMPLE / "ecg_ahadb_0201.hea")
    with pytest.raises(SignalError, match="usable windows"):
        fit_model([recording], "ecg", baseline=(0, 10))


def test_a_wfdb_ecg_has_no_eeg():
    with pytest.raises(SignalError, match="no EEG channel"):
        extract(read_recording(SAMPLE / "ecg_ahadb_0201.hea"), "eeg")


def test_a_tight_cluster_of_rare_rows_is_left_out_as_a_whole():
    rng = np.random.default_rng(0)
    usual = rng.standard_normal((300, 5))
    rare = 12 + 0.01 * rng.standard_normal((20, 5))
    mask = usual_rows(np.concatenate([usual, rare]))
    assert not mask[300:].any()
    assert mask[:300].mean() > 0.97
