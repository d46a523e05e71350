"""Segments that look alike come together, the same way every time."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.readers import read_recording
from pipelines.review.groups import group_segments, worst_windows

SFREQ, BEAT_S = 250, 0.8


def beat(times, width, height=1.0):
    return height * np.exp(-0.5 * (times / width) ** 2)


@pytest.fixture
def holter(tmp_path: Path):
    """Two minutes: usual beats, 12 wide ones, 8 inverted ones, 6 usual ones that come early."""
    n = 150
    centers = 0.5 + BEAT_S * np.arange(n)
    kinds = np.array(["N"] * n)
    kinds[5::12], kinds[9:130:16], kinds[13:140:24] = "V", "I", "S"
    centers[kinds == "S"] -= 0.25
    generator = np.random.default_rng(0)
    times = np.arange(round(122 * SFREQ)) / SFREQ
    signal = generator.normal(0, 0.01, len(times))
    for center, kind in zip(centers + generator.normal(0, 0.008, n), kinds, strict=True):
        width = {"V": 0.07, "I": 0.05}.get(kind, 0.015)
        signal += beat(times - center, width, -0.8 if kind == "I" else 1.0 + 0.1 * (kind == "V"))
    digital = np.round(np.stack([signal, 0.5 * signal], axis=1) * 1000).astype("<i2")
    (tmp_path / "h.dat").write_bytes(digital.tobytes())
    leads = "".join(f"h.dat 16 1000/mV 16 0 0 0 0 {name}\n" for name in ("MLII", "V1"))
    (tmp_path / "h.hea").write_text(f"h 2 {SFREQ} {len(times)}\n{leads}")
    flagged = kinds != "N"
    windows = pd.DataFrame(
        {
            "window_index": np.arange(n),
            "start_s": centers - 0.24,
            "stop_s": centers + 0.39,
            "center_s": centers,
            "score": np.where(flagged, 5.0, 0.0),
            "scorable": True,
            "flagged": flagged,
        }
    )
    gaps = np.diff(centers, prepend=centers[0] - BEAT_S)
    features = pd.DataFrame({"window_index": np.arange(n), "rr_previous": np.log(gaps / BEAT_S)})
    segments = windows[flagged].assign(
        segment_id=[f"h@{c:.3f}" for c in centers[flagged]], kind=kinds[flagged]
    )
    return read_recording(tmp_path / "h.hea"), segments.reset_index(drop=True), windows, features


def test_beats_of_one_shape_come_together_and_early_ones_apart(holter):
    recording, segments, windows, features = holter
    groups = group_segments(segments, windows, features, recording, "ecg")
    kind = dict(zip(segments["segment_id"], segments["kind"], strict=True))
    assert [{kind[i] for i in g.segment_ids} for g in groups] == [{"V"}, {"I"}, {"S"}]
    assert [g.number for g in groups] == [1, 2, 3]
    assert [len(g.segment_ids) for g in groups] == segments["kind"].value_counts().tolist()
    assert groups[2].words == "shaped like the usual beat, early"
    assert groups[0].words == "of another shape"
    assert all(g.typical in g.segment_ids for g in groups)


def test_the_average_is_the_beat(holter):
    recording, segments, windows, features = holter
    group = group_segments(segments, windows, features, recording, "ecg")[0]
    assert group.channels == ("MLII", "V1")
    assert group.average[0].max() == pytest.approx(1.1e-3, rel=0.1)
    assert group.average[1].max() == pytest.approx(0.55e-3, rel=0.1)
    assert group.average[0].argmax() / group.sfreq == pytest.approx(0.25 - 0.04, abs=0.02)


def test_the_order_of_segments_does_not_matter(holter):
    recording, segments, windows, features = holter
    once = group_segments(segments, windows, features, recording, "ecg")
    mixed = segments.sample(frac=1, random_state=1)
    again = group_segments(mixed, windows, features, recording, "ecg")
    assert [g.segment_ids for g in once] == [g.segment_ids for g in again]
    assert [g.typical for g in once] == [g.typical for g in again]


def test_without_a_signal_features_group(holter):
    _, segments, windows, features = holter
    features = features.assign(width=np.where(windows["score"] > 1, 9.0, 0.1))
    groups = group_segments(segments, windows, features, None, "ecg")
    assert sum(len(g.segment_ids) for g in groups) == len(segments)
    assert all(g.average.size == 0 for g in groups)
    nothing = group_segments(segments, windows, None, None, "eeg")
    assert [len(g.segment_ids) for g in nothing] == [len(segments)]
    assert group_segments(segments.iloc[:0], windows, features, None, "eeg") == ()


def test_the_worst_window_speaks_for_a_segment():
    windows = pd.DataFrame(
        {"start_s": [0.0, 1, 2, 3], "stop_s": [1.0, 2, 3, 4], "score": [9.0, 1.0, 3.0, np.nan]}
    )
    segments = pd.DataFrame({"start_s": [1.0, 0.0, 3.2], "stop_s": [4.0, 1.0, 3.3]})
    assert worst_windows(segments, windows).tolist() == [2, 0, 3]
