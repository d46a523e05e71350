"""Measures by patient: several recordings of one are one subject, and undefined ones are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

Part = TypeVar("Part")


class Named(Protocol):
    """A recording that is judged."""

    @property
    def recording_id(self) -> str:
        """Name of the recording."""

    @property
    def patient_id(self) -> str:
        """Whose it is."""


def by_patient(
    cases: Sequence[Named],
    parts: Sequence[Part],
    summarise: Callable[[list[Part]], dict[str, Any]],
    measures: Callable[[Mapping[str, Any]], Mapping[str, float | None]],
) -> dict[str, Any]:
    """Return ``patients`` and ``mean_over_patients``.

    Parameters
    ----------
    cases : sequence of Named
        Recordings.
    parts : sequence
        What was judged of each.
    summarise : callable
        From the parts of one patient to that patient's entry.
    measures : callable
        From an entry to the measures to average.

    Returns
    -------
    dict
        ``patients``: one entry each, in order of first appearance, with the names of its
        recordings. ``mean_over_patients``: for each measure ``mean`` over the patients for whom
        it is defined (None without one), ``n_defined`` and ``n_undefined``.
    """
    owned: dict[str, list[int]] = {}
    for number, case in enumerate(cases):
        owned.setdefault(case.patient_id, []).append(number)
    entries = [
        {
            "patient_id": patient,
            "recordings": [cases[i].recording_id for i in numbers],
            **summarise([parts[i] for i in numbers]),
        }
        for patient, numbers in owned.items()
    ]
    rows = [measures(entry) for entry in entries]
    return {
        "patients": entries,
        "mean_over_patients": {name: _mean([row[name] for row in rows]) for name in rows[0]},
    }


def _mean(values: Sequence[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    return {
        "mean": sum(known) / len(known) if known else None,
        "n_defined": len(known),
        "n_undefined": len(values) - len(known),
    }


def of_beats(entry: Mapping[str, Any]) -> dict[str, float | None]:
    """Return what is averaged of a patient judged beat by beat."""
    return {
        **{name: entry[name] for name in ("auroc", "average_precision", "sensitivity")},
        **{f"sensitivity_{name}": of["sensitivity"] for name, of in entry["classes"].items()},
        "false_per_day": entry["events"]["false_per_day"],
    }


def of_events(entry: Mapping[str, Any]) -> dict[str, float | None]:
    """Return what is averaged of a patient judged by stretches."""
    return {
        **{name: entry["windows"][name] for name in ("auroc", "average_precision")},
        "event_sensitivity": entry["events"]["sensitivity"],
        "szcore_sensitivity": entry["szcore"]["sensitivity"],
        "false_per_day": entry["events"]["false_per_day"],
    }
