"""Features of a minute of rhythm, and the windows they are taken of."""

import numpy as np
import pytest

from pipelines.features.rhythm_windows import (
    RHYTHM_WINDOW_FEATURES,
    TOLERANCES,
    rhythm_rows,
)
from pipelines.recording import Piece
from pipelines.rhythm.windows import HOP_S, TOO_FEW, WINDOW_S, rhythm_windows
from pipelines.signals.windows import Windows

IRREGULAR, ENTROPY, PAUSE = range(3)


def sinus(n=75, seed=0, rr=0.8):
    generator = np.random.default_rng(seed)
    breathing = 0.02 * np.sin(2 * np.pi * np.arange(n) * 0.2)
    return rr * (1 + breathing + 0.01 * generator.standard_normal(n))


def fibrillation(n=75, seed=0, rr=0.8):
    return rr * np.random.default_rng(seed).uniform(0.55, 1.5, n)


def with_ectopy(intervals, every):
    """Every so-many-th beat early, with a full pause after it."""
    intervals = intervals.copy()
    intervals[1:-1:every] *= 0.6
    intervals[2::every] *= 1.4
    return intervals


def beats_at(center_s, odd=()):
    n = len(center_s)
    reason = np.full(n, None, dtype=object)
    reason[list(odd)] = "muscle noise or interference"
    return Windows(
        start_s=center_s - 0.24,
        stop_s=center_s + 0.39,
        center_s=center_s,
        channel_values=np.zeros((n, 1, 64), dtype=np.float32),
        common_values=np.zeros((n, 5)),
        reason=reason,
        channels=("I",),
    )


def entropy_by_hand(intervals):
    """Return 2 r B / A by counting pairs one by one."""
    x = np.log(intervals / np.nanmedian(intervals))
    places = [i for i in range(len(x) - 1) if np.isfinite(x[i]) and np.isfinite(x[i + 1])]
    for r in TOLERANCES:
        pairs = [(i, j) for i in places for j in places if i < j and abs(x[i] - x[j]) <= r]
        followed = [(i, j) for i, j in pairs if abs(x[i + 1] - x[j + 1]) <= r]
        if len(followed) >= 5:
            break
    return 2 * r * max(len(pairs), 1) / max(len(followed), 1)


@pytest.mark.parametrize("make", [sinus, fibrillation])
def test_features_are_what_they_are_said_to_be(make):
    intervals = make(40)
    intervals[[7, 20]] = np.nan
    (row,) = rhythm_rows([intervals])
    ratio = intervals / np.nanmedian(intervals)
    x = np.log(ratio)
    least = min(np.nanmedian(np.abs(x[k:] - x[:-k])) for k in (1, 2, 3, 4))
    expected = [
        np.log(0.07 + least),
        np.log(0.25 + entropy_by_hand(intervals)),
        np.log1p((np.nanmax(ratio) / 2) ** 4) / 4,
    ]
    np.testing.assert_allclose(row, expected, rtol=1e-6)
    assert len(row) == len(RHYTHM_WINDOW_FEATURES)


@pytest.mark.parametrize(
    ("column", "every"), [(IRREGULAR, (2, 3, 4, 8, 12)), (ENTROPY, (2, 3, 4, 5, 6, 8, 12))]
)
def test_fibrillation_stands_apart_from_sinus_rhythm_with_odd_beats(column, every):
    rates = list(enumerate((0.5, 0.7, 0.9, 1.1)))
    usual = [sinus(seed=seed, rr=rr) for seed, rr in rates]
    odd = [with_ectopy(part, n) for part in usual for n in every]
    af = rhythm_rows([fibrillation(seed=seed, rr=rr) for seed, rr in rates])
    assert af[:, column].min() > rhythm_rows(usual + odd)[:, column].max() + 0.3


def test_the_heart_rate_changes_nothing():
    slow, fast = rhythm_rows([fibrillation(rr=1.2), fibrillation(rr=0.4)])
    np.testing.assert_allclose(slow, fast, atol=1e-6)


def test_a_pause_is_seen_and_that_after_an_early_beat_is_not():
    paused = sinus()
    paused[30] *= 4
    rows = rhythm_rows([sinus(), with_ectopy(sinus(), 9), paused])
    assert rows[1, PAUSE] - rows[0, PAUSE] < 0.1 < rows[2, PAUSE] - rows[0, PAUSE] - 0.4


def test_a_row_does_not_depend_on_those_beside_it():
    parts = [fibrillation(n, seed=n) for n in (20, 75, 140)]
    together = rhythm_rows(parts)
    alone = np.concatenate([rhythm_rows([part]) for part in parts])
    np.testing.assert_array_equal(together, alone)


def test_windows_lie_on_the_grid_of_the_clock_and_within_pieces():
    center = np.arange(0.3, 400, 0.8)
    center = center[(center < 205) | (center > 210)]
    pieces = [Piece(0.0, 205.0, 0.0), Piece(210.0, 190.0, 205.0)]
    found = rhythm_windows(beats_at(center), pieces)
    expected = [*np.arange(0, 150, HOP_S), *np.arange(210, 341, HOP_S)]
    assert found.start_s.tolist() == expected
    assert found.scorable.all()
    assert (found.stop_s - found.start_s == WINDOW_S).all()


def test_windows_do_not_depend_on_where_the_recording_is_cut():
    center = np.cumsum(fibrillation(1500, seed=3))
    whole = rhythm_windows(beats_at(center), [Piece(0.0, 1200.0, 0.0)])
    early = center < 701.0
    begun = rhythm_windows(beats_at(center[early]), [Piece(0.0, 701.0, 0.0)])
    np.testing.assert_array_equal(begun.X, whole.X[: len(begun)])
    assert begun.start_s[-1] == 630.0
    rest = rhythm_windows(beats_at(center[center >= 433.3]), [Piece(433.3, 766.7, 433.3)])
    later = np.isin(whole.start_s, rest.start_s)
    assert rest.start_s[0] == 450.0
    np.testing.assert_array_equal(rest.X, whole.X[later])


def test_too_few_beats_that_can_be_scored_give_no_features():
    center = np.arange(0.3, 180, 0.8)
    noisy = [i for i, at in enumerate(center) if 60 <= at < 85]
    found = rhythm_windows(beats_at(center, noisy), [Piece(0.0, 180.0, 0.0)])
    assert found.start_s[~found.scorable].tolist() == [30.0, 60.0]
    assert np.isnan(found.X[1]).all()
    assert not len(rhythm_windows(beats_at(center[:3]), [Piece(0.0, 59.0, 0.0)]))
    silent = rhythm_windows(beats_at(center[:3]), [Piece(0.0, 180.0, 0.0)])
    assert not silent.scorable.any() and TOO_FEW
