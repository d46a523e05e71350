"""What the canvases are given: nothing lost that a reader must see."""

import base64

import numpy as np
import pandas as pd
import pytest

from app import charts
from app.signal_page import Trace, View
from pipelines.recording import Annotation


def decoded(payload) -> np.ndarray:
    codes = np.frombuffer(base64.b64decode(payload["data"]), "<i2").astype(float)
    codes[codes == charts.MISSING] = np.nan
    return payload["offset"] + payload["scale"] * codes


def windows(score, scorable=None, seconds=2.0) -> pd.DataFrame:
    score = np.asarray(score, float)
    n = len(score)
    ok = np.ones(n, bool) if scorable is None else np.asarray(scorable)
    return pd.DataFrame(
        {
            "start_s": np.arange(n) * seconds,
            "stop_s": (np.arange(n) + 1) * seconds,
            "center_s": (np.arange(n) + 0.5) * seconds,
            "score": np.where(ok, score, np.nan),
            "scorable": ok,
            "flagged": score > 2,
            "reason": [None if x else "flat signal" for x in ok],
        }
    )


def test_encoding_is_exact_to_half_a_step_and_keeps_gaps():
    values = np.array([-3.25, 0.0, np.nan, 812.5, 17.0])
    payload = charts.encode(values)
    assert np.array_equal(np.isnan(decoded(payload)), np.isnan(values))
    error = np.abs(decoded(payload) - values)[np.isfinite(values)]
    assert error.max() <= payload["scale"] / 2 + 1e-12


@pytest.mark.parametrize("values", [np.full(4, np.nan), np.zeros(3), np.empty(0)])
def test_encoding_survives_degenerate_signals(values):
    assert np.allclose(decoded(charts.encode(values)), values, equal_nan=True)


def test_reduction_keeps_one_sample_peaks_in_order():
    values = np.zeros(100_000)
    values[12_345], values[70_001] = 5.0, -7.0
    reduced = charts.extremes(values, 2000)
    assert len(reduced) <= 2000
    assert reduced.max() == 5.0 and reduced.min() == -7.0
    assert reduced.argmax() < reduced.argmin()
    assert abs(reduced.argmax() / len(reduced) - 0.12345) < 0.002


def test_reduction_leaves_gaps_and_short_signals_alone():
    values = np.arange(10.0)
    assert charts.extremes(values, 10) is values
    gap = np.r_[np.ones(500), np.full(500, np.nan)]
    reduced = charts.extremes(gap, 100)
    assert np.isfinite(reduced[:50]).all() and np.isnan(reduced[50:]).all()


def test_overview_keeps_the_highest_score_of_a_long_recording():
    score = np.zeros(50_000)
    score[40_000] = 9.0
    payload = charts.overview(windows(score), 100_000.0, 2.0)
    shown = decoded(payload["scores"])
    assert len(shown) == charts.OVERVIEW_BINS
    assert shown.max() == pytest.approx(9.0, abs=1e-3)
    assert shown.argmax() == int(0.8 * charts.OVERVIEW_BINS)


def test_overview_tells_unscorable_from_low():
    payload = charts.overview(windows([0, 0, 0, 0], [True, False, False, True]), 8.0, None)
    assert payload["unscorable"] == [[2.0, 6.0, "flat signal"]]
    assert np.isnan(decoded(payload["scores"])[1:3]).all()
    assert payload["threshold"] is None


def test_nothing_scorable_is_drawn_as_nothing():
    payload = charts.overview(windows([1, 1], [False, False]), 4.0, 2.0)
    assert np.isnan(decoded(payload["scores"])).all()


def test_marks_name_every_verdict_by_a_shape_of_its_own():
    segments = pd.DataFrame(
        {"segment_id": list("abcd"), "start_s": [0, 1, 2, 3.0], "stop_s": [1, 2, 3, 4.0]}
    )
    verdicts = {"a": "accepted", "b": "rejected", "c": "unsure"}
    marks = charts.marks(segments, verdicts, "b")
    assert len({m["mark"] for m in marks}) == 4
    assert [m["current"] for m in marks] == [False, True, False, False]


def test_page_shows_only_what_lies_on_it():
    view = View(10.0, 20.0, None, None)
    notes = [
        Annotation(5.0, 2.0, "before"),
        Annotation(5.0, 6.0, "reaches in"),
        Annotation(12.0, 0.0, "x" * 500),
        Annotation(20.0, 0.0, "after"),
    ]
    shown = charts.page_annotations(notes, view)
    assert [row[2] for row in shown] == ["reaches in", "x" * 60]
    rows = charts.page_scores(windows(np.arange(20.0)), view)
    assert [row[0] for row in rows] == [11.0, 13.0, 15.0, 17.0, 19.0]


def test_traces_carry_the_whole_page_and_mark_the_responsible_channel():
    samples = np.sin(np.arange(20_000))
    page = [Trace("Fp1–F7", "µV", 2000.0, samples), Trace("O1", "µV", 2000.0, samples)]
    payload = charts.traces(page, "eeg", View(5.0, 15.0, None, None), 7.0, "F7")
    assert [t["top"] for t in payload["traces"]] == [True, False]
    assert payload["traces"][0]["seconds"] == 10.0
    assert len(decoded(payload["traces"][0])) <= charts.MOST_POINTS


@pytest.mark.parametrize(("amplitude", "gain"), [(6.0, 3.0), (60.0, 30.0)])
def test_gain_follows_the_signal(amplitude, gain):
    samples = amplitude * np.sin(np.linspace(0, 60, 2000))
    page = [Trace("O1", "µV", 200.0, samples)]
    assert charts.fitting_gain([page] * 3, "eeg", (3.0, 7.0, 30.0)) == gain


def test_responsible_lead_is_not_taken_for_its_namesake():
    page = [Trace(name, "mV", 250.0, np.ones(9)) for name in ("ECG", "ECG-2")]
    payload = charts.traces(page, "ecg", View(0.0, 10.0, None, None), 10.0, "ECG")
    assert [t["top"] for t in payload["traces"]] == [True, False]


def test_gain_without_signal_is_the_middle_one():
    page = [Trace("O1", "µV", 200.0, np.full(5, np.nan))]
    assert charts.fitting_gain([page], "eeg", (3.0, 7.0, 30.0)) == 7.0
