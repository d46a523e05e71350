"""Names are planted wherever a recording has room for one; then every byte written is searched."""

import hashlib
import os
import re
from datetime import date, time
from pathlib import Path

import numpy as np
import pyedflib
import pytest
import wfdb

from pipelines.cli import main
from pipelines.deidentify import deidentify
from pipelines.deidentify.pseudonyms import Pseudonyms
from pipelines.deidentify.words import kept_label, kept_text, kept_unit
from pipelines.errors import InputError
from pipelines.readers import read_recording

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")  # wfdb.wrann
PLANTED = re.compile(rb"jane|doe|zebedee|quux|mrn77|1970|12345|02[.]01[.]24|02-JAN-2024", re.I)
"""Whatever of this is found in an output is a leak."""


@pytest.fixture
def ward(tmp_path, edf, signal):
    """An EDF+D and a WFDB record of Jane Doe, named after her and with her name in all fields."""
    folder = tmp_path / "ward"
    folder.mkdir()
    signals = [
        signal(4, 100, seed=1, label="EEG Fp1-REF"),
        signal(4, 50, seed=2, label="Doe, Jane", unit="JaneDoe"),
    ]
    texts = [
        (0, "+0.5\x14Patient Jane Doe\x14spike F7\x14"),
        (1, "+1.25\x152\x14seizure\x14"),
        (2, "+5\x14seen by Dr Zebedee 12.03.98\x14\x14JD\x14"),
        (3, "Jane\x14x\x14"),
    ]
    starts = ["+0", "+1", "+5", "+6"]
    file = edf(signals, reserved="EDF+D Jane Doe", starts=starts, texts=texts)
    content = bytearray(file.content())
    n = 3
    content[8:88] = b"MRN77 F 01-MAY-1970 Jane_Doe".ljust(80)
    content[88:168] = b"Startdate 02-JAN-2024 12345 Dr_Zebedee Quux_Clinic".ljust(80)
    at = 256 + 16 * n
    content[at : at + 80 * n] = b"Cap of Jane Doe".ljust(80) * n
    at += (80 + 8) * n
    content[at + 16 : at + 24] = b"Zebedee "  # the range of the annotation signal
    at += 32 * n
    content[at : at + 80 * n] = b"HP:0.1Hz LP:75Hz N:50Hz".ljust(80) + b"Doe".ljust(80) * (n - 1)
    at += (80 + 8) * n
    content[at : at + 32 * n] = b"Jane Doe".ljust(32) * n
    (folder / "Doe_Jane_1970.edf").write_bytes(bytes(content) + b"trailing Jane Doe")
    _write_wfdb(folder)
    return folder


def _write_wfdb(folder):
    samples = np.random.default_rng(3).integers(-500, 500, (1000, 2))
    wfdb.wrsamp(
        "zebedee",
        fs=250,
        units=["mV", "mV"],
        sig_name=["MLII", "Jane Doe"],
        d_signal=samples,
        fmt=["16", "16"],
        adc_gain=[200, 200],
        baseline=[0, 0],
        comments=["Age: 54, Jane Doe, MRN77"],
        base_time=time(9, 30),
        base_date=date(2024, 1, 2),
        write_dir=str(folder),
    )
    wfdb.wrann(
        "zebedee",
        "atr",
        sample=np.array([10, 200, 400, 70_000]),
        symbol=["+", "N", '"', "V"],
        aux_note=["(AFIB", "", "Jane Doe called", ""],
        write_dir=str(folder),
    )


