"""What was asked for by key or button and is not done yet: each is done once, in order, whole.

Streamlit ends a run of the script when the next interaction arrives, by an exception that any use
of session state or any drawing may raise; also inside callbacks, whose press is then lost. So a
button's callback only notes what was asked for, in a list that it holds already, a key stays in
the browser's list until it was dealt with, and the work is done where the next run begins, in a
thread that Streamlit does not interrupt.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from app import commands, keyboard, state
from pipelines.run_folder import RunFolder

_P = ParamSpec("_P")
_T = TypeVar("_T")


def later(action: Callable[_P, None], *args: _P.args, **kwargs: _P.kwargs) -> Callable[[], None]:
    """Return a callback that asks for an action; :func:`catch_up` does it."""
    asked = state.asked()
    return lambda: asked.append(lambda: action(*args, **kwargs))


def catch_up(run: RunFolder, recording_id: str) -> None:
    """Do what buttons and keys have asked for since the last time."""
    whole(lambda: _catch_up(run, recording_id))


def whole(action: Callable[[], _T]) -> _T:
    """Run an action to its end, whatever else arrives; it may draw and use session state.

    Not for callbacks: Streamlit locks session state to their thread.
    """
    context = get_script_run_ctx(suppress_warning=True)

    def join() -> None:
        add_script_run_ctx(threading.current_thread(), context)

    with ThreadPoolExecutor(1, initializer=join) as thread:
        return thread.submit(contextvars.copy_context().run, action).result()


def _catch_up(run: RunFolder, recording_id: str) -> None:
    asked = state.asked()
    while asked:
        asked.pop(0)()
    for key in state.new_keys():
        if key.startswith(keyboard.GO_TO):
            commands.go_back_to(recording_id, key.removeprefix(keyboard.GO_TO))
            continue
        number = keyboard.label_number(key)
        if number is not None:
            commands.label(run, recording_id, number)
            continue
        command = keyboard.command_of(key)
        if command is not None:
            commands.perform(run, recording_id, command)
