"""Which windows are fitted on and which set the threshold."""

import numpy as np
import pytest

from pipelines.splitting import split


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
