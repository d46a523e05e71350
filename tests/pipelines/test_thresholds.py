"""Thresholds for windows that were scored: segments at another one, and the lowest allowed."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines
from pipelines.errors import ConfigError
from pipelines.labels import Interval
from pipelines.merging import merge
from pipelines.stretches import covered_s, of_events, of_table, overlapping, scored_s
from pipelines.thresholds import NEVER, envelope_threshold, resegment


def table(starts, lengths, scores, scorable=None):
    starts = np.asarray(starts, float)
    order = np.argsort(starts, kind="stable")
    n = len(starts)
    ok = np.ones(n, bool) if scorable is None else np.asarray(scorable, bool)
    frame = pd.DataFrame(
        {
            "recording_id": "r",
            "patient_id": "p",
            "start_s": starts,
            "stop_s": starts + np.asarray(lengths, float),
            "score": np.where(ok, np.asarray(scores, float), np.nan),
            "p_value": 0.5,
            "scorable": ok,
            "top_features": [["width"] for _ in range(n)],
            "top_channel": None,
        }
    )
    frame["flagged"] = False
    return frame.iloc[order].reset_index(drop=True)


def n_false(tables, threshold, merge_s, true_events):
    total = 0
    for windows, events in zip(tables, true_events, strict=True):
        found = merge(windows.assign(flagged=windows["score"] > threshold), merge_s)
        total += int((~overlapping(of_table(found), of_events(events))).sum())
    return total


def brute_force(tables, allowed, merge_s, true_events):
    """Try every score from the highest down; nothing of the product's bookkeeping."""
    scores = np.unique(np.concatenate([t["score"].dropna() for t in tables]))[::-1]
    for i, score in enumerate(scores):
        below = scores[i + 1] if i + 1 < len(scores) else score - 1
        if n_false(tables, below, merge_s, true_events) > allowed:
            return score
    return NEVER


windows = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from([0.5, 1.0, 7.0]), st.integers(0, 12)),
    min_size=1,
    max_size=25,
)
moments = st.lists(st.tuples(st.integers(0, 60), st.sampled_from([0, 0, 3])), max_size=4)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(windows, moments), min_size=1, max_size=2),
    st.integers(0, 4),
    st.sampled_from([0.0, 1.0, 2.5]),
)
def test_the_envelope_is_that_of_trying_every_threshold(recordings, allowed, merge_s):
    tables = [
        table([w[0] for w in ws], [w[1] for w in ws], [w[2] for w in ws]) for ws, _ in recordings
    ]
    events = [
        sorted(Interval(float(a), float(a + length), "x") for a, length in es)
        for _, es in recordings
    ]
    per_day = max(allowed, 0.5) * 24  # in one hour: `allowed` events
    found = envelope_threshold(tables, 1.0, per_day, merge_s, events)
    assert found == brute_force(tables, allowed, merge_s, events)


def test_the_number_of_events_falls_again_where_they_run_together():
    """A plain search would take the lower threshold, at which all is one event."""
    spaced = table(np.arange(0, 40, 4.0), [1] * 10, [9] * 10)
    between = table(np.arange(2, 40, 4.0), [1] * 10, [5] * 10)
    both = pd.concat([spaced, between]).sort_values("start_s").reset_index(drop=True)
    assert len(resegment(both, 4.0, 2.0)) == 1
    assert len(resegment(both, 6.0, 2.0)) == 10
    assert envelope_threshold(both, 1.0, 48, 2.0) == 9.0
    assert envelope_threshold(both, 1.0, 240, 2.0) == NEVER


def test_windows_of_one_score_are_flagged_together():
    """One by one they would be two events until the last of them closes the gap."""
    some = table([0, 2, 4, 6, 8, 10], [1] * 6, [5, 5, 5, 5, 5, 9])
    assert envelope_threshold(some, 1.0, 24, 1.0) == NEVER
    assert envelope_threshold(some, 1.0, 24, 0.5) == 5.0


def test_windows_without_a_score_never_count():
    some = table([0, 10, 20], [1, 1, 1], [3, 8, 2], scorable=[1, 0, 1])
    assert len(resegment(some, -math.inf, 2.0)) == 2
    assert envelope_threshold(some, 1.0, 24, 2.0) == 2.0
    with pytest.raises(ConfigError, match="not a number"):
        resegment(some, math.nan, 2.0)
    with pytest.raises(ConfigError, match="above 0"):
        envelope_threshold(some, 0.0, 24, 2.0)


def test_resegment_leaves_the_stored_windows_alone():
    some = table([0, 10, 20], [1, 1, 1], [3, 8, 2])
    before = some.copy(deep=True)
    assert resegment(some, 2.5, 2.0)["start_s"].tolist() == [0.0, 10.0]
    pd.testing.assert_frame_equal(some, before)


def test_time_between_beats_is_scored_and_time_at_bad_ones_is_not():
    starts = np.array([0.0, 1.0, 2.0, 3.0, 30.0, 31.0])
    beats = table(starts, [0.6] * 6, [1] * 6, scorable=[1, 1, 0, 1, 1, 1])
    # 0 to 2; nothing from 2 to 3; 3 to 3.6, then a pause too long; 30 to 31.6
    assert scored_s(beats) == pytest.approx(2 + 0.6 + 1.6)
    assert covered_s(beats[beats["scorable"]]) == pytest.approx(3.0)
    assert scored_s(beats.iloc[:0]) == 0.0


def test_overlapping_windows_are_counted_once_however_they_are_bridged():
    eeg = table([0.0, 1.0, 2.0, 4.0], [2, 2, 2, 2], [1] * 4, scorable=[1, 1, 0, 1])
    assert scored_s(eeg) == pytest.approx(3 + 2)


def test_at_the_models_own_threshold_the_segments_are_those_of_the_run(
    tiny_model, write_eeg, tmp_path
):
    source = write_eeg(tmp_path / "r.edf", 120, seed=5, event=60)
    pipelines.score_run(tiny_model, [source], tmp_path / "run", device="cpu")
    run = pipelines.RunFolder.open(tmp_path / "run")
    model = pipelines.load_model(tiny_model, "cpu")
    stored, windows = run.segments("r"), run.windows("r")
    assert len(stored)
    again = pipelines.resegment(windows, model.threshold, model.settings.segments.merge_s)
    pd.testing.assert_frame_equal(
        again.assign(top_features=again["top_features"].map(list)),
        stored.assign(top_features=stored["top_features"].map(list)),
    )
    higher = pipelines.resegment(windows, float(windows["score"].max()), 2.0)
    assert higher.empty
    assert list(higher) == list(stored)
