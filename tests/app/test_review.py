"""Labels, groups, bounds, sensitivity, sign-off and two readers, through the app's entry file."""

from typing import get_args

import pytest
from streamlit.testing.v1 import AppTest

from app import services
from app.keyboard import KEYS, command_of, label_number, labels_for
from pipelines.errors import ConfigError
from pipelines.run_folder import RunFolder, write_json
from pipelines.store import ReviewStore


def html(app) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


def click(app, key) -> AppTest:
    return app.button(key=key).click().run()


@pytest.fixture
def store(eeg_run) -> ReviewStore:
    return ReviewStore(eeg_run.path / "reviews.sqlite")


@pytest.fixture
def ids(eeg_run):
    return eeg_run.segment_ids["night_1"]


def test_a_label_is_given_and_taken_off_again(eeg_run, open_app, store, ids):
    app = open_app(eeg_run.path, recording="night_1")
    click(app, "rw_label_2")
    assert store.latest()["night_1", ids[0]].label == "Seizure"
    assert "Not reviewed, Seizure" in html(app)
    click(app, "rw_label_2")
    assert store.latest()["night_1", ids[0]].label == ""
    click(app, "rw_decide_undo")
    assert store.latest()["night_1", ids[0]].label == "Seizure"


def test_labels_come_from_a_file_and_are_shown_as_text(eeg_run, open_app, store, ids):
    (eeg_run.path / "labels.toml").write_text('eeg = ["<b>A</b>", "[x](http://e.org)"]')
    app = open_app(eeg_run.path, recording="night_1")
    click(app, "rw_label_0")
    assert store.latest()["night_1", ids[0]].label == "<b>A</b>"
    assert "<b>A</b>" not in html(app) and "&lt;b&gt;A&lt;/b&gt;" in html(app)
    assert "](http" not in app.button(key="rw_label_1").label
    (eeg_run.path / "labels.toml").write_text("eeg = 3")
    with pytest.raises(ConfigError, match="1 to 9 labels"):
        labels_for("eeg", eeg_run.path)


def test_a_whole_group_is_decided_at_once_and_taken_back_at_once(ecg_run, open_app):
    store = ReviewStore(ecg_run.path / "reviews.sqlite")
    app = open_app(ecg_run.path, recording="holter")
    assert "Group 1: 2 alike" in html(app)
    app.button(key="rw_scope").click().run()
    click(app, "rw_decide_accept")
    (event,) = store.events("holter")
    assert (
        event.kind == "group"
        and list(event.content["segments"]) == ecg_run.segment_ids["holter"][:2]
    )
    click(app, "rw_decide_undo")
    assert store.latest() == {}


def test_bounds_are_set_and_a_missed_event_is_added(eeg_run, open_app, store, ids):
    app = open_app(eeg_run.path, recording="night_1", segment=ids[1])
    start = next(n for n in app.number_input if n.key.startswith("rw_start_"))
    start.set_value(61.25).run()
    click(app, "rw_set_bounds")
    assert store.latest()["night_1", ids[1]].bounds == (61.25, 64.0)
    assert "1:01.2 to 1:04.0" in html(app) and "1:00.00 to 1:04.00" in html(app)
    click(app, "rw_add_event")
    added = next(d for d in store.latest().values() if d.added)
    assert added.verdict == "accepted"
    assert "Added by a reader" in html(app) and "of 4" in html(app)


def test_sensitivity_changes_what_is_flagged_and_keeps_what_was_decided(eeg_run, open_app, ids):
    app = open_app(eeg_run.path, recording="night_1", segment=ids[0])
    click(app, "rw_decide_accept")
    slider = app.select_slider(key="rw_sensitivity_night_1")
    assert all(option.endswith("per hour") for option in slider.options)
    offered = services.sensitivities(RunFolder.open(eeg_run.path), "night_1")
    slider.set_value(offered[-1][0]).run()  # the fewest
    table = app.dataframe[0].value
    assert "0:20.0" in list(table["Start"]) and len(table) < 3
    click(app, "rw_sensitivity_back")
    assert len(app.dataframe[0].value) == 3


def test_sign_off_closes_and_reopening_leaves_a_trace(eeg_run, open_app, store, ids):
    app = open_app(eeg_run.path, recording="night_1")
    assert app.button(key="rw_sign_off").disabled
    for segment_id in ids:
        store.record("night_1", segment_id, "accepted", "", "kim")
    app.run()
    click(app, "rw_sign_off")
    assert app.button(key="rw_decide_accept").disabled and "signed off" in html(app)
    assert list(open_app(eeg_run.path).dataframe[0].value["State"]) == ["○ New", "■ Signed off"]
    app.text_input(key="rw_reopen_reason").set_value("second look").run()
    click(app, "rw_reopen")
    assert not app.button(key="rw_decide_accept").disabled
    assert store.events("night_1")[-1].content == {"comment": "second look"}


def test_a_blind_reader_sees_nothing_of_the_other(eeg_run, open_app, store, ids):
    store.append("reading", "ada", readers=["kim", "lee"], blind=True)
    store.record("night_1", ids[0], "rejected", "the other said so", "lee")
    app = open_app(eeg_run.path, recording="night_1")
    app.text_input(key="rw_reviewer").set_value("kim").run()
    assert "Not reviewed" in html(app) and "blind" in html(app)
    assert "the other said so" not in html(app) and "by lee" not in html(app)
    assert "0 of 3 flagged segments reviewed" in html(app)
    for segment_id in ids:
        store.record("night_1", segment_id, "accepted", "", "kim")
    for segment_id in ids[1:]:
        store.record("night_1", segment_id, "accepted", "", "lee")
    app.run()
    assert "The readers differ" in html(app) and "the other said so" in html(app)
    app.text_input(key="rw_reviewer").set_value("ada").run()
    click(app, "rw_decide_unsure")
    assert store.events("night_1")[-1].kind == "adjudication"
    assert store.latest()["night_1", ids[0]].verdict == "unsure"


