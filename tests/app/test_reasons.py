"""Why a segment was flagged: read from the worst window, held against the others."""

import numpy as np
import pandas as pd
import pytest

from app.messages import against_usual
from app.reasons import reasons, worst_window

FIRST = "delta_median"


def test_reason_is_read_at_the_worst_window(parts):
    windows, segments, features = parts.tables()
    windows.loc[61, "score"] = 9.0
    features[FIRST] = features[FIRST].astype(float).abs() + 1  # a root of an amplitude
    features.loc[61, FIRST] = features[FIRST].median() * np.sqrt(20)
    assert worst_window(segments.iloc[1], windows) == 61
    found = reasons(segments.iloc[1], windows, features)
    assert len(found) == 3
    assert found[0].comparison == "20 × the usual"
    assert 0.9 < found[0].share <= 1


def test_logarithms_and_roots_of_amplitudes_are_told_as_ratios():
    assert against_usual(1.0 + np.log(3), 1.0, "ln") == "3 × the usual"
    assert against_usual(9.0, 1.0, "√µV") == "81 × the usual"
    assert against_usual(0.25, 0.5, "1") == "0.25, usually 0.5"


def test_windows_that_could_not_be_scored_do_not_count_as_usual(parts):
    windows, segments, features = parts.tables()
    bad = ~windows["scorable"]
    features.loc[bad, FIRST] = 1e6
    before = reasons(segments.iloc[1], windows, features)[0].share
    features.loc[bad, FIRST] = -1e6
    assert reasons(segments.iloc[1], windows, features)[0].share == before


@pytest.mark.parametrize("table", [None, pd.DataFrame({"window_index": [0]})])
def test_without_features_the_words_remain(table, parts):
    windows, segments, _ = parts.tables()
    found = reasons(segments.iloc[0], windows, table)
    assert found[0].words == "delta amplitude (1 to 4 Hz), typical channel"
    assert found[0].rank == "" and np.isnan(found[0].share)
