"""Units of measurement as recordings spell them."""

from __future__ import annotations

_VOLTS_PER_UNIT = {"v": 1.0, "mv": 1e-3, "uv": 1e-6, "nv": 1e-9}
_SPELLED_OUT = {
    "volt": "v",
    "volts": "v",
    "millivolt": "mv",
    "millivolts": "mv",
    "microvolt": "uv",
    "microvolts": "uv",
    "nanovolt": "nv",
    "nanovolts": "nv",
}


def to_volts(unit: str) -> tuple[str, float]:
    """Return the unit that samples are handed out in, and the factor from the file's unit.

    Parameters
    ----------
    unit : str
        ``"uV"``, ``"μV"``, ``"mV"``, ``"V"``, ``"nV"`` in any case, or any other unit. No device
        records megavolts, so ``"MV"`` is read as millivolts.

    Returns
    -------
    unit : str
        ``"V"`` for every voltage, otherwise `unit` itself.
    factor : float
        What to multiply samples by; 1 for other units.

    Examples
    --------
    >>> to_volts("uV"), to_volts("mmHg")
    (('V', 1e-06), ('mmHg', 1.0))
    """
    plain = unit.strip().replace("µ", "u").replace("μ", "u").lower()
    plain = _SPELLED_OUT.get(plain, plain)
    if plain in _VOLTS_PER_UNIT:
        return "V", _VOLTS_PER_UNIT[plain]
    return unit.strip(), 1.0