def _readers(path: str) -> None:
    from app.views import agreement
    from pipelines.run_folder import RunFolder

    agreement.show(RunFolder.open(path))


def test_agreement_is_shown_with_its_interval(eeg_run, store):
    verdicts = {"kim": "accepted rejected accepted", "lee": "accepted rejected rejected"}
    for user, said in verdicts.items():
        for segment_id, verdict in zip(eeg_run.segment_ids["night_1"], said.split(), strict=True):
            store.record("night_1", segment_id, verdict, "", user)
    app = AppTest.from_function(_readers, args=(str(eeg_run.path),), default_timeout=60).run()
    assert not app.exception
    assert "kim and lee (Cohen)" in html(app) and "κ = 0.40" in html(app)
    assert "agree on 67% of 3 segments" in html(app)
    assert list(app.dataframe[0].value["lee"]) == ["Rejected"]


def test_a_viewer_cannot_decide(eeg_run, open_app, store):
    store.append("role", "ada", name="ada", role="admin")
    app = open_app(eeg_run.path, recording="night_1")
    assert app.button(key="rw_decide_accept").disabled
    assert "lets you look" in app.info[0].value


def test_a_link_opens_a_moment(eeg_run, open_app, ids):
    app = open_app(eeg_run.path, recording="night_1", t="61.5")
    value = app.query_params["segment"]
    assert (value[0] if isinstance(value, list) else value) == ids[1]
    for nonsense in ("x", "nan", "-1", "1e999"):
        assert not open_app(eeg_run.path, recording="night_1", t=nonsense).exception


def test_filters_show_only_what_they_say(eeg_run, open_app, store, ids):
    store.record("night_1", ids[2], "rejected", "", "kim")
    app = open_app(eeg_run.path, recording="night_1", segment=ids[2])
    app.selectbox(key="rw_filter").set_value("rejected").run()
    assert "Segment 1 of 1" in html(app)
    app.selectbox(key="rw_filter").set_value("open").run()
    assert "of 3" in html(app)  # the one that is open on the screen stays until one moves on


def test_recordings_are_given_to_readers(eeg_run, open_app, store):
    store.append("assign", "ada", recording_id="night_2", reader="kim")
    app = open_app(eeg_run.path)
    found = app.dataframe[0].value.set_index("Recording")["Reader"].to_dict()
    assert found == {"night_1": "–", "night_2": "kim"}
    app.selectbox(key="rw_work_reader").set_value("kim").run()
    assert list(app.dataframe[0].value["Recording"]) == ["night_2"]


def test_keys_are_told_apart():
    assert command_of("arrowleft") == "previous" and command_of("shift+arrowleft") == "page_back"
    assert command_of("q") is None and not {"c", "r"} & set(KEYS)
    assert [label_number(k) for k in ("1", "9", "0", "a")] == [0, 8, None, None]


def test_every_key_is_explained(eeg_run):
    from app.keyboard import HELP, Command

    assert set(KEYS.values()) == set(get_args(Command))
    explained = " ".join(keys for keys, _ in HELP).upper()
    for key in KEYS:
        shown = {"arrowleft": "←", "arrowright": "→", "-": "−"}.get(key, key)
        shown = shown.replace("shift+arrow", "⇧").replace("shift+", "⇧")
        shown = {"⇧left": "⇧←", "⇧right": "⇧→"}.get(shown, shown)
        assert shown.upper() in explained


def test_only_the_steps_over_reviewed_segments_say_what_open_means(eeg_run, open_app):
    app = open_app(eeg_run.path, recording="night_1")
    steps = ("previous", "next", "previous_open", "next_open")
    hints = [app.button(key=f"rw_step_{step}").help for step in steps]
    assert hints == ["", "", *["Open means not reviewed yet"] * 2]


def test_what_is_kept_of_a_run_is_read_again_once_its_files_change(eeg_run, tmp_path):
    run = RunFolder.open(eeg_run.path)
    manifest = run.manifest()
    assert services.roles(run) == {} and services.baseline(run, "night_1") is None
    services.append(run, "role", "kim", name="kim", role="admin")
    assert services.roles(run) == {"kim": "admin"}
    run.append_status({"recording_id": "night_1", "state": "done", "baseline": [0, 60]})
    assert services.baseline(run, "night_1") == (0.0, 60.0)
    assert len(services.reviewed_segments(run, "night_1", {}, 2.0)) == 3
    manifest["model"]["path"] = str(tmp_path)
    write_json(run.manifest_path, manifest)
    for merge_s, n in ((60.0, 1), (2.0, 3)):
        write_json(
            tmp_path / "config.json", {"pipeline": {"settings": {"segments": {"merge_s": merge_s}}}}
        )
        assert len(services.reviewed_segments(run, "night_1", {}, 2.0)) == n


def test_widgets_keep_what_was_typed_while_the_page_was_drawn(ecg_run, open_app):
    """A value that is sent again would replace what a reader has typed in the meantime."""

    def sent(app):
        widgets = [*app.number_input, *app.selectbox, *app.select_slider, *app.text_input]
        return {w.key for w in widgets if w.proto.set_value}

    app = open_app(ecg_run.path, recording="holter")
    assert any("baseline_stop" in key for key in sent(app))  # its first value
    start = next(n for n in app.number_input if "baseline_start" in n.key)
    start.set_value(3.0).run()
    assert sent(app) == set()
    click(app, "rw_decide_accept")
    assert sent(app) == set()
    assert next(n for n in app.number_input if "baseline_start" in n.key).value == 3.0
