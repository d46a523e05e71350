"""Rules that forbid a score: what each marks, and that an odd rhythm is none of them."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.features.eeg import CHANNEL_FEATURES
from pipelines.quality import ecg_faults, eeg_faults, faults, reasons
from pipelines.quality.ecg import BASELINE, NOISE, UNLIKE
from pipelines.quality.likeness import likeness
from pipelines.readers import read_recording
from pipelines.signals.extraction import extract
from pipelines.signals.heartbeats import detect_beats
from pipelines.signals.line_noise import find_line, line_amplitude, remove_line
from pipelines.signals.preprocessing import band_pass

SFREQ = 250.0
SAMPLE = Path(__file__).parents[2] / "sample_data"


def ecg(beat_s=0.8, seconds=40, seed=0):
    """Two leads of 1 mV beats in a little noise, and the beats' samples."""
    times = np.arange(round(seconds * SFREQ)) / SFREQ
    peaks = np.arange(1.0, seconds - 1, beat_s)
    pulse = np.exp(-0.5 * ((times - peaks[:, None]) / 0.015) ** 2).sum(axis=0)
    rng = np.random.default_rng(seed)
    leads = 1e-3 * pulse * np.array([[1.0], [0.3]]) + 2e-6 * rng.standard_normal((2, len(times)))
    return leads, np.round(peaks * SFREQ).astype(np.int64)


def found(leads, peaks):
    return ecg_faults(leads, leads, peaks, SFREQ)


def test_noise_is_marked_where_it_is_and_on_its_lead():
    leads, peaks = ecg()
    assert not any(fault.any() for fault in found(leads, peaks).values())
    leads[1, 10_00:50_00] += 5e-4 * np.random.default_rng(1).standard_normal(4000)
    noisy = found(leads, peaks)[NOISE]
    inside = (peaks > 1500) & (peaks < 4500)
    assert noisy[inside, 1].all()
    assert not noisy[:, 0].any()
    assert not noisy[(peaks < 700) | (peaks > 5300)].any()


def test_a_large_slow_rhythm_is_not_noise_nor_wander():
    times = np.arange(10_000) / SFREQ
    flutter = 1.5e-3 * np.sin(2 * np.pi * 4.2 * times) * np.array([[1.0], [0.8]])
    flutter += 1.2e-4 * np.sin(2 * np.pi * 35 * times)  # much against a QRS, little against this
    peaks = np.arange(100, 9900, 60)
    assert not any(fault.any() for fault in found(flutter, peaks).values())


def test_a_runaway_baseline_is_marked():
    leads, peaks = ecg()
    leads[0, 5000:] += 6e-3
    away = found(leads, peaks)[BASELINE]
    assert away[np.abs(peaks - 5000) < 100, 0].all()
    assert not away[np.abs(peaks - 5000) > 500].any()


def with_odd_beats(leads, peaks, odd):
    """Turn some beats into wide ones of the other polarity."""
    times = np.arange(leads.shape[1]) / SFREQ
    for peak in peaks[odd]:
        near = np.abs(times - peak / SFREQ) < 0.2
        wide = np.exp(-0.5 * ((times[near] - peak / SFREQ) / 0.04) ** 2)
        leads[:, near] = -1.5e-3 * wide
    return leads


@pytest.mark.parametrize("odd", [[20], [10, 11, 12, 30], slice(0, None, 2), slice(0, None, 3)])
def test_odd_beats_among_clean_ones_stay_scorable(odd):
    leads, peaks = ecg()
    assert not found(with_odd_beats(leads, peaks, odd), peaks)[UNLIKE].any()


def motion(seconds, seed=3):
    """Waves of one to ten hertz as large as beats, others on each lead."""
    noise = np.random.default_rng(seed).standard_normal((2, round(seconds * SFREQ)))
    waves = band_pass(noise, SFREQ, 1.0, 10.0)
    return 7e-4 * waves / waves.std()


def test_a_stretch_of_waves_that_look_like_beats_is_marked_and_the_beats_around_it_are_not():
    leads, _ = ecg(seconds=80)
    on = slice(round(30 * SFREQ), round(50 * SFREQ))
    leads[:, on] = motion(20)
    peaks = detect_beats(leads, SFREQ)
    marked, at = found(leads, peaks)[UNLIKE].all(axis=1), peaks / SFREQ
    assert marked[(at > 33) & (at < 47)].mean() > 0.9
    assert not marked[(at < 25) | (at > 55)].any()


@pytest.mark.parametrize("lead", [0, 1])
def test_a_lead_that_is_off_does_not_make_the_other_look_like_noise(lead):
    leads, peaks = ecg()
    leads[lead, 3000:7000] = 0.0
    assert not found(leads, peaks)[UNLIKE].any()


