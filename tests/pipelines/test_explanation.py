import numpy as np

from pipelines.explanation import top_channels, top_features
from pipelines.features.eeg import CHANNEL_FEATURES
from pipelines.signals.windows import Windows


def windows(values, channels):
    n = len(values)
    times = np.arange(n, dtype=float)
    reason = np.full(n, None, dtype=object)
    return Windows(times, times + 1, times + 0.5, values, np.empty((n, 0)), reason, channels)


def test_features_are_named_by_what_they_answer_for_and_silent_ones_left_out():
    gains = np.array([[0.0, 3.0, 1.0], [0.0, 0.0, 0.0]])
    assert top_features(gains, ["a", "b", "c"]) == [["b", "c"], []]


def test_the_lead_that_answers_for_most_is_named_and_rhythm_names_none():
    names = ["early", "width_change_lead1", "shape_change_lead1", "width_change_lead2"]
    gains = np.array([[1.0, 1.0, 1.0, 1.5], [0.0, 0.0, 0.0, 0.5], [5.0, 1.0, 1.0, 1.0]])
    two = windows(np.zeros((3, 2, 4), dtype=np.float32), ("MLII", "V1"))
    assert top_channels(two, np.ones(3, bool), gains, names, "ecg") == ["MLII", "V1", None]


def test_the_electrode_that_left_its_habit_is_named_even_if_others_are_always_larger():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((50, 3, len(CHANNEL_FEATURES))).astype(np.float32)
    values[:, 0] += 20  # always large
    delta = CHANNEL_FEATURES.index("delta")
    values[7, 2, delta] += 9
    names = [f"{stem}_{part}" for part in ("median", "spread") for stem in CHANNEL_FEATURES]
    gains = np.zeros((1, len(names)))
    gains[0, names.index("delta_spread")] = 4.0
    chosen = np.arange(50) == 7
    found = top_channels(windows(values, ("Fp1", "C3", "O2")), chosen, gains, names, "eeg")
    assert found == ["O2"]
