"""Windows that are plainly wrong rank above usual ones, or are not scorable."""

import numpy as np
import pytest

from pipelines import fit_model, read_recording, score_recording
from pipelines.demo import sample_folder
from pipelines.recording import Recording

SPAN = {"ecg": (900.0, 912.0), "eeg": (190.0, 202.0)}
FILES = {"ecg": ("ecg_ahadb_0201.hea", 300), "eeg": ("eeg_absence_480s.edf", 230)}


class Changed(Recording):
    """A recording of which all channels are changed for twelve seconds."""

    def __init__(self, whole, change, start_s, stop_s):
        self.__dict__.update(whole.__dict__)
        self._whole, self._change, self._span = whole, change, (start_s, stop_s)

    def _read(self, channels, piece, start, stop):
        data = self._whole._read(channels, piece, start, stop)
        first, last = (round((t - piece.start_s) * channels[0].sfreq) for t in self._span)
        a, b = max(first, start), min(last, stop)
        if b > a:
            changed = self._change(self._whole._read(channels, piece, first, last))
            data[:, a - start : b - start] = changed[:, a - first : b - first]
        return data


def clipped(x):
    low, high = np.quantile(x, [0.3, 0.7], axis=1)[..., None]
    return np.clip(x, low, high)


def noise(x):
    return x.std(axis=1, keepdims=True) * np.random.default_rng(0).standard_normal(x.shape)


CHANGES = {
    "flat": lambda x: np.repeat(x[:, :1], x.shape[1], axis=1),
    "clipped": clipped,
    "noise": noise,
    "reversed": lambda x: x[:, ::-1],
    "three times": lambda x: 3 * x,
    "a tenth": lambda x: x / 10,
    "shuffled": lambda x: np.roll(x, 1, axis=0),
}


@pytest.fixture(scope="module", params=["ecg", "eeg"])
def fitted(request):
    name, stop_s = FILES[request.param]
    recording = read_recording(sample_folder() / name)
    model = fit_model([recording], request.param, baseline=(0, stop_s))
    windows = score_recording(model, recording).windows
    return request.param, recording, model, windows


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_plainly_wrong_windows_rank_above_usual_ones_or_are_refused(fitted, change):
    kind, recording, model, unchanged = fitted
    usual = unchanged["score"][~unchanged["flagged"]].dropna()
    start_s, stop_s = SPAN[kind]
    changed = Changed(recording, CHANGES[change], start_s, stop_s)
    windows = score_recording(model, changed).windows
    inside = windows[(windows["start_s"] > start_s) & (windows["stop_s"] < stop_s)]
    if kind == "ecg" and change in ("flat", "clipped", "a tenth"):
        # hardly a beat is found, and the last one before stands beside a pause
        assert len(inside) <= 1 and inside["flagged"].all()
        for table, flagged in ((windows, True), (unchanged, False)):
            assert table[table["center_s"] < start_s]["flagged"].iloc[-1] == flagged
        return
    assert len(inside) >= 5
    ranks = np.array([(usual < score).mean() for score in inside["score"][inside["scorable"]]])
    if kind == "eeg" and change in ("reversed", "shuffled"):
        # single windows of two seconds may hold no wave that travels or that neighbours share
        assert np.mean(ranks > 0.95) > 0.75
        assert (ranks > 0.5).all()
    else:  # hyperventilation alone brings some usual windows near three times the amplitude
        assert (ranks > (0.9 if (kind, change) == ("eeg", "three times") else 0.95)).all()
