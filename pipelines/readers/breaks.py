"""From places where the stored signal breaks off to pieces without gaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from pipelines.errors import RecordingError
from pipelines.recording import MAX_DURATION_S, Piece


class Break(NamedTuple):
    """A place where what follows in the file does not follow in time.

    Attributes
    ----------
    sample : int
        Index of the first stored sample after the break.
    missing_s : float
        Seconds of the recording's clock between the samples on both sides; 0 if unknown.
    """

    sample: int
    missing_s: float = 0.0


def pieces_from(
    n_samples: int, sfreq: float, breaks: Iterable[Break], name: str
) -> tuple[Piece, ...]:
    """Cut ``0:n_samples`` at `breaks`.

    Parameters
    ----------
    n_samples : int
        Stored samples of a channel.
    sfreq : float
        Their rate in Hz.
    breaks : iterable of Break
        In any order; those outside the samples are ignored, equal ones are added up.
    name : str
        Name of the file, for messages.

    Raises
    ------
    RecordingError
        If the recording would be longer than ten years.
    """
    missing: dict[int, float] = {}
    for place in breaks:
        if 0 < place.sample < n_samples:
            missing[place.sample] = missing.get(place.sample, 0.0) + max(0.0, place.missing_s)
    borders = [0, *sorted(missing), n_samples]
    pieces, late_s = [], 0.0
    for start, stop in pairwise(borders):
        late_s += missing.get(start, 0.0)
        stored_s = start / sfreq
        pieces.append(Piece(stored_s + late_s, (stop - start) / sfreq, stored_s))
    if not pieces[-1].stop_s <= MAX_DURATION_S:
        raise RecordingError(
            f"{name} claims a duration of {pieces[-1].stop_s:.0f} s, more than ten years; "
            "export it again or repair the header"
        )
    return tuple(pieces)


def on_clock(stored_s: float, pieces: Sequence[Piece]) -> float:
    """Return the time on the recording's clock of a moment given in seconds of stored signal."""
    inside = pieces[0]
    for piece in pieces[1:]:
        if piece.stored_s > stored_s + 1e-9:
            break
        inside = piece
    return inside.start_s + stored_s - inside.stored_s
