import numpy as np
import pytest

from pipelines.errors import SignalError
from pipelines.signals.montage import montage

NAMES = ("Fp1", "F3", "C3", "P3", "O1", "A1", "A2")


def data(n=7):
    return np.random.default_rng(0).standard_normal((n, 50))


def test_the_average_sums_to_zero_and_two_channels_stay_as_recorded():
    np.testing.assert_allclose(montage(NAMES, "average").apply(data()).sum(axis=0), 0, atol=1e-12)
    np.testing.assert_array_equal(montage(("C3", "C4"), "average").apply(data(2)), data(2))
    np.testing.assert_array_equal(montage(NAMES, "none").apply(data()), data())


def test_linked_subtracts_the_mean_of_the_ears_and_drops_them():
    derived = montage(NAMES, "linked")
    assert derived.names == NAMES[:5]
    np.testing.assert_allclose(derived.apply(data())[2], data()[2] - data()[5:].mean(axis=0))


def test_bipolar_takes_each_electrode_against_the_next_behind():
    derived = montage(NAMES, "bipolar")
    assert derived.names == ("Fp1-F3", "F3-C3", "C3-P3", "P3-O1")
    np.testing.assert_allclose(derived.apply(data())[1], data()[1] - data()[2])


def test_a_fault_spreads_to_what_is_measured_against_it():
    faulty = np.zeros((1, 7), dtype=bool)
    faulty[0, 2] = True
    assert montage(NAMES, "bipolar").touched(faulty).tolist() == [[False, True, True, False]]
    assert montage(NAMES, "average").touched(faulty).sum() == 1


@pytest.mark.parametrize(("reference", "what"), [("linked", "A1 and A2"), ("bipolar", "4 pairs")])
def test_a_reference_without_its_channels_is_refused(reference, what):
    with pytest.raises(SignalError, match=what):
        montage(("C3", "C4", "Cz"), reference)
