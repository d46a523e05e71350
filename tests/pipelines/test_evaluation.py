import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from pipelines.batch.task import as_arrow
from pipelines.cli import main
from pipelines.errors import InputError
from pipelines.evaluation import evaluate_run
from pipelines.evaluation.beats import join, judge_beats, match, summarise_beats
from pipelines.evaluation.events import judge_events, summarise_events
from pipelines.evaluation.ranking import WeightedRanking, bootstrap, ranking
from pipelines.evaluation.truth import from_table
from pipelines.labels import Interval
from pipelines.provenance import signal_hash_of
from pipelines.run_folder import (
    SEGMENT_SCHEMA,
    WINDOW_SCHEMA,
    RunFolder,
    write_json,
    write_parquet,
)
from pipelines.stretches import covered_s, overlapping

SAMPLE = Path(__file__).parents[2] / "sample_data"


def windows_at(start_s, stop_s, score, flagged, scorable=None, center_s=None, recording_id="r"):
    n = len(start_s)
    start_s, stop_s = np.asarray(start_s, float), np.asarray(stop_s, float)
    scorable = np.ones(n, bool) if scorable is None else np.asarray(scorable)
    score = np.where(scorable, np.asarray(score, float), np.nan)
    return pd.DataFrame(
        {
            "recording_id": recording_id,
            "patient_id": recording_id,
            "window_index": np.arange(n),
            "start_s": start_s,
            "stop_s": stop_s,
            "center_s": (start_s + stop_s) / 2 if center_s is None else center_s,
            "log_prob": -score,
            "score": score,
            "p_value": np.where(scorable, 0.5, np.nan),
            "flagged": np.asarray(flagged, bool) & scorable,
            "scorable": scorable,
            "reason": [None if ok else "flat signal" for ok in scorable],
            "top_features": [[] for _ in range(n)],
            "top_channel": None,
        }
    )


def segments_at(*stretches, recording_id="r"):
    rows = [
        {
            "recording_id": recording_id,
            "patient_id": recording_id,
            "segment_id": f"{recording_id}@{start:.3f}",
            "start_s": float(start),
            "stop_s": float(stop),
            "n_windows": 1,
            "peak_score": 9.0,
            "min_p_value": 0.01,
            "description": "",
            "top_features": [],
            "top_channel": None,
        }
        for start, stop in stretches
    ]
    return pd.DataFrame(rows, columns=SEGMENT_SCHEMA.names)


def write_run(
    folder, kind, tables, sources=None, quarantined=(), patients=None, baseline=None, fitted=()
):
    """Write the run that scoring would have left."""
    run = RunFolder(folder)
    for name, (windows, segments, duration_s) in tables.items():
        place = run.recording_folder(name)
        for stem, table, schema in (
            ("windows", windows, WINDOW_SCHEMA),
            ("segments", segments, SEGMENT_SCHEMA),
        ):
            write_parquet(
                place / f"{stem}.parquet",
                as_arrow(table, schema),
            )
        patient = (patients or {}).get(name, name)
        run.append_status(
            {
                "recording_id": name,
                "patient_id": patient,
                "state": "done",
                "reason": None,
                "duration_s": duration_s,
                "sha256": {f"{name}.edf": f"hash of {name}"},
            }
        )
    for name in quarantined:
        run.append_status({"recording_id": name, "state": "quarantined", "reason": "x"})
    inputs = [
        {"recording_id": name, "patient_id": name, "path": str((sources or {}).get(name, "/no"))}
        for name in (*tables, *quarantined)
    ]
    digests = [signal_hash_of({"renamed.edf": f"hash of {name}"}) for name in fitted]
    model = {
        "kind": kind,
        "threshold": 5.0,
        "fitted_on": {"signal_sha256": digests, "baseline": [0, 10] if fitted else None},
    }
    write_json(run.manifest_path, {"inputs": inputs, "model": model, "baseline": baseline})
    return folder


# ranking


