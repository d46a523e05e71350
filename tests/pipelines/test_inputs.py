from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.inputs import folder_safe, resolve_inputs


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_folder_lists_recordings_once_and_ignores_the_rest(tmp_path):
    for name in ("b.edf", "a.hea", "a.dat", "a.atr", "notes.txt", ".hidden.edf", "sub/c.bdf"):
        touch(tmp_path / name)
    found = resolve_inputs([tmp_path])
    assert [f.recording_id for f in found] == ["a", "b", "c"]
    assert all(f.path.is_absolute() and f.patient_id == f.recording_id for f in found)


def test_equal_stems_get_their_folder_in_front(tmp_path):
    touch(tmp_path / "p1/night.edf")
    touch(tmp_path / "p2/night.edf")
    touch(tmp_path / "p2/day.edf")
    ids = {f.recording_id for f in resolve_inputs([tmp_path])}
    assert ids == {"day", "p1_night", "p2_night"}


def test_a_file_named_twice_is_listed_once(tmp_path, monkeypatch):
    touch(tmp_path / "a.hea")
    touch(tmp_path / "a.dat")
    monkeypatch.chdir(tmp_path)
    found = resolve_inputs(["a", "a.dat", tmp_path / "a.hea", "*.hea"])
    assert [f.path.name for f in found] == ["a.hea"]


def test_manifest_paths_start_at_the_manifest_and_missing_files_stay(tmp_path):
    touch(tmp_path / "data/x.edf")
    manifest = tmp_path / "list.csv"
    manifest.write_text("path,recording_id,patient_id\ndata/x.edf,r1,p1\ndata/gone.edf,,\n")
    first, second = resolve_inputs([manifest])
    assert (first.recording_id, first.patient_id) == ("r1", "p1")
    assert first.path == tmp_path / "data/x.edf"
    assert (second.recording_id, second.patient_id) == ("gone", "gone")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\nx.edf\n", "no column 'path'"),
        ("path\n", "no rows"),
        ("path,recording_id\n,a\n", "empty path"),
        ("path,recording_id\na.edf,r\nb.edf,R\n", "each row of the manifest its own"),
        ("path,recording_id\na.edf,r\na.edf,s\n", "a.edf .* 'r' and with 's'; keep one"),
    ],
)
def test_malformed_manifest_is_refused_in_words(tmp_path, text, message):
    manifest = tmp_path / "list.csv"
    manifest.write_text(text)
    with pytest.raises(InputError, match=message):
        resolve_inputs([manifest])


def test_misspelled_file_names_the_nearest(tmp_path):
    touch(tmp_path / "night.edf")
    with pytest.raises(InputError, match=r"did you mean night\.edf"):
        resolve_inputs([tmp_path / "nihgt.edf"])


def test_an_argument_that_names_nothing_stops_no_other(tmp_path):
    touch(tmp_path / "x.edf")
    (tmp_path / "x.csv").write_text("II\n1\n")
    (tmp_path / "empty").mkdir()
    wrong = [tmp_path / name for name in ("x.csv", "nope.hea", "empty", "*.bdf")]
    found = resolve_inputs([*wrong, tmp_path / "x.edf"])
    assert [entry.path.name for entry in found] == ["x.csv", "nope.hea", "empty", "*.bdf", "x.edf"]
    assert found[-1].recording_id == "x" and found[-1].refused is None
    assert len({entry.recording_id for entry in found}) == 5
    reasons = ("no column 'path'", "there is no", "holds no recording", "no recording matches")
    for entry, argument, reason in zip(found, wrong, reasons, strict=False):
        with pytest.raises(InputError, match=reason):
            entry.open()
        with pytest.raises(InputError, match=reason):
            resolve_inputs([argument])
    with pytest.raises(InputError, match="no column 'path'"):
        resolve_inputs(wrong)


