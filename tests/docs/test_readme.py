"""What the documents show is what the program does."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli.program import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)


def test_the_output_shown_is_the_one_committed():
    shown = [text for language, text in BLOCKS if not language]
    assert shown == [(ROOT / "docs/demo_output.txt").read_text("utf-8")]


@pytest.mark.parametrize(
    "page", ["README.md", *(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md"))]
)
def test_every_link_and_path_leads_somewhere(page):
    text = (ROOT / page).read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
    named = re.findall(r"`((?:benchmarks|docs|app|pipelines|flowcore)/[\w/.-]+)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_command_shown_has_the_options_shown():
    lines = [line for _, text in BLOCKS for line in text.splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith("rarewave ")]
    assert len(commands) >= 6
    for _, name, *words in commands:
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0
        for word in words:
            assert not word.startswith("--") or word in shown.output


@pytest.mark.slow
@pytest.mark.parametrize("code", [text for language, text in BLOCKS if language == "python"])
def test_the_python_shown_runs(code, monkeypatch):
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_the_table_of_decision_2_is_the_benchmark_s():
    text = (ROOT / "docs/decisions/0002-ecg-features.md").read_text("utf-8")
    summary = json.loads((ROOT / "benchmarks/results/ecg_interpatient.json").read_text())["summary"]
    keys = ("auroc", "ap", "per_record_auroc", "sensitivity_at_5_percent")
    for name in summary["population"]:
        cells = [
            " / ".join(f"{summary[setting][name][key]:.3f}" for key in keys) for setting in summary
        ]
        assert f"| {name} | " + " | ".join(cells) + " |" in text


def test_the_page_of_results_is_what_the_benchmarks_found():
    command = [sys.executable, str(ROOT / "benchmarks/report.py")]
    page = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs/results.md").read_text("utf-8") == page