def test_ranking_agrees_with_scikit_learn_and_counts_the_missed():
    rng = np.random.default_rng(0)
    positive = rng.random(500) < 0.2
    scores = np.round(rng.normal(size=500) + positive, 1)
    found = ranking(scores, positive, n_missed=int(positive.sum()))
    assert found["auroc"] == roc_auc_score(positive, scores)
    assert found["auroc_missed_lowest"] == pytest.approx(found["auroc"] / 2)
    assert found["average_precision"] == average_precision_score(positive, scores)
    assert found["average_precision_random"] == positive.mean()
    limit = np.sort(scores[~positive])[-1 - math.floor(0.05 * (~positive).sum())]
    assert found["sensitivity_at_5_percent_fp"] == pytest.approx(
        (scores[positive] > limit).mean() / 2
    )


@pytest.mark.parametrize("positive", [np.zeros(4, bool), np.ones(4, bool), np.zeros(0, bool)])
def test_one_class_leaves_measures_undefined_with_a_reason(positive):
    found = ranking(np.arange(float(len(positive))), positive)
    assert found["auroc"] is found["average_precision"] is None
    assert "no scored" in found["undefined"]


def test_weighted_ranking_equals_scikit_learn_with_ties():
    rng = np.random.default_rng(1)
    positive = rng.random(300) < 0.3
    scores = np.round(rng.normal(size=300), 1)
    weights = rng.integers(0, 4, 300).astype(float)
    found = WeightedRanking(scores, positive)(weights)
    assert found["auroc"] == pytest.approx(roc_auc_score(positive, scores, sample_weight=weights))
    assert found["average_precision"] == pytest.approx(
        average_precision_score(positive, scores, sample_weight=weights)
    )
    assert WeightedRanking(scores, positive)(np.zeros(300))["auroc"] is None


def test_bootstrap_covers_the_spread_between_patients_and_is_repeatable():
    values = np.array([0.1, 0.5, 0.9, 0.7])

    def mean(drawn):
        return {"mean": float(drawn @ values / drawn.sum()), "never": None}

    facts = bootstrap(mean, 4)
    low, high = facts["intervals"]["mean"]
    assert 0.1 < low < values.mean() < high < 0.9
    assert facts["intervals"]["never"] is None
    assert bootstrap(mean, 4) == facts
    assert bootstrap(mean, 1)["intervals"] is None


# beats


def test_beats_are_matched_one_to_one_nearest_first():
    beats = np.array([1.00, 1.10, 2.00, 3.00, 4.00])
    centers = np.array([1.09, 1.95, 2.04, 3.1501, 3.9, 4.05])
    assert match(beats, centers).tolist() == [-1, 0, 2, -1, 5]
    # beat 0 is nearer to no other window; the pair 0-0 lies 90 ms apart but 1-0 is nearer


@pytest.mark.parametrize("seed", range(5))
def test_matching_is_one_to_one_and_within_tolerance(seed):
    rng = np.random.default_rng(seed)
    beats = np.sort(rng.uniform(0, 30, 60))
    centers = np.sort(rng.uniform(0, 30, 70))
    window_of = match(beats, centers)
    used = window_of[window_of >= 0]
    assert len(set(used)) == len(used) > 10
    assert (np.abs(beats[window_of >= 0] - centers[used]) <= 0.15).all()
    free = np.setdiff1d(np.arange(70), used)
    for beat in beats[window_of < 0]:  # nothing that is still free lies near a missed beat
        assert (np.abs(centers[free] - beat) > 0.15).all()


def test_matching_without_windows():
    assert match(np.array([1.0, 2.0]), np.empty(0)).tolist() == [-1, -1]


