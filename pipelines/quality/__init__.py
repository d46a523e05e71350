"""When a window cannot be scored, and why. A bad signal is never called an anomaly.

Nor may what is abnormal be called a bad signal: a rule marks only what no heart or brain does, and
`benchmarks/quality.py` counts what it costs. One odd beat is never a bad signal; ten seconds of
beats that resemble no others, and that two detectors place differently, are.
"""

from pipelines.quality.ecg import ecg_faults
from pipelines.quality.eeg import eeg_faults
from pipelines.quality.faults import faults, reasons

__all__ = ["ecg_faults", "eeg_faults", "faults", "reasons"]
