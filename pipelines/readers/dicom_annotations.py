"""Annotations of DICOM waveforms that belong to a moment or a stretch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.channel_names import printable
from pipelines.readers.dicom_groups import Group
from pipelines.recording import Annotation


def annotations_in(whole: Any, groups: Sequence[Group]) -> list[Annotation]:
    """Return the annotations of a data set, onsets in seconds after the acquisition time.

    Those without a place in time are left out: they are statements about the patient or the
    whole study, often signed. A range gives one annotation, a list of points one for each.

    Parameters
    ----------
    whole : pydicom.Dataset
        The data set before its waveforms.
    groups : sequence of Group
        In the order of the file, which is how annotations refer to them.
    """
    found = []
    for item in whole.get("WaveformAnnotationSequence") or ():
        text = _text(item)
        times = sorted(_times(item, groups))
        if not text or not times:
            continue
        if str(item.get("TemporalRangeType", "")) in ("SEGMENT", "MULTISEGMENT"):
            pairs = zip(times[::2], times[1::2], strict=False)
            found += [Annotation(a, b - a, text) for a, b in pairs]
        else:
            found += [Annotation(a, 0.0, text) for a in times]
    return found


def _text(item: Any) -> str:
    if item.get("UnformattedTextValue"):
        return printable(str(item.UnformattedTextValue))
    concepts = item.get("ConceptNameCodeSequence") or ()
    return printable(str(concepts[0].get("CodeMeaning", ""))) if concepts else ""


def _times(item: Any, groups: Sequence[Group]) -> list[float]:
    positions = _numbers(item.get("ReferencedSamplePositions"))
    if positions:
        channels = _numbers(item.get("ReferencedWaveformChannels")) or [1]
        group = groups[int(channels[0]) - 1]
        return [group.offset_s + (position - 1) / group.sfreq for position in positions]
    return [offset * 1e-3 for offset in _numbers(item.get("ReferencedTimeOffsets"))]


def _numbers(value: Any) -> list[float]:
    if value is None:
        return []
    return [float(v) for v in value] if hasattr(value, "__iter__") else [float(value)]
