"""Where electrodes lie, and what a model keeps of each: swapped, odd and backwards are seen."""

import json

import numpy as np
import pytest

from pipelines.errors import ModelError
from pipelines.features import eeg, eeg_pattern
from pipelines.features.eeg_pattern import PATTERN_FEATURES
from pipelines.features.electrodes import neighbours, place
from pipelines.features.registry import check_versions, versions_of

NAMES = ("Fp1", "F3", "C3", "P3", "O1", "Fp2", "F4", "C4", "P4", "O2")
SFREQ = 200.0


def test_the_grid_is_symmetric_and_runs_from_front_to_back():
    for left, right in (("Fp1", "Fp2"), ("F7", "F8"), ("CP3", "CP4"), ("O1", "O2")):
        one, other = place(left), place(right)
        assert one.x == -other.x < 0
        assert one.y == other.y
    heights = [place(name).y for name in ("Fpz", "Fz", "FCz", "Cz", "CPz", "Pz", "POz", "Oz")]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == len(heights)
    assert np.hypot(*place("T7")) == pytest.approx(1)
    assert place("C3-P3") == pytest.approx(
        tuple(np.mean([place("C3"), place("P3")], axis=0)), abs=2e-6
    )
    assert place("A1") is None is place("Cz-A1")


def test_neighbours_are_the_electrodes_beside_whatever_the_order_of_channels():
    names = ["O1", "Cz", "C3", "F3", "P3", "T7", "Fp1", "A1"]
    found = {(names[a], names[b]) for a, b in neighbours(names)}
    assert {b if a == "C3" else a for a, b in found if "C3" in (a, b)} == {"F3", "Cz", "P3", "T7"}
    assert ("F3", "C3") in found  # the one further in front comes first
    assert not any("A1" in pair for pair in found)
    again = names[::-1]
    assert {(again[a], again[b]) for a, b in neighbours(again)} == found


def measured(n_windows=240, seed=0, change=lambda x: x):
    """Return channel and pair values of waves that travel from the front to the back."""
    rng = np.random.default_rng(seed)
    source = rng.standard_normal((n_windows, 2, 460))
    kernel = np.exp(-0.5 * (np.arange(-12, 13) / 4) ** 2)
    source = np.apply_along_axis(lambda x: np.convolve(x, kernel, "same"), -1, source)
    own = rng.standard_normal((n_windows, len(NAMES), 400))
    signal = np.stack(
        [source[:, k // 5, 40 - 3 * (k % 5) :][:, :400] for k in range(len(NAMES))], axis=1
    )
    signal = change(1e-5 * (signal + 0.5 * own) * np.linspace(1, 2, len(NAMES))[:, None])
    return (
        eeg.channel_features(signal, SFREQ),
        eeg.pair_features(signal, neighbours(NAMES)),
    )


@pytest.fixture(scope="module")
def pattern():
    return eeg_pattern.learn_pattern(NAMES, *measured())


def features(pattern, **given):
    return eeg_pattern.pattern_features(pattern, NAMES, *measured(60, 1, **given))


def swapped(x):
    return x[:, [4, 1, 2, 3, 0, *range(5, 10)]]


def one_louder(x):
    return x * np.where(np.arange(len(NAMES)) == 3, 4.0, 1.0)[:, None]


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (swapped, "odd_neighbours"),
        (one_louder, "odd_power"),
        (one_louder, "odd_recorded"),
        (lambda x: x[..., ::-1], "unusual_order"),
    ],
)
def test_what_is_odd_on_one_channel_or_in_time_stands_out(pattern, change, seen):
    column = [f.name for f in PATTERN_FEATURES].index(seen)
    usual = features(pattern)[:, column]
    found = features(pattern, change=change)[:, column]
    assert (found > np.quantile(usual, 0.95)).mean() > 0.9


def test_a_gain_of_all_channels_is_no_odd_channel(pattern):
    np.testing.assert_allclose(features(pattern, change=lambda x: 5 * x), features(pattern))


def test_channels_are_known_by_name_and_missing_ones_left_out(pattern):
    values, pairs = measured(60, 1)
    whole = eeg_pattern.pattern_features(pattern, NAMES, values, pairs)
    turned = NAMES[::-1]
    again = eeg_pattern.in_order(turned, NAMES, values, pairs)
    np.testing.assert_allclose(
        eeg_pattern.pattern_features(pattern, turned, *again), whole, rtol=1e-9
    )
    some = NAMES[:7]
    fewer = eeg_pattern.in_order(some, NAMES, values, pairs)
    part = eeg_pattern.pattern_features(pattern, some, *fewer)
    assert np.isfinite(part).all()
    assert np.median(part[:, 0]) < 4 * np.median(whole[:, 0])


def test_faulty_channels_say_nothing_and_a_window_without_any_is_unknown(pattern):
    values, pairs = measured(60, 1, change=one_louder)
    values[0, 3], pairs[0] = np.nan, np.where(np.arange(len(pairs[0]))[:, None] == 0, np.nan, 0.5)
    values[1], pairs[1] = np.nan, np.nan
    found = eeg_pattern.pattern_features(pattern, NAMES, values, pairs)
    assert found[0, 0] < 0.5 * np.median(found[2:, 0])
    assert np.isnan(found[1, :3]).all()


def test_one_channel_alone_has_no_pattern():
    values = measured()[0][:, :1]
    pairs = np.zeros((len(values), 0, 2))
    alone = eeg_pattern.learn_pattern(["EEG"], values, pairs)
    found = eeg_pattern.pattern_features(alone, ["EEG"], values, pairs)
    np.testing.assert_array_equal(found, np.broadcast_to([0, 0, 0, 1], found.shape))


def test_a_confirmed_part_moves_the_levels_but_not_the_order(pattern):
    values, pairs = measured(60, 1, change=one_louder)
    moved = eeg_pattern.moved_to(pattern, NAMES, values, pairs)
    found = eeg_pattern.pattern_features(moved, NAMES, values, pairs)
    assert np.median(found[:, 0]) < 2 * np.median(features(pattern)[:, 0])
    np.testing.assert_array_equal(moved.order, pattern.order)


def test_a_pattern_is_stored_and_read_back(pattern):
    arrays, names = eeg_pattern.to_state(pattern)
    again = eeg_pattern.from_state(arrays, json.loads(json.dumps(names)))
    np.testing.assert_array_equal(features(again), features(pattern))
    with pytest.raises(KeyError, match="order"):
        eeg_pattern.from_state({k: v for k, v in arrays.items() if "order" not in k}, names)


def test_features_of_another_version_are_refused_by_name():
    names = ["early", "shape_change_lead1", "shape_change_lead2"]
    check_versions(names, versions_of(names))
    check_versions(names, None)  # fitted before there were versions
    with pytest.raises(ModelError, match=r"shape_change \(version 2 there, 1 here\)"):
        check_versions(names, {"early": 1, "shape_change": 2})
    with pytest.raises(ModelError, match=r"early \(version unknown there, 1 here\)"):
        check_versions(names, {"shape_change": 1})
    with pytest.raises(ModelError, match=r"gone \(not known here\)"):
        check_versions(["gone"], {"gone": 1})
