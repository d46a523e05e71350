from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.features import ecg, eeg
from pipelines.features.eeg_pattern import PATTERN_FEATURES
from pipelines.features.registry import describe, features
from pipelines.features.rhythm import SPREAD_FLOOR
from pipelines.features.rhythm_windows import RHYTHM_WINDOW_FEATURES
from pipelines.features.usual_beat import BEATS_NEEDED
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
    expected[[column("line_length"), column(eeg.RECORDED)]] = np.log(2)
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


def test_a_steep_rise_and_slow_fall_is_asymmetric_and_turns_its_sign_backwards():
    saw = 1e-5 * (-(np.arange(400) % 80) / 80.0)[None, None]
    forward, backward = (
        eeg.channel_features(x, SFREQ)[0, 0, column("asymmetry")] for x in (saw, saw[..., ::-1])
    )
    assert forward > 0.5
    assert backward == pytest.approx(-forward)


def test_the_neighbour_that_comes_first_leads_and_follows_backwards():
    first = windows(1, 1)
    both = np.concatenate([first, np.roll(first, 2, axis=-1)], axis=1)
    smooth = np.apply_along_axis(lambda x: np.convolve(x, np.ones(9) / 9, "same"), -1, both)
    alike, leads = eeg.pair_features(smooth, [(0, 1)])[0, 0]
    backwards = eeg.pair_features(smooth[..., ::-1], [(0, 1)])[0, 0]
    assert leads > 0.1
    np.testing.assert_allclose(backwards, [alike, -leads], atol=1e-12)
    smooth[0, 1] = np.nan
    assert np.isnan(eeg.pair_features(smooth, [(0, 1)])).all()


def test_summary_leaves_bad_channels_out_and_is_nan_without_any():
    values = eeg.channel_features(windows(), SFREQ)
    values[1, 2] = np.nan
    values[2] = np.nan
    summary = eeg.summarise(values)
    np.testing.assert_allclose(summary[1], eeg.summarise(values[1:2, [0, 1, 3]])[0])
    assert np.isnan(summary[2]).all()
    assert np.isfinite(summary[:2]).all()


def rhythm(peaks):
    columns = ecg.rhythm_features(peaks).T
    return dict(zip((f.name for f in ecg.RHYTHM_FEATURES), columns, strict=True))


def test_a_premature_beat_is_early_and_followed_by_a_pause():
    peaks = np.cumsum(np.full(40, 0.8))
    peaks[20] -= 0.3
    values = rhythm(peaks)
    assert np.isnan([column[[0, -1]] for column in values.values()]).all()
    for name in ("early", "early_minutes"):
        assert values[name][20] == pytest.approx(np.arcsinh(np.log(0.8 / 0.5) / SPREAD_FLOOR))
        assert -values[name][20] < values[name][21] < 0  # the pause counts for less
    assert values["early_next"][20] < -2
    assert 0 < values["early_next"][19] < 1
    assert values["local_rr"][20] == pytest.approx(np.log(0.8))


def test_the_same_earliness_means_less_in_an_irregular_rhythm():
    rng = np.random.default_rng(0)
    steady, irregular = (
        np.cumsum(0.8 * np.exp(sd * rng.standard_normal(400))) for sd in (0.02, 0.2)
    )
    found = []
    for peaks in (steady, irregular):
        peaks[200] = peaks[199] + 0.6
        peaks[201:] += 0.6
        found.append(rhythm(peaks)["early"][200])
    assert found[0] > 1.5
    assert found[1] < found[0] / 2


def test_a_run_of_early_beats_does_not_become_its_own_rhythm():
    intervals = np.full(400, 0.8)
    intervals[200:230] = 0.5
    values = rhythm(np.cumsum(intervals))
    assert abs(values["early"][215]) < 0.1  # among its like
    assert values["early_minutes"][215] > 2


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
    rhythm = ecg.rhythm_features(beats["time_s"].to_numpy())
    rows = ecg.feature_rows(waveforms, rhythm)
    names = [f.name for f in ecg.FEATURES]
    assert roc_auc_score(ventricular, rows[:, names.index("shape_change")]) > 0.95
    assert roc_auc_score(ventricular, np.nan_to_num(rows[:, names.index("early")])) > 0.9


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
    parts = [moved[shape_column(f"shape_change_{part}")] for part in ("before", "qrs", "after")]
    assert parts[2] > 0.5
    assert parts[2] > 2 * max(abs(parts[0]), abs(parts[1]))
    assert moved[shape_column("shape_change")] > 0.1


def test_confirmed_beats_are_the_reference_where_most_beats_around_are_odd():
    mixed = beats(1200)
    mixed[300:, :, :] = np.roll(mixed[300:], 8, axis=2)
    usual = np.arange(1200) < 40
    change = shape_column("shape_change")
    around = ecg.shape_features(mixed)[1000, 0, change]
    confirmed = ecg.shape_features(mixed, usual)[1000, 0, change]
    assert around < -3  # among its like it does not stand out
    assert confirmed > -1


def test_every_other_beat_odd_does_not_hide_them():
    mixed = beats(600)
    odd = np.arange(600) % 2 == 1
    mixed[odd] = np.roll(mixed[odd], 8, axis=2)
    early = np.where(odd, 5.0, -5.0)
    change = ecg.shape_features(mixed, early=early)[:, 0, shape_column("shape_change")]
    assert change[odd].min() > change[~odd].max() + 1
    mixture = ecg.shape_features(mixed)[:, 0, shape_column("shape_change")]
    assert mixture[odd].min() < change[odd].min()


def test_a_beat_is_measured_alike_however_the_recording_is_cut():
    rng = np.random.default_rng(1)
    waveforms = beats(3000) * np.exp(0.1 * rng.standard_normal((3000, 1, 1)))
    rhythm = ecg.rhythm_features(np.cumsum(rng.uniform(0.7, 0.9, 3000)))
    whole = ecg.feature_rows(waveforms, rhythm)
    part = slice(1400 - BEATS_NEEDED, 1500 + BEATS_NEEDED)
    cut = ecg.feature_rows(waveforms[part], rhythm[part])[BEATS_NEEDED : BEATS_NEEDED + 100]
    np.testing.assert_allclose(cut, whole[1400:1500], atol=1e-9)


def test_every_feature_has_plain_words_and_one_name():
    declared = (ecg.FEATURES, RHYTHM_WINDOW_FEATURES, eeg.FEATURES, PATTERN_FEATURES)
    names = [f.name for part in declared for f in part]
    assert len(names) == len(set(names)) == len(features())
    assert describe("early").startswith("earliness")
    assert describe("width_change_lead2") == f"{describe('width_change')}, lead 2"
    assert describe("not_declared") == "not declared"
