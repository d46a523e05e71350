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


@pytest.mark.parametrize("name", ["../../etc", ".hidden", "a/b", "", "x" * 500])
def test_ids_are_safe_folder_names(name):
    safe = folder_safe(name)
    assert safe
    assert "/" not in safe
    assert not safe.startswith(".")
    assert len(safe) <= 120
