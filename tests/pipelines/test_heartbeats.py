from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.signal import resample_poly

from pipelines.readers import read_recording
from pipelines.signals.heartbeats import REFRACTORY_S, agreement, detect_beats, detect_waves
from pipelines.signals.preprocessing import band_pass

SAMPLE = Path(__file__).parents[2] / "sample_data"


@pytest.fixture(scope="module")
def sample():
    recording = read_recording(SAMPLE / "ecg_ahadb_0201.hea")
    names = [channel.name for channel in recording.of_kind("ecg")]
    return recording.read(names, recording.pieces[0]), recording.channels[0].sfreq


def test_every_labelled_beat_of_the_sample_is_found(sample):
    leads, sfreq = sample
    labelled = pd.read_csv(SAMPLE / "ecg_ahadb_0201_beats.csv")["time_s"].to_numpy()
    found = detect_beats(leads, sfreq) / sfreq
    nearest = np.abs(found[:, None] - labelled[None]).min(axis=0)
    assert (nearest <= 0.15).mean() > 0.998
    later = found[found > labelled[0] - 0.5]
    assert abs(len(later) - len(labelled)) <= 5


def test_beats_are_ordered_and_apart(sample):
    leads, sfreq = sample
    beats = detect_beats(leads[:, : round(120 * sfreq)], sfreq)
    assert (np.diff(beats) >= REFRACTORY_S * sfreq).all()


def test_a_beat_that_is_small_on_one_lead_is_found_on_the_other():
    sfreq, times = 250.0, np.arange(0, 60, 1 / 250.0)
    rng = np.random.default_rng(0)
    leads = 5e-6 * rng.standard_normal((2, len(times)))
    for i, beat in enumerate(np.arange(0.5, 59.5, 0.8)):
        pulse = np.exp(-0.5 * ((times - beat) / 0.012) ** 2) * 1e-3
        leads += np.array([[0.0 if i == 30 else 1.0], [1.0]]) * pulse
    missing = round((0.5 + 30 * 0.8) * sfreq)
    assert np.abs(detect_beats(leads[:1], sfreq) - missing).min() > 50
    assert np.abs(detect_beats(leads, sfreq) - missing).min() < 25


@pytest.mark.parametrize("pause_s", [4, 10, 15])
def test_the_noise_in_a_pause_is_not_beats(sample, pause_s):
    leads, sfreq = sample
    part = leads[:, : round(120 * sfreq)].copy()
    first, last = round(60 * sfreq), round((60 + pause_s) * sfreq)
    noise = np.random.default_rng(0).standard_normal((2, last - first))
    part[:, first:last] = part[:, first : first + 1] + 1e-5 * noise
    found = detect_beats(part, sfreq) / sfreq
    assert not ((found > 60.3) & (found < 59.7 + pause_s)).any()
    later = detect_beats(leads, sfreq) / sfreq
    span = 60.5 + pause_s, 119.0
    counts = [((at > span[0]) & (at < span[1])).sum() for at in (found, later)]
    assert abs(counts[0] - counts[1]) <= 1


def test_a_silent_lead_has_no_beats():
    assert len(detect_beats(np.zeros((1, 5000)), 250.0)) == 0


def test_detections_agree_where_they_find_the_same_beats_and_only_there():
    beats = np.arange(100, 20_000, 200)
    assert (agreement(beats, beats + 20, 250.0) == 1).all()
    assert (agreement(beats, np.empty(0, dtype=np.int64), 250.0) == 0).all()
    doubled = np.sort(np.concatenate([beats, beats[50:] + 100]))
    share = agreement(beats, doubled, 250.0)
    assert (share[:40] == 1).all()
    np.testing.assert_allclose(share[60:90], 0.5, atol=0.05)
    assert (agreement(beats[50:], beats[:50], 250.0)[20:] == 0).all()


def test_the_second_detector_finds_the_same_beats_and_disagrees_in_noise(sample):
    leads, sfreq = sample
    part = band_pass(leads[:, : round(120 * sfreq)], sfreq, 0.5, 40.0)
    beats = detect_beats(part, sfreq)
    assert (agreement(beats, detect_waves(part[0], sfreq), sfreq) == 1).mean() > 0.95
    noise = 1e-3 * np.random.default_rng(0).standard_normal(part.shape[1])
    assert np.median(agreement(beats, detect_waves(noise, sfreq), sfreq)) < 0.8
    assert len(detect_waves(np.zeros(5000), sfreq)) == 0


@pytest.mark.parametrize("cut_s", [61.37, 80.0])
def test_beats_do_not_depend_on_where_a_noisy_recording_is_cut(sample, cut_s):
    leads, sfreq = sample
    part = leads[:, : round(240 * sfreq)].copy()
    noise = resample_poly(np.load(SAMPLE / "ecg_noise_nstdb_60s.npz")["ma"].T, 25, 36, axis=1)
    start = round(20 * sfreq)
    part[:, start:] += 8e-4 * np.tile(noise / noise.std(), 4)[:, start : part.shape[1]]
    first = round(cut_s * sfreq)
    whole, cut = detect_beats(part, sfreq), detect_beats(part[:, first:], sfreq) + first
    later = first + round(20 * sfreq)
    assert whole[whole > later].tolist() == cut[cut > later].tolist()
    assert (whole > later).sum() > 150
