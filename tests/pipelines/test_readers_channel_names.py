"""Old and new spellings of electrodes and leads; derivations stay what they are."""

import pytest

from pipelines.channel_names import identify

OLD_AND_NEW = (("T3", "T7"), ("T4", "T8"), ("T5", "P7"), ("T6", "P8"))
PREFIXES = ("", "EEG ", "eeg ", "EEG-", "EEG_", "EEG: ")
SUFFIXES = (
    "",
    "-REF",
    "-Ref",
    " - REF",
    "_REF",
    "-LE",
    "-CLE",
    "-A1A2",
    "-A1+A2",
    "-AVG",
    "-AA",
    "..",
)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_electrodes_in_every_spelling(prefix, suffix):
    for old, new in OLD_AND_NEW:
        assert identify(f"{prefix}{old}{suffix}") == (new, "eeg")
        assert identify(f"{prefix}{new.lower()}{suffix}") == (new, "eeg")
    assert identify(f"{prefix}FP1{suffix}") == ("Fp1", "eeg")
    assert identify(f"{prefix}CZ{suffix}") == ("Cz", "eeg")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("FP1-F7", "Fp1-F7"),
        ("EEG Fp1-A1", "Fp1-A1"),
        ("C3-M2", "C3-M2"),
        ("EEG Fpz-Cz", "Fpz-Cz"),
        ("EEG F7-T3", "F7-T7"),
        ("T5-O1", "P7-O1"),
    ],
)
def test_derivations_keep_both_electrodes(label, name):
    assert identify(label) == (name, "eeg")


@pytest.mark.parametrize("prefix", ["", "ECG ", "EKG ", "ecg_", "Lead ", "lead_", "ECG Lead "])
def test_leads_in_every_spelling(prefix):
    for name in ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V6", "MLII"):
        for spelled in (name, name.upper(), name.lower()):
            assert identify(prefix + spelled) == (name, "ecg")


@pytest.mark.parametrize(
    ("label", "name", "kind"),
    [
        ("ECG1", "ECG 1", "ecg"),
        ("EKG", "ECG", "ecg"),
        ("ECGL", "ECGL", "ecg"),
        ("EKG1-EKG2", "EKG1-EKG2", "ecg"),
        ("DII", "II", "ecg"),
        ("EOG Left", "EOG Left", "eog"),
        ("Chin1", "Chin1", "emg"),
        ("Resp chest", "Resp chest", "resp"),
        ("EEG 001", "EEG 001", "eeg"),
        ("SpO2", "SpO2", "misc"),
        ("X1", "X1", "misc"),
        ("DC01", "DC01", "misc"),
        ("", "unnamed", "misc"),
        ("a\x1b[31mb\n", "a [31mb", "misc"),
    ],
)
def test_other_labels(label, name, kind):
    assert identify(label) == (name, kind)
