import numpy as np
import pytest

from pipelines.recording import Channel, Piece, Recording
from pipelines.signals.resampling import Resampled


class InMemory(Recording):
    """Channels of given rates in one or two pieces."""

    def __init__(self, signals, rates, pieces):
        self.path = self.start_time = None
        self.files, self.format, self.annotations = (), "memory", ()
        self.channels = tuple(Channel(f"c{k}", "", "eeg", rate) for k, rate in enumerate(rates))
        self.pieces, self._signals = pieces, signals

    def _read(self, channels, piece, start, stop):
        rows = [self._signals[self.channels.index(c)] for c in channels]
        first = round(piece.stored_s * channels[0].sfreq)
        return np.stack([row[first + start : first + stop] for row in rows])


def noise(rate, seconds=60.0, seed=0):
    return np.random.default_rng(seed).standard_normal(round(rate * seconds))


WHOLE = (Piece(0.0, 60.0, 0.0),)
RATES = [(360.0, 250.0), (128.0, 250.0), (256.0, 200.0), (173.61, 200.0), (250.0, 100.0)]


@pytest.mark.parametrize(("rate", "target"), RATES)
def test_any_part_is_that_part_of_the_whole(rate, target):
    recording = Resampled(InMemory([noise(rate)], [rate], WHOLE), ["c0"], target)
    whole = recording.read(["c0"], WHOLE[0])
    assert whole.shape == (1, round(60 * target))
    for start, stop in [(0, 1), (0, 700), (1234, 1235), (4321, 5000), (round(59 * target), None)]:
        part = recording.read(["c0"], WHOLE[0], start, stop)
        np.testing.assert_allclose(part, whole[:, start:stop], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("rate", "target"), RATES)
def test_a_slow_wave_stays_where_it_is_and_a_fast_one_goes(rate, target):
    times, wanted = np.arange(round(60 * rate)) / rate, np.arange(round(60 * target)) / target
    lowest = min(rate, target)
    inside = slice(round(target), round(59 * target))
    slow = np.sin(2 * np.pi * 0.2 * lowest * times + 0.3)
    recording = Resampled(InMemory([slow], [rate], WHOLE), ["c0"], target)
    expected = np.sin(2 * np.pi * 0.2 * lowest * wanted + 0.3)
    found = recording.read(["c0"], WHOLE[0])[0]
    np.testing.assert_allclose(found[inside], expected[inside], atol=5e-3)
    if target < rate:
        fast = np.sin(2 * np.pi * min(0.49 * rate, 0.65 * target) * times)
        recording = Resampled(InMemory([fast], [rate], WHOLE), ["c0"], target)
        assert np.abs(recording.read(["c0"], WHOLE[0])[0][inside]).max() < 0.01


def test_what_is_missing_stays_missing_and_nothing_else():
    signal = noise(250.0)
    signal[5000:5010] = np.nan
    recording = Resampled(InMemory([signal], [250.0], WHOLE), ["c0"], 100.0)
    missing = np.flatnonzero(~np.isfinite(recording.read(["c0"], WHOLE[0])[0]))
    assert missing.min() in range(1985, 2001)
    assert missing.max() in range(2003, 2016)


def test_a_gap_is_not_bridged_and_channels_of_several_rates_come_together():
    pieces = (Piece(0.0, 20.0, 0.0), Piece(50.0, 40.0, 20.0))
    one = np.concatenate([np.zeros(20 * 200), np.ones(40 * 200)])
    source = InMemory([one, noise(100.0)], [200.0, 100.0], pieces)
    recording = Resampled(source, ["c0", "c1"], 150.0)
    first, second = (recording.read(["c0", "c1"], piece) for piece in pieces)
    assert first.shape == (2, 3000)
    assert second.shape == (2, 6000)
    np.testing.assert_allclose(first[0], 0, atol=1e-12)
    np.testing.assert_allclose(second[0], 1, atol=2e-3)
