"""What ``rarewave fit --config FILE.toml`` may set: strict, typed, stored with every model.

To add an option, declare it here with its range and use it; nothing here is read by name.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipelines.errors import ConfigError


class _Section(BaseModel):
    """A table of the configuration: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


ECG_FLOW: dict[str, Any] = {"n_blocks": 2, "gamma": 0.35, "ratio": 2.0, "refine": False}
"""What an ECG model takes unless the configuration says otherwise: two coarse steps and no
refinement, which fits the patients it has seen (docs/decisions/0002-ecg-features.md)."""
ECG_PATIENTS_FLOW: dict[str, Any] = {"noise": 1.0, "soften": 0.005}
"""What it takes besides where it is fitted on enough patients to be meant for others: a density of
smoothed rows, and features that count for little more once they are beyond what all those patients
showed (docs/decisions/0004-ecg-ranking.md). Five minutes of one patient show no such range."""


class FlowSettings(_Section):
    """The parameters of :class:`flowcore.FlowDensityEstimator`, with its defaults.

    An ECG model has other defaults for some of them: :data:`ECG_FLOW`, and
    :data:`ECG_PATIENTS_FLOW`.

    Attributes
    ----------
    method : str
        ``"lfm"``, ``"jko"`` or ``"fm"``.
    n_blocks : int
        Blocks of the chain, 1 to 32.
    refine : bool
        Refine all blocks together by exact likelihood.
    hidden, max_steps : int or None
        Width of the velocity fields and most optimiser steps per block; None: chosen from the
        number of windows.
    gamma, ratio : float
        Diffusion time of the first block, and the factor from one block to the next.
    interpolant : str
        ``"linear"`` or ``"trigonometric"``.
    solver_steps : int
        Runge-Kutta steps per block, 1 to 64.
    field : str
        Kind of the velocity fields: ``"tanh"`` or ``"deep"``.
    noise : float
        Standard deviation of noise on every standardised feature while training: the density is
        that of windows smoothed so far.
    soften : float or None
        Features are drawn in beyond the quantiles of the fit that leave out this share on each
        side, below 0.5; None: no feature.
    """

    method: Literal["lfm", "jko", "fm"] = "lfm"
    n_blocks: int = Field(default=4, ge=1, le=32)
    refine: bool = True
    hidden: int | None = Field(default=None, ge=1, le=4096)
    gamma: float = Field(default=0.1, gt=0, le=100)
    ratio: float = Field(default=1.5, gt=0, le=100)
    interpolant: Literal["linear", "trigonometric"] = "linear"
    max_steps: int | None = Field(default=None, ge=1, le=1_000_000)
    solver_steps: int = Field(default=4, ge=1, le=64)
    field: Literal["tanh", "deep"] = "tanh"
    noise: float = Field(default=0.0, ge=0, le=10)
    soften: float | None = Field(default=None, gt=0, lt=0.5)


class ThresholdSettings(_Section):
    """From which score a window is flagged; at most one of the three is given.

    Attributes
    ----------
    window_rate : float or None
        Share of usual windows that exceed the threshold. If nothing is given, 0.001; for heart
        beats of patients that the model was not fitted on, 0.01.
    events_per_hour, events_per_day : float or None
        False events, flagged segments of usual recording, per hour or day. Of an ECG: of beats,
        and as many again of windows of rhythm.
    """

    window_rate: float | None = Field(default=None, gt=0, lt=1)
    events_per_hour: float | None = Field(default=None, gt=0, le=3600)
    events_per_day: float | None = Field(default=None, gt=0, le=86_400)

    @model_validator(mode="after")
    def _one_of_three(self) -> ThresholdSettings:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other; give one")
        return self

    @property
    def per_hour(self) -> float | None:
        """False events per hour, whichever unit they were given in, or None."""
        if self.events_per_day is not None:
            return self.events_per_day / 24
        return self.events_per_hour


class SegmentSettings(_Section):
    """How flagged windows become segments.

    Attributes
    ----------
    merge_s : float
        Flagged windows at most this far apart (seconds) become one segment.
    """

    merge_s: float = Field(default=2.0, ge=0, le=3600)


