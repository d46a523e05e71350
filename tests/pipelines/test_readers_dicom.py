"""DICOM ECG files written by pydicom, read through the product."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from pipelines.cli import main
from pipelines.errors import RecordingError
from pipelines.readers import read_recording

AMBULATORY = "1.2.840.10008.5.1.4.1.1.9.1.3"
N = 2000


def code(value, meaning):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCPECG", meaning
    return item


def group(digital, sfreq, leads, offset_ms=0, *, padding=None, derived=False):
    item = Dataset()
    item.WaveformOriginality = "DERIVED" if derived else "ORIGINAL"
    item.MultiplexGroupTimeOffset = str(offset_ms)
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = len(leads), len(digital)
    item.SamplingFrequency = str(sfreq)
    item.WaveformBitsAllocated, item.WaveformSampleInterpretation = 16, "SS"
    channels = []
    for name, microvolts in leads:
        channel = Dataset()
        channel.ChannelSourceSequence = [code("x", name)]
        channel.ChannelSensitivity = str(microvolts)
        channel.ChannelSensitivityUnitsSequence = [code("uV", "microvolt")]
        channel.ChannelSensitivityCorrectionFactor = "2"
        channel.ChannelBaseline = "10"
        channel.ChannelSampleSkew, channel.WaveformBitsStored = "0", 16
        channels.append(channel)
    item.ChannelDefinitionSequence = channels
    if padding is not None:
        item.WaveformPaddingValue = np.array([padding], "<i2").tobytes()
    item.WaveformData = digital.astype("<i2").tobytes()
    return item


def digital(n=N, leads=2, seed=0):
    return np.random.default_rng(seed).integers(-3000, 3000, (n, leads))


LEADS = (("Lead II (Einthoven)", 2.5), ("Lead V5", 1.0))


@pytest.fixture
def dicom(tmp_path):
    """Write a DICOM file of some groups; return its path."""

    def write(groups, syntax=ExplicitVRLittleEndian, sop_class=AMBULATORY, undefined=True):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, syntax
        meta.MediaStorageSOPInstanceUID = generate_uid()
        ds = Dataset()
        ds.file_meta = meta
        ds.SOPClassUID, ds.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
        ds.PatientName, ds.PatientID, ds.PatientBirthDate = "Doe^Jane", "Jane-1970", "19700102"
        ds.OperatorsName = "Who^Jane"
        ds.AcquisitionDateTime = "20240102030405.250000+0100"
        mark, signed = Dataset(), Dataset()
        mark.UnformattedTextValue, mark.TemporalRangeType = "run of VT", "SEGMENT"
        mark.ReferencedWaveformChannels, mark.ReferencedSamplePositions = [1, 0], [501, 751]
        signed.UnformattedTextValue = "confirmed by Jane Who"
        ds.WaveformAnnotationSequence = [mark, signed]
        ds.WaveformSequence = groups
        ds["WaveformSequence"].is_undefined_length = undefined
        for item in groups:
            item.is_undefined_length_sequence_item = undefined
        path = tmp_path / "d.dcm"
        ds.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_leads_samples_marks_and_start(dicom, syntax, undefined):
    stored = digital()
    stored[3, 1] = -32768
    path = dicom([group(stored, 250, LEADS, 500, padding=-32768)], syntax, undefined=undefined)
    recording = read_recording(path)
    assert recording.format == "DICOM"
    assert [(c.name, c.kind, c.sfreq, c.unit) for c in recording.channels] == [
        ("II", "ecg", 250.0, "V"),
        ("V5", "ecg", 250.0, "V"),
    ]
    start = datetime(2024, 1, 2, 2, 4, 5, 750_000, tzinfo=UTC)
    assert recording.start_time == start
    assert recording.start_time.utcoffset() == timedelta(hours=1)
    assert [(a.onset, a.duration, a.description) for a in recording.annotations] == [
        (2.0, 1.0, "run of VT")
    ]
    due = (stored * np.array([2.5, 1.0]) * 2 + 10).T * 1e-6
    due[1, 3] = np.nan
    read = recording.read(["V5", "II"], recording.pieces[0])
    np.testing.assert_allclose(read, due[::-1])


def test_a_real_file_equals_pydicom():
    path = Path(pydicom.__file__).parent / "data/test_files/waveform_ecg.dcm"
    recording = read_recording(path)
    assert [c.name for c in recording.channels][:6] == ["I", "II", "III", "aVR", "aVL", "aVF"]
    assert recording.duration_s == 10  # the averaged beat in the file is no recording
    read = recording.read([c.name for c in recording.channels], recording.pieces[0])
    np.testing.assert_allclose(read, pydicom.dcmread(path).waveform_array(0).T * 1e-6)


def test_groups_beside_each_other_keep_their_rates(dicom):
    slow = digital(N // 5, 1, seed=1)
    path = dicom([group(digital(), 250, LEADS), group(slow, 50, (("Lead I", 1.0),))])
    recording = read_recording(path)
    assert [(c.name, c.sfreq) for c in recording.channels] == [("II", 250), ("V5", 250), ("I", 50)]
    read = recording.read(["I"], recording.pieces[0])
    np.testing.assert_allclose(read[0], (2 * slow[:, 0] + 10) * 1e-6)


def test_groups_after_each_other_are_pieces(dicom):
    second = digital(seed=1)
    path = dicom([group(digital(), 250, LEADS), group(second, 250, LEADS, 20_000)])
    recording = read_recording(path)
    assert [(p.start_s, p.stop_s) for p in recording.pieces] == [(0, 8), (20, 28)]
    read = recording.read(["II"], recording.pieces[1], 5, 9)
    np.testing.assert_allclose(read[0], (5 * second[5:9, 0] + 10) * 1e-6)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(a=st.integers(0, N), b=st.integers(0, N), names=st.permutations(["II", "V5"]))
def test_a_slice_is_the_slice_of_the_whole(dicom, monkeypatch, a, b, names):
    monkeypatch.setattr("pipelines.readers.dicom.CHUNK_BYTES", 500)
    recording = read_recording(dicom([group(digital(), 250, LEADS)]))
    whole = recording.read(names, recording.pieces[0])
    np.testing.assert_array_equal(recording.read(names, recording.pieces[0], a, b), whole[:, a:b])


def test_no_name_is_kept_or_shown(dicom, capsys):
    path = dicom([group(digital(), 250, LEADS)])
    assert "Jane" not in repr(vars(read_recording(path)))
    assert main(["info", str(path), "--json"]) == 0
    output = capsys.readouterr().out
    assert "Jane" not in output
    assert json.loads(output)[0]["format"] == "DICOM"


def claims(**fields):
    item = group(digital(), 250, LEADS)
    for key, value in fields.items():
        setattr(item, key, value)
    return [item]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (claims(NumberOfWaveformSamples=2**31), "truncated"),
        (claims(NumberOfWaveformChannels=60000), "announces 60000 channels"),
        (claims(SamplingFrequency="0"), "rate of 0 Hz"),
        (claims(SamplingFrequency="0.000001"), "rate of 1e-06 Hz"),
        (claims(WaveformSampleInterpretation="MB"), "stores samples as 'MB'"),
        (claims(WaveformOriginality="DERIVED"), "computed waveforms only"),
        (claims(ChannelDefinitionSequence=[]), "describes 0"),
        (
            [group(digital(), 250, LEADS), group(digital(), 250, LEADS, 1000)],
            "neither cover the same time",
        ),
    ],
)
def test_what_a_waveform_may_not_say(dicom, groups, message):
    with pytest.raises(RecordingError, match=message) as caught:
        read_recording(dicom(groups))
    assert "Jane" not in str(caught.value)


def test_other_objects_are_refused_in_words(dicom, tmp_path):
    image = "1.2.840.10008.5.1.4.1.1.7"
    with pytest.raises(RecordingError, match="no uncompressed, little-endian ECG"):
        read_recording(dicom([group(digital(), 250, LEADS)], sop_class=image))
    path = tmp_path / "letter.dcm"
    path.write_text("Dear colleague, Jane Doe's ECG is attached.\n" * 20)
    with pytest.raises(RecordingError, match="no DICOM file") as caught:
        read_recording(path)
    assert "Jane" not in str(caught.value)


def test_truncated_and_damaged_files_are_refused_or_read_never_crash(dicom):
    path = dicom([group(digital(), 250, LEADS)])
    content = path.read_bytes()
    for n in (0, 100, 140, 300, 900, len(content) - 200):
        path.write_bytes(content[:n])
        with pytest.raises(RecordingError) as caught:
            read_recording(path)
        assert "Jane" not in str(caught.value)
    path.write_bytes(content[:-200])
    with pytest.raises(RecordingError, match="truncated or damaged: the element at byte"):
        read_recording(path)
    generator = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(content)
        for place in generator.integers(128, 1800, 3):
            damaged[place] = generator.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            recording = read_recording(path)
            recording.read([recording.channels[0].name], recording.pieces[0], 0, 10)
        except RecordingError as error:
            assert "\n" not in str(error)


def test_pydicom_quotes_no_values_in_warnings(dicom, recwarn, caplog):
    path = dicom([group(digital(), 250, LEADS)])
    content = path.read_bytes()
    path.write_bytes(content.replace(AMBULATORY.encode(), b"Jane Doe".ljust(len(AMBULATORY))))
    with pytest.raises(RecordingError) as caught:
        read_recording(path)
    assert "Jane" not in str(caught.value)
    assert not recwarn.list
    assert "Jane" not in caplog.text


def test_without_pydicom_the_message_says_how_to_install_it(dicom, monkeypatch):
    path = dicom([group(digital(), 250, LEADS)])
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(RecordingError, match=r"pip install 'rarewave\[dicom\]'"):
        read_recording(path)
