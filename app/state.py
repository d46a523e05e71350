"""What one user is looking at: the only place that touches session state and the address.

A session belongs to one browser tab; nothing here is shared between users. The address carries
what a link should reopen: the run, the recording and the segment.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import streamlit as st

from app.montage import Montage
from app.review_queue import Order

Parameter = Literal["run", "recording", "segment", "t"]
REVIEWER, ORDER, MOVE_ON = "rw_reviewer", "rw_order", "rw_move_on"
PAGE_S, GAIN, HIGH_PASS, LOW_PASS, MONTAGE = (
    "rw_page_s",
    "rw_gain",
    "rw_high_pass",
    "rw_low_pass",
    "rw_montage",
)
KEYS, SELECTED, FILTER = "rw_keys", "rw_selected", "rw_filter"
SCOPE = "rw_scope"
_SWITCHED = "rw_switched_"
Switch = Literal["whole_group", "move_on"]
NEAREST = "rw_nearest"
WORK_STATES, WORK_READER = "rw_work_states", "rw_work_reader"
_HANDLED, _SEEN, _SAID, _THRESHOLD = "rw_handled", "rw_seen", "rw_said", "rw_threshold"
_SHOWN = "rw_shown"
_CURRENT, _WRITTEN, _ASKED = "rw_current", "rw_written", "rw_asked"
_RUN, _START, _EXPORTED = "rw_run", "rw_page_start", "rw_exported"
OVERVIEW, TRACES = "rw_overview", "rw_traces"
RECORDING_TABLE, SEGMENT_TABLE = "rw_recordings", "rw_segments"


@dataclass(frozen=True)
class Exported:
    """The last export of this session, ready to download."""

    name: str
    content: bytes
    folder: str
    n_files: int


def address(parameter: Parameter) -> str | None:
    """Return a parameter of the page's address, or None."""
    value = st.query_params.get(parameter)
    return value or None


def set_address(**parameters: str | None) -> None:
    """Change parameters of the page's address; None removes one."""
    for name, value in parameters.items():
        if value is None:
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != value:
            st.query_params[name] = value


def current(recording_id: str) -> str | None:
    """Return the segment that is being looked at, or None if none was chosen yet.

    The session holds it, not the address: what the browser sends with a key press carries the
    address of a moment ago, before the press before it moved on. When a person goes back by the
    browser, that comes as a press of its own (:data:`app.keyboard.GO_TO`).
    """
    held = st.session_state.get(_CURRENT)
    return held[1] if held and held[0] == recording_id else address("segment")


def set_current(recording_id: str, segment_id: str | None) -> None:
    """Look at a segment; None lets the page choose."""
    st.session_state[_CURRENT] = (recording_id, segment_id)


def show_in_address(recording_id: str, segment_id: str | None) -> None:
    """Write the segment into the address once, for a link to it and for the browser's Back."""
    if st.session_state.get(_WRITTEN) != (recording_id, segment_id):
        st.session_state[_WRITTEN] = (recording_id, segment_id)
        set_address(segment=segment_id)


def asked() -> list[Callable[[], None]]:
    """Return the list, kept for the session, of what buttons have asked for."""
    return cast("list[Callable[[], None]]", st.session_state.setdefault(_ASKED, []))


def keep(key: str, default: Any) -> None:
    """Give a widget its first value, and keep its value while other pages are shown.

    A widget that has a value is not written to: the browser would put the value of a moment ago in
    place of what was typed since.
    """
    kept = f"{key}_kept"
    if key not in st.session_state:
        st.session_state[key] = st.session_state.get(kept, default)
    st.session_state[kept] = st.session_state[key]


def keep_choice(key: str, default: Any, accepted: tuple[Any, ...]) -> None:
    """Like :func:`keep`, but fall back to the default if the choice is not offered here."""
    keep(key, default)
    if st.session_state[key] not in accepted:
        put(key, default)


def reviewer() -> str:
    """Return the name under which decisions are stored; empty if it was cleared.

    Where the server has a sign-in, it is the name that was signed in with.
    """
    name = signed_in()
    if name is not None:
        return name
    return str(st.session_state.get(REVIEWER, system_user())).strip()


def _has_sign_in() -> bool:
    """Return True if an OpenID provider is set up in the server's secrets."""
    try:
        return "auth" in st.secrets
    except (FileNotFoundError, KeyError):
        return False


def must_sign_in() -> bool:
    """Return True if there is a sign-in and nobody has used it in this session."""
    return _has_sign_in() and not st.user.get("is_logged_in", False)


def signed_in() -> str | None:
    """Return who signed in (e-mail, else name, else subject), or None without a sign-in."""
    if not _has_sign_in() or not st.user.get("is_logged_in", False):
        return None
    found = st.user.get("email") or st.user.get("name") or st.user.get("sub")
    return str(found)[:100] if found else None


