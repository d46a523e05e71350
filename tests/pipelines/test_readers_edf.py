from datetime import datetime
from pathlib import Path

import edfio
import numpy as np
import pyedflib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.errors import RecordingError, UnsupportedFormatError
from pipelines.readers import edf as edf_reader
from pipelines.readers import read_recording

SAMPLE = Path(__file__).parents[2] / "sample_data" / "eeg_absence_480s.edf"
STARTS = ["+0", "+1", "+2", "+10.5", "+11.5", "+20"]  # two gaps: 3 to 10.5 s, 12.5 to 20 s


@pytest.fixture
def mixed(signal):
    """Three rates in records of one second."""
    return [
        signal(6, 100, 1),
        signal(6, 7, 2, label="SpO2", unit="%", physical=("0", "100")),
        signal(6, 256, 3, label="ECG II", unit="mV", physical=("-10", "10")),
    ]


def volts(s, factor):
    low, high = map(float, s.physical)
    d_low, d_high = map(float, s.limits)
    return ((s.digital.ravel() - d_low) / (d_high - d_low) * (high - low) + low) * factor


def test_sample_equals_edfio_and_pyedflib():
    recording = read_recording(SAMPLE)
    assert recording.format == "EDF+C"
    assert recording.pieces[0].duration_s == 480
    assert [c.kind for c in recording.channels] == ["eeg"] * 19 + ["ecg"]
    assert recording.channels[12].name == "T7"
    assert recording.channels[12].label == "EEG T3"
    data = recording.read([c.name for c in recording.channels], recording.pieces[0])
    with pyedflib.EdfReader(str(SAMPLE)) as other:
        for row, number in zip(data, range(20), strict=True):
            np.testing.assert_allclose(row * 1e6, other.readSignal(number), rtol=0, atol=1e-9)
        onsets, _, texts = other.readAnnotations()
    assert [a.description for a in recording.annotations] == list(texts)
    np.testing.assert_allclose([a.onset for a in recording.annotations], onsets, atol=1e-6)
    whole = edfio.read_edf(SAMPLE)
    for row, s in zip(data, whole.signals, strict=True):
        np.testing.assert_allclose(row * 1e6, s.data, rtol=0, atol=1e-9)


def test_each_channel_keeps_its_own_rate_and_unit(write, edf, mixed):
    recording = read_recording(write(edf(mixed)))
    assert [(c.name, c.kind, c.sfreq, c.unit) for c in recording.channels] == [
        ("Fp1", "eeg", 100.0, "V"),
        ("SpO2", "misc", 7.0, "%"),
        ("II", "ecg", 256.0, "V"),
    ]
    for channel, s, factor in zip(recording.channels, mixed, (1e-6, 1, 1e-3), strict=True):
        got = recording.read([channel.name], recording.pieces[0])[0]
        np.testing.assert_allclose(got, volts(s, factor), rtol=1e-12, atol=1e-15)
    with pytest.raises(RecordingError, match="one rate at a time"):
        recording.read(["Fp1", "II"], recording.pieces[0])


def test_mixed_rates_written_by_edfio_read_alike(tmp_path):
    generator = np.random.default_rng(5)
    wanted = [generator.normal(0, 50, rate * 20) for rate in (250, 25, 1)]
    signals = [
        edfio.EdfSignal(x, rate, label=f"EEG C{rate % 9}", physical_dimension="uV")
        for x, rate in zip(wanted, (250, 25, 1), strict=True)
    ]
    edfio.Edf(signals, annotations=[edfio.EdfAnnotation(3.5, 2.0, "été")]).write(tmp_path / "e.edf")
    recording = read_recording(tmp_path / "e.edf")
    assert [(a.onset, a.duration, a.description) for a in recording.annotations] == [
        (3.5, 2.0, "été")
    ]
    for channel, s in zip(recording.channels, signals, strict=True):
        got = recording.read([channel.name], recording.pieces[0])[0]
        np.testing.assert_allclose(got * 1e6, s.data, rtol=0, atol=1e-9)


def test_gaps_become_pieces_on_the_recordings_clock(write, edf, mixed):
    texts = [(0, "+11\x150.25\x14in the second piece\x14"), (5, "+20.5\x14a\x14b\x14")]
    recording = read_recording(write(edf(mixed, reserved="EDF+D", starts=STARTS, texts=texts)))
    assert recording.format == "EDF+D"
    assert [(p.start_s, p.duration_s, p.stored_s) for p in recording.pieces] == [
        (0.0, 3.0, 0.0),
        (10.5, 2.0, 3.0),
        (20.0, 1.0, 5.0),
    ]
    assert recording.gaps == ((3.0, 10.5), (12.5, 20.0))
    assert recording.duration_s == 21
    assert [(a.onset, a.duration, a.description) for a in recording.annotations] == [
        (11.0, 0.25, "in the second piece"),
        (20.5, 0.0, "a"),
        (20.5, 0.0, "b"),
    ]
    stored = volts(mixed[2], 1e-3)
    for piece, part in zip(recording.pieces, np.split(stored, [768, 1280]), strict=True):
        np.testing.assert_allclose(recording.read(["II"], piece)[0], part, rtol=1e-12, atol=1e-15)
    (first, data), (second, _) = recording.read_between(["II"], 2.5, 10.75)
    assert (first, data.shape[1]) == (2.5, 128)
    assert second == 10.5


