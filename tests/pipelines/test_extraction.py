"""What must not change what is measured: chunks, length, workers' rates and spare channels."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.config import EegSettings
from pipelines.errors import SignalError
from pipelines.readers import read_recording
from pipelines.recording import Piece, Recording
from pipelines.signals import extraction
from pipelines.signals.extraction import extract, feature_matrix
from pipelines.signals.plan import Plan
from pipelines.signals.preprocessing import iter_chunks
from pipelines.signals.resampling import Resampled

SAMPLE = Path(__file__).parents[2] / "sample_data"


class Part(Recording):
    """The first seconds of a recording of one piece."""

    def __init__(self, source, stop_s, gap=None):
        self.path, self.files, self.format = source.path, source.files, source.format
        self.channels, self.annotations, self.start_time = source.channels, (), None
        self.pieces = (Piece(0.0, stop_s, 0.0),)
        if gap is not None:
            self.pieces = (Piece(0.0, gap, 0.0), Piece(gap + 100, stop_s - gap, gap))
        self._source = source

    def _read(self, channels, piece, start, stop):
        first = round(piece.stored_s * channels[0].sfreq)
        names = [c.name for c in channels]
        return self._source.read(names, self._source.pieces[0], first + start, first + stop)


@pytest.fixture(scope="module")
def ecg():
    return Part(read_recording(SAMPLE / "ecg_ahadb_0201.hea"), 400.0)


@pytest.fixture(scope="module")
def eeg():
    return Part(read_recording(SAMPLE / "eeg_absence_480s.edf"), 120.0)


def chunks_of(monkeypatch, chunk_s):
    def shorter(recording, names):
        return iter_chunks(recording, names, chunk_s)

    monkeypatch.setattr(extraction, "iter_chunks", shorter)


def assert_alike(one, other, atol):
    np.testing.assert_allclose(one.start_s, other.start_s, atol=1e-9)
    assert one.reason.tolist() == other.reason.tolist()
    np.testing.assert_allclose(one.channel_values, other.channel_values, rtol=0, atol=atol)
    np.testing.assert_allclose(one.common_values, other.common_values, rtol=0, atol=1e-4)


def test_beats_do_not_depend_on_the_chunks(ecg, monkeypatch):
    whole = extract(ecg, "ecg")
    chunks_of(monkeypatch, 100.0)
    assert_alike(whole, extract(ecg, "ecg"), 1e-7)


@pytest.mark.parametrize("settings", [EegSettings(), EegSettings(reference="bipolar", notch="60")])
def test_stretches_do_not_depend_on_the_chunks(eeg, monkeypatch, settings):
    plan = Plan(eeg=settings)
    whole = extract(eeg, "eeg", plan)
    chunks_of(monkeypatch, 40.0)
    assert_alike(whole, extract(eeg, "eeg", plan), 1e-4)


def test_windows_of_the_first_part_do_not_know_the_rest(ecg):
    whole, part = extract(ecg, "ecg"), extract(Part(ecg._source, 200.0), "ecg")
    early = part.center_s < 150
    n = early.sum()
    np.testing.assert_allclose(whole.center_s[:n], part.center_s[early])
    np.testing.assert_allclose(
        whole.channel_values[:n], part.channel_values[early], rtol=0, atol=1e-8
    )


def test_features_in_blocks_are_those_of_the_whole(ecg, monkeypatch):
    windows = extract(ecg, "ecg")
    usual = windows.center_s < 100
    whole = [feature_matrix(windows, "ecg"), feature_matrix(windows, "ecg", usual)]
    monkeypatch.setattr(extraction, "_BLOCK", 150)
    for expected, by_default in zip(whole, (None, usual), strict=True):
        found = feature_matrix(windows, "ecg", by_default)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_a_window_never_spans_a_gap(eeg):
    windows = extract(Part(eeg._source, 60.0, gap=30.5), "eeg")
    across = (windows.start_s < 130.5) & (windows.stop_s > 30.5)
    assert not across.any()
    assert len(windows) == 29 + 28


def test_settings_decide_on_length_hop_and_channels(eeg):
    plan = Plan(eeg=EegSettings(window_s=4.0, hop_s=2.0, reference="bipolar"))
    windows = extract(eeg, "eeg", plan)
    np.testing.assert_allclose(windows.stop_s - windows.start_s, 4.0)
    np.testing.assert_allclose(np.diff(windows.start_s), 2.0)
    assert windows.channels[:2] == ("Fp1-F7", "F7-T7")
    with pytest.raises(SignalError, match="linked reference needs"):
        extract(eeg, "eeg", Plan(eeg=EegSettings(reference="linked")))


def test_spare_channels_change_nothing(eeg):
    names = tuple(c.name for c in eeg.of_kind("eeg"))[3:15]
    only = Part(eeg._source, 60.0)
    only.channels = tuple(c for c in eeg.channels if c.name in names)
    whole, part = (extract(Part(eeg._source, 60.0), "eeg", Plan(names)), extract(only, "eeg"))
    assert whole.channels == part.channels == names
    np.testing.assert_array_equal(whole.channel_values, part.channel_values)


def test_beats_measured_at_another_rate_are_much_the_same(ecg):
    own = extract(ecg, "ecg")
    faster = Resampled(ecg, [c.name for c in ecg.channels], 360.0)
    back = extract(faster, "ecg", Plan(sfreq=250.0))
    assert abs(len(own) - len(back)) <= 2
    nearest = np.abs(own.center_s[:, None] - back.center_s).argmin(axis=1)
    close = np.abs(own.center_s - back.center_s[nearest]) < 0.012
    assert close.mean() > 0.99
    one, other = own.channel_values[close], back.channel_values[nearest[close]]
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(one[:, 0], other[:, 0], strict=True)]
    assert np.median(r) > 0.995


def test_equal_rates_are_not_resampled(eeg):
    own, planned = extract(eeg, "eeg"), extract(eeg, "eeg", Plan(sfreq=200.5))
    np.testing.assert_array_equal(own.channel_values, planned.channel_values)


def test_leads_are_taken_in_the_models_order_whatever_the_files(ecg):
    names = tuple(c.name for c in ecg.channels)
    turned = Part(ecg._source, 60.0)
    turned.channels = tuple(reversed(ecg.channels))
    own, other = (extract(r, "ecg", Plan(names)) for r in (Part(ecg._source, 60.0), turned))
    assert own.channels == other.channels == names
    np.testing.assert_array_equal(own.channel_values, other.channel_values)
    alone = extract(turned, "ecg", Plan(names[:1]))
    np.testing.assert_allclose(alone.center_s[3:-3].mean(), own.center_s[3:-3].mean(), atol=0.5)
    assert alone.channels == names[:1]