def test_missed_beats_count_against_sensitivity_and_q_is_left_out():
    centers = np.array([5.0, 10.0, 11.0, 12.0, 13.0, 13.5, 14.0, 30.0])
    table = windows_at(
        centers - 0.2,
        centers + 0.2,
        [99, 1, 2, 9, 0, 8, 3, 99],
        [1, 0, 0, 1, 0, 1, 0, 1],
        scorable=[1, 1, 1, 1, 0, 1, 1, 1],
        center_s=centers,
    )
    times = np.array([10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0])
    beats = judge_beats(table, times, ["N", "N", "V", "V", "/", "V", "A"])
    found = summarise_beats(beats)
    assert found["n_beats"] == {"N": 2, "S": 1, "V": 3, "F": 0, "Q": 1}
    assert (found["n_unmatched"], found["n_not_scorable"], found["n_missed"]) == (2, 1, 3)
    assert (found["n_windows_without_beat"], found["n_windows_without_beat_flagged"]) == (1, 1)
    assert found["classes"]["V"]["sensitivity"] == pytest.approx(1 / 3)
    assert found["classes"]["V"]["sensitivity_at_5_percent_fp"] == pytest.approx(1 / 3)
    assert found["classes"]["S"]["sensitivity"] == 0
    assert found["classes"]["F"]["sensitivity"] is None
    assert found["classes"]["F"]["undefined"] == "no beat of class F"
    assert found["auroc"] == 1.0
    assert found["auroc_missed_lowest"] == pytest.approx(1 / 4)
    assert found["sensitivity"] == pytest.approx(1 / 4)
    assert found["labelled_hours"] == pytest.approx(6 / 3600)
    twice = summarise_beats(join([beats, beats]))
    assert twice["n_beats"]["V"] == 6
    assert twice["sensitivity"] == found["sensitivity"]


# events


def test_covered_time_counts_overlaps_once():
    table = pd.DataFrame({"start_s": [0.0, 1.0, 2.0, 10.0], "stop_s": [2.0, 3.0, 2.5, 12.0]})
    assert covered_s(table) == 5.0
    assert covered_s(table.iloc[:0]) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_overlapping_agrees_with_the_definition(seed):
    rng = np.random.default_rng(seed)
    one, other = (np.sort(rng.integers(0, 40, (12, 2)), axis=1).astype(float) for _ in range(2))
    other[:, 1] += 1
    expected = [any(a < d and b > c for c, d in other) for a, b in one]
    assert overlapping(one, other).tolist() == expected


def test_events_are_counted_by_any_overlap_on_scored_time():
    start = np.arange(0, 1000.0)
    scorable = (start < 600) | (start >= 700)
    flagged = np.isin(start, [100, 101, 400])
    table = windows_at(start, start + 2, np.where(flagged, 9, 1), flagged, scorable)
    events = [Interval(101.5, 105, "sz"), Interval(500, 510, "sz"), Interval(640, 650, "sz")]
    found = summarise_events(judge_events(table, segments_at((100, 103), (400, 402)), events, 1001))
    assert found["events"]["n_events"] == 3
    assert found["events"]["n_found"] == 1
    assert found["events"]["n_events_not_scored"] == 1
    assert found["events"]["n_false"] == 1
    assert found["scored_hours"] == pytest.approx((601 + 301) / 3600)
    assert found["events"]["false_per_day"] == pytest.approx(86400 / 902)
    assert found["windows"]["n_not_scorable"] == 100
    assert found["windows"]["n_positive"] == 5 + 11
    assert found["szcore"]["n_found"] == 1


def test_szcore_tolerates_and_merges():
    table = windows_at(np.arange(0.0, 3000), np.arange(0.0, 3000) + 1, np.zeros(3000), [0] * 3000)
    events = [Interval(1000, 1010, "sz")]

    def counts(*segments):
        return judge_events(table, segments_at(*segments), events, 3000).szcore

    assert counts((972, 975)) == {"n_events": 1, "n_found": 1, "n_false": 0}
    assert counts((960, 965)) == {"n_events": 1, "n_found": 0, "n_false": 1}
    assert counts((1065, 1069))["n_found"] == 1
    assert counts((2000, 2005), (2080, 2085))["n_false"] == 1
    assert counts((2000, 2005), (2100, 2105))["n_false"] == 2
    assert counts() == {"n_events": 1, "n_found": 0, "n_false": 0}