def test_the_clock_begins_with_the_first_record(write, edf, signal):
    texts = [(0, "+2.25\x14two seconds later\x14")]
    path = write(edf([signal(2, 50)], reserved="EDF+D", starts=["+0.25", "+1.25"], texts=texts))
    recording = read_recording(path)
    assert recording.start_time == datetime(2024, 1, 2, 3, 4, 5, 250_000)
    assert recording.pieces[0].start_s == 0
    assert recording.annotations[0].onset == 2


@pytest.mark.parametrize("late", [0.0049, -0.0049])
def test_time_stamps_off_by_less_than_half_a_sample_make_no_gap(write, edf, signal, late):
    starts = ["+0", f"+{1 + late}", f"+{2 - late}"]
    path = write(edf([signal(3, 100)], reserved="EDF+D", starts=starts))
    assert len(read_recording(path).pieces) == 1
    path = write(edf([signal(3, 100)], reserved="EDF+D", starts=["+0", "+1.006", "+2.006"]))
    assert len(read_recording(path).pieces) == 2


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_slice_is_the_slice_of_the_whole(write, edf, signal, data):
    n = data.draw(st.integers(1, 7), "records")
    rates = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=4), "rates")
    gaps = data.draw(st.lists(st.sampled_from([0.0, 0.5, 3.25]), min_size=n, max_size=n))
    starts = [f"+{k + sum(gaps[: k + 1]) - gaps[0]}" for k in range(n)]
    bdf = data.draw(st.booleans(), "bdf")
    signals = [signal(n, rate, k, label=f"c{k}") for k, rate in enumerate(rates)]
    path = write(edf(signals, reserved="BDF+D" if bdf else "EDF+D", starts=starts, bdf=bdf))
    recording = read_recording(path)
    chunk = data.draw(st.sampled_from([1, 60, 1 << 20]), "chunk bytes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edf_reader, "CHUNK_BYTES", max(chunk, 3))
        rate = data.draw(st.sampled_from(sorted(set(rates))))
        names = [c.name for c in recording.channels if c.sfreq == rate]
        whole = np.hstack([recording.read(names, piece) for piece in recording.pieces])
        wanted = [volts(s, 1e-6) for s in signals if s.digital.shape[1] == rate]
        np.testing.assert_allclose(whole, wanted, rtol=1e-9, atol=1e-15)
        piece = data.draw(st.sampled_from(recording.pieces))
        full = recording.read(names, piece)
        a = data.draw(st.integers(0, full.shape[1]))
        b = data.draw(st.integers(a, full.shape[1] + 5))
        np.testing.assert_array_equal(recording.read(names, piece, a, b), full[:, a:b])


def test_reading_a_part_reads_little_of_the_file(write, edf, signal, monkeypatch):
    path = write(edf([signal(200, 500)]))
    recording = read_recording(path)
    seen = []
    original = recording._samples
    monkeypatch.setattr(
        recording, "_samples", lambda f, a, n: (seen.append(n), original(f, a, n))[1]
    )
    monkeypatch.setattr(edf_reader, "CHUNK_BYTES", 5000)
    recording.read(["Fp1"], recording.pieces[0], 40_100, 45_200)
    assert max(seen) <= 2500
    assert sum(seen) <= 6000


def test_bdf_samples_have_24_bits(write, edf, signal):
    digital = np.array([[-8388608, -1, 0, 1, 8388607]])
    ranges = {"physical": ("-262144", "262143"), "limits": ("-8388608", "8388607")}
    path = write(edf([signal(1, 5, digital=digital, **ranges)], bdf=True), "x.bdf")
    recording = read_recording(path)
    assert recording.format == "BDF"
    got = recording.read(["Fp1"], recording.pieces[0])[0]
    np.testing.assert_allclose(got[[0, -1]], [-0.262144, 0.262143], rtol=1e-12)
    with pyedflib.EdfReader(str(path)) as other:
        np.testing.assert_allclose(got * 1e6, other.readSignal(0), atol=1e-6)


def test_record_count_unknown_is_recovered_from_the_size(write, edf, signal):
    recording = read_recording(write(edf([signal(9, 10)], n_records=-1)))
    assert recording.duration_s == 9


def test_nothing_about_the_patient_is_exposed(write, edf, signal):
    recording = read_recording(write(edf([signal(1, 10)])))
    everything = repr(vars(recording))
    assert "Jane" not in everything
    assert "Who" not in everything


def test_labels_in_latin_1_or_equal_are_read(write, edf, signal):
    signals = [signal(1, 4, label="ECG", unit="µV") for _ in range(2)]
    recording = read_recording(write(edf([*signals, signal(1, 4, label="")])))
    assert [(c.name, c.unit) for c in recording.channels] == [
        ("ECG", "V"),
        ("ECG-2", "V"),
        ("unnamed", "V"),
    ]


def field(at: int, text: str):
    """Overwrite part of a file with `text`, padded to 8 characters."""

    def damage(content: bytes) -> bytes:
        new = text.encode("latin-1").ljust(8)
        return content[:at] + new + content[at + len(new) :]

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: b"", r"is empty \(0 bytes\)"),
        (lambda c: c[:300], "ends within its header"),
        (lambda c: c[:-1], "truncated.*promises 5 data records and 4 are there"),
        (lambda c: c[:512], "no complete data record"),
        (lambda c: b"dear colleague, please find enclosed", "not an EDF or BDF file"),
        (field(236, "9" * 8), "promises 99999999 data records and 5"),
        (field(236, "-7"), "'?-7'? as number of data records"),
        (field(236, "0"), "no complete data record"),
        (field(472, "9" * 8), "no complete data record"),
        (field(472, "-1"), "samples per record"),
        (field(472, "nan"), "'nan' as samples per record"),
        (field(472, "1_0"), "'1_0' as samples per record"),
        (field(244, "nan"), "'nan' as duration of a data record"),
        (field(244, "1e999"), "'1e999' as duration of a data record"),
        (field(244, "-1"), "duration of a data record"),
        (field(244, "0"), "duration of a data record"),
        (field(360, "inf"), "physical or digital range"),
        (field(360, "3276.7"), "physical range of 'EEG Fp1' is zero"),
        (field(376, "32767"), "digital range of 'EEG Fp1' is zero"),
        (field(236, "\xff5"), "as number of data records"),
        (field(184, "9" * 8), "as header size"),
        (lambda c: c[:252] + b"0   " + c[256:], "as number of signals"),
        (lambda c: c[:252] + b"9999" + c[256:], "as header size"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, edf, signal, damage, message):
    path = tmp_path / "harm.edf"
    path.write_bytes(damage(edf([signal(5, 10)]).content()))
    with pytest.raises(RecordingError, match=message) as caught:
        read_recording(path)
    assert "harm.edf" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_annotation_only_files_point_to_the_signals(write, edf):
    path = write(edf([], reserved="EDF+C", starts=["+0", "+0"], record_s="0"))
    with pytest.raises(RecordingError, match="annotations only"):
        read_recording(path)


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        (["+0", "+0.5"], "data record 2 starts at 0.500 s, before the one before it has ended"),
        (["+0", ""], "data record 2 has no time stamp"),
        (["+0", "+" + "9" * 11], "ten years"),
        (["+0", "+" + "9" * 300], "has no time stamp"),
    ],
)
def test_impossible_time_stamps_are_refused(write, edf, signal, starts, message):
    path = write(edf([signal(2, 50)], reserved="EDF+D", starts=starts))
    with pytest.raises(RecordingError, match=message):
        read_recording(path)


