r"""Time-stamped annotation lists (TALs) of EDF+ and BDF+, and the pieces they imply.

A TAL is ``onset[\x15duration]\x14text\x14text\x14\x00``. The first one of every data record has an
empty text and says when the record starts, which is all that tells a gap in EDF+D.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipelines.channel_names import printable
from pipelines.errors import RecordingError
from pipelines.recording import MAX_DURATION_S, Annotation, Piece

_ONLY_A_START = b"\x14\x14\x00"
"""Follows the stamp of a data record without annotations of its own."""
_STAMP = re.compile(rb"([+-]\d{1,12}(?:\.\d*)?)(?:\x15(\d{1,12}(?:\.\d*)?))?\Z")


class Texts(NamedTuple):
    """What the annotation signals of a file hold.

    Attributes
    ----------
    starts : list of float or None
        When each data record starts, in seconds after the header's start time; None if not stated.
    annotations : list of Annotation
        Onsets in seconds after the header's start time.
    """

    starts: list[float | None]
    annotations: list[Annotation]


def parse_records(records: Iterable[Sequence[bytes]]) -> Texts:
    """Parse the bytes of each annotation signal of each data record; damaged lists are skipped."""
    texts = Texts([], [])
    for blocks in records:
        stamp, ended, rest = blocks[0].partition(_ONLY_A_START)
        if len(blocks) == 1 and ended and not rest.strip(b"\x00"):  # as in most records
            match = _STAMP.match(stamp)
            texts.starts.append(float(match[1]) if match else None)
        else:
            texts.starts.append(_parse_record(blocks, texts.annotations))
    return texts


def _parse_record(blocks: Sequence[bytes], found: list[Annotation]) -> float | None:
    """Return when a data record starts, and add its annotations to those found."""
    start_s: float | None = None
    for number, block in enumerate(blocks):
        for tal in block.split(b"\x00"):
            stamp, separator, texts = tal.partition(b"\x14")
            match = _STAMP.match(stamp)
            if not separator or match is None:
                continue
            onset = float(match[1])
            duration = float(match[2]) if match[2] else 0.0
            words = texts.split(b"\x14")
            if number == 0 and start_s is None and words[0] == b"":
                start_s = onset
            for word in words:
                text = printable(word.decode("utf-8", errors="replace"))
                if text:
                    found.append(Annotation(onset, duration, text))
    return start_s


def pieces_of(
    starts: list[float | None], record_s: float, tolerance_s: float, file_name: str
) -> tuple[Piece, ...]:
    """Join data records into continuous pieces.

    Parameters
    ----------
    starts : list of float or None
        When each data record starts, in seconds; the first one is the clock's zero.
    record_s : float
        Duration of a data record in seconds.
    tolerance_s : float
        A record that starts within this many seconds of where the piece so far ends continues it.
    file_name : str
        For messages.

    Raises
    ------
    RecordingError
        If a record has no start, or starts before the one before it has ended.
    """
    pieces: list[Piece] = []
    first, zero = 0, 0.0
    for i, start in enumerate(starts):
        if start is None:
            raise RecordingError(
                f"{file_name} is discontinuous (EDF+D) but its data record {i + 1} has no time "
                "stamp, so its place in time is unknown; export it again"
            )
        if i == 0:
            zero = piece_start = start
            continue
        if start - zero > MAX_DURATION_S:
            raise RecordingError(
                f"{file_name}: data record {i + 1} claims to start {start - zero:.0f} s after the "
                "first, more than ten years; export it again"
            )
        ahead = start - (piece_start + (i - first) * record_s)
        if ahead < -tolerance_s:
            raise RecordingError(
                f"{file_name}: data record {i + 1} starts at {start - zero:.3f} s, before the one "
                f"before it has ended ({start - zero - ahead:.3f} s); export it again"
            )
        if ahead > tolerance_s:
            pieces.append(Piece(piece_start - zero, (i - first) * record_s, first * record_s))
            first, piece_start = i, start
    pieces.append(Piece(piece_start - zero, (len(starts) - first) * record_s, first * record_s))
    return tuple(pieces)
