"""``rarewave calibrate``: a promise about patients, and what it refuses."""

import json
import math
import shutil

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines import RunFolder, load_model
from pipelines.calibration import Promise, fewest_patients, make_promise
from pipelines.calibration.patients import PatientLimit, check_count, rank_of
from pipelines.cli import main
from pipelines.errors import ConfigError, ModelError
from pipelines.stretches import scored_s

NAMES = "abcd"


@pytest.fixture(scope="session")
def patients(tmp_path_factory, write_eeg):
    folder = tmp_path_factory.mktemp("patients")
    for seed, name in enumerate(NAMES, start=11):
        write_eeg(folder / f"{name}.edf", 120, seed=seed, event=60 if name == "a" else None)
    return folder


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory, tiny_model, patients):
    out = tmp_path_factory.mktemp("calibrated") / "m2"
    words = ["--per-day", "2200", "--risk", "0.25", "--out", str(out), "--json", f"{out}.json"]
    assert main(["calibrate", str(tiny_model), str(patients), *words]) == 0
    return out


@pytest.mark.parametrize(
    ("risk", "needed"), [(0.1, 9), (0.2, 4), (0.05, 19), (0.3, 3), (0.01, 99), (0.5, 1), (0.9, 1)]
)
def test_the_number_of_patients_that_a_risk_needs(risk, needed):
    assert fewest_patients(risk) == needed
    assert rank_of(needed, risk) <= needed
    if needed > 1:
        assert rank_of(needed - 1, risk) > needed - 1
        with pytest.raises(ConfigError, match=rf"at least {needed} patients, {needed - 1} are"):
            check_count(needed - 1, risk)


