"""Small valid recordings of every format, written from the specifications: what is then damaged."""

from __future__ import annotations

import json
import struct
import warnings
from binascii import crc_hqx
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

N = 1200
NAME = "Jane"  # nothing that a reader says may hold it


def _samples(channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-3000, 3000, (channels, N)).astype("<i2")


def _edf(path: Path, kind: str = "EDF+D", bdf: bool = False) -> None:
    width, records, per = (3 if bdf else 2), 12, N // 12
    rows = [("EEG Fp1", "uV", per), ("EEG T4-REF", "uV", per), ("Resp", "", per // 4)]
    tals = []
    for i in range(records):
        start = i if i < 6 or not kind.endswith("D") else i + 5
        tals.append(f"+{start}\x14\x14\x00+{start}.5\x151\x14seizure\x14\x00".encode())
    size = -(-max(map(len, tals)) // (2 * width)) * 2 * width
    plus = "+" in kind
    if plus:
        rows.append((f"{kind[:3]} Annotations", "", size // width))
    head = (b"\xffBIOSEMI" if bdf else b"0".ljust(8)) + f"X F X {NAME}".encode().ljust(80)
    head += f"Startdate 02-JAN-2024 X {NAME}".encode().ljust(80) + b"02.01.2403.04.05"
    fields = (256 * (len(rows) + 1), 8), (kind if plus else "", 44), (records, 8), (1, 8)
    for value, length in (*fields, (len(rows), 4)):
        head += str(value).encode().ljust(length)
    head += b"".join(label.encode().ljust(16) for label, _, _ in rows) + b" " * 80 * len(rows)
    head += b"".join(unit.encode().ljust(8) for _, unit, _ in rows)
    for value in ("-3276.8", "3276.7", "-32768", "32767"):
        head += value.encode().ljust(8) * len(rows)
    head += b" " * 80 * len(rows)
    head += b"".join(str(count).encode().ljust(8) for _, _, count in rows) + b" " * 32 * len(rows)
    fp1, t4 = _samples(2).astype("<i4")
    body = b""
    for i in range(records):
        for row, (_, _, count) in zip((fp1, t4, fp1), rows[:3], strict=True):
            body += _packed(row[i * per : i * per + count], width)
        body += tals[i].ljust(size, b"\0") if plus else b""
    path.write_bytes(head + body)


def _packed(row: np.ndarray, width: int) -> bytes:
    return np.ascontiguousarray(row).view(np.uint8).reshape(-1, 4)[:, :width].tobytes()


def _wfdb(path: Path) -> None:
    name = path.stem
    lines = [f"{name}.dat 16 200(0)/mV 12 0 0 0 0 {lead}" for lead in ("MLII", "V5")]
    text = [f"{name} 2 250/250(0) {N} 03:04:05 02/01/2024", *lines, f"# Age: 50 {NAME}"]
    path.write_text("\n".join(text) + "\n")
    path.with_suffix(".dat").write_bytes(_samples(2).T.tobytes())
    marks = b""
    for gap, code in ((10, 1), (200, 5), (250, 1), (300, 28)):
        marks += ((code << 10) + gap).to_bytes(2, "little")
    note = b"(AFIB\0"
    marks += ((63 << 10) + len(note)).to_bytes(2, "little") + note + b"\0\0"
    path.with_suffix(".atr").write_bytes(marks)


def _wfdb_212(path: Path) -> None:
    path.write_text(f"{path.stem} 2 250 {N}\n" + f"{path.stem}.dat 212 200 12 0 0 0 0 MLII\n" * 2)
    path.with_suffix(".dat").write_bytes(np.random.default_rng(1).bytes(3 * N))


def _brainvision(path: Path) -> None:
    stem = path.stem
    path.with_suffix(".eeg").write_bytes(_samples(2).T.tobytes())
    path.with_suffix(".vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={stem}.eeg\n[Marker Infos]\nMk1=New Segment,,1,1,0,20240102030405000000\n"
        "Mk2=Comment,seizure,300,50,0\nMk3=New Segment,,600,1,0,20240102030505000000\n"
    )
    path.write_text(
        f"Brain Vision Data Exchange Header File Version 1.0\n; by {NAME}\n[Common Infos]\n"
        f"Codepage=UTF-8\nDataFile={stem}.eeg\nMarkerFile={stem}.vmrk\nDataFormat=BINARY\n"
        "DataOrientation=MULTIPLEXED\nNumberOfChannels=2\nSamplingInterval=4000\n"
        "[Binary Infos]\nBinaryFormat=INT_16\n[Channel Infos]\nCh1=Fp1,,0.1,uV\nCh2=T4,,0.1,uV\n"
    )


def _eeglab(path: Path, inside: bool = False) -> None:
    from scipy.io import savemat

    data = _samples(2).astype("<f4")
    locations = np.array([("Fp1", "EEG"), ("T4", "EEG")], dtype=[("labels", "O"), ("type", "O")])
    events = np.array(
        [(300.0, "seizure", 10.0)], dtype=[(k, "O") for k in ("latency", "type", "duration")]
    )
    eeg = {"setname": NAME, "nbchan": 2, "pnts": N, "trials": 1, "srate": 250.0, "xmin": 0.0}
    eeg |= {"chanlocs": locations, "event": events, "data": data if inside else f"{path.stem}.fdt"}
    if not inside:
        path.with_suffix(".fdt").write_bytes(data.T.tobytes())
    savemat(path, {"EEG": eeg}, appendmat=False, do_compression=inside)


def _fif(path: Path) -> None:
    import mne

    info = mne.create_info(["Fp1", "T4"], 200.0, ["eeg", "eeg"])
    info["subject_info"] = {"last_name": NAME, "first_name": NAME}
    raw = mne.io.RawArray(_samples(2) * 1e-8, info, verbose="ERROR")
    raw.set_meas_date(datetime(2024, 1, 2, tzinfo=UTC))
    raw.set_annotations(mne.Annotations([1.0], [0.5], ["seizure"]))
    raw.save(path, verbose="ERROR", overwrite=True)


def _dicom(path: Path) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    ds, meta, item = Dataset(), FileMetaDataset(), Dataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.3"
    meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = ExplicitVRLittleEndian, generate_uid()
    ds.file_meta, ds.SOPInstanceUID = meta, meta.MediaStorageSOPInstanceUID
    ds.PatientName, ds.AcquisitionDateTime = NAME, "20240102030405"
    item.WaveformOriginality, item.MultiplexGroupTimeOffset = "ORIGINAL", "0"
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = 2, N
    item.SamplingFrequency = "250"
    item.WaveformBitsAllocated, item.WaveformSampleInterpretation = 16, "SS"
    channels = []
    for lead in ("Lead II", "Lead V5"):
        channel, source, unit = Dataset(), Dataset(), Dataset()
        source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = "x", "SCPECG", lead
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "microvolt"
        channel.ChannelSourceSequence, channel.ChannelSensitivityUnitsSequence = [source], [unit]
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = "2.5", "1"
        channel.ChannelBaseline, channel.ChannelSampleSkew = "0", "0"
        channel.WaveformBitsStored = 16
        channels.append(channel)
    item.ChannelDefinitionSequence = channels
    item.WaveformData = _samples(2).T.tobytes()
    ds.WaveformSequence = [item]
    ds.save_as(path, enforce_file_format=True)


def _ishne(path: Path) -> None:
    pad = (0,) * 10
    head = struct.pack("<4i", 0, N, 522, 522) + struct.pack("<h", 1)
    head += NAME.encode().ljust(40, b"\0") * 2 + bytes(20) + struct.pack("<2h", 2, 1)
    head += struct.pack("<3h", 1, 2, 1970) + struct.pack("<3h", 24, 12, 2023) * 2
    head += struct.pack("<3h", 22, 30, 15) + struct.pack("<h", 2)
    head += struct.pack("<12h", 6, 11, *pad) + bytes(24) + struct.pack("<12h", 2500, 1000, *pad)
    head += bytes(2) + bytes(40) + struct.pack("<h", 200) + bytes(248)
    crc = crc_hqx(head, 0xFFFF)
    path.write_bytes(b"ISHNE1.0" + struct.pack("<H", crc) + head + _samples(2).T.tobytes())


def _csv(path: Path) -> None:
    rows = [f"{i / 250!r},{a / 10},{b / 10}" for i, (a, b) in enumerate(_samples(2).T.tolist())]
    path.write_text("time_s,Fp1,T4\n" + "\n".join(rows) + "\n")
    _sidecar(path)


def _parquet(path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    a, b = _samples(2).astype(float)
    parquet.write_table(pa.table({"Fp1": a, "T4": b}), path, row_group_size=300)
    _sidecar(path)


def _sidecar(path: Path) -> None:
    facts = {"units": "uV"} if path.suffix == ".csv" else {"units": "uV", "sfreq": 250}
    path.with_suffix(".json").write_text(json.dumps(facts))


def _bids(path: Path) -> None:
    _edf(path, "EDF+C")
    (path.parent / "sub-01_task-x_channels.tsv").write_text(
        "name\ttype\tunits\tstatus\nFp1\tEEG\tuV\tgood\nT4\tEEG\tuV\tbad\nResp\tRESP\tn/a\tgood\n"
    )
    (path.parent / "sub-01_task-x_events.tsv").write_text(
        "onset\tduration\ttrial_type\n1.0\t0.5\tseizure\n3\tn/a\tspike\n"
    )
    path.with_suffix(".json").write_text(json.dumps({"SamplingFrequency": 100, "TaskName": "x"}))


SEEDS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "edf": ("a.edf", lambda path: _edf(path, "EDF")),
    "edf+d": ("a.edf", _edf),
    "bdf+c": ("a.bdf", lambda path: _edf(path, "BDF+C", bdf=True)),
    "wfdb16": ("a.hea", _wfdb),
    "wfdb212": ("a.hea", _wfdb_212),
    "brainvision": ("a.vhdr", _brainvision),
    "eeglab": ("a.set", _eeglab),
    "eeglab-inside": ("a.set", lambda path: _eeglab(path, inside=True)),
    "fif": ("a_raw.fif", _fif),
    "dicom": ("a.dcm", _dicom),
    "ishne": ("a.ecg", _ishne),
    "csv": ("a.csv", _csv),
    "parquet": ("a.parquet", _parquet),
    "bids": ("sub-01_task-x_eeg.edf", _bids),
}
"""Main file and writer of each valid recording, by name."""


def write_seeds(folder: Path) -> dict[str, Path]:
    """Write every seed into a folder of its own; return the main file of each."""
    found = {}
    for name, (main, write) in SEEDS.items():
        (folder / name).mkdir(parents=True)
        found[name] = folder / name / main
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(found[name])
    return found
