"""From scores to thresholds: of held-out windows, and of calibration patients.

:mod:`pipelines.calibration.procedure` does the latter; it is not imported here, since it scores.
"""

from pipelines.calibration.patients import Promise, fewest_patients, make_promise
from pipelines.calibration.windows import NEW_PATIENT_RATE, WINDOW_RATE, Calibration, calibrate

__all__ = [
    "NEW_PATIENT_RATE",
    "WINDOW_RATE",
    "Calibration",
    "Promise",
    "calibrate",
    "fewest_patients",
    "make_promise",
]
