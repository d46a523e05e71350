"""A recording in another format goes through the command line with the same outcome."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.cli import main
from pipelines.readers import read_recording

SAMPLE = Path(__file__).parents[2] / "sample_data" / "eeg_absence_480s.edf"


def samples(recording, channels):
    return recording.read([c.name for c in channels], recording.pieces[0])


def as_brainvision(folder):
    """Write the EEG of the sample recording as BrainVision of 0.01 uV a step."""
    source = read_recording(SAMPLE)
    channels = source.of_kind("eeg")
    steps = np.round(samples(source, channels) / 1e-8)
    (folder / "e.eeg").write_bytes(steps.T.astype("<i4").tobytes())
    text = "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile=e.eeg\n"
    text += f"DataFormat=BINARY\nDataOrientation=MULTIPLEXED\nNumberOfChannels={len(channels)}\n"
    text += f"SamplingInterval={1e6 / channels[0].sfreq:g}\n[Binary Infos]\nBinaryFormat=INT_32\n"
    text += "[Channel Infos]\n"
    text += "".join(f"Ch{i}={c.label},,0.01,uV\n" for i, c in enumerate(channels, start=1))
    (folder / "e.vhdr").write_text(text)
    return folder / "e.vhdr"


def as_csv(folder):
    """Write the same as CSV in microvolts, its rate declared by a manifest."""
    source = read_recording(SAMPLE)
    channels = source.of_kind("eeg")
    table = pd.DataFrame(samples(source, channels).T * 1e6, columns=[c.label for c in channels])
    table.to_csv(folder / "e.csv", index=False, float_format="%.4f")
    (folder / "list.csv").write_text("path,sfreq,units\ne.csv,200,uV\n")
    return folder / "list.csv"


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_settings):
    """A model fitted on the BrainVision copy, and that copy."""
    folder = tmp_path_factory.mktemp("brainvision")
    copy = as_brainvision(folder)
    options = ["--baseline", "0:230", "--config", str(tiny_settings), "--device", "cpu"]
    assert main(["fit", str(copy), "--kind", "eeg", *options, "--out", str(folder / "m")]) == 0
    return folder / "m", copy


def scores(model, source, run):
    assert main(["score", str(model), str(source), "--out", str(run), "--device", "cpu"]) == 0
    (table,) = run.glob("recordings/*/windows.parquet")
    return pd.read_parquet(table)


@pytest.mark.slow
def test_scores_do_not_depend_on_the_format(model, tmp_path, capsys):
    found = {
        name: scores(model[0], source, tmp_path / name)
        for name, source in (("edf", SAMPLE), ("vhdr", model[1]), ("csv", as_csv(tmp_path)))
    }
    due = found.pop("edf")
    assert len(due) == 479
    later = due["start_s"] >= 230  # windows before are rows of the model for one of the formats
    for table in found.values():
        np.testing.assert_array_equal(table["start_s"], due["start_s"])
        np.testing.assert_allclose(table["log_prob"], due["log_prob"], rtol=2e-3, atol=0.02)
        np.testing.assert_allclose(table["score"][later], due["score"][later], atol=0.02)
        np.testing.assert_array_equal(table["flagged"], due["flagged"])
    capsys.readouterr()
    words = ["export", str(tmp_path / "csv"), "--format", "edf", "--to", str(tmp_path / "out")]
    assert main(words) == 0  # the rate that the manifest declared is known to the run
    manifest = tmp_path / "list.csv"
    score = ["score", str(model[0]), str(manifest), "--out", str(tmp_path / "csv")]
    assert main([*score, "--device", "cpu"]) == 0
    assert "0 scored, 1 unchanged" in capsys.readouterr().out
    manifest.write_text("path,sfreq,units\ne.csv,200,mV\n")
    assert main([*score, "--device", "cpu"]) == 0
    assert "1 scored, 0 unchanged" in capsys.readouterr().out


def test_info_of_every_format_is_json(model, tmp_path, capsys):
    assert main(["info", str(model[1]), str(as_csv(tmp_path)), str(SAMPLE), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [fact["format"] for fact in facts] == ["BrainVision", "CSV", "EDF+C"]
    names = [[c["name"] for c in fact["channels"]][:19] for fact in facts]
    assert names[0] == names[1] == names[2]