def outputs(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def leaks(folder: Path) -> list[str]:
    return [
        f"{path.name}: {match[0]!r}"
        for path in outputs(folder)
        for match in [PLANTED.search(path.name.encode() + b"\n" + path.read_bytes())]
        if match
    ]


def hashes(folder: Path) -> dict[str, tuple[str, int]]:
    files = outputs(folder)
    return {
        p.name: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files
    }


def test_no_planted_name_is_left_and_no_sample_changes(ward, tmp_path, capsys):
    before = hashes(ward)
    assert len(leaks(ward)) == 4  # the search does find names
    to = tmp_path / "to"
    assert main(["deidentify", str(ward), "--to", str(to), "--key", str(tmp_path / "key")]) == 0
    said = capsys.readouterr()
    assert not PLANTED.search((said.out + said.err).encode())
    assert hashes(ward) == before
    assert leaks(to) == []
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    [copy] = to.glob("*.edf")
    [header] = to.glob("*.hea")
    for old, new in ((ward / "Doe_Jane_1970.edf", copy), (ward / "zebedee.hea", header)):
        one, two = read_recording(old), read_recording(new)
        assert one.pieces == two.pieces
        assert len(one.channels) == len(two.channels)
        for first, second in zip(one.channels, two.channels, strict=True):
            for piece in one.pieces:
                a, b = one.read([first.name], piece), two.read([second.name], piece)
                np.testing.assert_array_equal(a, b)
        assert [a.onset for a in one.annotations] == [a.onset for a in two.annotations]
        assert [a.duration for a in one.annotations] == [a.duration for a in two.annotations]
    two = read_recording(copy)
    assert [channel.label for channel in two.channels] == ["EEG Fp1-REF", "Ch 2"]
    assert [a.description for a in two.annotations] == [
        "removed",
        "spike F7",
        "seizure",
        "removed",
        "-",
    ]
    marks = read_recording(header).annotations
    assert [a.description for a in marks] == ["rhythm: AFIB", "N", "removed", "V"]
    assert (to / "manifest.csv").read_text().count("\n") == 3


def test_an_independent_reader_opens_the_copy(tmp_path, edf, signal, write):
    texts = [(0, "+0.5\x14Jane Doe\x14"), (1, "+1\x152\x14seizure\x14")]
    starts = ["+0", "+1", "+2"]
    samples = signal(3, 100)
    source = write(edf([samples], reserved="EDF+C", starts=starts, texts=texts))
    deidentify([source], tmp_path / "to")
    [copy] = (tmp_path / "to").glob("*.edf")
    true = read_recording(source).start_time
    with pyedflib.EdfReader(str(copy)) as ours:
        assert ours.getPatientName() == "X"
        assert re.fullmatch("[0-9a-f]{16}", ours.getPatientCode())
        assert (ours.getTechnician(), ours.getEquipment()) == ("", "")  # X means unknown
        assert ours.getStartdatetime().time() == true.time()
        assert 365 <= (true - ours.getStartdatetime()).days < 3650
        digital = ours.readSignal(0, digital=True)
        np.testing.assert_array_equal(digital, samples.digital.ravel())
        assert list(ours.readAnnotations()[2]) == ["removed", "seizure"]


def test_one_key_gives_one_patient_one_pseudonym_and_one_shift(tmp_path, edf, signal, write):
    one = write(edf([signal(2, 50)], date="02.01.24"), "a.edf")
    two = write(edf([signal(2, 50, seed=5)], date="05.01.24"), "b.edf")
    key = tmp_path / "key"
    found = {}
    for name in ("x", "y"):
        deidentify([one, two], tmp_path / name, key=key)
        rows = (tmp_path / name / "manifest.csv").read_text().splitlines()[1:]
        found[name] = [row.split(",") for row in rows]
    assert found["x"] == found["y"]
    assert found["x"][0][2] == found["x"][1][2]  # the patient field of both is the same
    starts = [read_recording(tmp_path / "x" / row[0]).start_time for row in found["x"]]
    assert (starts[1] - starts[0]).days == 3
    deidentify([one], tmp_path / "z")  # a key that is forgotten
    assert (tmp_path / "z/manifest.csv").read_text().split(",")[-1] not in str(found)
    deidentify([one], tmp_path / "none", key=key, dates="remove")
    [copy] = (tmp_path / "none").glob("*.edf")
    assert copy.read_bytes()[168:184] == b"01.01.8500.00.00"


def test_what_cannot_be_done_is_refused_without_a_trace(ward, tmp_path, write_eeg, capsys):
    with pytest.raises(InputError, match="an original lies in the folder of --to"):
        deidentify([ward], tmp_path)
    with pytest.raises(InputError, match="must not lie in the folder of --to"):
        deidentify([ward], tmp_path / "to", key=tmp_path / "to/key")
    (tmp_path / "short").write_text("abcd")
    with pytest.raises(InputError, match="has 2 bytes; at least 32"):
        deidentify([ward], tmp_path / "to", key=tmp_path / "short")
    with pytest.raises(InputError, match="dates='keep' is unknown; choose from shift, remove"):
        deidentify([ward], tmp_path / "to", dates="keep")
    assert not (tmp_path / "to").exists()
    (tmp_path / "bad.edf").write_bytes(b"0".ljust(300))
    key, to = str(tmp_path / "key"), str(tmp_path / "to")
    words = ["deidentify", str(ward), str(tmp_path / "bad.edf"), "--to", to, "--key", key]
    assert main(words) == 2
    assert "input 3 was not copied" in capsys.readouterr().err
    assert main(words) == 1  # nothing is overwritten
    assert "is there already" in capsys.readouterr().err
    assert not list((tmp_path / "to").glob(".*"))


def test_names_reach_no_run_export_or_log(ward, tmp_path, tiny_model, write_eeg, capfd):
    """What the copies are used for next shows no name either, the run folder included."""
    source = write_eeg(tmp_path / "in/Jane_Doe.edf", 60, event=20)
    content = bytearray(source.read_bytes())
    content[8:168] = b"MRN77 F 01-MAY-1970 Jane_Doe".ljust(80) + b"Dr Zebedee".ljust(80)
    source.write_bytes(bytes(content))
    assert main(["deidentify", str(tmp_path / "in"), "--to", str(tmp_path / "to")]) == 0
    manifest = str(tmp_path / "to/manifest.csv")
    run = tmp_path / "run"
    assert main(["score", str(tiny_model), manifest, "--out", str(run)]) == 0
    for form in ("csv", "edf", "html", "fhir", "bids", "szcore"):
        to = str(tmp_path / "out" / form)
        assert main(["export", str(run), "--format", form, "--to", to, "--only", "flagged"]) == 0
    said = capfd.readouterr()
    assert not re.search("jane|doe|zebedee|mrn77", said.out + said.err, re.IGNORECASE)
    assert len(outputs(tmp_path / "out")) >= 6
    for folder in (run, tmp_path / "out", tmp_path / "to"):
        for path in outputs(folder):
            found = re.search(rb"jane|zebedee|mrn77", path.read_bytes(), re.IGNORECASE)
            assert found is None, path
            assert "jane" not in path.name.lower()


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("Spike-wave, 3 Hz, F7", True),
        ("seizure", True),
        ("(AFIB", True),
        ("## time resolution: 360", True),
        ("Eyes closed", True),
        ("Seizure (J. Doe)", False),
        ("Dr Spike", False),
        ("born 1970", False),
        ("12.03.98", False),
        ("call 555 12 34", False),
        ("Müller", False),
        ("(JANE", False),
    ],
)
def test_a_text_stays_if_all_its_words_are_known(text, stays):
    assert kept_text(text) == (text if stays else "removed")
    assert kept_text(text, {text}) == text


