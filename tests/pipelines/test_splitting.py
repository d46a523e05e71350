"""Which windows are fitted on and which set the threshold."""

import tracemalloc

import numpy as np
import pytest

from pipelines import trimming
from pipelines.splitting import split
from pipelines.trimming import rows_to_fit, usual_rows


def test_of_few_patients_every_third_block_is_held_out():
    part = split(np.repeat([0, 1, 2, 3], 100))
    assert not part.by_patient
    assert part.n_patients_held_out == 0
    assert part.held_out.sum() == 130
    np.testing.assert_array_equal(part.held_out, part.judged)
    assert len(np.unique(part.units)) == 40


@pytest.mark.parametrize(("n", "held_out"), [(5, 2), (11, 3), (22, 6)])
def test_of_many_patients_whole_ones_are_held_out(n, held_out):
    patients = np.repeat(np.arange(n), 50 + 10 * np.arange(n))
    part = split(patients)
    assert part.n_patients_held_out == held_out
    out, fitted = (set(patients[mask]) for mask in (part.held_out, ~part.held_out))
    assert len(out) == held_out
    assert not out & fitted
    np.testing.assert_array_equal(part.units, patients)


def test_every_held_out_patient_has_the_same_say():
    patients = np.repeat(np.arange(6), [100, 900, 1100, 950, 300, 1000])
    part = split(patients)
    chosen, counts = np.unique(patients[part.judged], return_counts=True)
    assert len(chosen) == 2
    assert len(set(counts)) == 1
    assert not (part.judged & ~part.held_out).any()


def test_a_short_recording_does_not_silence_the_others():
    patients = np.repeat(np.arange(6), [1000, 1000, 10, 1000, 1000, 1000])
    part = split(patients)
    chosen, counts = np.unique(patients[part.judged], return_counts=True)
    assert dict(zip(chosen, counts, strict=True)) == {2: 10, 3: 250}


def rows_with_rare_ones(n, n_rare):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.standard_normal((n, 5)), 12 + rng.standard_normal((n_rare, 5))])


def test_a_night_of_beats_is_trimmed_in_little_memory():
    X = rows_with_rare_ones(10_000, 500)
    usual_rows(X[:3000])  # imports
    tracemalloc.start()
    usual = usual_rows(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6  # all against all would take 10,500 x 1,575 distances and indices
    assert not usual[10_000:].any()
    assert usual[:10_000].mean() > 0.999
    np.testing.assert_array_equal(usual, usual_rows(X))


def test_a_reference_of_some_rows_leaves_out_what_all_would(monkeypatch):
    X = rows_with_rare_ones(2500, 100)
    some = usual_rows(X)
    monkeypatch.setattr(trimming, "MOST_REFERENCE", 10_000)
    assert (some == usual_rows(X)).mean() > 0.999


@pytest.mark.parametrize("share", [0.02, 0.05, 0.10])
def test_a_cluster_of_up_to_a_tenth_is_not_fitted_on(share):
    n = 600
    n_rare = round(share / (1 - share) * n)
    rng = np.random.default_rng(1)
    common = rng.standard_normal((n, 1))
    usual = np.hstack([common, common]) + 0.3 * rng.standard_normal((n, 2))
    rare = [2.5, -2.5] + 0.3 * rng.standard_normal((n_rare, 2))  # no column alone shows it
    fitted = rows_to_fit(np.concatenate([usual, rare]))
    assert fitted[n:].mean() <= 0.1  # at the limit single usual rows are out in place of rare ones
    assert fitted[:n].mean() > 0.95
    assert usual_rows(np.concatenate([usual, rare]))[n:].any()


def test_at_most_a_tenth_is_left_out_and_constant_columns_do_no_harm():
    rng = np.random.default_rng(2)
    X = np.hstack([rng.standard_t(1, (500, 3)), np.ones((500, 1))])
    fitted = rows_to_fit(X)
    assert 0.9 <= fitted.mean() < 1
    np.testing.assert_array_equal(fitted, rows_to_fit(X * [1e-6, 1, 1e6, 5] + 3))
    assert rows_to_fit(np.ones((60, 2))).all()


def test_rows_that_leave_the_relations_of_the_others_are_not_fitted_on():
    rng = np.random.default_rng(1)
    usual = rng.standard_normal((600, 1)) + 0.3 * rng.standard_normal((600, 8))
    rare = np.where(np.arange(8) % 2, 1, -1) + 0.3 * rng.standard_normal((32, 8))
    fitted = rows_to_fit(np.concatenate([usual, rare]))
    assert fitted[600:].mean() < 0.1  # by neighbours alone 0.28
    assert fitted[:600].mean() > 0.9
