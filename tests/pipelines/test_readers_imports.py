"""Opening one format does not load the libraries of the others."""

import subprocess
import sys
from pathlib import Path

SAMPLE = Path(__file__).parents[2] / "sample_data/eeg_absence_480s.edf"
HEAVY = ("mne", "pydicom", "pyarrow", "pandas", "scipy", "torch", "wfdb")


def loaded(code):
    words = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split()) & set(HEAVY)


def test_reading_edf_and_finding_inputs_is_light():
    code = "from pipelines.inputs import resolve_inputs\n"
    code += f"resolve_inputs([{str(SAMPLE)!r}])[0].open()"
    assert loaded(code) == set()