def test_labels_and_units_stay_if_they_are_known():
    for label in ("EEG Fp1-REF", "ECG II", "MLII", "F7-T7", "SpO2", "EEG A1-A2", "V5"):
        assert kept_label(label, 9) == label
    for label in ("Doe", "EEG Doe", "EEG Fp1-Doe", "", "Jane-REF", "ECG J D", "EEG19700102"):
        assert kept_label(label, 9) == "Ch 9"
    assert [kept_unit(unit) for unit in ("uV", "µV", "mmHg", "Doe")] == ["uV", "µV", "mmHg", ""]


@pytest.mark.parametrize("old", [True, False])
def test_every_ten_twenty_label_stays_also_by_its_old_name(old):
    temporal = "T3 T4 T5 T6" if old else "T7 T8 P7 P8"
    for name in f"Fp1 Fp2 F7 F3 Fz F4 F8 C3 Cz C4 P3 Pz P4 O1 O2 A1 A2 {temporal}".split():
        for label in (name, name.upper(), f"EEG {name}-REF", f"{name}-Cz", f"EEG {name}-A1+A2"):
            assert kept_label(label, 9) == label
        assert kept_text(f"spike {name}") == f"spike {name}"


def test_a_kind_with_a_short_number_and_other_spellings_of_leads_stay():
    for label in ("ECG X1", "ECG 1", "ECG1", "EMG L", "DII", "Lead aVR", "A1A2", "Fp1-CLE"):
        assert kept_label(label, 9) == label
    assert kept_text("Di seizure") == "removed"


def test_pseudonyms_depend_on_the_key_and_the_kind():
    one, two = Pseudonyms(bytes(32), "shift"), Pseudonyms(os.urandom(32), "shift")
    assert one.of("patient", "Doe") == one.of("patient", "Doe") != two.of("patient", "Doe")
    assert one.of("patient", "Doe") != one.of("recording", "Doe")
