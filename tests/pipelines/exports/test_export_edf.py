from datetime import datetime

import edfio
import mne
import numpy as np
import pyedflib
import pytest
import wfdb

from pipelines.errors import ExportError
from pipelines.exports import export_run
from pipelines.exports.edf_layout import MAX_GAPS_S, layout_of
from pipelines.readers import read_recording
from pipelines.store import ReviewStore

SPANS = [(20.0, 24.0), (60.5, 61.5)]


def export(run, tmp_path, only="flagged"):
    return export_run(run.path, "edf", tmp_path / "out", only)[0]


def annotations(path):
    with pyedflib.EdfReader(str(path)) as file:
        return [
            (float(onset), float(length), str(text))
            for onset, length, text in zip(*file.readAnnotations(), strict=True)
        ]


def test_samples_rates_times_and_annotations_survive(make_run, ecg_file, tmp_path):
    source = ecg_file()
    run = make_run({"night": source}, SPANS, 120)
    ReviewStore(run.reviews_path).record("night", "night@20.000", "accepted", "", "kim")
    path = export(run, tmp_path)
    stored = edfio.read_edf(source).signals
    with pyedflib.EdfReader(str(path)) as copy:
        assert copy.getSignalLabels() == ["ECG MLII", "ECG V1", "Resp"]
        assert list(copy.getSampleFrequencies()) == [250, 250, 10]
        assert copy.getStartdatetime() == datetime(2024, 1, 2, 3, 4, 5)
        for i, signal in enumerate(stored):
            np.testing.assert_array_equal(copy.readSignal(i, digital=True), signal.digital)
            np.testing.assert_allclose(copy.readSignal(i), signal.data, atol=1e-9)
            assert copy.getPhysicalDimension(i) == signal.physical_dimension
        who = {copy.getPatientName(), copy.getPatientCode(), copy.getTechnician()}
        assert who <= {"", "X"}
    found = annotations(path)
    assert (3.5, 2.0, "calibration") in found
    assert found[0] == (0.0, -1.0, "Rarewave: Research use only. Not a medical device.")
    (first, second) = [f for f in found if f[2].startswith("Rarewave: score")]
    assert first[:2] == (20.0, 4.0)
    assert second[:2] == (60.5, 1.0)
    assert first[2].startswith("Rarewave: score 6.25, p 0.002, accepted; does not fit in width")
    assert "undecided" in second[2]
    assert b"Jane Doe" not in path.read_bytes()
    assert b"Dr Who" not in path.read_bytes()


def test_only_accepted_segments(make_run, ecg_file, tmp_path):
    run = make_run({"night": ecg_file()}, SPANS, 120)
    ReviewStore(run.reviews_path).record("night", "night@60.500", "accepted", "", "kim")
    found = annotations(export(run, tmp_path, "accepted"))
    assert [f[0] for f in found if "score" in f[2]] == [60.5]


def test_gaps_are_filled_and_every_time_stays_true(make_run, edf, signal, write, tmp_path):
    starts = [f"+{0.5 + i}" for i in range(10)] + [f"+{25.5 + i}" for i in range(10)]
    source = write(
        edf(
            [signal(20, 200), signal(20, 10, seed=1, label="Temp", unit="degC")],
            reserved="EDF+D",
            starts=starts,
            texts=[(15, "+31.25\x141/2 cm\x14")],
        )
    )
    path = export(make_run({"x": source}, [(27.0, 28.0)], 35), tmp_path)
    recording = read_recording(source)
    copy = read_recording(path)
    assert (copy.format, copy.gaps, copy.duration_s) == ("EDF+C", (), 35.0)
    assert copy.start_time == recording.start_time
    for channel in recording.channels:
        (whole,) = copy.read([channel.name], copy.pieces[0])
        for piece in recording.pieces:
            (data,) = recording.read([channel.name], piece)
            first = round(piece.start_s * channel.sfreq)
            step = (6553.5 if channel.unit != "V" else 6553.5e-6) / 65535
            np.testing.assert_allclose(
                whole[first : first + len(data)], data, rtol=0, atol=1.01 * step
            )
        gap = whole[round(10 * channel.sfreq) : round(25 * channel.sfreq)]
        assert np.abs(gap).max() <= step
    found = [(a.onset, a.duration, a.description) for a in copy.annotations]
    assert (10.0, 15.0, "gap: no signal (filled)") in found
    assert (30.75, 0.0, "1/2 cm") in found
    assert any(a[:2] == (27.0, 1.0) and "score" in a[2] for a in found)
    assert annotations(path), "another reader refuses the file"


def test_bdf_keeps_its_24_bits(make_run, edf, signal, write, tmp_path):
    digital = np.random.default_rng(0).integers(-(2**23), 2**23, (4, 100))
    limits = ("-8388608", "8388607")
    source = write(edf([signal(4, 100, digital=digital, limits=limits)], bdf=True), "x.bdf")
    path = export(make_run({"x": source}, [(1.0, 2.0)], 4), tmp_path)
    assert path.name == "x.bdf"
    with pyedflib.EdfReader(str(path)) as file:
        np.testing.assert_array_equal(file.readSignal(0, digital=True), digital.ravel())
    assert any("score" in a[2] for a in annotations(path))


