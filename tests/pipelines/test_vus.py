"""VUS-PR against its definition, written once more window by window."""

import math

import numpy as np
import pytest

from pipelines.evaluation.volume import buffer_of, soft_labels, volume, vus_pr, vus_pr_random


def runs(values):
    """Return the indices of each run of values above 0."""
    found, inside = [], False
    for i, value in enumerate(values):
        if value > 0 and not inside:
            found.append([])
        inside = value > 0
        if inside:
            found[-1].append(i)
    return found


def softened(positive, buffer):
    labels = [1.0 if p else 0.0 for p in positive]
    for event in runs(positive):
        for i in range(len(positive)):
            gap = max(event[0] - i, i - event[-1])
            if 0 < gap <= buffer // 2:
                labels[i] += math.sqrt(1 - gap / buffer)
    return [min(1.0, value) for value in labels]


def plainly(scores, positive, longest):
    """Follow the paper's definition with loops only; every score is a threshold."""
    areas = []
    for buffer in range(longest + 1):
        labels = softened(positive, buffer)
        groups = runs(labels)
        area, earlier = 0.0, 0.0
        for limit in sorted(scores, reverse=True):
            flagged = [i for i in range(len(scores)) if scores[i] >= limit]
            hit = sum(labels[i] for i in flagged)
            share = sum(any(scores[i] >= limit for i in g) for g in groups) / len(groups)
            recall = min(1.0, hit / ((sum(positive) + sum(labels)) / 2)) * share
            area += (recall - earlier) * hit / len(flagged)
            earlier = recall
        areas.append(area)
    return sum(areas) / len(areas)


@pytest.mark.parametrize("seed", range(6))
def test_the_volume_is_that_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    positive = np.zeros(40, bool)
    for start in rng.integers(0, 36, 3):
        positive[start : start + rng.integers(1, 6)] = True
    scores = np.round(rng.normal(size=40) + positive, 1)  # with ties
    assert vus_pr(scores, positive, 6) == pytest.approx(plainly(scores, positive, 6))


def test_labels_fall_off_by_the_square_root():
    positive = np.zeros(9, bool)
    positive[4] = True
    expected = [0, 0, math.sqrt(0.5), math.sqrt(0.75), 1, math.sqrt(0.75), math.sqrt(0.5), 0, 0]
    np.testing.assert_allclose(soft_labels(positive, 4), expected)
    np.testing.assert_array_equal(soft_labels(positive, 0), positive)


def test_right_scores_beat_shifted_ones_and_those_beat_random_ones():
    positive = np.zeros(1000, bool)
    positive[300:320] = positive[700:710] = True
    assert buffer_of(positive) == 15
    right = volume(positive.astype(float), positive)
    shifted = vus_pr(np.roll(positive, 3).astype(float), positive)
    assert right["vus_pr"] > 0.8 > shifted > 0.5 > 0.1 > right["vus_pr_random"]
    assert right["vus_pr_random"] == vus_pr_random(positive)


@pytest.mark.parametrize("positive", [np.zeros(4, bool), np.ones(4, bool), np.zeros(0, bool)])
def test_one_class_leaves_it_undefined(positive):
    assert vus_pr(np.arange(float(len(positive))), positive) is None
    assert volume(np.zeros(len(positive)), positive)["vus_pr_random"] is None


def test_labels_are_softened_once_a_buffer_for_the_scores_and_the_random_floor(monkeypatch):
    positive = np.zeros(60, bool)
    positive[10:15] = positive[30:35] = True
    expected = volume(np.arange(60.0), positive)
    buffers = []

    def counted(labels, buffer):
        buffers.append(buffer)
        return soft_labels(labels, buffer)

    monkeypatch.setattr("pipelines.evaluation.volume.soft_labels", counted)
    assert volume(np.arange(60.0), positive) == expected
    assert buffers == list(range(6))
    assert expected["vus_pr"] == vus_pr(np.arange(60.0), positive)