def test_a_table_that_only_a_manifest_declares_is_one_whatever_comes_first(tmp_path):
    (tmp_path / "t.csv").write_text("II\n1\n2\n")
    (tmp_path / "z.csv").write_text("path,sfreq,units\nt.csv,500,mV\n")
    for names in (("t.csv", "z.csv"), ("z.csv", "t.csv")):
        (entry,) = resolve_inputs([tmp_path / name for name in names])
        assert entry.open().channels[0].sfreq == 500.0


@pytest.mark.parametrize("name", ["../../etc", ".hidden", "a/b", "", "x" * 500])
def test_ids_are_safe_folder_names(name):
    safe = folder_safe(name)
    assert safe
    assert "/" not in safe
    assert not safe.startswith(".")
    assert len(safe) <= 120


def test_side_files_and_undeclared_tables_are_no_recordings(tmp_path):
    for name in (
        *("a.vhdr", "a.eeg", "a.vmrk", "b.set", "b.fdt", "c_raw.fif", "c_raw-1.fif", "d.dcm"),
        *("e_split-01_raw.fif", "e_split-02_raw.fif", "f.csv", "g.csv", "h.parquet"),
        *("x_labels.csv", "x.parquet", "x.tsv", "x.json", "night-2.fif"),
    ):
        touch(tmp_path / name)
    touch(tmp_path / "f.json")
    touch(tmp_path / "h.json")
    (tmp_path / "i.ecg").write_bytes(b"ISHNE1.0")
    (tmp_path / "j.ecg").write_bytes(b"an annotator")
    names = "a.vhdr b.set c_raw.fif d.dcm e_split-01_raw.fif f.csv h.parquet i.ecg night-2.fif"
    for argument in (tmp_path, tmp_path / "*"):
        found = [f.path.name for f in resolve_inputs([argument])]
        assert found == [*names.split(), "x.parquet"]  # x.json is the sidecar of x.parquet
    named = resolve_inputs([tmp_path / "a.eeg", tmp_path / "b.fdt", tmp_path / "c_raw-1.fif"])
    assert [f.path.name for f in named] == ["a.vhdr", "b.set", "c_raw-1.fif"]


def test_sample_data_holds_two_recordings_and_no_label_table():
    folder = Path(__file__).parents[2] / "sample_data"
    found = [f.path.name for f in resolve_inputs([folder])]
    assert found == ["ecg_ahadb_0201.hea", "eeg_absence_480s.edf"]
    with pytest.raises(InputError, match=r"no column 'path'.*time_s"):
        resolve_inputs([folder / "eeg_absence_480s_labels.csv"])


def test_a_csv_is_a_manifest_if_it_has_paths_and_else_a_table_that_is_declared(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("time_s,II [mV]\n0,1\n")
    assert resolve_inputs([table])[0].path == table
    table.write_text("II\n1\n")
    with pytest.raises(InputError, match=r"t\.json"):
        resolve_inputs([table])
    (tmp_path / "t.json").write_text("{}")
    assert resolve_inputs([table])[0].path == table
    table.write_text("Path,II\nx.edf,1\n")
    assert resolve_inputs([table])[0].path == tmp_path / "x.edf"


def test_a_manifest_declares_rate_and_unit_of_tables(tmp_path):
    (tmp_path / "t.csv").write_text("II\n1\n2\n")
    manifest = tmp_path / "list.csv"
    manifest.write_text("path,sfreq,units\nt.csv,500,mV\n")
    (entry,) = resolve_inputs([manifest])
    (channel,) = entry.open().channels
    assert (channel.sfreq, channel.unit) == (500.0, "V")
    for row, message in (
        ("t.csv,fast,mV", "line 2 declares 'nan' as sfreq"),
        ("t.csv,-5,mV", "'-5.0' as sfreq"),
        ("x.edf,250,", "which states its own"),
    ):
        manifest.write_text(f"path,sfreq,units\n{row}\n")
        with pytest.raises(InputError, match=message):
            resolve_inputs([manifest])
