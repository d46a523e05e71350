"""ISHNE Holter standard output file 1.0 (Badilini 1998): one rate, 16-bit, no gaps.

Layout: https://www.thew-project.org/papers/Badilini.ISHNE.Holter.Standard.pdf. Names, identifier,
sex, race and dates of birth in the header are skipped, so that nothing downstream can leak them.
"""

from __future__ import annotations

import struct
from binascii import crc_hqx
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.channel_names import identify_all
from pipelines.errors import RecordingError
from pipelines.readers.exact import read_exactly
from pipelines.recording import MAX_DURATION_S, Channel, Piece, Recording

CHUNK_BYTES = 4 << 20
MAGIC = b"ISHNE1.0"
_HEADER_BYTES = 522
_MOST_LEADS = 12
_MISSING = -32768
_LEADS = (
    *("Unknown", "Bipolar", "X", "Y", "Z", "I", "II", "III", "aVR", "aVL", "aVF"),
    *("V1", "V2", "V3", "V4", "V5", "V6", "ES", "AS", "AI"),
)


class IshneHeader(NamedTuple):
    """What of the header is needed to find and scale a sample.

    Attributes
    ----------
    first_byte : int
        Where the samples begin.
    n_samples : int
        Samples of each lead.
    sfreq : int
        Hz.
    labels : tuple of str
        Usual names of the leads.
    volts : tuple of float
        Volts a digital step, lead by lead.
    start_time : datetime.datetime or None
    """

    first_byte: int
    n_samples: int
    sfreq: int
    labels: tuple[str, ...]
    volts: tuple[float, ...]
    start_time: datetime | None


class IshneRecording(Recording):
    """An ISHNE Holter recording; made by :func:`read_ishne`."""

    def __init__(self, path: Path, header: IshneHeader) -> None:
        self.path = path
        self.files = (path,)
        self.format = "ISHNE"
        self.annotations = ()
        self.start_time = header.start_time
        self.pieces = (Piece(0.0, header.n_samples / header.sfreq, 0.0),)
        self.channels = tuple(
            Channel(name, label, "ecg", float(header.sfreq))
            for (name, _), label in zip(identify_all(header.labels), header.labels, strict=True)
        )
        self._header = header

    def _read(
        self, channels: Sequence[Channel], piece: Piece, start: int, stop: int
    ) -> NDArray[np.float64]:
        header, rows = self._header, [self.channels.index(c) for c in channels]
        n_leads = len(header.labels)
        scale = np.array([header.volts[row] for row in rows])[:, None]
        out = np.empty((len(rows), stop - start))
        step = CHUNK_BYTES // (2 * n_leads)
        with self.path.open("rb") as file:
            for a in range(start, stop, step):
                n = min(step, stop - a)
                where = header.first_byte + 2 * n_leads * a
                content = read_exactly(file, where, 2 * n_leads * n, self.path.name)
                part = np.frombuffer(content, "<i2").reshape(n, n_leads).T[rows]
                out[:, a - start : a - start + n] = np.where(part == _MISSING, np.nan, part * scale)
        return out


def read_ishne(path: Path) -> IshneRecording:
    """Open an ISHNE Holter recording.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path.

    Raises
    ------
    RecordingError
        If the file is damaged or truncated; its checksum and every number of its header are
        checked against the size of the file before anything is allocated.
    """
    return IshneRecording(path, read_header(path))


def read_header(path: Path) -> IshneHeader:
    """Read and check the header of `path`; raise :class:`RecordingError` if it cannot be true."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        if not head.startswith(MAGIC):
            raise RecordingError(
                f"{path.name} is no ISHNE 1.0 recording: it does not begin with 'ISHNE1.0'; "
                "check how it was exported"
            )
        if len(head) < _HEADER_BYTES:
            raise RecordingError(
                f"{path.name} ends within its header (after {size} bytes); copy or export it again"
            )
        variable, n_samples, _, first_byte = struct.unpack_from("<4i", head, 10)
        if not 0 <= variable <= size - _HEADER_BYTES or not _HEADER_BYTES <= first_byte <= size:
            raise _wrong(path, "block sizes", f"{variable} and {first_byte} bytes")
        if variable <= 1 << 24:
            crc = crc_hqx(head[10:] + file.read(variable), 0xFFFF)
            if crc != struct.unpack_from("<H", head, 8)[0]:
                raise _wrong(path, "checksum", "another one than its content has")
    n_leads, *codes = struct.unpack_from("<13h", head, 156)
    if not 1 <= n_leads <= _MOST_LEADS:
        raise _wrong(path, "number of leads", n_leads)
    nanovolts = struct.unpack_from("<12h", head, 206)[:n_leads]
    sfreq: int = struct.unpack_from("<h", head, 272)[0]
    if sfreq < 1 or min(nanovolts) < 1:
        raise _wrong(path, "rate or resolution", f"{sfreq} Hz and {min(nanovolts)} nV")
    labels = tuple(_LEADS[code] if 0 <= code < len(_LEADS) else "Unknown" for code in codes)
    return IshneHeader(
        first_byte,
        _checked_length(path, n_samples, n_leads, size - first_byte, sfreq),
        sfreq,
        labels[:n_leads],
        tuple(step * 1e-9 for step in nanovolts),
        _start_time(struct.unpack_from("<3h", head, 138), struct.unpack_from("<3h", head, 150)),
    )


def _checked_length(path: Path, n: int, n_leads: int, present: int, sfreq: int) -> int:
    """Return the samples a lead; some writers count those of all leads together."""
    if n >= n_leads and present < 2 * n * n_leads and n % n_leads == 0 and present == 2 * n:
        n //= n_leads
    if n < 1 or n / sfreq > MAX_DURATION_S:
        raise _wrong(path, "number of samples", n)
    if present < 2 * n * n_leads:
        raise RecordingError(
            f"{path.name} is truncated: its header promises {2 * n * n_leads} bytes of samples and "
            f"{present} are there; copy or export it again"
        )
    return n


def _wrong(path: Path, what: str, got: object) -> RecordingError:
    return RecordingError(
        f"{path.name} has {got} as {what} in its header, which cannot be true; "
        "copy or export it again"
    )


def _start_time(date: tuple[int, ...], time: tuple[int, ...]) -> datetime | None:
    day, month, year = date
    hour, minute, second = time
    try:
        return datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
