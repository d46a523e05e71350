"""Which channels of a recording are looked at, and which of them answer those of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipelines.channel_names import is_electrode_or_lead
from pipelines.errors import SignalError
from pipelines.recording import Channel, Recording
from pipelines.signals.plan import Kind

MOST_LEADS = 2
SHORTEST_S = 10.0
LOWEST_SFREQ = 100.0
LEAST_SHARE = 0.5
"""Share of a model's EEG channels that a recording must have: then those in common are used."""
_LIMB = ("II", "MLII", "I", "MLI", "aVF", "III", "MLIII", "aVL", "aVR")
_CHEST = (
    *("V1", "MV1", "MCL1", "V5", "MV5", "ML5", "CM5", "V2", "MV2", "V4", "V3", "V6", "MCL6"),
    *("CM1", "CM2", "CM4", "CC5", "CS12", "CB5", "V7", "V8", "V9", "V3R", "V4R", "V5R", "V6R"),
)
_GROUPS = {"limb": _LIMB, "chest": _CHEST}


def choose_channels(
    recording: Recording, kind: Kind, wanted: Sequence[str] = ()
) -> tuple[Channel, ...]:
    """Return the channels that a model of `kind` looks at, or say why there are none.

    Parameters
    ----------
    recording : Recording
    kind : str
    wanted : sequence of str
        What a model was fitted on. ECG: each lead is answered by the lead of that name, or else by
        another of the same group (limb or chest); leads whose names say nothing answer any. EEG:
        the channels in common, if they are at least half. Empty: every EEG channel, but without
        those that name no electrode ("EEG Mark1") where most of them name one; of an ECG a
        limb lead and a chest lead, II and V1 before others, or else the first two.

    Raises
    ------
    SignalError
        If the recording has no such channels, is too short, or one of them is too slow.
    """
    channels = recording.of_kind(kind)
    name = recording.path.name
    if not channels:
        raise SignalError(f"{name} has no {kind.upper()} channel; see 'rarewave info'")
    chosen = _leads(recording, channels, wanted) if kind == "ecg" else _electrodes(channels)
    if kind == "eeg" and wanted:
        chosen = _common(recording, channels, wanted)
    lowest = min(channel.sfreq for channel in chosen)
    if lowest < LOWEST_SFREQ:
        raise SignalError(
            f"{name} is sampled at {lowest:g} Hz; at least {LOWEST_SFREQ:g} is needed"
        )
    if recording.duration_s < SHORTEST_S:
        raise SignalError(
            f"{name} lasts {recording.duration_s:.1f} s; at least {SHORTEST_S:g} s are needed"
        )
    return chosen


def _leads(
    recording: Recording, channels: Sequence[Channel], wanted: Sequence[str]
) -> tuple[Channel, ...]:
    names = [channel.name for channel in channels]
    chosen = _leads_like(names, wanted) if wanted else _usual_leads(names)
    if chosen is None:
        raise SignalError(_no_lead(recording, names, wanted))
    return tuple(channels[k] for k in chosen)


def _electrodes(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """Return the channels between electrodes, all if few of them say so.

    What a recorder stores beside, such as the marks of its keys, would enter the average of all
    channels and make every one of them unusable.
    """
    known = tuple(c for c in channels if all(map(is_electrode_or_lead, c.name.split("-"))))
    return known if 2 * len(known) >= len(channels) else tuple(channels)


def _common(
    recording: Recording, channels: Sequence[Channel], wanted: Sequence[str]
) -> tuple[Channel, ...]:
    common = tuple(channel for channel in channels if channel.name in wanted)
    if len(common) < LEAST_SHARE * len(wanted):
        missing = [name for name in wanted if name not in {c.name for c in common}]
        raise SignalError(
            f"{recording.path.name} has {len(common)} of the model's {len(wanted)} EEG channels "
            f"(without {_some(missing)}); at least half are needed, fit a model on such recordings"
        )
    return common


def common_channels(recordings: Sequence[Recording], kind: Kind) -> tuple[str, ...]:
    """Return the channels that a model of several recordings looks at.

    EEG: those that all have; ECG: for each lead the name in the first recording, or an empty name
    where the recordings differ in its group.
    """
    names = [[c.name for c in choose_channels(recording, kind)] for recording in recordings]
    if kind == "eeg":
        common = tuple(n for n in names[0] if all(n in others for others in names))
        most = max(map(len, names))
        if len(common) < LEAST_SHARE * most:
            raise SignalError(
                f"the recordings have {len(common)} EEG channels in common of up to {most}; "
                "fit on recordings of one montage"
            )
        return common
    if len({len(leads) for leads in names}) > 1:
        raise SignalError(_unequal([recording.path.name for recording in recordings], names))
    return tuple(
        leads[0] if len({_group(lead) for lead in leads}) == 1 else ""
        for leads in zip(*names, strict=True)
    )


def _unequal(files: Sequence[str], names: Sequence[Sequence[str]]) -> str:
    """Say which recordings have another number of leads than most."""
    [(most, _)] = Counter(map(len, names)).most_common(1)
    pairs = zip(files, names, strict=True)
    odd = [f"{file} {len(leads)}" for file, leads in pairs if len(leads) != most]
    return (
        f"the recordings have different numbers of leads that a model looks at: {_some(odd)}, the "
        f"other {len(files) - len(odd)} have {most}; fit on recordings with as many"
    )


def _usual_leads(names: Sequence[str]) -> list[int]:
    """Return a limb lead and a chest lead where there are such, otherwise the first ones."""
    chosen: list[int] = []
    for group in (_LIMB, _CHEST)[: min(MOST_LEADS, len(names))]:
        rest = [k for k in range(len(names)) if k not in chosen]
        known = [k for k in rest if names[k] in group]
        chosen.append(min(known, key=lambda k: group.index(names[k])) if known else rest[0])
    return chosen


def _leads_like(names: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Return the lead that answers each wanted one, each at most once, or None."""
    if len(names) < len(wanted):
        return None
    chosen: dict[int, int] = {}
    for matches in (_same_name, _same_group, _unnamed):
        for position, name in enumerate(wanted):
            free = [k for k in range(len(names)) if k not in chosen.values()]
            found = [k for k in free if matches(names[k], name)]
            if position not in chosen and found:
                chosen[position] = min(found, key=lambda k: _rank(names[k]))
    if len(chosen) < len(wanted):
        return None
    return [chosen[position] for position in range(len(wanted))]


def _same_name(lead: str, wanted: str) -> bool:
    return lead == wanted


def _same_group(lead: str, wanted: str) -> bool:
    return _group(lead) is not None and _group(lead) == _group(wanted)


def _unnamed(lead: str, wanted: str) -> bool:
    return _group(lead) is None or _group(wanted) is None


def _group(lead: str) -> str | None:
    return next((group for group, leads in _GROUPS.items() if lead in leads), None)


def _rank(lead: str) -> int:
    """Return the place of a lead in its group; leads that are not named keep their order."""
    group = _group(lead)
    return _GROUPS[group].index(lead) if group else 0


def _no_lead(recording: Recording, names: Sequence[str], wanted: Sequence[str]) -> str:
    looked_at = _some([name or "any lead" for name in wanted])
    if len(names) < len(wanted):
        why = f"has {len(names)} ECG lead(s) ({_some(names)}), the model looks at {len(wanted)}"
        return f"{recording.path.name} {why} ({looked_at}); use a model of as many leads"
    return (
        f"{recording.path.name} has the leads {_some(names)}, none like each of the model's "
        f"({looked_at}); fit a model on such leads"
    )


def _some(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
