"""Every command of the tutorial and the README is run, in order, in a folder like a reader's."""

import contextlib
import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
SAMPLE = "eeg_absence_480s"


def blocks(page, language):
    text = (ROOT / page).read_text("utf-8")
    found = re.findall(r"```(\w*)\n(.*?)```", text, flags=re.DOTALL)
    return [content for name, content in found if name == language]


def commands(page):
    """Return ``(words, exit code)`` of each line that calls the program."""
    found = []
    for line in "".join(blocks(page, "sh")).splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["rarewave"]:
            found.append((words[1:], 1 if line.endswith("# exit code 1") else 0))
    return found


QUICK = blocks("docs/tutorial.md", "toml")[0]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with what the pages suppose to be there."""
    monkeypatch.chdir(tmp_path)
    Path("sample_data").mkdir()
    for path in ROOT.glob(f"sample_data/{SAMPLE}*"):
        shutil.copy(path, "sample_data")
    Path("quick.toml").write_text(QUICK)
    shutil.copy(f"sample_data/{SAMPLE}.edf", "night.edf")
    labels = Path(f"sample_data/{SAMPLE}_labels.csv").read_text()
    Path("labels.csv").write_text(labels.replace(SAMPLE, "night"))
    return tmp_path


def serve(words):
    """Run the dashboard until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pipelines.cli", *words, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            for _ in range(240):
                with contextlib.suppress(OSError):
                    url = f"http://127.0.0.1:{port}/_stcore/health"
                    assert urllib.request.urlopen(url, timeout=5).read() == b"ok"
                    return
                time.sleep(0.5)
            raise AssertionError("the dashboard did not answer")
        finally:
            child.terminate()


def run_all(page, capsys, *, whole):
    """Run the commands of a page; not `whole`: a small model, and no dashboard."""
    said = {}
    for words, code in commands(page):
        shown = " ".join(words)
        if words[0] == "dashboard":
            if whole:
                serve(words)
            continue
        if words[0] == "fit" and not whole and "--config" not in words:
            words = [*words, "--config", "quick.toml"]
        assert main(words) == code, (shown, capsys.readouterr().err)
        said[shown] = capsys.readouterr()
    return said


@pytest.mark.slow
def test_every_command_of_the_tutorial_runs(desk, capsys):
    said = run_all("docs/tutorial.md", capsys, whole=False)
    every = "audit calibrate deidentify evaluate export fit info score watch"
    assert sorted({words.split()[0] for words in said}) == every.split()
    [shown] = blocks("docs/tutorial.md", "")
    info = said[f"info sample_data/{SAMPLE}.edf"].out.replace(f"{desk}/", "")
    assert info.startswith(shown.rstrip("\n"))
    assert "9 patients" in next(v.err for k, v in said.items() if k.startswith("calibrate"))
    assert (
        "0 scored, 1 unchanged"
        in said[f"score models/quick sample_data/{SAMPLE}.edf --out runs/quick"].out
    )
    assert json.loads(Path("quick.json").read_text())
    live, plain = (RunFolder.open(f"runs/{name}").windows(SAMPLE) for name in ("live", "quick"))
    assert live.equals(plain)
    assert list(Path("report").glob("*.html")) and list(Path("copies").glob("*.edf"))


@pytest.mark.slow
def test_every_command_of_the_readme_runs(desk, capsys):
    said = run_all("README.md", capsys, whole=False)
    assert len(said) >= 5 and Path("night.json").is_file()


@pytest.mark.extensive
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_every_command_runs_as_it_is_shown(page, desk, capsys):
    assert run_all(page, capsys, whole=True)
