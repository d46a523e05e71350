"""Segments of rhythm beside those of beats: merged, not repeated, reviewed, counted."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from pipelines.calibration.procedure import patient_limit
from pipelines.evaluation.confirmed import segments_outside
from pipelines.evaluation.rhythm import judge_minutes, summarise_minutes
from pipelines.labels import Interval
from pipelines.merging import merge
from pipelines.review.groups import RHYTHM, group_segments
from pipelines.review.segments import segment_counts, under_review
from pipelines.rhythm.segments import is_rhythm, of_rhythm, segments_of
from pipelines.run_folder import SEGMENT_SCHEMA
from pipelines.store import Decision
from pipelines.thresholds import NEVER, resegment

WORDS = "does not fit in rhythm: irregular intervals between beats"


def table(start_s, length_s, score, threshold=2.0, features=("early",)):
    start_s, score = np.asarray(start_s, float), np.asarray(score, float)
    flagged = score > threshold
    return pd.DataFrame(
        {
            "recording_id": "r",
            "patient_id": "p",
            "window_index": np.arange(len(start_s)),
            "start_s": start_s,
            "stop_s": start_s + length_s,
            "center_s": start_s + length_s / 2,
            "log_prob": -score,
            "score": score,
            "p_value": np.exp(-score.clip(0)),
            "flagged": flagged,
            "scorable": ~np.isnan(score),
            "reason": None,
            "top_features": [list(features) if above else [] for above in flagged],
            "top_channel": None,
        }
    )


@pytest.fixture
def beats():
    """A beat every second of ten minutes; odd ones at 100 s, and from 300 to 340 s."""
    score = np.zeros(600)
    score[100], score[300:340] = 5, 4
    return table(np.arange(600) + 0.2, 0.6, score)


@pytest.fixture
def rhythm():
    """Windows of a minute; flagged from 60 to 240 s and from 300 to 360 s."""
    score = np.zeros(19)
    score[[2, 3, 4, 5, 6]], score[10] = [3, 6, 4, 4, 3], 3
    return table(30.0 * np.arange(19), 60.0, score, features=("rhythm_irregularity",))


def test_segments_of_rhythm_stand_beside_those_of_beats_and_repeat_none(beats, rhythm):
    found = segments_of(beats, rhythm, 2.0)
    rows = found[["segment_id", "start_s", "stop_s", "n_windows", "peak_score"]]
    assert rows.to_numpy().tolist() == [
        ["r@60.000~rhythm", 60.0, 240.0, 5, 6.0],
        ["r@100.200", 100.2, 100.8, 1, 5.0],
        ["r@300.200", 300.2, pytest.approx(339.8), 40, 4.0],  # covers most of 300 to 360 s
    ]
    assert found["description"].tolist()[0] == WORDS
    assert list(found.columns) == SEGMENT_SCHEMA.names
    own = found[~of_rhythm(found)].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, merge(beats, 2.0))


def test_without_rhythm_nothing_changes(beats, rhythm):
    alone = merge(beats, 2.0)
    for nothing in (None, rhythm.iloc[:0], rhythm.assign(flagged=False)):
        pd.testing.assert_frame_equal(segments_of(beats, nothing, 2.0), alone)


@pytest.mark.parametrize("threshold", [-1.0, 2.0, 3.5, 5.5, 9.0])
def test_the_slider_counts_what_another_threshold_gives(beats, rhythm, threshold):
    found = resegment(beats, threshold, 2.0, rhythm)
    assert segment_counts(beats, [threshold], 2.0, rhythm).tolist() == [len(found)]
    assert len(found) == len(under_review(found, beats, {}, 2.0, threshold, rhythm))


def decision(segment_id, span=None, **more):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Decision("r", segment_id, "accepted", "", "kim", now, span=span, **more)


def review(beats, rhythm, threshold, *decisions):
    flagged = segments_of(beats, rhythm, 2.0)
    named = {each.segment_id: each for each in decisions}
    return under_review(flagged, beats, named, 2.0, threshold, rhythm).set_index("segment_id")


def test_a_decision_about_the_rhythm_stays_and_takes_no_beats(beats, rhythm):
    found = review(beats, rhythm, 4.5, decision("r@60.000~rhythm", (60.0, 240.0)))
    assert found["origin"].to_dict() == {"r@60.000~rhythm": "flagged", "r@100.200": "flagged"}
    assert found.loc["r@60.000~rhythm", "stop_s"] == 240.0
    assert found.loc["r@60.000~rhythm", "description"] == WORDS
    higher = review(beats, rhythm, 9.0, decision("r@60.000~rhythm", (60.0, 240.0)))
    assert higher["origin"].to_dict() == {"r@60.000~rhythm": "kept"}
    assert higher["peak_score"].tolist() == [6.0]


def test_a_decision_about_a_beat_takes_no_rhythm_nor_lets_a_repeat_in(beats, rhythm):
    decided = decision("r@100.200", (100.2, 100.8)), decision("r@300.200", (300.2, 339.8))
    found = review(beats, rhythm, None, *decided)
    assert set(found.index) == {"r@60.000~rhythm", "r@100.200", "r@300.200"}
    assert set(review(beats, rhythm, 2.5, *decided).index) == set(found.index)


def test_decisions_outlive_the_table_of_rhythm(beats, rhythm):
    """A run scored again by a model without that part."""
    old = decision("r@60.000~rhythm", (60.0, 240.0))
    for gone in (None, rhythm.iloc[:0]):
        found = under_review(merge(beats, 2.0), beats, {old.segment_id: old}, 2.0, None, gone)
        assert found["origin"].tolist() == ["kept", "flagged", "flagged"]
    spanless = decision("r@60.000~rhythm")
    found = under_review(merge(beats, 2.0), beats, {old.segment_id: spanless}, 2.0)
    assert found["start_s"].tolist()[0] == 60.0


def test_segments_of_rhythm_are_a_group_of_their_own(beats, rhythm):
    segments = segments_of(beats, rhythm, 2.0)
    groups = group_segments(segments, beats, None, None, "ecg")
    assert [group.number for group in groups] == [1, 2]
    members = {group.words: group.segment_ids for group in groups}
    assert members[RHYTHM] == ("r@60.000~rhythm",)
    alone = group_segments(segments[of_rhythm(segments)], beats, None, None, "ecg")
    assert [group.typical for group in alone] == ["r@60.000~rhythm"]
    assert all(is_rhythm(name) for name in alone[0].segment_ids)


def test_a_promise_counts_events_of_rhythm(beats, rhythm):
    quiet = beats.assign(score=0.0, flagged=False)
    strict = 24 / (600 / 3600) * 0.9  # less than one event in ten minutes is allowed
    assert patient_limit([quiet], strict, 2.0).lowest == 0.0
    assert patient_limit([quiet], strict, 2.0, rhythm=[rhythm]).lowest == 6.0
    known = [[Interval(50.0, 250.0, "AFIB")]]
    limit = patient_limit([quiet], strict, 2.0, None, [[]], [rhythm], known)
    assert limit.lowest == 3.0
    assert limit.hours == patient_limit([quiet], strict, 2.0).hours
    assert NEVER < 0


def test_a_baseline_cuts_segments_of_rhythm_to_its_windows(beats, rhythm):
    segments = segments_of(beats, rhythm, 2.0)
    found = segments_outside(segments, beats, (0.0, 150.0), rhythm)
    assert found["start_s"].tolist() == [150.0, 300.2]
    assert found["stop_s"].tolist() == [240.0, pytest.approx(339.8)]


def test_windows_are_judged_by_labelled_rhythms(beats, rhythm):
    segments = segments_of(beats, rhythm, 2.0)
    known = [Interval(60.0, 200.0, "rhythm: AFIB"), Interval(500.0, 600.0, "rhythm: B")]
    part = judge_minutes(rhythm, segments, known)
    assert part.label.tolist().count("AFIB") == 5  # from 30 s on, half of it; not from 180 s on
    found = summarise_minutes([part])
    assert found["by_label"]["AFIB"] == {"n_windows": 5, "flagged_share": 0.8}
    assert found["by_label"]["B"]["flagged_share"] == 0.0
    assert (found["n_segments"], found["n_false"]) == (1, 0)
    assert judge_minutes(rhythm, segments, []).n_false == 1
    assert summarise_minutes([part, part])["n_segments"] == 2
