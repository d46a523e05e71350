"""What two readers see of each other."""

from pathlib import Path

import pytest

from pipelines.review.reading import Reading, differing, open_of
from pipelines.store import ReviewStore

IDS = ("a@1", "a@2")


@pytest.fixture
def store(tmp_path: Path) -> ReviewStore:
    store = ReviewStore(tmp_path / "reviews.sqlite")
    store.append("reading", "ada", readers=["kim", "lee"], blind=True)
    return store


def say(store, user, *verdicts):
    for segment_id, verdict in zip(IDS, verdicts, strict=False):
        store.append("verdict", user, recording_id="a", segment_id=segment_id, verdict=verdict)


def test_blind_readers_see_only_themselves_until_both_are_done(store):
    reading = Reading.of(store.events(kinds=["reading"]))
    say(store, "kim", "accepted", "rejected")
    say(store, "lee", "rejected")
    events = store.events("a")
    assert reading.hides("kim", events, IDS)
    assert reading.decisions("kim", events, IDS)["a@1"].verdict == "accepted"
    assert set(reading.decisions("lee", events, IDS)) == {"a@1"}
    assert reading.decisions("a third person", events, IDS) == {}
    assert open_of(events, "lee", IDS) == {"a@2"} and not open_of(events, "kim", IDS)
    say(store, "lee", "rejected", "rejected")
    events = store.events("a")
    assert reading.is_done(events, IDS) and not reading.hides("kim", events, IDS)
    assert reading.decisions("kim", events, IDS)["a@1"].user == "lee"
    found = differing(events, reading.readers, IDS)
    assert {d.user: d.verdict for d in found["a@1"]} == {"kim": "accepted", "lee": "rejected"}
    assert set(found) == {"a@1"}


def test_taking_back_a_verdict_makes_both_blind_again(store):
    reading = Reading.of(store.events(kinds=["reading"]))
    say(store, "kim", "accepted", "rejected")
    say(store, "lee", "rejected", "rejected")
    store.undo("a", "lee")
    assert reading.hides("kim", store.events("a"), IDS)


def test_one_reader_sees_everything(store):
    say(store, "kim", "accepted")
    assert not Reading().hides("lee", store.events("a"), IDS)
    assert Reading().decisions("lee", store.events("a"), IDS)["a@1"].user == "kim"
    store.append("reading", "ada", readers=[], blind=False)
    assert Reading.of(store.events(kinds=["reading"])) == Reading()
