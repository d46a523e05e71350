"""The ``rarewave`` program: its commands, and how every failure ends in one line."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from pipelines.cli import (
    audit,
    calibrate,
    dashboard,
    deidentify,
    demo,
    evaluate,
    export,
    fit,
    info,
    score,
    watch,
)
from pipelines.cli.terminal import complain
from pipelines.errors import describe_error

INTERRUPTED, TERMINATED = 130, 143
_NOTICE = "Research use only. Not a medical device."

app = typer.Typer(
    name="rarewave",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find the segments of EEG and ECG recordings that do not fit what is usual in them.",
    epilog=f"Exit code: 0 all done, 2 some recordings set aside, 1 nothing done. {_NOTICE}",
)
for module in (info, fit, calibrate, score, watch, evaluate, export, dashboard, deidentify, demo):
    app.command(module.__name__.rpartition(".")[2], epilog=module.EXAMPLE)(module.command)
app.add_typer(audit.app, name="audit")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"rarewave {version('rarewave')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; goes anywhere.")
    ] = False,
) -> None:
    del version, debug  # handled by the callback above and by main


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; by default those of the process.

    Returns
    -------
    int
        0: all done; 2: finished, some recordings quarantined; 1: nothing could be done, said in
        one line on stderr; 130 and 143: interrupted and terminated.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    signal.signal(signal.SIGTERM, _terminate)
    if not debug:
        warnings.simplefilter("ignore")
    try:
        result = app(words or ["--help"], prog_name="rarewave", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        result = INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        complain(_explain(error))
        return 1
    if result == INTERRUPTED:  # typer makes an exit code of the interrupt
        complain("interrupted")
    return result if isinstance(result, int) else 0


def _terminate(signum: int, frame: object) -> None:
    """Leave by an exception, so that half-written parts are removed on the way out."""
    raise SystemExit(TERMINATED)


def _explain(error: Exception) -> str:
    """Return what went wrong; of an unexpected error never its text, which may quote a file."""
    usage = getattr(error, "format_message", None)  # typer's own: a wrong option or argument
    if usage is not None:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "rarewave"
        words = usage().replace("Value error, ", "").rstrip(".")
        return f"{words}. See '{command} --help'."
    text = describe_error(error)
    return text.replace("please report it", "run with --debug for the traceback")
