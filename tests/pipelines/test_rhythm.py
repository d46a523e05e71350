"""Rhythm over a minute, from the file to the segments: atrial fibrillation without an odd beat."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from pipelines.batch import score_run
from pipelines.config import parse_settings
from pipelines.errors import ModelError
from pipelines.evaluation import evaluate_run
from pipelines.inputs import InputRecording
from pipelines.merging import merge
from pipelines.model import fit_model
from pipelines.model_folder import load_model, model_card, save_model
from pipelines.readers import read_recording
from pipelines.rhythm.segments import of_rhythm
from pipelines.rhythm.windows import NAMES
from pipelines.run_folder import WINDOW_SCHEMA, RunFolder
from pipelines.scoring import score_recording
from pipelines.thresholds import resegment
from pipelines.watching import Settled

pytestmark = pytest.mark.slow

QUICK = {"flow": {"max_steps": 40, "n_blocks": 2, "hidden": 16, "noise": 0.0}}


@pytest.fixture(scope="module")
def sinus(tmp_path_factory, write_ecg):
    return write_ecg(tmp_path_factory.mktemp("ecg") / "sinus.edf", 1600, seed=1)


@pytest.fixture(scope="module")
def af(sinus, write_ecg):
    return write_ecg(sinus.with_name("af.edf"), 1300, "af", seed=2)


@pytest.fixture(scope="module")
def model(sinus):
    return fit_model([read_recording(sinus)], "ecg", settings=parse_settings(QUICK))


@pytest.fixture(scope="module")
def scored(model, af):
    return score_recording(model, read_recording(af))


def test_fibrillation_is_flagged_as_a_rhythm_and_most_of_its_beats_are_not(scored):
    rhythm = scored.rhythm
    assert rhythm["scorable"].mean() > 0.95
    assert rhythm.loc[rhythm["scorable"], "flagged"].all()
    # at the ends a beat's rhythm rests on the first interval alone
    inner = scored.windows[150:-150]
    assert inner["flagged"].mean() < 0.2  # the earliest of them
    assert list(rhythm.columns) == ["recording_id", "patient_id", *WINDOW_SCHEMA.names[2:], *NAMES]
    segments = scored.segments[of_rhythm(scored.segments)]
    assert len(segments) <= 2
    assert (segments["stop_s"] - segments["start_s"]).sum() > 1200
    for words in segments["description"]:
        assert words.startswith("does not fit in rhythm: ")
        assert "irregular" in words or "without a pattern" in words


def test_sinus_rhythm_with_odd_beats_is_not_flagged_as_a_rhythm(model, sinus, write_ecg):
    path = write_ecg(sinus.with_name("ectopy.edf"), 400, "ectopy", seed=3)
    found = score_recording(model, read_recording(path))
    assert found.windows["flagged"].sum() > 10  # the early beats themselves
    assert not found.rhythm["flagged"].any()
    pd.testing.assert_frame_equal(found.segments, merge(found.windows, 2.0))


def test_with_a_baseline_in_fibrillation_it_is_usual_for_this_patient(model, af):
    found = score_recording(model, read_recording(af), baseline=(0, 600))
    assert found.rhythm["flagged"].mean() < 0.2


def test_beats_are_scored_as_without_the_rhythm_part(model, scored, af):
    without = score_recording(replace(model, rhythm=None), read_recording(af))
    pd.testing.assert_frame_equal(without.windows, scored.windows)
    pd.testing.assert_frame_equal(without.segments, merge(scored.windows, 2.0))
    assert without.rhythm is None


def test_one_threshold_serves_both(model, scored):
    rhythm, settings = model.rhythm, model.settings.segments
    own = rhythm.calibration
    at = rhythm.on_beat_scale(np.array([own.threshold, float(np.median(own.scores))]))
    middle = float(np.median(model.calibration.scores))
    np.testing.assert_allclose(at, [model.threshold, middle])
    again = resegment(scored.windows, model.threshold, settings.merge_s, scored.rhythm)
    pd.testing.assert_frame_equal(again, scored.segments)


def test_a_stored_model_scores_bit_for_bit_alike(model, scored, af, tmp_path):
    save_model(model, tmp_path / "m")
    again = load_model(tmp_path / "m", "cpu")
    assert json.loads((tmp_path / "m" / "config.json").read_text())["pipeline"]["rhythm"][
        "features"
    ] == list(NAMES)
    found = score_recording(again, read_recording(af))
    pd.testing.assert_frame_equal(found.rhythm, scored.rhythm)
    assert "Fitted on" in model_card(model).partition("## Rhythm")[2]


def test_a_model_of_an_earlier_version_loads_and_scores_as_before(model, scored, af, tmp_path):
    folder = tmp_path / "m"
    save_model(model, folder)
    config = json.loads((folder / "config.json").read_text())
    del config["pipeline"]["rhythm"], config["pipeline"]["settings"]["rhythm"]
    calibration = json.loads((folder / "calibration.json").read_text())
    del calibration["rhythm"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "calibration.json").write_text(json.dumps(calibration))
    tensors = load_file(folder / "model.safetensors")
    kept = {name: t for name, t in tensors.items() if not name.startswith("rhythm.")}
    assert len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors")
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in manifest["sha256"]:
        manifest["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    old = load_model(folder, "cpu")
    assert old.rhythm is None
    found = score_recording(old, read_recording(af))
    pd.testing.assert_frame_equal(found.windows, scored.windows)


def test_other_features_are_refused(model, af):
    odd = replace(model, rhythm=replace(model.rhythm, names=("rhythm_older",)))
    with pytest.raises(ModelError, match=r"rhythm_older.*fit the model again"):
        score_recording(odd, read_recording(af))


def test_too_little_rhythm_or_none_asked_for_is_said_on_the_card(sinus):
    short = fit_model(
        [read_recording(sinus)], "ecg", baseline=(0, 300), settings=parse_settings(QUICK)
    )
    assert short.rhythm is None
    assert "Not modelled: 9 windows could be measured, 50 are needed" in model_card(short)
    settings = parse_settings(QUICK | {"rhythm": False})
    off = fit_model([read_recording(sinus)], "ecg", baseline=(0, 300), settings=settings)
    assert off.rhythm is None and "## Rhythm" not in model_card(off)


def test_a_run_keeps_the_table_and_is_judged_by_labelled_rhythms(model, scored, af, tmp_path):
    save_model(model, tmp_path / "m")
    score_run(tmp_path / "m", [af], tmp_path / "run", device="cpu")
    run = RunFolder.open(tmp_path / "run")
    stored = run.rhythm("af")
    for column in ("start_s", "score", "flagged", *NAMES):
        np.testing.assert_array_equal(stored[column], scored.rhythm[column])
    labels = tmp_path / "labels.csv"
    labels.write_text("recording_id,onset_s,offset_s,label\naf,0,1300,atrial fibrillation\n")
    found = evaluate_run(tmp_path / "run", labels)["rhythm"]["pooled"]
    assert found["flagged_share_of_arrhythmia"] == 1.0 and found["n_false"] == 0
    (run.recording_folder("af") / "rhythm.parquet").unlink()  # as in runs of earlier versions
    assert run.rhythm("af").empty
    assert evaluate_run(tmp_path / "run", labels)["rhythm"] is None


def test_a_growing_ecg_has_the_rhythm_of_the_whole(model, scored, af, tmp_path):
    content = af.read_bytes()
    size = (len(content) - 512) // 1300
    path = tmp_path / "af.edf"
    settled = Settled(model, InputRecording(path, "af", "af"))
    for seconds in (1000, 1150, 1300):
        path.write_bytes(content[:236] + b"-1".ljust(8) + content[244 : 512 + seconds * size])
        settled.extend(read_recording(path))
    told, whole = settled.tables().rhythm, scored.rhythm
    assert len(told) > 5
    assert told["stop_s"].iloc[-1] <= settled.windows["stop_s"].iloc[-1]
    columns = ["window_index", "start_s", "flagged", "scorable"]
    pd.testing.assert_frame_equal(
        told[columns].reset_index(drop=True), whole[columns].iloc[: len(told)]
    )
    np.testing.assert_allclose(told["score"], whole["score"].iloc[: len(told)], atol=1e-9)
