"""The nearest normal of a window: posterior weights with a known answer, and the patient's own signal."""

import numpy as np
import pytest

from pipelines import fit_model, read_recording, score_recording
from pipelines.config import parse_settings
from pipelines.demo import sample_folder
from pipelines.errors import SignalError
from pipelines.nearest_normal import model_rows, nearest_normal, posterior_weights

QUICK = parse_settings({"flow": {"max_steps": 60, "n_blocks": 1, "refine": False}})


def test_weights_give_the_posterior_of_a_gaussian():
    """Prior N(0, I), y = x + N(0, I) of 2: the posterior mean is half of x, the variance half."""
    rows = np.random.default_rng(0).normal(size=(200_000, 2))
    weight, widened = posterior_weights(rows, np.array([1.5, -1.0]), np.ones(2))
    mean = weight @ rows
    assert widened == 1.0
    assert mean == pytest.approx([0.75, -0.5], abs=0.02)
    assert weight @ np.square(rows - mean) == pytest.approx([0.5, 0.5], abs=0.02)


def test_far_from_everything_the_noise_is_widened_and_said_so():
    rows = np.random.default_rng(0).normal(size=(2000, 3))
    weight, widened = posterior_weights(rows, np.array([40.0, 0.0, 0.0]), np.ones(3))
    assert widened > 2
    assert 1 / np.square(weight).sum() >= 30


@pytest.fixture(scope="module")
def ecg():
    recording = read_recording(sample_folder() / "ecg_ahadb_0201.hea")
    model = fit_model([recording], "ecg", baseline=(0, 300), settings=QUICK)
    return model, recording, score_recording(model, recording)


@pytest.mark.slow
def test_a_ventricular_beat_is_shown_beside_the_usual_beat(ecg):
    model, recording, scored = ecg
    rows = model_rows(model, n=1000)
    windows = scored.windows
    usual = windows[windows["scorable"] & ~windows["flagged"]].iloc[::40]
    template = np.median(
        [
            nearest_normal(model, recording, windows, scored.features, int(i), rows).window
            for i in usual["window_index"]
        ],
        axis=0,
    )
    worst = int(windows["window_index"].loc[windows["score"].idxmax()])
    found = nearest_normal(model, recording, windows, scored.features, worst, rows)
    assert found.kind == "waveform" and found.window.shape == (2, len(found.axis))
    assert np.linalg.norm(found.mean - template) < np.linalg.norm(found.window - template) / 3
    assert (found.low <= found.mean + 1e-12).mean() > 0.9
    alike = windows.set_index("window_index").loc[list(found.alike)]
    assert len(alike) == 3 and not alike["flagged"].any() and alike["scorable"].all()
    assert list(found.features.index) == list(model.names)
    again = nearest_normal(model, recording, windows, scored.features, worst, rows)
    assert np.array_equal(found.mean, again.mean)


@pytest.mark.slow
def test_a_window_without_a_score_has_no_nearest_normal(ecg):
    model, recording, scored = ecg
    features = scored.features.copy()
    features.loc[features["window_index"] == 5, model.names[0]] = np.nan
    with pytest.raises(SignalError, match="window 5 was not scored"):
        nearest_normal(model, recording, scored.windows, features, 5, model_rows(model, n=50))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:training did not help")  # QUICK is too short a training
def test_an_eeg_window_is_shown_as_a_spectrum():
    recording = read_recording(sample_folder() / "eeg_absence_480s.edf")
    model = fit_model([recording], "eeg", baseline=(0, 230), settings=QUICK)
    scored = score_recording(model, recording)
    seizure = scored.windows[scored.windows["start_s"].between(240, 243)]
    worst = int(seizure["window_index"].loc[seizure["score"].idxmax()])
    found = nearest_normal(
        model, recording, scored.windows, scored.features, worst, model_rows(model, n=500)
    )
    assert found.kind == "spectrum" and found.axis[0] >= 0.5 and found.axis[-1] <= 45
    near_3_hz = np.abs(found.axis - 3) <= 1
    assert (found.window - found.mean)[:, near_3_hz].mean() > 3  # an absence seizure, dB
