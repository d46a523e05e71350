"""Decisions stay attached to their segments whatever is flagged now."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from pipelines.merging import merge
from pipelines.review.segments import segment_counts, under_review
from pipelines.run_folder import SEGMENT_SCHEMA
from pipelines.store import Decision
from pipelines.thresholds import resegment

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def windows(score, length=1.0):
    n = len(score)
    score = np.asarray(score, float)
    return pd.DataFrame(
        {
            "recording_id": "r",
            "patient_id": "p",
            "window_index": np.arange(n),
            "start_s": np.arange(n, dtype=float),
            "stop_s": np.arange(n) + length,
            "center_s": np.arange(n) + length / 2,
            "score": score,
            "p_value": 1 / (1 + np.exp(np.nan_to_num(score))),
            "flagged": np.nan_to_num(score, nan=-9.0) > 2,
            "scorable": np.isfinite(score),
            "top_features": [["synchrony"] if s > 2 else [] for s in score],
            "top_channel": pd.Series([None] * n, dtype=object),
        }
    )


def decision(name, verdict="accepted", **more):
    return Decision("r", name, verdict, "", "kim", NOW, **more)


SCORES = [0, 3, 0, 0, 0, 5, 4, 0, 0, 0, 0, 1, 0, np.nan, 0, 9, 0]


def by_hand(table, threshold, merge_s):
    """Walk over the windows one by one: (id, start, stop, n, peak, least p) of each segment."""
    found = []
    for row in table[table["scorable"] & (table["score"] > threshold)].itertuples():
        if found and row.start_s - found[-1][2] <= merge_s:
            name, start, stop, n, peak, p = found[-1]
            peak, p = max(peak, row.score), min(p, row.p_value)
            found[-1] = (name, start, max(stop, row.stop_s), n + 1, peak, p)
        else:
            name = f"r@{row.start_s:.3f}"
            found.append((name, row.start_s, row.stop_s, 1, row.score, row.p_value))
    return found


def as_rows(segments):
    columns = ["segment_id", "start_s", "stop_s", "n_windows", "peak_score", "min_p_value"]
    return list(segments[columns].itertuples(index=False, name=None))


@pytest.mark.parametrize("length", [1.0, 2.5])
@pytest.mark.parametrize("merge_s", [0.0, 2.0])
@pytest.mark.parametrize("threshold", [0.5, 2.0, 4.5, 99.0])
def test_segments_are_those_found_by_hand(length, merge_s, threshold):
    table = windows(SCORES, length)
    found = resegment(table, threshold, merge_s)
    assert list(found.columns) == SEGMENT_SCHEMA.names
    assert as_rows(found) == by_hand(table, threshold, merge_s)
    worst = [
        table["score"].where(table["start_s"].between(a, b - 0.5)).idxmax()
        for a, b in zip(found["start_s"], found["stop_s"] - length + 1.0, strict=True)
    ]
    assert [list(names) for names in found["top_features"]] == [
        table["top_features"][k] for k in worst
    ]
    assert segment_counts(table, [threshold], merge_s).tolist() == [len(found)]


def test_random_recordings_give_the_segments_found_by_hand():
    generator = np.random.default_rng(0)
    table = windows(generator.normal(1, 2, 500), 1.7)
    for threshold in (0.0, 1.0, 3.0):
        assert as_rows(resegment(table, threshold, 1.0)) == by_hand(table, threshold, 1.0)


def review(threshold=None, **decisions):
    table = windows(SCORES)
    flagged = merge(table, 2.0)
    named = {d.segment_id: d for d in decisions.values()}
    return under_review(flagged, table, named, 2.0, threshold)


def test_without_decisions_it_is_what_was_flagged():
    found = review()
    assert found["segment_id"].tolist() == ["r@1.000", "r@5.000", "r@15.000"]
    assert set(found["origin"]) == {"flagged"}


def test_a_decided_segment_stays_at_a_higher_threshold():
    found = review(8.0, a=decision("r@5.000", span=(5.0, 7.0)))
    assert found["segment_id"].tolist() == ["r@5.000", "r@15.000"]
    assert found["origin"].tolist() == ["kept", "flagged"]
    assert found["peak_score"].tolist() == [5.0, 9.0]


def test_a_lower_threshold_does_not_swallow_a_decided_segment():
    found = review(-1.0, a=decision("r@5.000", span=(5.0, 7.0)))
    rows = list(zip(found["start_s"], found["stop_s"], strict=True))
    assert (5.0, 7.0) in rows
    inside = [(a, b) for a, b in rows if a < 7 and b > 5 and (a, b) != (5.0, 7.0)]
    assert all(a < 5 and b > 7 for a, b in inside)  # windows around it may still run together
    assert len(set(found["segment_id"])) == len(found)


def test_bounds_set_by_a_reader_are_shown_and_the_found_ones_kept():
    found = review(a=decision("r@5.000", bounds=(4.5, 6.5))).set_index("segment_id")
    row = found.loc["r@5.000"]
    assert (row["start_s"], row["stop_s"]) == (4.5, 6.5)
    assert (row["found_start_s"], row["found_stop_s"]) == (5.0, 7.0)


def test_added_events_and_old_decisions_have_a_place():
    found = review(
        a=decision("r+3", bounds=(11.0, 12.0), added=True, label="V"), b=decision("r@11.000")
    )
    found = found.set_index("segment_id")
    assert found.loc["r+3", "origin"] == "added" and found.loc["r+3", "peak_score"] == 1.0
    assert found.loc["r@11.000", "origin"] == "kept"
    assert found.loc["r@11.000", "stop_s"] == 12.0


def test_nothing_flagged_and_nothing_decided_is_an_empty_table():
    table = windows([0.0, 0.0])
    none = merge(table, 2.0)
    assert under_review(none, table, {}, 2.0).empty
    one = {"r+1": decision("r+1", bounds=(0.0, 1.0), added=True)}
    assert under_review(none, table, one, 2.0)["segment_id"].tolist() == ["r+1"]
