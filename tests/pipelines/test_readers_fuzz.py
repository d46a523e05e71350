"""Some of the damaged recordings of benchmarks/fuzz_readers.py, whose full run takes minutes."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def fuzz_readers(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setenv("PYTHONPATH", str(BENCHMARKS))
    import fuzz_readers

    yield fuzz_readers
    for name in ("fuzz_readers", "fuzz_seeds"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_damaged_recordings_are_read_or_refused_in_one_line(fuzz_readers):
    found = fuzz_readers.fuzz([], per_seed=15, seed=1)
    assert found["failures"] == []
    assert found["damaged_recordings"] == 15 * 14
    for name, outcomes in found["outcomes"].items():
        assert set(outcomes) <= {"read", "refused"}, name
    assert sum(outcomes.get("read", 0) for outcomes in found["outcomes"].values()) > 20


def test_the_search_notices_what_it_looks_for(fuzz_readers, tmp_path, monkeypatch):
    path = tmp_path / "a.edf"
    fuzz_readers.write_seeds(tmp_path)
    path = tmp_path / "edf/a.edf"
    assert fuzz_readers.open_and_read(path) == "read"
    cases = {
        ValueError("x"): "error: ValueError at",
        MemoryError(): "memory",
        fuzz_readers.RarewaveError("of Jane"): "wrong: a name in the message",
        fuzz_readers.RarewaveError("a\nb"): "wrong: several lines in the message",
    }
    for error, expected in cases.items():

        def fail(path, error=error):
            raise error

        monkeypatch.setattr(fuzz_readers, "read_recording", fail)
        assert fuzz_readers.open_and_read(path).startswith(expected)
