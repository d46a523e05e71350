"""How much memory a step takes: peak resident memory above what the process held before it.

Linux only. The kernel's high-water mark is reset before the step and read after it; memory that the
allocator kept from earlier steps is handed back first. What a step finds already loaded (libraries,
its data) does not count. ``tracemalloc`` would miss what torch and BLAS allocate.
"""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path
from types import TracebackType

_RESET_PEAK = "5"  # proc(5): clear_refs


class PeakMemory:
    """Context manager; afterwards `mb` holds the increase in MB, or None where it cannot be told."""

    mb: float | None = None

    def __enter__(self) -> PeakMemory:
        gc.collect()
        try:
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
            self._before = _status("VmRSS")
        except (OSError, AttributeError):
            self._before = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None and kind is None:
            self.mb = round(max(0, _status("VmHWM") - self._before) / 1024, 1)


def _status(field: str) -> int:
    """Return a line of this process's status, kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))
