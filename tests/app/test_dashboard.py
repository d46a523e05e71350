"""The dashboard through its entry file, as Streamlit runs it."""

import pytest

from pipelines.features.registry import describe
from pipelines.run_folder import RunFolder
from pipelines.store import ReviewStore


def html(app) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


def button(app, label):
    return next(
        b
        for b in app.button
        if b.label.split(" :gray")[0] in (label, *(f"{label} {k}" for k in "AXU"))
    )


def segment(app) -> str:
    value = app.query_params["segment"]
    return value[0] if isinstance(value, list) else value


def test_list_shows_every_recording_and_its_progress(eeg_run, open_app):
    ReviewStore(eeg_run.path / "reviews.sqlite").record(
        "night_2", eeg_run.segment_ids["night_2"][0], "rejected", "", "ann"
    )
    app = open_app(eeg_run.path)
    assert not app.exception and not app.error
    table, aside = app.dataframe[0].value, app.dataframe[1].value
    assert list(table["Recording"]) == ["night_1", "night_2"]
    assert list(table["Patient"]) == ["patient of night_1", "patient of night_2"]
    assert list(table["Duration"]) == ["2:00", "2:00"]
    assert list(table["Windows"]) == [119, 119] and list(table["Not scorable"]) == [4, 4]
    assert list(table["Flagged"]) == [3, 3]
    assert list(table["Progress"]) == ["0 of 3", "1 of 3"]
    assert list(table["Lowest p-value"]) == [0.005, 0.005]
    assert aside.to_dict("records") == [{"Recording": "broken", "Reason": "no EEG channel"}]


def test_next_recording_opens(eeg_run, open_app):
    app = open_app(eeg_run.path)
    button(app, "Review the next recording").click().run()
    assert "<h1>night_1</h1>" in html(app)
    assert segment(app) == eeg_run.segment_ids["night_1"][0]


@pytest.mark.parametrize("run", ["eeg_run", "ecg_run"])
def test_review_page_says_when_how_unusual_and_why(run, open_app, request):
    built = request.getfixturevalue(run)
    recording_id = next(iter(built.segment_ids))
    target = built.segment_ids[recording_id][1]
    app = open_app(built.path, recording=recording_id, segment=target)
    assert not app.exception and not app.error and not app.warning
    shown = html(app)
    assert "Segment 2 of 3" in shown
    assert "1:00.0 to 1:04.0, 3 windows" in shown
    assert "0.005, 1 in 200 usual windows" in shown
    words = {"eeg_run": "delta amplitude (1 to 4 Hz)", "ecg_run": describe("early")}
    assert words[run] in shown
    assert "the usual" in shown
    assert "Research use only. Not a medical device." in shown


@pytest.mark.parametrize(
    ("label", "verdict", "badge"),
    [
        ("Accept", "accepted", "Accepted"),
        ("Reject", "rejected", "Rejected"),
        ("Unsure", "unsure", "Unsure"),
    ],
)
def test_decision_is_stored_with_comment_and_name_and_survives(
    eeg_run, open_app, label, verdict, badge
):
    target = eeg_run.segment_ids["night_1"][1]
    app = open_app(eeg_run.path, recording="night_1", segment=target)
    app.text_input(key="rw_reviewer").set_value("Dr Ada").run()
    app.text_area(key=f"rw_comment_{target}").set_value("spike & wave <b>").run()
    button(app, label).click().run()
    stored = ReviewStore(eeg_run.path / "reviews.sqlite").latest()[("night_1", target)]
    assert (stored.verdict, stored.comment, stored.user) == (verdict, "spike & wave <b>", "Dr Ada")
    again = open_app(eeg_run.path, recording="night_1", segment=target)
    assert f"<b>{badge}</b>" in html(again) and "by Dr Ada" in html(again)
    assert "spike &amp; wave &lt;b&gt;" in html(again)
    assert "1 of 3 flagged segments reviewed" in html(again)


def test_undo_takes_back_and_history_keeps_both(eeg_run, open_app):
    target = eeg_run.segment_ids["night_1"][0]
    app = open_app(eeg_run.path, recording="night_1", segment=target)
    assert button(app, "Undo").disabled
    button(app, "Accept").click().run()
    button(app, "Reject").click().run()
    button(app, "Undo").click().run()
    assert "<b>Accepted</b>" in html(app)  # what held before, not nothing
    button(app, "Undo").click().run()
    assert button(app, "Undo").disabled
    history = ReviewStore(eeg_run.path / "reviews.sqlite").history("night_1", target)
    assert [e.kind for e in history] == ["verdict", "verdict", "undo", "undo"]
    assert "History (4)" in [e.label for e in app.expander]


def test_no_name_no_decision(eeg_run, open_app):
    app = open_app(eeg_run.path, recording="night_1")
    app.text_input(key="rw_reviewer").set_value("  ").run()
    assert button(app, "Accept").disabled
    assert "Enter your name" in app.warning[0].value


def test_stepping_through_flagged_and_open_segments(eeg_run, open_app):
    first, second, third = eeg_run.segment_ids["night_1"]
    ReviewStore(eeg_run.path / "reviews.sqlite").record("night_1", second, "unsure", "", "ann")
    app = open_app(eeg_run.path, recording="night_1")
    assert segment(app) == first and button(app, "Previous").disabled
    button(app, "Next").click().run()
    assert segment(app) == second
    button(app, "Previous").click().run()
    button(app, "Next open").click().run()
    assert segment(app) == third and button(app, "Next").disabled
    button(app, "Prev. open").click().run()
    assert segment(app) == first


