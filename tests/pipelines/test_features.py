from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.features import ecg, eeg
from pipelines.features.registry import describe, features
from pipelines.readers import read_recording

SAMPLE = Path(__file__).parents[2] / "sample_data"
SFREQ = 200.0


def windows(n_windows=3, n_channels=4, seed=0):
    return 2e-5 * np.random.default_rng(seed).standard_normal((n_windows, n_channels, 400))


def column(name):
    return eeg.CHANNEL_FEATURES.index(name)


@pytest.mark.parametrize(
    ("freq", "band"), [(2, "delta"), (6, "theta"), (10, "alpha"), (20, "beta")]
)
def test_a_rhythm_has_its_power_in_its_band(freq, band):
    times = np.arange(400) / SFREQ
    values = eeg.channel_features(1e-5 * np.sin(2 * np.pi * freq * times)[None, None], SFREQ)[0, 0]
    powers = {name: values[column(name)] for name in eeg.BANDS}
    assert max(powers, key=lambda name: powers[name]) == band


def test_mobility_of_a_sine_is_its_angular_frequency():
    times = np.arange(400) / SFREQ
    values = eeg.channel_features(1e-5 * np.sin(2 * np.pi * 5 * times)[None, None], SFREQ)[0, 0]
    assert np.exp(values[column("mobility")]) == pytest.approx(2 * np.pi * 5, rel=0.01)


def test_doubling_the_amplitude_moves_only_what_measures_amplitude():
    moved = eeg.channel_features(2 * windows(), SFREQ) - eeg.channel_features(windows(), SFREQ)
    expected = np.zeros(len(eeg.CHANNEL_FEATURES))
    expected[[column(band) for band in eeg.BANDS]] = np.log(4)
    expected[column("line_length")] = np.log(2)
    np.testing.assert_allclose(moved, np.broadcast_to(expected, moved.shape), atol=1e-9)


def test_a_window_does_not_know_its_neighbours():
    whole = eeg.channel_features(windows(5), SFREQ)
    np.testing.assert_array_equal(whole[2:3], eeg.channel_features(windows(5)[2:3], SFREQ))


def test_channels_that_move_as_one_are_synchronous():
    names = ["F3", "F4", "O1", "O2"]
    one = np.repeat(windows(1, 1), 4, axis=1) * np.array([[[3.0], [1.0], [1.0], [1.0]]])
    values = dict(
        zip(
            (f.name for f in eeg.SPATIAL_FEATURES),
            eeg.spatial_features(one, names)[0],
            strict=True,
        )
    )
    assert values["synchrony"] == pytest.approx(0, abs=1e-3)
    assert values["left_right"] == pytest.approx(np.log(3) / 2)
    assert values["front_back"] == pytest.approx(np.log(3) / 2)
    apart = eeg.spatial_features(windows(1), names)[0]
    assert apart[0] < -0.5


def test_summary_leaves_bad_channels_out_and_is_nan_without_any():
    values = eeg.channel_features(windows(), SFREQ)
    values[1, 2] = np.nan
    values[2] = np.nan
    summary = eeg.summarise(values)
    np.testing.assert_allclose(summary[1], eeg.summarise(values[1:2, [0, 1, 3]])[0])
    assert np.isnan(summary[2]).all()
    assert np.isfinite(summary[:2]).all()


def test_a_premature_beat_is_early_and_followed_by_a_pause():
    peaks = np.cumsum(np.full(40, 0.8))
    peaks[20] -= 0.3
    rhythm = ecg.rhythm_features(peaks)
    assert np.isnan(rhythm[[0, -1]]).all()
    previous, following, local = rhythm[20]
    assert previous == pytest.approx(np.log(0.5 / 0.8))
    assert following == pytest.approx(np.log(1.1 / 0.8))
    assert local == pytest.approx(np.log(0.8))


def test_waveforms_are_the_signal_at_the_grid_at_any_rate():
    for sfreq in (250.0, 360.0):
        times = np.arange(0, 10, 1 / sfreq)
        peaks = np.array([round(4.0 * sfreq)])
        sampled = ecg.beat_waveforms(np.sin(2 * np.pi * 5 * times)[None], peaks, sfreq)[0, 0]
        np.testing.assert_allclose(sampled, np.sin(2 * np.pi * 5 * (4 + ecg.GRID_S)), atol=2e-3)


def test_ventricular_beats_of_the_sample_differ_in_shape_and_rhythm():
    recording = read_recording(SAMPLE / "ecg_ahadb_0201.hea")
    channel = recording.channels[0]
    leads = recording.read([channel.name], recording.pieces[0])
    beats = pd.read_csv(SAMPLE / "ecg_ahadb_0201_beats.csv")
    waveforms = ecg.beat_waveforms(leads, beats["sample"].to_numpy(), channel.sfreq)
    ventricular = beats["symbol"].to_numpy() == "V"
    shape = ecg.shape_features(waveforms)[:, 0]
    rhythm = ecg.rhythm_features(beats["time_s"].to_numpy())
    assert roc_auc_score(ventricular, shape[:, 2]) > 0.95
    assert roc_auc_score(ventricular, -np.nan_to_num(rhythm[:, 0])) > 0.9


def beats(n=60, seed=0):
    """Beats of one shape with a little noise, two leads."""
    rng = np.random.default_rng(seed)
    one = np.exp(-0.5 * (ecg.GRID_S / 0.02) ** 2) + 0.2 * np.exp(
        -0.5 * ((ecg.GRID_S - 0.25) / 0.04) ** 2
    )
    noise = 1e-5 * rng.standard_normal((n, 2, len(ecg.GRID_S)))
    return 1e-3 * one * np.array([[[1.0], [-0.5]]]) + noise


def shape_column(name):
    return [f.name for f in ecg.SHAPE_FEATURES].index(name)


def test_shape_does_not_depend_on_gain_or_polarity():
    values = ecg.shape_features(beats())
    np.testing.assert_allclose(ecg.shape_features(-7 * beats()), values, atol=2e-2)


def test_only_the_part_of_the_beat_that_changed_is_unlike():
    changed = beats()
    changed[30, :, ecg.GRID_S > 0.15] += 1e-4 * np.sin(40 * ecg.GRID_S[ecg.GRID_S > 0.15])[:, None]
    moved = ecg.shape_features(changed)[30, 0] - ecg.shape_features(beats())[30, 0]
    parts = [moved[shape_column(f"unlike_{part}")] for part in ("before", "qrs", "after")]
    assert parts[2] > 1.2
    assert parts[2] > 2 * max(abs(parts[0]), abs(parts[1]))
    assert moved[shape_column("unlike")] > 1


def test_confirmed_beats_are_the_reference_where_most_beats_around_are_odd():
    mixed = beats(120)
    mixed[60:, :, :] = np.roll(mixed[60:], 8, axis=2)
    usual = np.arange(120) < 40
    unlike = shape_column("unlike")
    around = ecg.shape_features(mixed)[100, 0, unlike]
    confirmed = ecg.shape_features(mixed, usual)[100, 0, unlike]
    assert around < -5  # among its like it does not stand out
    assert confirmed > -1


def test_every_feature_has_plain_words_and_one_name():
    names = [f.name for f in (*ecg.FEATURES, *eeg.FEATURES)]
    assert len(names) == len(set(names)) == len(features())
    assert describe("rr_previous").startswith("interval to the previous beat")
    assert describe("width_lead2") == f"{describe('width')}, lead 2"
    assert describe("not_declared") == "not declared"