def system_user() -> str:
    """Return the name of the account the server runs under, or an empty string."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def order() -> Order:
    """Return the order of the queue."""
    return cast(Order, st.session_state.get(ORDER, "time"))


def page_seconds() -> float:
    """Return the length of the page of signal."""
    return float(st.session_state.get(PAGE_S, 10))


def chosen(key: str) -> Any:
    """Return the value of a widget by its key, or None."""
    return st.session_state.get(key)


def montage() -> Montage:
    """Return the chosen EEG montage."""
    return cast(Montage, st.session_state.get(MONTAGE, "recorded"))


def page_start(recording_id: str) -> float | None:
    """Return where the reader has moved the page of signal, or None to follow the segment."""
    place = st.session_state.get(_START)
    return place[1] if place and place[0] == recording_id else None


def set_page_start(recording_id: str, start_s: float | None) -> None:
    """Move the page of signal; None lets it follow the segment again."""
    st.session_state[_START] = None if start_s is None else (recording_id, start_s)


def put(key: str, value: Any) -> None:
    """Set the value of a widget before it is drawn, where it has another."""
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value


def new_keys() -> list[str]:
    """Return the keys pressed that were not yet dealt with, in order, and take them as dealt with.

    The browser sends a press again until it hears that it was dealt with, so numbers are compared.
    """
    value = st.session_state.get(KEYS)
    pressed = getattr(value, "pressed", None) or []
    last = handled_keys()
    fresh = [(int(number), str(key)) for number, key in pressed if int(number) > last]
    if fresh:
        st.session_state[_HANDLED] = fresh[-1][0]
    return [key for _, key in fresh]


def handled_keys() -> int:
    """Return the number of the last key press that was dealt with."""
    return int(st.session_state.get(_HANDLED, 0))


def selection(recording_id: str) -> tuple[float, float] | None:
    """Return the stretch that was last dragged over in this recording, in seconds, or None."""
    place = st.session_state.get(SELECTED)
    return place[1] if place and place[0] == recording_id else None


def baseline_keys(recording_id: str) -> tuple[str, str]:
    """Return the keys of the two numbers that bound a baseline: new ones after each selection."""
    name = f"{recording_id}_{selection(recording_id)}"
    return f"rw_baseline_start_{name}", f"rw_baseline_stop_{name}"


def set_selection(recording_id: str, span: tuple[float, float] | None) -> None:
    """Keep the stretch that was dragged over."""
    st.session_state[SELECTED] = None if span is None else (recording_id, span)


def measured() -> Mapping[str, float] | None:
    """Return what was dragged over in this run of the script."""
    value = st.session_state.get(TRACES)
    return cast("Mapping[str, float] | None", getattr(value, "measured", None))


def turned() -> Mapping[str, float] | None:
    """Return how the wheel was turned over the signal in this run of the script."""
    value = st.session_state.get(TRACES)
    return cast("Mapping[str, float] | None", getattr(value, "turned", None))


def shown_start(recording_id: str) -> float:
    """Return where the page of signal that is being shown begins, in seconds."""
    place = st.session_state.get(_SHOWN)
    return float(place[1]) if place and place[0] == recording_id else 0.0


def shown_gain() -> float:
    """Return the gain that is being shown."""
    return float(st.session_state.get(_SHOWN, ("", 0.0, 10.0))[2])


def set_shown(recording_id: str, start_s: float, gain: float) -> None:
    """Note what is being shown, for keys that change it."""
    st.session_state[_SHOWN] = (recording_id, start_s, gain)


def is_on(switch: Switch) -> bool:
    """Return True if a switch is on: decide for the whole group, move on after a decision.

    No widget holds this: a widget's value that is still on its way from the browser would undo
    what a key press has just set.
    """
    return bool(st.session_state.get(_SWITCHED + switch, False))


def turn(switch: Switch, on: bool) -> None:
    """Turn a switch on or off."""
    st.session_state[_SWITCHED + switch] = on


def seen(recording_id: str) -> int:
    """Return the number of the last event of the log that this screen has shown."""
    return int(st.session_state.get(_SEEN, {}).get(recording_id, 0))


def set_seen(recording_id: str, number: int) -> None:
    """Note the last event that is being shown."""
    st.session_state[_SEEN] = {recording_id: number}


def say(words: str) -> None:
    """Keep a line to be shown once, on the next drawing. It may hold untrusted text."""
    st.session_state[_SAID] = words


def said() -> str | None:
    """Return the line to show, once."""
    return cast("str | None", st.session_state.pop(_SAID, None))


def threshold(recording_id: str) -> float | None:
    """Return the threshold chosen for a recording in this session; None: that of the run."""
    return cast("float | None", st.session_state.get(_THRESHOLD, {}).get(recording_id))


def set_threshold(recording_id: str, threshold: float | None) -> None:
    """Choose a threshold for a recording."""
    known = {**st.session_state.get(_THRESHOLD, {})}
    known[recording_id] = threshold
    st.session_state[_THRESHOLD] = known


def comment_key(segment_id: str) -> str:
    """Return the key of the comment box of one segment."""
    return f"rw_comment_{segment_id}"


def set_comment(segment_id: str, comment: str) -> None:
    """Put text into the comment box of one segment before it is drawn."""
    st.session_state[comment_key(segment_id)] = comment


def clicked() -> Mapping[str, float] | None:
    """Return where the overview was clicked in this run of the script."""
    value = st.session_state.get(OVERVIEW)
    return cast("Mapping[str, float] | None", getattr(value, "clicked", None))


def selected_row(key: str) -> int | None:
    """Return the row that was clicked in a table, or None."""
    selection = getattr(st.session_state.get(key), "selection", None)
    if not selection:
        return None
    if selection.get("cells"):
        return int(selection["cells"][0][0])
    return int(selection["rows"][0]) if selection.get("rows") else None


def run_name() -> str | None:
    """Return the name of the run that this session looks at."""
    return address("run") or cast("str | None", st.session_state.get(_RUN))


def set_run(name: str | None) -> None:
    """Choose a run; what was shown of another one is forgotten."""
    if st.session_state.get(_RUN) not in (None, name):
        st.session_state.pop(_START, None)
        st.session_state.pop(_EXPORTED, None)
        st.session_state.pop(_THRESHOLD, None)
    st.session_state[_RUN] = name


def set_exported(exported: Exported | None) -> None:
    """Keep the last export for the download button."""
    st.session_state[_EXPORTED] = exported


def exported() -> Exported | None:
    """Return the last export of this session."""
    return cast("Exported | None", st.session_state.get(_EXPORTED))
