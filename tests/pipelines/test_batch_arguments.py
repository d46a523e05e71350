"""Arguments that name nothing usable, beside others that do: through the whole command."""

import json

import pytest

from pipelines.cli import main
from pipelines.run_folder import RunFolder
from pipelines.store import ReviewStore

pytestmark = pytest.mark.slow


def test_score_sets_aside_what_is_missing_or_undeclared(tiny_model, tmp_path, write_eeg, capsys):
    good = write_eeg(tmp_path / "good.edf", 40)
    (tmp_path / "t.csv").write_text("II\n1\n")
    wrong = [str(tmp_path / "goood.edf"), str(tmp_path / "t.csv")]
    run = tmp_path / "run"
    assert main(["score", str(tiny_model), *wrong, str(good), "--out", str(run)]) == 2
    out, err = capsys.readouterr()
    assert "1 scored, 0 unchanged, 2 quarantined" in out
    assert "quarantined goood: there is no" in err and "did you mean good.edf?" in err
    assert "quarantined t: t.csv has no column 'path'" in err
    states = {line["recording_id"]: line["state"] for line in RunFolder.open(run).status()}
    assert states == {"goood": "quarantined", "t": "quarantined", "good": "done"}
    assert main(["score", str(tiny_model), *wrong, "--out", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("rarewave: there is no")
    assert not (tmp_path / "none").exists()


def test_info_and_fit_go_on_without_what_is_missing(tmp_path, write_eeg, capsys):
    words = [str(tmp_path / "goood.edf"), str(write_eeg(tmp_path / "good.edf", 400))]
    assert main(["info", "--json", *words]) == 2
    out, err = capsys.readouterr()
    assert [facts["recording_id"] for facts in json.loads(out)] == ["good"]
    assert err.startswith("rarewave: there is no") and err.count("\n") == 1
    assert main(["fit", *words, "--kind", "eeg", "--out", str(tmp_path / "m"), "--seed", "1"]) == 2
    assert "left out goood: there is no" in capsys.readouterr().err


def test_a_run_holds_an_empty_review_log_that_scoring_leaves_alone(tiny_model, tmp_path, write_eeg):
    words = ["score", str(tiny_model), str(write_eeg(tmp_path / "a.edf", 40))]
    run = tmp_path / "run"
    words += ["--out", str(run)]
    assert main(words) == 0
    path = run / "reviews.sqlite"
    store = ReviewStore(path)
    assert path.is_file() and store.head().n_entries == 0 == store.verify().n_entries
    assert sorted(p.name for p in run.glob("reviews*")) == ["reviews.sqlite"]
    before = path.stat().st_mtime_ns, path.read_bytes()
    assert main([*words, "--no-resume"]) == 0
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    path.unlink()  # a run of an earlier version, in which nobody decided anything yet
    assert main(words) == 0
    assert path.is_file()
    store.record("a", "a@1.000", "accepted", "", "kim")
    before = path.read_bytes()
    assert main([*words, "--no-resume"]) == 0
    assert path.read_bytes() == before
    assert len(store.events()) == 1
