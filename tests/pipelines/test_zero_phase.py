import numpy as np
import pytest
from scipy.signal import butter, iirnotch, sosfiltfilt, tf2sos

from pipelines.signals.zero_phase import band, known, notch, zero_phase


@pytest.mark.parametrize("n_times", [1, 40, 900, 5000])
@pytest.mark.parametrize("what", ["band", "notch"])
def test_the_numbers_are_scipys(n_times, what):
    signal = np.random.default_rng(0).normal(size=(2, n_times)).cumsum(axis=1)
    made = band(0.5, 40.0, 250.0) if what == "band" else notch(50.0, 2.0, 250.0)
    sos = (
        butter(2, (0.5, 40.0), "bandpass", fs=250.0, output="sos")
        if what == "band"
        else tf2sos(*iirnotch(50.0, 25.0, fs=250.0))
    )
    want = sosfiltfilt(sos, signal, axis=1, padlen=min(500, n_times - 1))
    for _ in range(2):  # the second time the filter is remembered
        np.testing.assert_array_equal(zero_phase(made, signal, 250.0), want)
    np.testing.assert_array_equal(zero_phase(made, signal[0], 250.0), want[0])


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_missing_counts_as_zero_and_the_rest_is_left_alone(odd):
    values = np.array([1.0, 2.0, 3.0])
    assert known(values) is values
    values[1] = odd
    np.testing.assert_array_equal(known(values), np.nan_to_num([1.0, odd, 3.0]))
    assert values[1] == odd or np.isnan(values[1])