def test_order_by_score_changes_the_queue(eeg_run, open_app):
    app = open_app(eeg_run.path, recording="night_1")
    app.segmented_control(key="rw_order").set_value("score").run()
    assert list(app.dataframe[0].value["Peak score"]) == [6.0, 4.0, 3.0]
    assert "Segment 3 of 3" in html(app)  # the segment at 0:20 stays open


def test_moving_on_opens_the_next_open_segment(eeg_run, open_app):
    first, second, _ = eeg_run.segment_ids["night_1"]
    app = open_app(eeg_run.path, recording="night_1")
    app.button(key="rw_move_on").click().run()
    button(app, "Accept").click().run()
    assert segment(app) == second
    store = ReviewStore(eeg_run.path / "reviews.sqlite")
    assert store.latest()[("night_1", first)].verdict == "accepted"


def test_hostile_text_is_shown_as_text(hostile_run, open_app):
    name = "<img src=x onerror=alert(1)>"
    listed = open_app(hostile_run.path)
    assert "<img src=x" not in html(listed)
    assert listed.dataframe[1].value["Reason"][0] == "![x](http://example.org/x.png)"
    app = open_app(hostile_run.path, recording=name)
    assert not app.exception and not app.error
    assert "<img src=x" not in html(app) and "&lt;img src=x onerror=alert(1)&gt;" in html(app)
    assert "<i>f</i>" not in html(app) and "&lt;i&gt;f&lt;/i&gt;" in html(app)
    assert not [m.value for m in app.markdown if "<img" in m.value or "![" in m.value]


@pytest.mark.parametrize("name", ["../../etc", "absent", "night_1/..", ""])
def test_unknown_recording_opens_nothing(eeg_run, open_app, name):
    app = open_app(eeg_run.path, recording=name)
    assert not app.exception
    if name:
        assert "no recording of that name" in app.error[0].value
    assert not any(b.label == "Accept" for b in app.button)


def test_unknown_segment_is_said_and_the_first_is_shown(eeg_run, open_app):
    app = open_app(eeg_run.path, recording="night_1", segment="night_1@999.000")
    assert "does not have" in app.warning[0].value
    assert segment(app) == eeg_run.segment_ids["night_1"][0]


def test_scores_can_be_reviewed_when_the_signal_is_gone(eeg_run, open_app):
    RunFolder(eeg_run.path).source("night_1").unlink()
    app = open_app(eeg_run.path, recording="night_1")
    assert not app.exception
    assert "The signal cannot be shown" in app.warning[0].value
    assert str(eeg_run.path.parent) not in app.warning[0].value
    assert not button(app, "Accept").disabled


def test_damaged_run_is_one_line_not_a_stack_trace(eeg_run, open_app):
    (eeg_run.path / "run.json").write_text("{")
    app = open_app(eeg_run.path)
    assert not app.exception
    assert "cannot read run" in app.error[0].value


def test_no_run_says_how_to_make_one(tmp_path, open_app):
    app = open_app(tmp_path)
    assert not app.exception
    assert "rarewave score" in app.info[0].value.replace("\\", "")


def test_several_runs_are_offered_and_kept_in_the_address(eeg_run, ecg_run, open_app):
    app = open_app(eeg_run.path.parent)
    assert {b.label for b in app.button} == {r"eeg\_run", r"ecg\_run"}
    app.button(key="rw_run_ecg_run").click().run()
    assert list(app.dataframe[0].value["Recording"]) == ["holter"]
    assert app.query_params["run"] in ("ecg_run", ["ecg_run"])
    linked = open_app(eeg_run.path.parent, run="eeg_run", recording="night_2")
    assert "<h1>night_2</h1>" in html(linked)


def test_scoring_again_is_seen_without_a_restart(eeg_run, ecg_run, open_app, parts):
    app = open_app(eeg_run.path)
    folder = RunFolder(eeg_run.path).recording_folder("night_1")
    (folder / "segments.parquet").write_bytes(
        (RunFolder(eeg_run.path).recording_folder("night_2") / "segments.parquet").read_bytes()
    )
    import pandas as pd

    fewer = pd.read_parquet(folder / "segments.parquet").iloc[:1]
    fewer.to_parquet(folder / "segments.parquet")
    app.run()
    flagged = dict(zip(*(app.dataframe[0].value[c] for c in ("Recording", "Flagged")), strict=True))
    assert flagged == {"night_1": 1, "night_2": 3}


def _page(module: str, path: str) -> None:
    from importlib import import_module

    from pipelines.run_folder import RunFolder

    import_module(f"app.views.{module}").show(RunFolder.open(path))


def test_export_writes_what_was_accepted(eeg_run):
    from streamlit.testing.v1 import AppTest

    target = eeg_run.segment_ids["night_1"][1]
    store = ReviewStore(eeg_run.path / "reviews.sqlite")
    store.record("night_1", target, "accepted", "", "ann")
    app = AppTest.from_function(_page, args=("export", str(eeg_run.path)), default_timeout=60).run()
    assert "<b>1</b><span>✓ accepted</span>" in html(app)
    assert "<b>5</b><span>○ not reviewed</span>" in html(app)
    app.radio[0].set_value("accepted").run()
    button(app, "Export").click().run()
    assert not app.exception and not app.error
    written = list((eeg_run.path / "exports").glob("csv-accepted-*/*.csv"))
    text = "".join(path.read_text() for path in written)
    assert target in text and eeg_run.segment_ids["night_1"][0] not in text


def test_about_says_model_threshold_and_baseline(eeg_run):
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_function(_page, args=("about", str(eeg_run.path)), default_timeout=60).run()
    assert not app.exception
    shown = html(app)
    assert "Population model, no baseline of the patient" in shown
    assert "<dd>2 (higher is flagged)</dd>" in shown and "<dd>EEG</dd>" in shown
