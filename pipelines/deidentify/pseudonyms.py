"""Names that stand for patients: the same for the same key, and meaningless without it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pipelines.errors import InputError

KEY_BYTES = 32
Dates = Literal["shift", "remove"]
_SHORTEST_SHIFT, _SHIFTS = 365, 3285
_FIRST_YEAR, _LAST_YEAR = 1985, 2084  # what the two digits of an EDF header can say


@dataclass(frozen=True)
class Pseudonyms:
    """Makes pseudonyms and shifts of dates from a secret key (HMAC-SHA-256).

    Parameters
    ----------
    key : bytes
        Who has it can test whether a pseudonym stands for a name: keep it like the names.
    dates : str
        ``"shift"``: back by a number of days that is one for each patient, between one and ten
        years, so that intervals between recordings and the time of day stay. ``"remove"``.
    """

    key: bytes
    dates: Dates

    def of(self, what: str, name: str) -> str:
        """Return the pseudonym of `name`, 16 letters and digits; `what` keeps kinds apart."""
        return self._digest(what, name).hex()[:16]

    def moved(self, patient: str, moment: datetime | None) -> datetime | None:
        """Return the date to write for a patient, or None if none is to be written."""
        if moment is None or self.dates == "remove":
            return None
        number = int.from_bytes(self._digest("days", patient)[:8], "big")
        earlier = moment - timedelta(days=_SHORTEST_SHIFT + number % _SHIFTS)
        return earlier if _FIRST_YEAR <= earlier.year <= _LAST_YEAR else None

    def _digest(self, what: str, name: str) -> bytes:
        return hmac.new(self.key, f"{what}\0{name}".encode(), hashlib.sha256).digest()


def load_key(path: Path | None, apart_from: Path) -> bytes:
    """Return the key in a file, made and written for its owner alone if there is no file.

    Parameters
    ----------
    path : pathlib.Path or None
        None: a key that is forgotten, so that nobody can link the pseudonyms again.
    apart_from : pathlib.Path
        The folder that will be handed on: a key in it is refused.

    Raises
    ------
    InputError
        If the file is no key, cannot be written, or lies in the folder that is handed on.
    """
    if path is None:
        return secrets.token_bytes(KEY_BYTES)
    path = path.absolute()
    if apart_from.absolute().resolve() in path.resolve().parents:
        raise InputError(f"the key {path.name} must not lie in the folder of --to; keep it apart")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not hexadecimal"
        raise InputError(
            f"cannot use the key {path.name}: {what}; give a file that a call before has made, or "
            "a name that is not taken"
        ) from error
    if len(key) < KEY_BYTES:
        raise InputError(f"the key {path.name} has {len(key)} bytes; at least {KEY_BYTES} needed")
    return key
