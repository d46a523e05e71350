import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.cli.options import parse_interval
from pipelines.cli.terminal import complain, plain, progress_on_stderr
from pipelines.errors import InputError

SAMPLE = Path(__file__).parents[2] / "sample_data"
COMMANDS = ("info", "fit", "score", "evaluate", "export", "dashboard", "demo")
# pydantic is not listed: typer itself imports it to show help
HEAVY = ("torch", "pandas", "numpy", "scipy", "sklearn", "mne", "wfdb", "flowcore")
PROBE = f"""
import sys
from pipelines.cli import main
assert main(sys.argv[1:]) == 0
print("LOADED", [name for name in {HEAVY} if name in sys.modules])
"""


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_nothing_heavy_and_gives_an_example(command):
    words = [*command.split(), "--help"]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words], capture_output=True, text=True, check=True
    )
    assert "LOADED []" in done.stdout
    if command:
        assert f"Example: rarewave {command}" in " ".join(done.stdout.split())


def test_without_arguments_help_is_shown(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)
    assert "Not a medical device" in " ".join(shown.split())


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("rarewave ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fti"], "No such command 'fti'"),
        (["fit"], "Missing"),
        (["fit", "x.edf", "--kind", "emg", "--out", "m"], "'emg' is not one of 'ecg', 'eeg'"),
        (["fit", "x.edf", "--kind", "eeg", "--out", "m"], "there is no x.edf"),
        (["fit", "x", "--kind", "eeg", "--out", "m", "--baseline", "9:3"], "START < STOP"),
        (["score", "m", "x.edf", "--out", "r"], "there is no x.edf"),
        (["score", "m", "x.edf", "--out", "r", "--workers", "0"], "--workers"),
        (["score", "m", "x.edf", "--out", "r", "--engine", "dask"], "'dask' is not one of"),
        (["evaluate", "r", "--json", "e.json"], "r is not a run folder"),
        (["export", "r", "--format", "csv", "--to", "d"], "r is not a run folder"),
        (["dashboard", "r"], "r is not a run folder"),
        (["info", "x.edf"], "there is no x.edf"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_1(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert err.startswith("rarewave: ")
    assert err.count("\n") == 1
    assert message in err
    assert not out
    assert not any(tmp_path.iterdir())


def test_score_refuses_what_is_no_model(capsys, tmp_path):
    words = ["score", str(tmp_path), str(SAMPLE / "eeg_absence_480s.edf"), "--out"]
    assert main([*words, str(tmp_path / "run")]) == 1
    assert "is not a model folder" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_info_of_several_recordings_as_json(capsys):
    assert main(["info", "--json", str(SAMPLE)]) == 0
    ecg, eeg = json.loads(capsys.readouterr().out)
    assert ecg["recording_id"] == "ecg_ahadb_0201"
    assert (ecg["duration_s"], ecg["annotations"]["beats"]) == (2100.0, 2278)
    assert ecg["annotations"]["kinds"] == {"N": 2164, "V": 114}
    assert [c["sfreq"] for c in ecg["channels"]] == [250.0, 250.0]
    assert eeg["format"] == "EDF+C"
    assert sum(c["type"] == "eeg" for c in eeg["channels"]) == 19
    assert eeg["gaps"] == []


def test_info_shows_gaps_and_escapes_what_a_file_says(edf, signal, write, capsys):
    channels = [signal(4, 200, label="EEG C3\x1b[2J")]
    starts = ["+0", "+1", "+10", "+11"]
    file = edf(channels, reserved="EDF+D", starts=starts, texts=[(0, "+0.5\x14seen \x1b]0;x\x14")])
    assert main(["info", str(write(file))]) == 0
    out = capsys.readouterr().out
    assert "2.00 to 10.00 s" in out
    assert "\x1b" not in out
    assert "seen" in out
    assert "Jane" not in out


def test_info_goes_on_after_a_bad_file(write, edf, signal, tmp_path, capsys):
    write(edf([signal(12, 200)]), "good.edf")
    (tmp_path / "bad.edf").write_bytes(b"")
    assert main(["info", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("good")
    assert err.startswith("rarewave: bad.edf")


def test_an_unexpected_error_is_one_line_without_its_text(monkeypatch, capsys):
    def fail(arguments):
        raise ValueError("Jane Doe, born 1970")

    monkeypatch.setattr("pipelines.inputs.resolve_inputs", fail)
    assert main(["info", "x.edf"]) == 1
    err = capsys.readouterr().err
    assert "unexpected ValueError at test_cli.py:" in err
    assert "this is a bug, run with --debug" in err
    assert err.count("\n") == 1
    assert "Jane" not in err
    assert main(["info", "x.edf", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_130_and_one_line(monkeypatch, capsys):
    def fail(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.inputs.resolve_inputs", fail)
    assert main(["info", "x.edf"]) == 130
    assert capsys.readouterr().err == "rarewave: interrupted\n"


def test_a_full_disk_is_said_in_words(monkeypatch, capsys):
    def fail(arguments):
        raise OSError(28, "No space left on device", "/a/b/run.json")

    monkeypatch.setattr("pipelines.inputs.resolve_inputs", fail)
    assert main(["info", "x.edf"]) == 1
    assert "No space left on device (run.json)" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m pipelines.cli info {SAMPLE} {SAMPLE}/*.edf | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["5", "a:b", "5:5", "6:5", "-1:5", "0:inf", "nan:5", "1:2:3", ":"])
def test_a_malformed_interval_is_refused(text):
    with pytest.raises(InputError, match="START:STOP"):
        parse_interval(text)


def test_an_interval_is_seconds():
    assert parse_interval("0:230.5") == (0.0, 230.5)
    assert parse_interval(None) is None


def test_messages_are_one_harmless_line(capsys):
    complain("a\nb\x1b[31m\x9b")
    assert capsys.readouterr().err == "rarewave: a b\\x1b[31m\\x9b\n"
    assert plain("Grüße µV") == "Grüße µV"


def test_progress_off_a_terminal_is_plain_lines_on_stderr(capsys):
    with progress_on_stderr() as show:
        for done in range(101):
            show("block 1", done, 100)
    out, err = capsys.readouterr()
    assert not out
    assert err.splitlines() == ["block 1: 0/100", "block 1: 100/100"]


CHILD = """#!/bin/bash
trap 'echo stopped >> {log}; exit 7' TERM
echo "$@" > {log}
for i in $(seq 200); do sleep 0.05; done
exit 3
"""
PARENT = """
import sys
sys.executable = sys.argv[1]
from pipelines.cli import main
sys.exit(main(sys.argv[2:]))
"""


def serve_through(tmp_path, child, *words):
    """Start the command with a program of ours where it would start Python."""
    program = tmp_path / "program"
    program.write_text(child)
    program.chmod(0o755)
    command = [sys.executable, "-c", PARENT, str(program), *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_the_dashboard_is_a_child_that_is_stopped_with_its_parent(tmp_path):
    log = tmp_path / "log"
    parent = serve_through(tmp_path, CHILD.format(log=log), "dashboard", "--port", "8777")
    for _ in range(400):
        if log.exists() and log.read_text():
            break
        time.sleep(0.05)
    parent.terminate()
    assert parent.communicate(timeout=20)[1] == ""
    assert parent.returncode == 7
    # -P: a folder called app in the working directory is not run instead of ours
    expected = ["-P -m app --port 8777 --host 127.0.0.1", "stopped"]
    assert log.read_text().splitlines() == expected


def test_the_exit_code_of_the_dashboard_is_passed_on(tmp_path):
    parent = serve_through(tmp_path, "#!/bin/bash\nexit 3\n", "dashboard")
    parent.communicate(timeout=20)
    assert parent.returncode == 3


def test_fit_leaves_a_bad_file_out_and_says_so(tmp_path, capsys):
    sample = Path(__file__).parents[2] / "sample_data/ecg_ahadb_0201.hea"
    bad, config, out = tmp_path / "junk.edf", tmp_path / "quick.toml", tmp_path / "m"
    bad.write_text("junk", "utf-8")
    config.write_text("[flow]\nmax_steps = 20\nn_blocks = 1\nhidden = 8\nrefine = false\n", "utf-8")
    words = ["fit", str(sample), str(bad), "--kind", "ecg", "--baseline", "0:300"]
    assert main([*words, "--config", str(config), "--out", str(out)]) == 2
    assert "left out junk: junk.edf ends within its header" in capsys.readouterr().err
    assert (out / "card.md").is_file()