@given(st.integers(1, 200), st.integers(1, 999))
@example(9, 300)  # 1 - 0.3 is above 0.7 in floats
@example(19, 700)
@settings(max_examples=200, deadline=None)
def test_the_rank_is_exact_where_floats_would_round(n, thousandths):
    risk = thousandths / 1000
    assert rank_of(n, risk) == -(-((n + 1) * (1000 - thousandths)) // 1000)


def limits(*lowest, hours=12.0):
    return [PatientLimit(value, hours) for value in lowest]


def test_the_threshold_is_the_kth_smallest():
    rng = np.random.default_rng(0)
    values = rng.permutation(np.arange(1.0, 20.0))
    promise = make_promise(limits(*values), 24, 0.1)
    assert (promise.rank, promise.threshold) == (18, 18.0)
    assert make_promise(limits(*values), 24, 0.5).threshold == 10.0
    assert "at most 10 % of patients like those in the calibration set" in promise.sentence
    assert "more than 24 false events per day" in promise.sentence


def test_a_promise_survives_json_and_names_nobody():
    promise = make_promise(limits(-math.inf, 1.0, 2.0), 24, 0.25, baseline=(0.0, 300.0))
    stored = json.loads(json.dumps(promise.to_json(), allow_nan=False))
    assert Promise.from_json(stored) == promise
    assert stored["patients"][0] == {"lambda": None, "hours": 12.0}


def test_what_the_tested_length_cannot_tell_is_said():
    short = make_promise(limits(1.0, 2.0, 3.0, hours=0.5), 24, 0.25)
    assert "For 3 of them the target means no event at all" in short.tested_length
    assert "48 a day" in short.tested_length
    long = make_promise(limits(1.0, 2.0, 3.0, hours=24.0), 24, 0.25)
    assert "no event at all" not in long.tested_length
    assert make_promise(limits(1.0, 2.0, 3.0, hours=1.0), 24, 0.25).tested_length.endswith(
        "in all."
    )


@pytest.mark.parametrize(
    ("per_day", "risk"), [(0, 0.1), (-1, 0.1), (math.nan, 0.1), (1, 0), (1, 1)]
)
def test_a_target_without_a_meaning_is_refused(per_day, risk):
    with pytest.raises(ConfigError, match=r"--per-day|--risk"):
        make_promise(limits(*range(20)), per_day, risk)


def test_no_threshold_follows_where_everything_is_allowed():
    with pytest.raises(ModelError, match="smaller --per-day"):
        make_promise(limits(-math.inf, -math.inf, -math.inf, 3.0), 24, 0.4)


def test_a_calibrated_model_keeps_its_promise_on_the_patients_it_was_made_of(
    calibrated, tiny_model, patients, tmp_path
):
    model, before = load_model(calibrated, "cpu"), load_model(tiny_model, "cpu")
    assert before.calibration.promise is None
    promise = model.calibration.promise
    assert promise is not None
    assert model.threshold == promise.threshold != before.threshold
    assert main(["score", str(calibrated), str(patients), "--out", str(tmp_path / "run")]) == 0
    run = RunFolder.open(tmp_path / "run")
    rates = [len(run.segments(name)) / (scored_s(run.windows(name)) / 86400) for name in NAMES]
    assert sum(rate > promise.per_day for rate in rates) <= len(NAMES) - promise.rank
    np.testing.assert_allclose(
        sorted(limit.hours for limit in promise.limits),
        sorted(scored_s(run.windows(name)) / 3600 for name in NAMES),
    )
    manifest = run.manifest()
    assert manifest["model"]["promise"] == {"sentence": promise.sentence, "caveat": None}


def test_the_folder_says_what_it_promises(calibrated):
    card = (calibrated / "card.md").read_text("utf-8")
    stored = json.loads((calibrated / "calibration.json").read_text("utf-8"))
    sentence = stored["promise"]["sentence"]
    assert sentence in card
    assert stored["unit"] == "patient"
    assert stored["promise"]["n_patients"] == 4
    assert not any(f'"{name}"' in json.dumps(stored) for name in NAMES)
    figures = json.loads(calibrated.with_name("m2.json").read_text("utf-8"))
    assert figures["sentence"] == sentence
    assert figures["set_aside"] == []


def test_scores_with_a_baseline_are_told_that_the_promise_is_not_theirs(
    calibrated, patients, tmp_path, capsys
):
    words = [str(calibrated), str(patients / "b.edf"), "--out", str(tmp_path / "run")]
    assert main(["score", *words, "--baseline", "0:60"]) == 0
    assert "calibrated without a baseline and does not hold" in capsys.readouterr().err
    assert main(["score", *words[:2], "--out", str(tmp_path / "other")]) == 0
    assert "does not hold" not in capsys.readouterr().err


def refused(capsys, *words):
    assert main(["calibrate", *map(str, words)]) == 1
    return capsys.readouterr().err


def test_too_few_patients_are_refused_before_any_work(tiny_model, patients, tmp_path, capsys):
    options = ("--per-day", "24", "--out", tmp_path / "m2")
    said = refused(capsys, tiny_model, patients, *options, "--risk", "0.1")
    assert "at least 9 patients, 4 are given; give 5 more, or a --risk of at least 0.2" in said
    assert "scoring" not in said
    assert not (tmp_path / "m2").exists()
    manifest = tmp_path / "one.csv"
    rows = [f"{patients / name}.edf,{name},same" for name in NAMES]
    manifest.write_text("path,recording_id,patient_id\n" + "\n".join(rows), "utf-8")
    assert "needs recordings of at least 4 patients, 1 are given" in refused(
        capsys, tiny_model, manifest, *options, "--risk", "0.2"
    )


def test_recordings_of_one_patient_are_added_up(tiny_model, patients, tmp_path):
    manifest = tmp_path / "pairs.csv"
    rows = [f"{patients / name}.edf,{name},{'p' if name in 'ab' else name}" for name in NAMES]
    manifest.write_text("path,recording_id,patient_id\n" + "\n".join(rows), "utf-8")
    out = tmp_path / "m2"
    words = ["--per-day", "2200", "--risk", "0.25", "--out", str(out)]
    assert main(["calibrate", str(tiny_model), str(manifest), *words]) == 0
    stored = json.loads((out / "calibration.json").read_text("utf-8"))["promise"]["patients"]
    hours = sorted(patient["hours"] for patient in stored)
    assert len(hours) == 3
    assert hours[2] == pytest.approx(2 * hours[0], rel=0.05)


def test_what_is_set_aside_counts_and_may_leave_too_few(tiny_model, patients, tmp_path, capsys):
    shutil.copytree(patients, tmp_path / "all")
    (tmp_path / "all" / "e.edf").write_bytes(b"0" * 300)
    words = ["--per-day", "2200", "--out", str(tmp_path / "m2")]
    assert main(["calibrate", str(tiny_model), str(tmp_path / "all"), *words, "--risk", "0.2"]) == 2
    assert "set aside e:" in capsys.readouterr().err
    (tmp_path / "all" / "a.edf").write_bytes(b"0" * 300)
    said = refused(
        capsys, tiny_model, tmp_path / "all", *words[:3], tmp_path / "m3", "--risk", "0.2"
    )
    assert "at least 4 patients, 3 can be read" in said


def test_recordings_that_the_model_knows_are_refused(tiny_model, patients, tmp_path, capsys):
    shutil.copytree(patients, tmp_path / "all")
    shutil.copy(tiny_model.parent / "usual.edf", tmp_path / "all" / "renamed.edf")
    options = ("--per-day", "2200", "--risk", "0.2", "--out", tmp_path / "m2")
    said = refused(capsys, tiny_model, tmp_path / "all", *options)
    assert "the model was fitted on 1 of these recordings" in said
    shutil.copy(patients / "a.edf", tmp_path / "all" / "renamed.edf")
    assert "holds the same signal" in refused(capsys, tiny_model, tmp_path / "all", *options)


def listed(folder, ids, path):
    """Write a manifest of the recordings a to d with these ids as recording_id and patient_id."""
    rows = [f"{folder / name}.edf,{own},{own}" for name, own in zip(NAMES, ids, strict=False)]
    path.write_text("path,recording_id,patient_id\n" + "\n".join(rows), "utf-8")
    return path


def test_other_recordings_of_patients_that_the_model_knows_are_refused(
    patients, tmp_path, write_eeg, tiny_settings, capsys
):
    for seed, name in enumerate("ab", start=31):
        write_eeg(tmp_path / f"fit/{name}.edf", 120, seed=seed)
    words = ["--kind", "eeg", "--config", str(tiny_settings), "--out"]
    models = {}
    for name, recordings in (
        ("named", listed(tmp_path / "fit", ["P101", "P102"], tmp_path / "fit.csv")),
        ("again", tmp_path / "fit.csv"),
        ("files", tmp_path / "fit"),
    ):
        models[name] = tmp_path / name
        assert main(["fit", str(recordings), *words, str(models[name])]) == 0
    sources = {name: load_model(path, "cpu").sources for name, path in models.items()}
    assert len(sources["named"]["patient_sha256"]) == 2
    assert sources["named"] == sources["again"]  # same fit, same model
    assert "patient_salt" not in sources["files"]  # a and b there are no patients' ids
    assert not any(b"P101" in p.read_bytes() for p in models["named"].iterdir())
    options = ("--per-day", "2200", "--risk", "0.25")
    known = listed(patients, ["P101", "x", "y", "z"], tmp_path / "known.csv")
    said = refused(capsys, models["named"], known, *options, "--out", tmp_path / "m2")
    assert "the model was fitted on 1 of these patients" in said.splitlines()[-1]
    assert "P101" not in said
    others = listed(patients, ["v", "x", "y", "z"], tmp_path / "others.csv")
    for model, recordings in (("named", others), ("named", patients), ("files", known)):
        out = str(tmp_path / f"{model}_{recordings.name}")
        assert main(["calibrate", str(models[model]), str(recordings), *options, "--out", out]) == 0


def test_the_model_itself_is_never_replaced(tiny_model, patients, capsys):
    before = (tiny_model / "manifest.json").read_bytes()
    options = ("--per-day", "2200", "--risk", "0.2", "--force")
    said = refused(capsys, tiny_model, patients, *options, "--out", tiny_model / ".." / "model")
    assert "--out is MODEL itself" in said
    assert (tiny_model / "manifest.json").read_bytes() == before


def test_annotated_events_are_not_false(tiny_model, patients, tmp_path):
    thresholds = {}
    for name, extra in (("all", []), ("annotated", ["--use-annotations"])):
        words = ["--per-day", "100", "--risk", "0.2", "--out", str(tmp_path / name), *extra]
        assert main(["calibrate", str(tiny_model), str(patients), *words]) == 0
        model = load_model(tmp_path / name, "cpu")
        thresholds[name] = model.calibration.promise.limits[-1].lowest
    assert thresholds["annotated"] < thresholds["all"]
