"""Tools of a whole recording: sensitivity, confirmed baseline, sign-off."""

from __future__ import annotations

import streamlit as st

from app import commands, markup, messages, services, state
from app.place import Place
from app.pressing import later
from pipelines.errors import RarewaveError


def draw(place: Place) -> None:
    """Draw the popovers above the signal."""
    with st.popover("Sensitivity", icon=":material/tune:"):
        _sensitivity(place)
    with st.popover("Baseline", icon=":material/person_check:"):
        _baseline(place)
    with st.popover("Sign off", icon=":material/draw:"):
        _sign_off(place)


def _sensitivity(place: Place) -> None:
    """Offer thresholds by what they flag in this recording; decided segments stay."""
    offered = services.sensitivities(place.run, place.recording_id)
    if len(offered) < 2:
        st.caption("Nothing to choose: too few windows could be scored.")
        return
    own = services.threshold(place.run)
    now = state.threshold(place.recording_id)
    by_value = {value: (rate, n) for value, rate, n in offered}
    values = sorted(by_value, reverse=True)
    wanted = own if now is None else now
    chosen = min(values, key=lambda v: abs(v - (wanted if wanted is not None else v)))
    key = f"rw_sensitivity_{place.recording_id}"
    state.put(key, chosen)
    st.select_slider(
        "Flagged events per hour of this recording",
        values,
        key=key,
        format_func=lambda v: f"{by_value[v][0]:.3g} per hour",
        on_change=lambda: state.set_threshold(place.recording_id, state.chosen(key)),
    )
    rate, n = by_value[chosen]
    same = own is not None and chosen == own
    st.caption(
        f"{n:,} segments, {rate:.3g} an hour; score above {chosen:.3g}"
        + (", the model's threshold" if same else "")
        + ". What you decided about stays in the list whatever is chosen here. Exports use the "
        "run's own threshold and every segment that was decided about."
    )
    if not same and own is not None:
        st.button(
            "Back to the model's threshold",
            key="rw_sensitivity_back",
            on_click=later(state.set_threshold, place.recording_id, None),
        )


def _baseline(place: Place) -> None:
    """Take a part of the recording as normal for this patient, and score against it."""
    st.markdown(
        "**Confirm as normal baseline.** Choose a part that you have looked through and found "
        "normal *for this patient*. The whole recording is then scored against it. At least 30 "
        "usable windows; a few minutes are better."
    )
    now = services.baseline(place.run, place.recording_id)
    picked = state.selection(place.recording_id)
    duration = services.overview(place.run, place.recording_id)["duration"]
    first, last = picked or now or (0.0, min(300.0, duration))
    bounds = zip(("Start, s", "Stop, s"), (first, last), strict=True)
    keys = state.baseline_keys(place.recording_id)
    for column, key, (label, value) in zip(st.columns(2), keys, bounds, strict=True):
        state.keep(key, min(round(value, 1), duration))
        column.number_input(label, 0.0, duration, key=key, step=10.0)
    closed = not place.user or place.state == "final"
    st.button(
        "Confirm and re-score",
        key="rw_baseline",
        type="primary",
        disabled=closed,
        on_click=later(_rescore, place, True),
    )
    if now is not None:
        st.button(
            "Without a baseline again",
            key="rw_baseline_off",
            on_click=later(_rescore, place, False),
        )
        st.caption(messages.compared_with(now))


def _rescore(place: Place, against_baseline: bool) -> None:
    """Score the recording again, against the part that is chosen now or without a baseline."""
    span: tuple[float, float] | None = None
    if against_baseline:
        start, stop = map(state.chosen, state.baseline_keys(place.recording_id))
        if start is None or stop is None or stop <= start:
            state.say("Choose a part for the baseline that stops after it starts.")
            return
        span = (float(start), float(stop))
    bar = st.progress(0.0, "Starting")

    def show(stage: str, done: int, total: int) -> None:
        bar.progress(done / total, stage.capitalize())

    try:
        services.confirm_baseline(place.run, place.recording_id, span, place.user, show)
        state.set_threshold(place.recording_id, None)
    except RarewaveError as error:
        state.say(str(error))
    finally:
        bar.empty()


def _sign_off(place: Place) -> None:
    n, reviewed = len(place.segments), len(place.all_reviewed)
    if place.state == "final":
        last = [e for e in place.events if e.kind == "sign_off"][-1]
        when = last.at.astimezone().strftime("%Y-%m-%d %H:%M")
        st.markdown(f"Signed off by **{markup.plain(last.user)}**, {when}.")
        reason = st.text_input("Why is it reopened?", key="rw_reopen_reason", max_chars=500)
        st.button(
            "Reopen",
            key="rw_reopen",
            disabled=not place.user or not reason.strip(),
            on_click=later(commands.reopen, place.run, place.recording_id, reason),
        )
        return
    st.markdown(f"{reviewed} of {n} segments are reviewed.")
    st.caption(
        "After sign-off nothing of this recording can be changed until it is reopened, which the "
        "log keeps, with the reason. Key: ⇧S"
    )
    st.button(
        "Sign off as final",
        key="rw_sign_off",
        type="primary",
        disabled=not place.user or reviewed < n or place.is_blind,
        on_click=later(commands.perform, place.run, place.recording_id, "sign_off"),
    )