def test_no_event_leaves_sensitivity_undefined_but_not_the_false_rate():
    table = windows_at([0, 10], [10, 20], [1, 9], [0, 1])
    found = summarise_events(judge_events(table, segments_at((10, 20)), [], 20))
    assert found["events"]["sensitivity"] is None
    assert found["events"]["undefined"] == "no event"
    assert found["events"]["false_per_hour"] == 180
    assert found["szcore"]["n_false"] == 1


# runs


@pytest.fixture
def eeg_run(tmp_path):
    start = np.arange(0.0, 479)
    events = [(240.51, 244.25), (276.90, 282.84), (336.9, 343.3)]
    inside = np.any([(start < b) & (start + 2 > a) for a, b in events], axis=0)
    table = windows_at(start, start + 2, inside * 5 + np.sin(start), inside, recording_id="eeg")
    segments = segments_at((240, 244), (277, 283), (10, 12), recording_id="eeg")
    source = SAMPLE / "eeg_absence_480s.edf"
    return write_run(tmp_path / "run", "eeg", {"eeg": (table, segments, 480.0)}, {"eeg": source})


def test_an_eeg_run_is_held_to_the_annotations_of_its_recording(eeg_run, tmp_path, capsys):
    path = tmp_path / "e.json"
    assert main(["evaluate", str(eeg_run), "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    assert result == evaluate_run(eeg_run)
    assert result["method"] == "intervals"
    assert result["pooled"]["windows"]["auroc"] > 0.99
    events = result["pooled"]["events"]
    assert (events["n_events"], events["n_found"], events["n_false"]) == (3, 2, 1)
    assert result["bootstrap"]["intervals"] is None
    shown = capsys.readouterr().out
    assert "2/3" in shown
    assert "Not a medical device" in shown


def test_a_label_table_replaces_annotations(eeg_run, tmp_path):
    csv = tmp_path / "labels.csv"
    csv.write_text("recording_id,onset_s,offset_s,label\neeg,9,13,sz\n")
    events = evaluate_run(eeg_run, csv)["pooled"]["events"]
    assert (events["n_events"], events["n_found"], events["n_false"]) == (1, 1, 2)
    text = (SAMPLE / "eeg_absence_480s_labels.csv").read_text()
    csv.write_text(text.replace("eeg_absence_480s,", ""))
    csv.write_text(csv.read_text().replace("recording_id,", ""))  # the only recording is meant
    assert evaluate_run(eeg_run, csv)["pooled"]["events"]["n_found"] == 2


def test_the_sample_labels_have_the_contract_s_columns_and_name_their_recording():
    for path in SAMPLE.glob("*_labels.csv"):
        table = pd.read_csv(path)
        assert list(table) == ["recording_id", "onset_s", "offset_s", "label"]
        assert set(table["recording_id"]) == {path.stem.removesuffix("_labels")}


def test_a_label_table_is_read_once(eeg_run, tmp_path, monkeypatch):
    csv = tmp_path / "labels.csv"
    csv.write_text("recording_id,onset_s,offset_s,label\neeg,9,13,sz\n")
    read, original = [], Path.read_text

    def counted(path, *arguments, **named):
        read.append(path)
        return original(path, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", counted)
    from_table(csv, {"eeg": 480.0}, ["eeg"])
    assert read == [csv]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("egg,1,2,sz", r"'egg', which is not in this run \(did you mean eeg\?\)"),
        ("eeg,4000,4001,sz", "ends at 480 s"),
        ("eeg,5,2,sz", "before it begins"),
    ],
)
def test_labels_that_do_not_belong_are_refused(eeg_run, tmp_path, row, message):
    csv = tmp_path / "labels.csv"
    csv.write_text(f"recording_id,onset_s,offset_s,label\n{row}\n")
    with pytest.raises(InputError, match=message):
        evaluate_run(eeg_run, csv)


def test_recordings_without_any_label_are_refused(tmp_path, edf, signal, write):
    source = write(edf([signal(20, 200)]))
    tables = {"a": (windows_at([0], [2], [1], [0]), segments_at(), 20.0)}
    run = write_run(tmp_path / "run", "eeg", tables, {"a": source})
    with pytest.raises(InputError, match="no recording of this run carries a label"):
        evaluate_run(run)


def test_an_ecg_run_is_judged_beat_by_beat(tmp_path, capsys):
    beats = pd.read_csv(SAMPLE / "ecg_ahadb_0201_beats.csv")
    centers = np.append(np.arange(0.5, 299), beats["time_s"])
    ventricular = np.append(np.zeros(299, bool), beats["symbol"] == "V")
    table = windows_at(
        centers - 0.2, centers + 0.4, ventricular * 5.0, ventricular, center_s=centers
    )
    table = table.drop(index=table.index[[400, 500]])
    source = SAMPLE / "ecg_ahadb_0201.hea"
    tables = {"ecg": (table, segments_at(), 2100.0)}
    run = write_run(tmp_path / "run", "ecg", tables, {"ecg": source})
    result = evaluate_run(run)
    assert result["method"] == "beats"
    assert result["pooled"]["n_beats"] == {"N": 2164, "S": 0, "V": 114, "F": 0, "Q": 0}
    assert result["pooled"]["n_unmatched"] == 2
    assert result["pooled"]["n_windows_without_beat"] == 0  # nothing before the first label counts
    assert result["pooled"]["auroc"] == 1.0
    from_table = evaluate_run(run, SAMPLE / "ecg_ahadb_0201_beats.csv")
    assert from_table["pooled"] == result["pooled"]
    assert main(["evaluate", str(run)]) == 0
    assert "114/114" in capsys.readouterr().out or result["pooled"]["classes"]["V"]["n"] == 114


def test_several_patients_give_intervals_and_the_rest_is_named(tmp_path):
    start = np.arange(0.0, 100)
    csv = tmp_path / "labels.csv"
    csv.write_text("recording_id,onset_s,offset_s,label\na,20,30,sz\nb,50,60,sz\nq,1,2,sz\n")
    tables = {}
    for name, event in (("a", 20), ("b", 50), ("c", None)):
        flagged = (start >= event) & (start < event + 10) if event else start < 1
        table = windows_at(start, start + 1, flagged + 0.01 * start, flagged, recording_id=name)
        stretch = (event, event + 10) if event and name == "a" else (0, 1)
        tables[name] = (table, segments_at(stretch, recording_id=name), 100.0)
    run = write_run(tmp_path / "run", "eeg", tables, quarantined=["q"])
    result = evaluate_run(run, csv)
    assert [r["recording_id"] for r in result["recordings"]] == ["a", "b", "c"]
    assert result["recordings"][2]["events"]["undefined"] == "no event"
    assert result["left_out"]["not_scored"] == ["q"]
    assert result["left_out"]["n_events_not_scored"] == 1
    assert result["pooled"]["events"]["n_found"] == 1
    assert result["bootstrap"]["n_patients"] == 3
    low, high = result["bootstrap"]["intervals"]["event_sensitivity"]
    assert (low, high) == (0.0, 1.0)
    json.dumps(result, allow_nan=False)


def test_recordings_of_one_patient_are_one_subject_and_undefined_ones_are_counted(tmp_path, capsys):
    tables = {}
    for name, flagged in (("a", 20.5), ("b", 30.5), ("c", 40.5)):
        centers = np.arange(0.5, 60)
        table = windows_at(
            centers - 0.2, centers + 0.3, (centers == flagged) * 9 + centers / 100,
            centers == flagged, center_s=centers, recording_id=name,
        )  # fmt: skip
        found = (flagged - 0.2, flagged + 0.3)
        tables[name] = (table, segments_at(found, recording_id=name), 60.0)
    run = write_run(tmp_path / "run", "ecg", tables, patients={"a": "p", "b": "p", "c": "q"})
    csv = tmp_path / "beats.csv"
    beats = [(name, t) for name in "abc" for t in np.arange(0.5, 60)]
    odd = {("a", 20.5): "V", ("b", 31.5): "V", ("b", 33.5): "A"}
    rows = [f"{name},{t},{t},{odd.get((name, t), 'N')}" for name, t in beats]
    csv.write_text("recording_id,onset_s,offset_s,label\n" + "\n".join(rows), "utf-8")
    result = evaluate_run(run, csv)
    p, q = result["patients"]
    assert (p["patient_id"], p["recordings"], q["recordings"]) == ("p", ["a", "b"], ["c"])
    assert p["classes"]["V"]["sensitivity"] == 0.5
    assert p["precision"] == 0.5
    assert p["events"]["n_segments"] == 2
    assert p["beat_detection"] == {"sensitivity": 1.0, "positive_predictivity": 1.0}
    assert q["undefined"]
    means = result["mean_over_patients"]
    assert means["sensitivity_V"] == {"mean": 0.5, "n_defined": 1, "n_undefined": 1}
    assert means["sensitivity_F"] == {"mean": None, "n_defined": 0, "n_undefined": 2}
    assert means["false_per_day"]["n_defined"] == 2
    assert main(["evaluate", str(run), "--labels", str(csv)]) == 0
    assert "sensitivity_V           0.500  over 1, undefined for 1" in capsys.readouterr().out


def test_beats_in_the_contract_s_columns_are_judged_as_beats(tmp_path):
    table = tmp_path / "beats.csv"
    table.write_text(
        "recording_id,onset_s,offset_s,label\nr,1.0,1.0,N\nr,2.0,,V\nr,3.0,3.0,N\n", "utf-8"
    )
    truth = from_table(table, {"r": 10.0}, ["r"])["r"]
    assert truth.symbols == ("N", "V", "N")
    assert [event.onset_s for event in truth.events] == [2.0]


def test_beats_without_any_usual_one_are_exceptions(tmp_path, capsys):
    """What is not listed is usual, also before the first row and in recordings without one."""
    centers = np.append(np.arange(0.5, 60), 20.6)  # 20.6: a second window at the beat of 20.5
    centers.sort()
    tables = {}
    for name in "ab":
        flagged = np.isin(centers, [20.5, 40.5] if name == "a" else [3.5])
        table = windows_at(
            centers - 0.2,
            centers + 0.3,
            flagged * 9,
            flagged,
            scorable=centers != 50.5,
            center_s=centers,
            recording_id=name,
        )
        segments = segments_at(*((c - 0.2, c + 0.3) for c in centers[flagged]), recording_id=name)
        tables[name] = (table, segments, 60.0)
    run = write_run(tmp_path / "run", "ecg", tables)
    csv = tmp_path / "beats.csv"
    csv.write_text("recording_id,onset_s,offset_s,label\na,20.5,20.5,V\na,30.5,,V\na,10.5,,Q\n")
    result = evaluate_run(run, csv)
    assert result["left_out"]["without_labels"] == []
    a, b = result["recordings"]
    assert a["n_beats"] == {"N": 56, "S": 0, "V": 2, "F": 0, "Q": 1}
    assert b["n_beats"] == {"N": 60, "S": 0, "V": 0, "F": 0, "Q": 0}
    assert (a["n_windows_without_beat"], b["n_windows_without_beat"]) == (1, 0)
    assert (a["classes"]["V"]["n_found"], a["n_unmatched"]) == (1, 0)
    assert (a["events"]["n_false"], b["events"]["n_false"]) == (1, 1)
    assert a["labelled_hours"] == pytest.approx(60 / 3600)
    positive = np.array([True, True] + [False] * 116)
    scores = np.array([9.0, 0.0, 9.0, 9.0] + [0.0] * 114)
    assert result["pooled"]["auroc"] == pytest.approx(roc_auc_score(positive, scores))
    assert main(["evaluate", str(run), "--labels", str(csv)]) == 0
    said = "No usual beats are listed: every other window counts as usual\n"
    assert said in capsys.readouterr().out
    with csv.open("a") as file:
        file.write("a,25.5,,N\n")
    result = evaluate_run(run, csv)
    assert result["left_out"]["without_labels"] == ["b"]
    assert result["pooled"]["n_beats"]["N"] == 1
    assert main(["evaluate", str(run), "--labels", str(csv)]) == 0
    assert said not in capsys.readouterr().out


def test_usual_stretches_of_a_table_are_no_events(tmp_path):
    table = tmp_path / "stretches.csv"
    table.write_text(
        "recording_id,onset_s,offset_s,label\nr,0,5,background\nr,5,8,seizure\nr,8,9,normal\n",
        "utf-8",
    )
    truth = from_table(table, {"r": 10.0}, ["r"])["r"]
    assert not truth.symbols
    assert [event.label for event in truth.events] == ["seizure"]


def test_false_events_of_an_ecg_count_all_the_time_that_was_watched(tmp_path):
    """Windows of 0.64 s at one beat a second cover only 64 % of an hour."""
    centers = np.arange(0.5, 3600)
    flagged = np.isin(np.arange(3600), [100, 200, 300])
    table = windows_at(centers - 0.24, centers + 0.4, flagged * 9, flagged, center_s=centers)
    segments = segments_at((100.26, 100.9), (200.26, 200.9), (300.26, 300.9))
    csv = tmp_path / "beats.csv"
    rows = [f"r,{c},{c},{'V' if i == 100 else 'N'}" for i, c in enumerate(centers)]
    csv.write_text("recording_id,onset_s,offset_s,label\n" + "\n".join(rows), "utf-8")
    run = write_run(tmp_path / "run", "ecg", {"r": (table, segments, 3600.0)})
    result = evaluate_run(run, csv)
    events = result["pooled"]["events"]
    assert (events["n_segments"], events["n_false"]) == (3, 2)
    assert events["scored_hours"] == pytest.approx(1.0, rel=1e-3)
    assert events["false_per_day"] == pytest.approx(48, rel=1e-3)
    csv.write_text("recording_id,onset_s,offset_s,label\nr,100,101,arrhythmia\n", "utf-8")
    by_interval = evaluate_run(run, csv)
    assert by_interval["method"] == "intervals"
    assert by_interval["pooled"]["events"]["false_per_day"] == pytest.approx(48, rel=1e-3)


def test_the_confirmed_baseline_is_not_judged(tmp_path, capsys):
    start = np.arange(0.0, 100)
    flagged = np.isin(start, [5, 9, 10, 50, 51, 80])
    table = windows_at(start, start + 1, flagged + 0.01 * start, flagged, recording_id="a")
    segments = segments_at((5, 6), (9, 11), (50, 52), (80, 81), recording_id="a")
    csv = tmp_path / "labels.csv"
    csv.write_text(
        "recording_id,onset_s,offset_s,label\na,2,3,sz\na,8,12,sz\na,50,60,sz\n", "utf-8"
    )
    tables = {"a": (table, segments, 100.0)}
    whole = evaluate_run(write_run(tmp_path / "whole", "eeg", tables), csv)
    assert whole["pooled"]["events"]["n_events"] == 3
    assert whole["pooled"]["events"]["n_false"] == 2
    run = write_run(tmp_path / "run", "eeg", tables, baseline=[0, 10], fitted=["a"])
    result = evaluate_run(run, csv)
    events = result["pooled"]["events"]
    assert (events["n_events"], events["n_found"]) == (2, 2)
    assert (events["n_segments"], events["n_false"]) == (3, 1)
    assert result["pooled"]["scored_hours"] == pytest.approx(90 / 3600)
    assert result["pooled"]["windows"]["n_positive"] == 2 + 10
    assert result["baseline_left_out"] == {"a": [0, 10]}
    assert result["fitted_on"] == {"recordings": ["a"], "part": [0, 10]}
    assert main(["evaluate", str(run), "--labels", str(csv)]) == 0
    shown = capsys.readouterr().out
    assert "Not judged: the baseline, seconds 0 to 10" in shown
    assert "The model was fitted on seconds 0 to 10 of a" in shown


def test_each_recording_leaves_out_the_baseline_it_was_scored_with(tmp_path, capsys):
    """The dashboard scores one recording of a run against a part of its own."""
    start = np.arange(0.0, 100)
    tables = {
        name: (
            windows_at(start, start + 1, start % 7, start == 5, recording_id=name),
            segments_at((5, 6), recording_id=name),
            100.0,
        )
        for name in "abc"
    }
    run = RunFolder(write_run(tmp_path / "run", "eeg", tables, baseline=[0, 30]))
    status = {line["recording_id"]: line for line in run.status()}
    run.append_status({**status["b"], "baseline": None})
    run.append_status({**status["c"], "baseline": [50, 60]})
    csv = tmp_path / "labels.csv"
    csv.write_text("recording_id,onset_s,offset_s,label\na,5,6,sz\nb,5,6,sz\nc,5,6,sz\n", "utf-8")
    result = evaluate_run(run.path, csv)
    assert result["baseline_left_out"] == {"a": [0, 30], "c": [50, 60]}
    assert [r["events"]["n_found"] for r in result["recordings"]] == [0, 1, 1]
    hours = [r["scored_hours"] * 3600 for r in result["recordings"]]
    assert hours == pytest.approx([70, 100, 90])
    assert main(["evaluate", str(run.path), "--labels", str(csv)]) == 0
    shown = capsys.readouterr().out
    assert "seconds 0 to 30 of a\n" in shown
    assert "seconds 50 to 60 of c\n" in shown


def test_beats_of_the_baseline_are_not_judged(tmp_path):
    centers = np.arange(0.5, 100)
    table = windows_at(
        centers - 0.2, centers + 0.4, centers, centers > 90, center_s=centers, recording_id="r"
    )
    csv = tmp_path / "beats.csv"
    rows = [f"r,{c},{c},{'V' if c in (1.5, 99.5) else 'N'}" for c in centers]
    csv.write_text("recording_id,onset_s,offset_s,label\n" + "\n".join(rows), "utf-8")
    run = write_run(tmp_path / "run", "ecg", {"r": (table, segments_at(), 100.0)}, baseline=[0, 30])
    pooled = evaluate_run(run, csv)["pooled"]
    assert pooled["n_beats"] == {"N": 69, "S": 0, "V": 1, "F": 0, "Q": 0}
    assert pooled["n_windows_without_beat"] == 0
    assert pooled["labelled_hours"] == pytest.approx(69 / 3600)
    run = write_run(
        tmp_path / "two", "ecg", {"r": (table, segments_at(), 100.0)}, baseline=[30, 60]
    )
    pooled = evaluate_run(run, csv)["pooled"]
    assert sum(pooled["n_beats"].values()) == 70
    assert pooled["labelled_hours"] == pytest.approx((99 - 30) / 3600)


def test_recordings_without_an_event_are_counted_in_the_mean(tmp_path):
    start = np.arange(0.0, 100)
    csv = tmp_path / "labels.csv"
    csv.write_text("recording_id,onset_s,offset_s,label\na,20,30,sz\nb,50,60,sz\n", "utf-8")
    tables = {
        name: (
            windows_at(start, start + 1, (start >= at) & (start < at + 10), start < 0),
            segments_at(),
            100.0,
        )
        for name, at in (("a", 20), ("b", 20), ("c", 50))
    }
    result = evaluate_run(write_run(tmp_path / "run", "eeg", tables), csv)
    mean = result["mean_over_recordings"]
    assert (mean["n_recordings"], mean["n_undefined"]) == (3, 1)
    by_name = {r["recording_id"]: r["windows"] for r in result["recordings"]}
    assert by_name["c"]["vus_pr"] is None
    assert by_name["a"]["vus_pr"] > 0.8 > by_name["b"]["vus_pr"]
    assert mean["vus_pr"] == pytest.approx((by_name["a"]["vus_pr"] + by_name["b"]["vus_pr"]) / 2)
    low, high = result["bootstrap"]["intervals"]["mean_vus_pr"]
    assert low == pytest.approx(by_name["b"]["vus_pr"])
    assert high == pytest.approx(by_name["a"]["vus_pr"])
