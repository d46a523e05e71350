"""Starting the server: what is checked before, and how it is hardened."""

import socket

import pytest

from app.__main__ import main, options


def test_missing_run_is_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "absent")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "is not a run folder" in said and "rarewave score" in said


def test_taken_port_is_one_line(eeg_run, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main([str(eeg_run.path), "--port", str(taken.getsockname()[1])]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "--port" in said


@pytest.mark.parametrize("port", ["0", "70000", "-1"])
def test_impossible_port_is_refused(eeg_run, capsys, port):
    assert main([str(eeg_run.path), f"--port={port}"]) == 1
    assert "1 to 65535" in capsys.readouterr().err


def test_server_is_hardened_and_every_option_exists():
    from streamlit import config

    given = options("127.0.0.1", 8501)
    known = config.get_config_options()
    assert {name.replace("_", ".") for name in given} <= known.keys()
    assert given["server_address"] == "127.0.0.1"
    assert given["client_showErrorDetails"] == "none"
    assert given["browser_gatherUsageStats"] is False
    assert given["server_enableXsrfProtection"] is True
    assert "localhost" in given["server_allowedHosts"]
    assert options("0.0.0.0", 1)["server_allowedHosts"] == []
