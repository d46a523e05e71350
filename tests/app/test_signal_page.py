"""One page of signal: right samples at the right time, gaps left open, derivations exact."""

import numpy as np
import pytest

from app.montage import available, bipolar_pairs, derive
from app.signal_page import View, read_page
from pipelines.readers import read_recording
from pipelines.recording import Channel, Piece, Recording


class Stored(Recording):
    """Two pieces of 10 s with 5 s between them; each sample is its own time in volts."""

    path = files = format = start_time = None
    annotations = ()
    pieces = (Piece(0.0, 10.0, 0.0), Piece(15.0, 10.0, 10.0))

    def __init__(self, kind="eeg", names=("Fp1", "O1"), sfreq=100.0):
        self.channels = tuple(Channel(n, n, kind, sfreq) for n in names)

    def _read(self, channels, piece, start, stop):
        times = piece.start_s + np.arange(start, stop) / channels[0].sfreq
        return np.stack([times + i for i in range(len(channels))]) * 1e-6


def test_gap_stays_open_and_samples_keep_their_time():
    trace = read_page(Stored(), "eeg", View(8.0, 18.0, None, None))[0]
    times = 8.0 + np.arange(1000) / 100
    gap = (times >= 10 - 1e-9) & (times < 15 - 1e-9)
    assert np.isnan(trace.samples[gap]).all() and np.isfinite(trace.samples[~gap]).all()
    rise = np.diff(trace.samples[:200])
    assert np.allclose(rise, 0.01, atol=1e-9)  # µV a sample


def test_page_beyond_the_end_is_empty_not_an_error():
    trace = read_page(Stored(), "eeg", View(100.0, 110.0, 0.5, 35.0))[0]
    assert np.isnan(trace.samples).all()


def test_high_pass_takes_drift_away_and_leaves_rhythm(tmp_path, parts):
    recording = read_recording(parts.write_edf(tmp_path / "x.edf"))
    shown = read_page(recording, "eeg", View(50.0, 60.0, 0.5, 35.0))[0].samples
    spectrum = np.abs(np.fft.rfft(shown))
    assert spectrum.argmax() == 100  # 10 Hz over 10 s
    assert np.abs(shown).max() == pytest.approx(30, rel=0.6)


def test_filtered_page_does_not_depend_on_where_it_starts():
    class Noise(Stored):
        pieces = (Piece(0.0, 100.0, 0.0),)

        def _read(self, channels, piece, start, stop):
            whole = np.random.default_rng(0).normal(size=(2, 10_000)) * 1e-5
            return whole[: len(channels), start:stop]

    one = read_page(Noise(), "eeg", View(40.0, 50.0, 1.0, 30.0))[0].samples
    other = read_page(Noise(), "eeg", View(45.0, 55.0, 1.0, 30.0))[0].samples
    assert np.allclose(one[500:], other[:500], atol=0.05)


def test_eeg_page_shows_the_ecg_beside_it():
    class Both(Stored):
        def __init__(self):
            super().__init__()
            self.channels += (Channel("ECG", "ECG", "ecg", 50.0),)

    traces = read_page(Both(), "eeg", View(0.0, 5.0, None, None))
    assert [(t.name, t.unit, len(t.samples)) for t in traces] == [
        ("Fp1", "µV", 500),
        ("O1", "µV", 500),
        ("ECG", "mV", 250),
    ]


def test_derivations():
    names = ("Fp1", "F7", "T7", "P7", "O1", "Fz", "Cz", "Pz")
    data = np.random.default_rng(0).normal(size=(8, 50))
    assert available(names) == ("recorded", "bipolar", "average")
    assert available(("EEG 1", "EEG 2")) == ("recorded",)
    labels, bipolar = derive(names, data, "bipolar")
    assert labels[0] == "Fp1–F7" and len(labels) == len(bipolar_pairs(names)) == 6
    assert np.array_equal(bipolar[0], data[0] - data[1])
    _, average = derive(names, data, "average")
    assert np.allclose(average.mean(axis=0), 0)
    assert np.array_equal(derive(names, data, "recorded")[1], data)


def test_average_of_nothing_is_nothing():
    data = np.full((8, 3), np.nan)
    data[:, 0] = 1.0
    _, average = derive(tuple("abcdefgh"), data, "average")
    assert np.allclose(average[:, 0], 0) and np.isnan(average[:, 1:]).all()
