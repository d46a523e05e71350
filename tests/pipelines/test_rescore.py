"""A confirmed baseline changes the scores of one recording and loses no decision."""

import shutil
from pathlib import Path

import pytest

from pipelines.batch import score_run
from pipelines.cli import main
from pipelines.errors import RunError
from pipelines.model import fit_model
from pipelines.model_folder import save_model
from pipelines.readers import read_recording
from pipelines.review.rescore import baseline_of, in_own_process, rescore
from pipelines.review.segments import under_review
from pipelines.run_folder import RunFolder
from pipelines.store import ReviewStore

SAMPLE = Path(__file__).parents[2] / "sample_data" / "ecg_ahadb_0201.hea"
NAME = "ecg_ahadb_0201"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rescore")
    model = fit_model([read_recording(SAMPLE)], "ecg", baseline=(0, 120))
    save_model(model, folder / "model")
    score_run(folder / "model", [SAMPLE], folder / "run")
    return folder


@pytest.fixture
def run(scored: Path, tmp_path: Path) -> RunFolder:
    shutil.copytree(scored / "run", tmp_path / "run")
    return RunFolder.open(tmp_path / "run")


@pytest.mark.slow
def test_scores_change_and_decisions_stay_attached(run, capsys):
    before = run.windows(NAME)
    flagged = run.segments(NAME)
    store = ReviewStore(run.reviews_path)
    for segment in flagged.iloc[:5].to_dict("records"):
        span = [segment["start_s"], segment["stop_s"]]
        store.record(NAME, segment["segment_id"], "accepted", "", "kim", span=span)
    steps = []
    in_own_process(run, NAME, (300.0, 600.0), lambda *step: steps.append(step))
    assert [done for _, done, total in steps] == [0, 1, 2, 3] and steps[-1][2] == 3
    assert baseline_of(run, NAME) == (300.0, 600.0)
    assert not before["score"].equals(run.windows(NAME)["score"])
    decisions = {d.segment_id: d for d in store.latest(NAME).values()}
    table = under_review(run.segments(NAME), run.windows(NAME), decisions, 2.0)
    assert set(flagged["segment_id"].iloc[:5]) <= set(table["segment_id"])
    assert run.manifest()["baseline"] is None  # that of the other recordings
    words = ["score", run.manifest()["model"]["path"], str(SAMPLE), "--out", str(run.path)]
    against = run.windows(NAME)
    assert main(words) == 0  # a plain call leaves what the reader had scored
    said = capsys.readouterr().out
    assert f"{NAME}: stays scored against 300:600 s, which a reader confirmed" in said
    assert "0 scored, 1 unchanged" in said and against.equals(run.windows(NAME))
    assert main([*words, "--no-resume"]) == 0
    assert "no longer scored against 300:600 s" in capsys.readouterr().err
    assert baseline_of(run, NAME) is None
    assert before["score"].equals(run.windows(NAME)["score"])
    rescore(run, NAME, (300.0, 600.0))
    rescore(run, NAME, None)
    assert baseline_of(run, NAME) is None
    assert before["score"].equals(run.windows(NAME)["score"])


@pytest.mark.slow
def test_what_cannot_be_scored_leaves_everything_as_it_was(run):
    before = run.segments(NAME)
    with pytest.raises(RunError, match="at least 30 are needed"):
        in_own_process(run, NAME, (0.0, 2.0), lambda *step: None)
    with pytest.raises(RunError, match=r"not in this run's run\.json"):
        rescore(run, "absent", (0.0, 60.0))
    assert run.segments(NAME).equals(before) and baseline_of(run, NAME) is None