def test_likeness_is_of_the_stretch_and_not_of_the_beat():
    leads, peaks = ecg()
    clean = likeness(leads, peaks, SFREQ)
    assert clean.min() > 3
    odd = likeness(with_odd_beats(leads, peaks, [20]), peaks, SFREQ)
    assert odd[20] > 2.5
    np.testing.assert_allclose(odd[[5, 35]], clean[[5, 35]])
    assert likeness(motion(20), np.arange(100, 4900, 200), SFREQ).max() < 1.5
    assert likeness(leads, peaks[:1], SFREQ) == pytest.approx(-np.log(1.52))
    assert len(likeness(leads, peaks[:0], SFREQ)) == 0


def eeg(n_channels=4, seed=0):
    rng = np.random.default_rng(seed)
    return 2e-5 * rng.standard_normal((3, n_channels, 400))


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("amplitude beyond EEG", lambda w, t: 4e-3 * np.sin(2 * np.pi * t)),
        ("line interference", lambda w, t: 1e-4 * np.sin(2 * np.pi * 50 * t)),
        ("bridged electrodes", lambda w, t: w[1, 2] - w[1, 0]),
    ],
)
def test_a_channel_that_shows_something_else_is_named(fault, change):
    windows, times = eeg(), np.arange(400) / 200
    windows[1, 0] += change(windows, times)
    marked = eeg_faults(windows, np.zeros((3, 4)), 200.0)
    where = np.argwhere(marked[fault])
    assert [1, 0] in where.tolist()
    assert set(where[:, 0]) == {1}
    assert sum(m[1, 0] for m in marked.values()) == 1


def test_muscle_needs_both_size_and_share():
    windows = 10 * eeg()
    assert eeg_faults(windows, np.full((3, 4), 0.6), 200.0)["muscle noise"].all()
    assert not eeg_faults(windows, np.full((3, 4), 0.1), 200.0)["muscle noise"].any()
    assert not eeg_faults(windows / 10, np.full((3, 4), 0.6), 200.0)["muscle noise"].any()


def test_absence_seizures_stay_scorable():
    windows = extract(read_recording(SAMPLE / "eeg_absence_480s.edf"), "eeg")
    assert windows.scorable.all()
    assert windows.channel_values.shape[2] == len(CHANNEL_FEATURES)


def test_a_channel_with_two_faults_counts_once():
    both = {"flat": np.array([[True, False]]), "noise": np.array([[True, True]])}
    assert reasons(both, 0.5).tolist() == ["noise on 2 of 2 channels"]
    one = {"flat": np.array([[True, False]]), "noise": np.array([[True, False]])}
    assert reasons(one, 0.5).tolist() == [None]
    assert reasons(one, 0.0, "lead").tolist() == ["flat on 1 of 2 leads"]


def test_a_line_is_measured_found_and_removed():
    sfreq, times = 200.0, np.arange(4000) / 200.0
    noise = 1e-5 * np.random.default_rng(0).standard_normal((2, 4000))
    line = noise + np.array([[0.0], [5e-5]]) * np.sqrt(2) * np.sin(2 * np.pi * 50 * times)
    assert line_amplitude(line[1], sfreq, 50.0) == pytest.approx(5e-5, rel=0.02)
    assert line_amplitude(line[0], sfreq, 50.0) < 2e-6
    cleaned = remove_line(line, sfreq, 50.0)
    assert line_amplitude(cleaned[1, 500:3500], sfreq, 50.0) < 2e-6
    assert line_amplitude(line[1], 90.0, 50.0) == 0
    assert faults(line[None], 1e-6)["flat signal"].sum() == 0


@pytest.mark.parametrize("freq", [50, 60])
def test_the_mains_is_found_in_a_recording_and_does_not_change_what_is_measured(
    write_eeg, tmp_path, freq
):
    clean = read_recording(write_eeg(tmp_path / "clean.edf", 60, sfreq=200))
    assert find_line(clean, [c.name for c in clean.channels]) is None
    hum = Humming(clean, freq)
    assert find_line(hum, [c.name for c in hum.channels]) == freq
    values, hummed = (extract(r, "eeg").channel_values[2:-2] for r in (clean, hum))
    slow = CHANNEL_FEATURES.index("alpha")
    np.testing.assert_allclose(hummed[..., slow], values[..., slow], atol=0.02)
    length = CHANNEL_FEATURES.index("line_length")
    assert np.abs(hummed[..., length] - values[..., length]).mean() < 0.15


class Humming:
    """A recording with 100 uV of the mains on every channel."""

    def __init__(self, source, freq):
        self._source, self._freq = source, freq

    def __getattr__(self, name):
        return getattr(self._source, name)

    def read(self, names, piece, start=0, stop=None):
        data = self._source.read(names, piece, start, stop)
        index = start + np.arange(data.shape[1])
        wave = np.sin(2 * np.pi * self._freq * index / self.channel(names[0]).sfreq)
        return data + 1e-4 * wave * (1 + np.arange(len(data)))[:, None]
