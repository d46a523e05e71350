"""``python -m app [RUN]``: serve the dashboard of a run on this computer.

The server listens on the loopback address, reports nothing to anybody, shows no stack traces to
visitors and looks the same whatever the working directory's Streamlit settings are.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import RarewaveError, RunError

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_THEME = {
    "primaryColor": "#265c8e",
    "baseRadius": "small",
    "buttonRadius": "small",
    "showWidgetBorder": True,
    "baseFontSize": 15,
    "headingFontWeights": [650, 600, 600],
    "light_backgroundColor": "#ffffff",
    "light_secondaryBackgroundColor": "#f4f6f8",
    "light_textColor": "#1f2933",
    "light_borderColor": "#d9dfe5",
    "dark_primaryColor": "#5b9bd5",
    "dark_backgroundColor": "#14191f",
    "dark_secondaryBackgroundColor": "#1c232b",
    "dark_textColor": "#e4eaf0",
    "dark_borderColor": "#34404c",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the server and serve until interrupted; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="Serve the review dashboard. Research use only. Not a medical device.",
    )
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="a run folder, or a folder of run folders (default: ./runs)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8501)
    given = parser.parse_args(arguments)
    try:
        run = _checked_run(given.run)
        _check_port(given.host, given.port)
    except RarewaveError as error:
        print(f"rarewave: {error}", file=sys.stderr)  # noqa: T201
        return 1
    _serve(run, given.host, given.port)
    return 0


def _checked_run(run: str | None) -> Path | None:
    """Return the folder to serve, or say that it holds no run."""
    if run is None:
        return None
    path = Path(run).resolve()
    if not any(next(path.glob(p), None) for p in ("run.json", "*/run.json", "*/*/run.json")):
        raise RunError(
            f"{run} is not a run folder (no run.json); make one with "
            "'rarewave score MODEL INPUT --out RUN'"
        )
    return path


def _check_port(host: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise RunError(f"port {port} is out of range; give --port a number from 1 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RunError(
                f"cannot listen on {host} port {port} ({error.strerror or error}); "
                "choose another with --port"
            ) from error


def options(host: str, port: int) -> dict[str, Any]:
    """Return the settings of the server: they win over any configuration file."""
    hosts = ("localhost", "127.0.0.1", "[::1]", "::1") if host in _LOOPBACK else ()
    return {
        "server_address": host,
        "server_port": port,
        "server_headless": True,
        "server_allowedHosts": list(hosts),
        "server_enableXsrfProtection": True,
        "server_enableCORS": True,
        "server_fileWatcherType": "none",
        "server_runOnSave": False,
        "server_maxUploadSize": 1,
        "server_enableStaticServing": False,
        # Above every message: what the server takes for kept, a browser may have dropped ("Cached
        # ForwardMsg MISS"), and then it stands still until it is connected anew.
        "global_minCachedMessageSize": 1e15,
        "browser_gatherUsageStats": False,
        "client_showErrorDetails": "none",
        "client_toolbarMode": "minimal",
        "runner_magicEnabled": False,
        "logger_hideWelcomeMessage": True,
        "logger_level": "warning",
        **{f"theme_{name}": value for name, value in _THEME.items()},
    }


def _serve(run: Path | None, host: str, port: int) -> None:
    from streamlit.web import bootstrap

    from app import RUN_VARIABLE, streamlit_app_path

    if run is None:
        os.environ.pop(RUN_VARIABLE, None)
    else:
        os.environ[RUN_VARIABLE] = str(run)
    threading.Thread(target=_announce, args=(host, port), daemon=True).start()
    flags = options(host, port)
    bootstrap.load_config_options(flags)
    bootstrap.run(str(streamlit_app_path()), False, [], flags)


def _announce(host: str, port: int, patience_s: float = 60.0) -> None:
    """Print the address once the server answers there."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # nosec B104
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            socket.create_connection((reachable, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
            continue
        shown = f"[{host}]" if ":" in host else host
        print(f"Rarewave dashboard: http://{shown}:{port}", flush=True)  # noqa: T201
        return


if __name__ == "__main__":
    sys.exit(main())
