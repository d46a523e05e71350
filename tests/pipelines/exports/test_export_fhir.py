import json
import re

import pytest

from pipelines.exports import export_run
from pipelines.store import ReviewStore

pytest.importorskip("fhir.resources", reason="needs the test extra")
SPANS = [(20.0, 24.0), (60.5, 61.5)]


@pytest.fixture
def bundle(make_run, ecg_file, tmp_path):
    run = make_run({"night": ecg_file()}, SPANS, 120)
    store = ReviewStore(run.reviews_path)
    store.record("night", "night@20.000", "accepted", "wide <b>", "kim & lee")
    (path, _) = export_run(run.path, "fhir", tmp_path / "out")
    return json.loads(path.read_text("utf-8"))


def of_type(bundle, name):
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == name]


def test_another_implementation_of_r4_accepts_every_resource(bundle):
    from fhir.resources.R4B.bundle import Bundle

    read = Bundle.model_validate(bundle)
    assert [e.resource.get_resource_type() for e in read.entry] == [
        "DiagnosticReport",
        "Device",
        "Observation",
        "Provenance",
        "Observation",
    ]


def test_statuses_codes_and_references(bundle):
    (report,) = of_type(bundle, "DiagnosticReport")
    observations = of_type(bundle, "Observation")
    (provenance,) = of_type(bundle, "Provenance")
    assert {r["status"] for r in (report, *observations)} == {"preliminary"}
    assert report["code"]["coding"][0]["code"] == "11524-6"
    urls = [e["fullUrl"] for e in bundle["entry"]]
    assert len(set(urls)) == len(urls)
    named = set(re.findall(r"urn:uuid:[0-9a-f-]{36}", json.dumps(bundle)))
    assert named == set(urls), "a reference points nowhere"
    assert [r["reference"] for r in report["result"]] == [
        e["fullUrl"] for e in bundle["entry"] if e["resource"] in observations
    ]
    assert provenance["target"][0]["reference"] == report["result"][0]["reference"]
    assert provenance["agent"][0]["who"]["display"] == "kim & lee"
    assert report["conclusion"].startswith("Research use only. Not a medical device.")


def test_values_of_an_observation(bundle):
    first, second = of_type(bundle, "Observation")
    values = {c["code"]["text"]: c for c in first["component"]}
    assert values["start, from the start of the recording"]["valueQuantity"]["value"] == 20.0
    assert values["duration"]["valueQuantity"]["code"] == "s"
    assert values["highest anomaly score"]["valueQuantity"]["value"] == 6.25
    assert values["decision of the reader"]["valueString"] == "accepted"
    assert first["note"] == [{"text": "wide <b>"}]
    assert "note" not in second
    assert "subject" not in first
