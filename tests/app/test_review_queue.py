"""The order of review, and stepping through it."""

import pandas as pd

from app.review_queue import at_time, ordered, step

SEGMENTS = pd.DataFrame(
    {
        "segment_id": ["a", "b", "c"],
        "start_s": [10.0, 20.0, 30.0],
        "stop_s": [12.0, 24.0, 31.0],
        "peak_score": [3.0, 9.0, 5.0],
    }
)


def test_orders():
    assert ordered(SEGMENTS, "time") == ("a", "b", "c")
    assert ordered(SEGMENTS, "score") == ("b", "c", "a")
    assert ordered(SEGMENTS.iloc[::-1], "time") == ("a", "b", "c")


def test_steps():
    queue = ("a", "b", "c")
    assert step(queue, "a", 1) == "b"
    assert step(queue, "a", -1) is None
    assert step(queue, "c", 1) is None
    assert step(queue, "a", 1, skip={"b"}) == "c"
    assert step(queue, "c", -1, skip={"b"}) == "a"
    assert step(queue, None, 1) == "a"
    assert step(queue, "unknown", -1) == "c"
    assert step((), None, 1) is None


def test_click_finds_the_nearest_segment_within_reach():
    assert at_time(SEGMENTS, 22.0, 0.0) == "b"
    assert at_time(SEGMENTS, 12.5, 1.0) == "a"
    assert at_time(SEGMENTS, 16.0, 1.0) is None
    assert at_time(SEGMENTS.iloc[:0], 16.0, 1.0) is None