def test_damaged_annotations_are_skipped_and_the_rest_kept(write, edf, signal):
    texts = [(0, "no stamp\x14text\x14"), (1, "+1.5\x14good\x14"), (1, "+0.5\x14\xff bad\x14")]
    path = write(edf([signal(2, 50)], reserved="EDF+C", starts=["+0", "+1"], texts=texts))
    assert [a.description for a in read_recording(path).annotations][-1] == "good"


def test_a_file_that_shrinks_after_opening_is_reported(write, edf, signal):
    path = write(edf([signal(5, 50)]))
    recording = read_recording(path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(RecordingError, match="has become shorter"):
        recording.read(["Fp1"], recording.pieces[0])


@pytest.mark.parametrize("name", ["notes.txt", "table.npz"])
def test_other_formats_say_what_is_accepted(tmp_path, name):
    (tmp_path / name).write_text("hello")
    with pytest.raises(UnsupportedFormatError, match=r"accepted: EDF.*WFDB"):
        read_recording(tmp_path / name)


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(RecordingError, match=r"cannot read gone\.edf"):
        read_recording(tmp_path / "gone.edf")
    with pytest.raises(RecordingError, match="is a folder"):
        read_recording(tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_corruption_is_read_or_refused_but_never_crashes(write, edf, signal, data):
    file = edf([signal(3, 8), signal(3, 4, label="x")], reserved="EDF+D", starts=["+0", "+1", "+5"])
    content = bytearray(file.content())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = write(file, "corrupt.edf")
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        recording = read_recording(path)
    except RecordingError as error:
        assert "\n" not in str(error)
        return
    for piece in recording.pieces:
        for channel in recording.channels:
            assert recording.read([channel.name], piece).shape[1] == piece.n_samples(channel.sfreq)
