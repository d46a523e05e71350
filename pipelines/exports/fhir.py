"""FHIR R4: one Bundle a recording, with a preliminary report, its observations and who decided.

Times are seconds since the start of the recording: recorders seldom state a time zone, without
which FHIR knows no instant. There is no subject; whoever imports the bundle attaches the patient.
Every resource stays ``preliminary`` whatever a reader decided, because none of it is a finding of a
medical device; the decision is a component of the observation, and a Provenance says whose it is.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from pipelines.channel_names import printable
from pipelines.exports.selection import Exporter, Failures, Segment, Selection
from pipelines.exports.writing import NOTICE
from pipelines.features.registry import describe
from pipelines.run_folder import write_json
from pipelines.store import Decision

_STUDY: Final[Mapping[str, tuple[str, str]]] = {
    "eeg": ("11523-8", "EEG study"),
    "ecg": ("11524-6", "EKG study"),
}
_RESEARCH: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "code": "HRESCH",
    "display": "healthcare research",
}


def exporter(format: str) -> Exporter:
    """Return the exporter; `format` is ``"fhir"``."""

    def export(selection: Selection, to: Path, failures: Failures) -> Sequence[Path]:
        files = []
        for recording_id in selection.recording_ids:
            with failures.collecting(recording_id):
                path = to / f"{recording_id}.fhir.json"
                write_json(path, bundle_of(selection, recording_id, datetime.now(UTC)))
                files.append(path)
        return files

    return export


def bundle_of(selection: Selection, recording_id: str, written: datetime) -> dict[str, Any]:
    """Return the Bundle of one recording as JSON-able objects.

    Parameters
    ----------
    selection : Selection
    recording_id : str
    written : datetime.datetime
        UTC, aware; becomes the time of issue.
    """
    now = _instant(written)
    segments = selection.segments(recording_id)
    urls = [_url(selection, segment.segment_id) for segment in segments]
    device = _url(selection, "device")
    report = _url(selection, f"report {recording_id}")
    entries = [
        (report, _report(selection, recording_id, segments, urls, now)),
        (device, _device(selection)),
    ]
    for segment, url in zip(segments, urls, strict=True):
        entries.append((url, _observation(segment, device, now)))
        if segment.decision is not None:
            who = _url(selection, f"who {segment.segment_id}")
            entries.append((who, _provenance(segment.decision, url)))
    return {
        "resourceType": "Bundle",
        "meta": {"tag": [_RESEARCH]},
        "type": "collection",
        "timestamp": now,
        "entry": [{"fullUrl": url, "resource": resource} for url, resource in entries],
    }


def _report(
    selection: Selection,
    recording_id: str,
    segments: Sequence[Segment],
    urls: Sequence[str],
    now: str,
) -> dict[str, Any]:
    conclusion = (
        f"{NOTICE} {len(segments)} segments of recording {recording_id} do not fit the model; "
        "each needs a qualified reader. What is not listed has not been found to be in order."
    )
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "meta": {"tag": [_RESEARCH]},
        "text": _narrative(conclusion),
        "status": "preliminary",
        "code": _code(selection.kind),
        "issued": now,
        "conclusion": conclusion,
    }
    if urls:
        report["result"] = [{"reference": url, "type": "Observation"} for url in urls]
    return report


def _device(selection: Selection) -> dict[str, Any]:
    model = selection.manifest.get("model", {})
    return {
        "resourceType": "Device",
        "text": _narrative(f"Rarewave, software. {NOTICE}"),
        "deviceName": [{"name": "Rarewave", "type": "user-friendly-name"}],
        "type": {"text": "Software that marks segments unlike a model of what is usual"},
        "version": [{"value": version("rarewave")}],
        "note": [
            {
                "text": f"{NOTICE} Model sha256 {model.get('sha256') or 'not stated'}, "
                f"threshold {model.get('threshold', 'not stated')}."
            }
        ],
    }


def _observation(segment: Segment, device: str, now: str) -> dict[str, Any]:
    words = (
        f"Segment from {segment.start_s:.3f} s for {segment.duration_s:.3f} s: "
        f"{printable(segment.description)}. Reader: {printable(segment.review_words)}. {NOTICE}"
    )
    observation: dict[str, Any] = {
        "resourceType": "Observation",
        "meta": {"tag": [_RESEARCH]},
        "text": _narrative(words),
        "status": "preliminary",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "procedure",
                    }
                ]
            }
        ],
        "code": {"text": "Segment unlike a model of what is usual"},
        "issued": now,
        "valueString": printable(segment.description) or "not described",
        "device": {"reference": device, "type": "Device"},
        "component": list(_components(segment)),
    }
    if segment.decision is not None and segment.decision.comment.strip():
        observation["note"] = [{"text": segment.decision.comment}]
    return observation


def _components(segment: Segment) -> Iterator[dict[str, Any]]:
    quantities = (
        ("start, from the start of the recording", segment.start_s, "s"),
        ("duration", segment.duration_s, "s"),
        ("highest anomaly score", segment.peak_score, "1"),
        ("smallest conformal p-value", segment.min_p_value, "1"),
    )
    for name, value, unit in quantities:
        if math.isnan(value):  # of an added event nothing may be scored
            continue
        quantity = {"value": value, "unit": unit, "code": unit}
        quantity["system"] = "http://unitsofmeasure.org"
        yield {"code": {"text": name}, "valueQuantity": quantity}
    texts = {
        "channel most responsible": segment.top_channel or "",
        "differs in": "; ".join(describe(name) for name in segment.top_features),
        "decision of the reader": segment.verdict,
        "label of the reader": segment.label,
        "found by": {"added": "a reader"}.get(segment.origin, "software"),
    }
    for name, text in texts.items():
        if printable(text):
            yield {"code": {"text": name}, "valueString": printable(text)}


def _provenance(decision: Decision, url: str) -> dict[str, Any]:
    return {
        "resourceType": "Provenance",
        "target": [{"reference": url, "type": "Observation"}],
        "recorded": _instant(decision.decided_at),
        "activity": {"text": f"reviewed: {decision.verdict}"},
        "agent": [
            {
                "type": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                            "code": "author",
                        }
                    ]
                },
                "who": {"display": printable(decision.user) or "not stated"},
            }
        ],
    }


def _code(kind: str) -> dict[str, Any]:
    if kind not in _STUDY:
        return {"text": "Biosignal study"}
    code, display = _STUDY[kind]
    return {"coding": [{"system": "http://loinc.org", "code": code, "display": display}]}


def _narrative(text: str) -> dict[str, str]:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{html.escape(printable(text))}</div>'
    return {"status": "generated", "div": div}


def _instant(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _url(selection: Selection, what: str) -> str:
    """Return a name that is the same whenever the same run is exported."""
    model = selection.manifest.get("model", {}).get("sha256")
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'rarewave {selection.run.path.name} {model} {what}')}"