def test_samples_beyond_the_headers_range_are_kept(make_run, edf, signal, write, tmp_path):
    digital = np.arange(-300, 300).reshape(6, 100)
    ranges = {"limits": ("-200", "200"), "physical": ("-2000", "2000")}
    source = write(edf([signal(6, 100, digital=digital, **ranges)]))
    path = export(make_run({"x": source}, [], 6), tmp_path)
    with pyedflib.EdfReader(str(path)) as file:
        np.testing.assert_allclose(file.readSignal(0), 10.0 * digital.ravel(), atol=0.1)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # wfdb 4.3.1 in wrann
def test_wfdb_records_become_edf_with_missing_samples_named(make_run, tmp_path):
    generator = np.random.default_rng(0)
    data = np.cumsum(generator.normal(size=(3600, 2)), axis=0) / 20
    data[720:1080, 1] = np.nan
    wfdb.wrsamp(
        "r1",
        fs=360,
        units=["mV", "mV"],
        sig_name=["MLII", "V5"],
        p_signal=data,
        fmt=["16", "16"],
        adc_gain=[200, 200],
        baseline=[0, 0],
        write_dir=str(tmp_path),
    )
    marks = np.array([400, 800])
    wfdb.wrann("r1", "atr", marks, symbol=["N", "V"], write_dir=str(tmp_path))
    source = tmp_path / "r1.hea"
    path = export(make_run({"r1": source}, [(2.0, 3.0)], 10), tmp_path)
    stored = wfdb.rdrecord(str(tmp_path / "r1")).p_signal
    with pyedflib.EdfReader(str(path)) as file:
        assert list(file.getSampleFrequencies()) == [360, 360]
        for i in range(2):
            known = np.isfinite(stored[:, i])
            step = np.ptp(stored[known, i]) / 65535
            difference = np.abs(file.readSignal(i)[known] / 1000 - stored[known, i])
            assert difference.max() <= 1.01 * max(step, 1 / 200)
            assert difference.max() <= 2 * step
            assert file.getPhysicalDimension(i) == "uV"
    found = annotations(path)
    assert (2.0, 1.0, "missing samples on V5 (filled)") in found
    assert [(round(a[0] * 360), a[2]) for a in found if len(a[2]) == 1] == [(400, "N"), (800, "V")]


def test_other_readers_agree_on_a_length_that_is_no_whole_second(
    make_run, edf, signal, write, tmp_path
):
    source = write(edf([signal(37, 77)], record_s="0.1"))
    path = export(make_run({"x": source}, [], 3), tmp_path)
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    assert raw.info["sfreq"] == 770
    assert raw.annotations[-1]["description"] == "end of signal (filled)"
    assert raw.annotations[-1]["onset"] == pytest.approx(3.7)
    assert raw.n_times / 770 == pytest.approx(4.0)
    (data,) = read_recording(source).read(["Fp1"], read_recording(source).pieces[0])
    np.testing.assert_allclose(raw.get_data()[0, : len(data)], data, atol=1.01e-7)


@pytest.mark.parametrize("label", ["µ ECG", "EDF Annotation", "x" * 16, "<b>&"])
def test_labels_and_texts_of_any_kind(make_run, edf, signal, write, tmp_path, label):
    text = "+1\x14" + "Müller <script>\x07" + "y" * 500 + "\x14"
    source = write(
        edf(
            [signal(3, 50, label=label)],
            reserved="EDF+C",
            starts=["+0", "+1", "+2"],
            texts=[(1, text)],
        )
    )
    path = export(make_run({"x": source}, [(1.0, 2.0)], 3), tmp_path)
    with pyedflib.EdfReader(str(path)) as file:
        (found,) = file.getSignalLabels()
    assert found.isascii()
    assert len(found) <= 16
    (note,) = [a for a in read_recording(path).annotations if "Müller" in a.description]
    assert note.description.startswith("Müller <script> yyy")
    assert len(note.description) == 200


def test_the_recording_itself_is_never_replaced(make_run, ecg_file):
    source = ecg_file("night.edf")
    before = source.read_bytes()
    run = make_run({"night": source}, SPANS, 120)
    with pytest.raises(ExportError, match="would replace the recording itself"):
        export_run(run.path, "edf", source.parent)
    assert source.read_bytes() == before


def test_gaps_of_weeks_are_refused(edf, signal, write):
    starts = ["+0", f"+{int(MAX_GAPS_S) + 2}"]
    source = write(edf([signal(2, 100)], reserved="EDF+D", starts=starts))
    with pytest.raises(ExportError, match="days of gaps"):
        layout_of(read_recording(source))
