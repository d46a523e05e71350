"""Kappa against published examples."""

import math

import numpy as np
import pytest

from pipelines.errors import ReviewError
from pipelines.review.agreement import cohen_kappa, fleiss_kappa

# Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, table 18.1:
# two raters, 100 cases, psychotic / neurotic / organic: kappa 0.676, standard error 0.088.
DIAGNOSES = [[75, 1, 4], [5, 4, 1], [0, 0, 10]]

# Fleiss (1971) as in the well-known worked example: 10 subjects, 14 raters, 5 categories, 0.210.
SUBJECTS = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


def pairs(table):
    return zip(
        *[
            (str(i), str(j))
            for i, row in enumerate(table)
            for j, n in enumerate(row)
            for _ in range(n)
        ],
        strict=True,
    )


def test_cohen_is_that_of_the_textbook():
    kappa = cohen_kappa(*pairs(DIAGNOSES))
    assert kappa.value == pytest.approx(0.676, abs=5e-4)
    assert (kappa.high - kappa.value) / 1.96 == pytest.approx(0.088, abs=5e-4)
    assert kappa.n == 100 and kappa.observed == pytest.approx(0.89)


def test_cohen_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(0)
    p = np.array([[0.4, 0.1], [0.15, 0.35]])
    chance = p.sum(1) @ p.sum(0)
    true = (np.trace(p) - chance) / (1 - chance)
    covered = 0
    for _ in range(400):
        cells = generator.choice(4, 200, p=p.ravel())
        kappa = cohen_kappa([str(c // 2) for c in cells], [str(c % 2) for c in cells])
        covered += kappa.low <= true <= kappa.high
    assert 0.91 <= covered / 400 <= 0.985


def test_fleiss_is_that_of_the_worked_example():
    judgements = [
        [str(category) for category, n in enumerate(row) for _ in range(n)] for row in SUBJECTS
    ]
    kappa = fleiss_kappa(judgements)
    assert kappa.value == pytest.approx(0.210, abs=5e-4)
    assert kappa.low < kappa.value < kappa.high
    assert fleiss_kappa(judgements) == kappa


def test_agreement_at_its_ends():
    same = list("abab")
    assert cohen_kappa(same, same).value == 1 and fleiss_kappa([*zip(same, same)]).value == 1  # noqa: B905
    assert cohen_kappa(list("ab"), list("ba")).value == -1
    only = cohen_kappa(list("aa"), list("aa"))
    assert math.isnan(only.value) and math.isnan(only.low) and only.observed == 1


@pytest.mark.parametrize("judgements", [[], [["a"]], [["a", "b"], ["a"]]])
def test_what_has_no_kappa_is_refused(judgements):
    with pytest.raises(ReviewError, match="kappa needs"):
        fleiss_kappa(judgements)


def test_readers_must_have_judged_the_same():
    with pytest.raises(ReviewError, match="2 and 1 judgements"):
        cohen_kappa(["a", "b"], ["a"])