class EegSettings(_Section):
    """How an EEG is cut into windows and against what its channels are measured.

    Attributes
    ----------
    window_s, hop_s : float
        Length of a window, 1 to 10 seconds, and the time from one to the next, at most that long.
    reference : str
        ``"average"`` of all channels (as recorded if there are two or fewer), ``"none"``: as
        recorded, ``"linked"``: the ears, ``"bipolar"``: each electrode against the next behind.
    notch : str
        Mains frequency to remove, ``"50"`` or ``"60"`` Hz; ``"auto"``: the one found, if any.
    """

    window_s: float = Field(default=2.0, ge=1, le=10)
    hop_s: float = Field(default=1.0, ge=0.1, le=10)
    reference: Literal["average", "none", "linked", "bipolar"] = "average"
    notch: Literal["auto", "none", "50", "60"] = "auto"

    @model_validator(mode="after")
    def _no_gaps(self) -> EegSettings:
        if self.hop_s > self.window_s:
            raise ValueError(
                f"hop_s = {self.hop_s:g} is longer than window_s = {self.window_s:g} and would "
                "leave signal unseen; give at most window_s"
            )
        return self


class Settings(_Section):
    """The whole configuration of a fit.

    Attributes
    ----------
    flow : FlowSettings
    threshold : ThresholdSettings
    segments : SegmentSettings
    eeg : EegSettings
    trim : bool
        Leave out windows that lie far from all others before fitting.
    rhythm : bool
        ECG: also learn which rhythm is usual over a minute, where there is enough of it, so that
        one that is irregular without odd beats is flagged.

    Examples
    --------
    >>> Settings().flow.method, Settings().segments.merge_s
    ('lfm', 2.0)
    """

    flow: FlowSettings = FlowSettings()
    threshold: ThresholdSettings = ThresholdSettings()
    segments: SegmentSettings = SegmentSettings()
    eeg: EegSettings = EegSettings()
    trim: bool = True
    rhythm: bool = True


def settings_for(settings: Settings, kind: str, by_patient: bool = False) -> Settings:
    """Return the settings with the defaults of a kind where the configuration gave nothing.

    `by_patient`: the model is fitted on enough patients that some are held out, so it is meant
    for patients it has not seen.

    Examples
    --------
    >>> settings_for(Settings(), "ecg").flow.n_blocks, settings_for(Settings(), "eeg").flow.n_blocks
    (2, 4)
    >>> settings_for(Settings(), "ecg", by_patient=True).flow.noise
    1.0
    """
    if kind != "ecg":
        return settings
    defaults = ECG_FLOW | ECG_PATIENTS_FLOW if by_patient else ECG_FLOW
    flow = FlowSettings(**(defaults | settings.flow.model_dump(exclude_unset=True)))
    return settings.model_copy(update={"flow": flow})


def read_settings(path: str | Path) -> Settings:
    """Read a TOML file of settings.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no TOML (with the line), or holds an unknown key (with the
        nearest known one) or a value of the wrong type or out of range.
    """
    path = Path(path)
    try:
        return parse_settings(tomllib.loads(path.read_text("utf-8")), path.name)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"cannot read {path.name}: {reason}; give a TOML file") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}") from error


def parse_settings(values: Mapping[str, Any], source: str = "the configuration") -> Settings:
    """Return the settings that a mapping means; raise :class:`ConfigError` in one line."""
    try:
        return Settings.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(f"{source}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    """Return the first fault in words, and how many more there are."""
    faults = error.errors()
    first = faults[0]
    keys = [str(part) for part in first["loc"]]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {_dotted(keys)}{_nearest_key(keys)}{more}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "model_type":
        return f"{_dotted(keys)} is not a table; write [{_dotted(keys)}] and its keys below{more}"
    if first["type"] == "value_error":
        return f"[{_dotted(keys)}] {message}{more}"
    expected = message[:1].lower() + message[1:]
    return f"{_dotted(keys)} = {first['input']!r}: {expected}{more}"


def _nearest_key(keys: list[str]) -> str:
    section: type[BaseModel] = Settings
    for key in keys[:-1]:
        section = section.model_fields[key].annotation  # type: ignore[assignment]
    known = list(section.model_fields)
    close = difflib.get_close_matches(keys[-1], known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def _dotted(keys: list[str]) -> str:
    return ".".join(keys)
