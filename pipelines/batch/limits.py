"""How long a recording may take and how much memory its process may use."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InputError

DEFAULT_TIME_S = 3600.0
"""In a process of its own a recording is given up after this; a day of EEG takes minutes."""
_SMALLEST_BYTES = 64 << 20


@dataclass(frozen=True)
class Limits:
    """What one recording may use before it is set aside.

    Attributes
    ----------
    time_s : float or None
        Seconds from the moment a process is given the recording.
    memory_bytes : int or None
        Address space beyond what the process holds once the model is loaded. Linux only: elsewhere
        the system does not enforce it. Not for a GPU, whose driver reserves what it never uses.
    """

    time_s: float | None = None
    memory_bytes: int | None = None

    @property
    def any(self) -> bool:
        """True if there is a limit: the recording then needs a process of its own."""
        return self.time_s is not None or self.memory_bytes is not None

    def check(self) -> None:
        """Raise :class:`InputError` if a limit makes no sense."""
        if self.time_s is not None and not 0 < self.time_s < math.inf:
            raise InputError(f"the time limit of {self.time_s} s must be positive and finite")
        if self.memory_bytes is not None and self.memory_bytes < _SMALLEST_BYTES:
            raise InputError(
                f"the memory limit of {self.memory_bytes} bytes is too small; give at least "
                f"{_SMALLEST_BYTES >> 20} MiB"
            )


NO_LIMITS = Limits()


def limit_memory(memory_bytes: int | None) -> None:
    """Let this process take at most `memory_bytes` more; what exceeds it is a MemoryError."""
    held = _held_bytes()
    if memory_bytes is None or held is None or sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = held + memory_bytes
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _held_bytes() -> int | None:
    """Return the address space of this process, or None where the system does not tell."""
    status = Path("/proc/self/statm")
    if not status.is_file():
        return None
    import resource

    return int(status.read_text("ascii").split()[0]) * resource.getpagesize()
