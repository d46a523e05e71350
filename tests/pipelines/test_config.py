import inspect
from pathlib import Path

import pytest

from flowcore import FlowDensityEstimator
from pipelines.config import (
    ECG_FLOW,
    ECG_PATIENTS_FLOW,
    FlowSettings,
    Settings,
    parse_settings,
    read_settings,
    settings_for,
)
from pipelines.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[flow]\nn_block = 3", r"x\.toml: unknown key flow\.n_block; did you mean n_blocks\?"),
        ("[treshold]\nwindow_rate = 0.1", r"unknown key treshold; did you mean threshold\?"),
        ("[flow]\nzzzzzz = 3", r"unknown key flow\.zzzzzz; known are method, n_blocks"),
        ("[flow]\nn_blocks = 0", r"flow\.n_blocks = 0: .*greater than or equal to 1"),
        ("[flow]\nn_blocks = 4.5", r"flow\.n_blocks = 4\.5: .*valid integer"),
        ("[flow]\nn_blocks = '4'", r"flow\.n_blocks = '4': .*valid integer"),
        ("[flow]\nsoften = 0.5", r"flow\.soften = 0\.5: .*less than 0\.5"),
        ("[flow]\nmethod = 'lmf'", r"flow\.method = 'lmf': .*'lfm', 'jko' or 'fm'"),
        ("[threshold]\nwindow_rate = 1.0", r"window_rate = 1\.0: .*less than 1"),
        ("[threshold]\nwindow_rate = nan", r"window_rate = nan: .*finite"),
        (
            "[threshold]\nwindow_rate = 0.1\nevents_per_hour = 2",
            "exclude each other; give one",
        ),
        ("[segments]\nmerge_s = -1", r"merge_s = -1: .*greater than or equal to 0"),
        ("trim = 1", r"trim = 1: .*valid boolean"),
        ("flow = 3", r"flow is not a table; write \[flow\]"),
        ("trim = true\n[flow\n", r"x\.toml is not valid TOML: .*line 2"),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_settings(path)
    assert "\n" not in str(caught.value)


def test_two_faults_are_counted():
    with pytest.raises(ConfigError, match=r"\(and 1 more\)"):
        parse_settings({"flow": {"n_blocks": 0, "hidden": -1}})


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read no\.toml"):
        read_settings(tmp_path / "no.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_settings(tmp_path / "b.toml")


def test_an_empty_file_means_the_defaults(tmp_path: Path):
    (tmp_path / "x.toml").write_text("")
    assert read_settings(tmp_path / "x.toml") == Settings()


def test_settings_survive_the_way_through_json():
    settings = parse_settings(
        {"flow": {"n_blocks": 2}, "threshold": {"events_per_hour": 3}, "trim": False}
    )
    assert settings.threshold.window_rate is None
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    assert parse_settings(settings.model_dump()) == settings


def test_false_events_may_be_given_per_hour_or_per_day_and_only_once():
    for values, per_hour in (
        ({}, None),
        ({"events_per_hour": 2.0}, 2.0),
        ({"events_per_day": 12.0}, 0.5),
    ):
        assert parse_settings({"threshold": values}).threshold.per_hour == per_hour
    with pytest.raises(ConfigError, match="events_per_hour and events_per_day exclude each other"):
        parse_settings({"threshold": {"events_per_hour": 1.0, "events_per_day": 24.0}})


def test_flow_settings_are_the_estimators_parameters_and_defaults():
    parameters = inspect.signature(FlowDensityEstimator).parameters
    defaults = {k: p.default for k, p in parameters.items() if k not in ("device", "random_state")}
    assert FlowSettings().model_dump() == defaults


def test_a_kind_has_its_own_defaults_which_what_is_given_overrides():
    given = parse_settings({"flow": {"n_blocks": 3}})
    ecg = settings_for(given, "ecg").flow
    assert (ecg.n_blocks, ecg.gamma, ecg.refine) == (3, ECG_FLOW["gamma"], ECG_FLOW["refine"])
    assert settings_for(settings_for(given, "ecg"), "ecg").flow == ecg
    assert settings_for(given, "eeg", by_patient=True) == given
    assert (ecg.noise, ecg.soften) == (0.0, None)


def test_an_ecg_model_of_enough_patients_is_meant_for_others():
    given = parse_settings({"flow": {"noise": 0.5}})
    once = settings_for(given, "ecg")
    flow = settings_for(once, "ecg", by_patient=True).flow
    assert (flow.noise, flow.soften) == (0.5, ECG_PATIENTS_FLOW["soften"])
    assert flow.n_blocks == ECG_FLOW["n_blocks"]
