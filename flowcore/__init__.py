"""flowcore: exact densities by chains of continuous flows, and anomaly scores from them.

It knows tensors, not signals. The estimator is the front door::

    from flowcore import FlowDensityEstimator, load
"""

from flowcore._version import __version__
from flowcore.calibration import central_threshold, conformal_p_values, tail_threshold
from flowcore.errors import FlowError
from flowcore.estimator import FlowDensityEstimator, load

__all__ = [
    "FlowDensityEstimator",
    "FlowError",
    "__version__",
    "central_threshold",
    "conformal_p_values",
    "load",
    "tail_threshold",
]
