from pathlib import Path

import pytest

from pipelines.errors import SignalError
from pipelines.recording import Channel, Piece
from pipelines.signals.channel_choice import choose_channels, common_channels


class Named:
    """What choosing looks at: names, kinds, rates and a duration."""

    path = Path("x.edf")
    duration_s = 60.0
    pieces = (Piece(0.0, 60.0, 0.0),)

    def __init__(self, names, kind="ecg", sfreq=250.0):
        self.channels = tuple(Channel(name, name, kind, sfreq) for name in names)

    def of_kind(self, kind):
        return tuple(c for c in self.channels if c.kind == kind)


TWELVE = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]


@pytest.mark.parametrize(
    ("names", "wanted", "chosen"),
    [
        (["ECG", "ECG-2", "ECG-3"], [], ["ECG", "ECG-2"]),
        (["V5", "MLII"], [], ["MLII", "V5"]),
        (TWELVE, [], ["II", "V1"]),
        (["V1"], [], ["V1"]),
        (["V5", "MLII"], ["MLII", "V5"], ["MLII", "V5"]),
        (["V5", "MLII"], ["V5", "MLII"], ["V5", "MLII"]),
        (TWELVE, ["MLII", "V5"], ["II", "V5"]),
        (TWELVE, ["V4"], ["V4"]),
        (["MLII", "V2"], ["MLII", "V1"], ["MLII", "V2"]),
        (["ECG", "ECG-2"], ["MLII", "V1"], ["ECG", "ECG-2"]),
        (["V5", "V2"], ["", "V1"], ["V2", "V5"]),
        (["MLII", "V2"], ["ECG"], ["MLII"]),
    ],
)
def test_leads_are_picked_by_name_then_by_group(names, wanted, chosen):
    assert [c.name for c in choose_channels(Named(names), "ecg", wanted)] == chosen


@pytest.mark.parametrize(
    ("names", "wanted", "message"),
    [
        (["V1"], ["MLII", "V5"], r"1 ECG lead\(s\) \(V1\), the model looks at 2 \(MLII, V5\)"),
        (["V5", "V2"], ["MLII", "V5"], "leads V5, V2, none like each of the model's"),
    ],
)
def test_leads_unlike_the_models_are_refused(names, wanted, message):
    with pytest.raises(SignalError, match=message):
        choose_channels(Named(names), "ecg", wanted)


def test_half_of_the_models_eeg_channels_are_enough_and_less_is_refused():
    wanted = ["Fp1", "Fp2", "C3", "C4", "O1", "O2"]
    chosen = choose_channels(Named(["O1", "Cz", "C3", "Fp2"], "eeg"), "eeg", wanted)
    assert [c.name for c in chosen] == ["O1", "C3", "Fp2"]
    with pytest.raises(SignalError, match="2 of the model's 6 EEG channels"):
        choose_channels(Named(["O1", "C3", "Pz", "Fz"], "eeg"), "eeg", wanted)


def test_marks_beside_electrodes_are_left_out_but_unnamed_channels_are_kept():
    labels = ["Fp1", "C3-M2", "T3", "EEG Mark1", "EEG 12"]
    found = choose_channels(Named(labels, "eeg"), "eeg")
    assert [c.name for c in found] == labels[:3]
    for unnamed in (["EEG 1", "EEG 2", "Cz"], ["EEG"]):
        assert [c.name for c in choose_channels(Named(unnamed, "eeg"), "eeg")] == unnamed


def test_recordings_to_fit_on_share_channels_and_groups_of_leads():
    two = [Named(["MLII", "V1"]), Named(["V5", "MLII"])]
    assert common_channels(two, "ecg") == ("MLII", "V1")
    assert common_channels([*two, Named(["V5", "V2"])], "ecg") == ("", "V1")
    odd = Named(["V5"])
    odd.path = Path("odd.hea")
    with pytest.raises(
        SignalError, match=r"different numbers of leads.*: odd\.hea 1, the other 2 "
    ):
        common_channels([odd, *two], "ecg")
    montages = [Named(["C3", "C4", "O1"], "eeg"), Named(["C4", "C3"], "eeg")]
    assert common_channels(montages, "eeg") == ("C3", "C4")
    with pytest.raises(SignalError, match="1 EEG channels in common of up to 3"):
        common_channels([montages[0], Named(["C4", "T7"], "eeg")], "eeg")


def test_too_slow_or_short_a_recording_is_refused():
    with pytest.raises(SignalError, match="sampled at 80 Hz; at least 100"):
        choose_channels(Named(["II"], sfreq=80.0), "ecg")
