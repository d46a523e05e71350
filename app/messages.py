"""The wording of the screens, in one place. Plain words, no verdicts, no urgency."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipelines.features.registry import ROOTS
from pipelines.store import Event, Verdict

RESEARCH_USE = "Research use only. Not a medical device."
NO_RUN = (
    "No run folder was found in {folder}. Make one with "
    "'rarewave score MODEL INPUT --out runs/NAME', or start the dashboard with "
    "'rarewave dashboard RUN'."
)
NO_RECORDINGS = "This run holds no scored recording yet."
NOTHING_FLAGGED = (
    "No window of this recording is above the threshold. Not flagged does not mean free of "
    "findings: windows that could not be scored are listed as such."
)
UNKNOWN_RECORDING = "This run has no recording of that name. Choose one from the list."
UNKNOWN_SEGMENT = "The address names a segment that this recording does not have."
SIGNAL_MISSING = "The signal cannot be shown: {reason}"
NO_REVIEWER = "Enter your name in the sidebar: every decision is stored with a name."
POPULATION = "Population model, no baseline of the patient"
BASELINE = "Patient's own baseline, {start} to {stop}"
VERDICT_WORDS: dict[Verdict, str] = {
    "accepted": "Accepted",
    "rejected": "Rejected",
    "unsure": "Unsure",
    "undecided": "Not reviewed",
}
STATE_WORDS = {"new": "New", "in_review": "In review", "final": "Signed off"}
STATE_MARKS = {"new": "○", "in_review": "◐", "final": "■"}
FILTER_WORDS = {
    "all": "All segments",
    "open": "Only open",
    "accepted": "Only accepted",
    "rejected": "Only rejected",
    "unsure": "Only unsure",
    "conflict": "Readers differ",
    "added": "Added by readers",
}
ORIGIN_WORDS = {
    "flagged": "Flagged",
    "kept": "Decided about; not flagged at this threshold",
    "added": "Added by a reader",
}
CONFLICT = "Two readers decided differently at the same time. Look again and decide."
SIGNED_OFF = "This recording is signed off. Reopen it above to change anything."
ONLY_VIEWER = "Your role lets you look, not decide. Ask an admin of this review."
VERDICT_MARKS: dict[Verdict, str] = {
    "accepted": "✓",
    "rejected": "✕",
    "unsure": "?",
    "undecided": "○",
}
"""A shape for each verdict, so that none is told by colour alone."""


def event_words(event: Event) -> tuple[str, str]:
    """Return a mark and plain words for one event of the log. The words hold untrusted text."""
    content = event.content
    if event.kind in ("verdict", "adjudication"):
        verdict: Verdict = content["verdict"]
        words = VERDICT_WORDS[verdict] + (" (adjudicated)" if event.kind != "verdict" else "")
        return VERDICT_MARKS[verdict], words
    if event.kind == "group":
        said = [f"labelled {content['label']}"] if content.get("label") else []
        said += [VERDICT_WORDS[content["verdict"]].lower()] if "verdict" in content else []
        return "⁂", f"Group of {len(content['segments'])} {' and '.join(said)}"
    if event.kind in ("bounds", "added", "baseline"):
        span = f"{clock(content['start_s'], 2)} to {clock(content['stop_s'], 2)}"
        name = {"bounds": "Bounds", "added": "Added", "baseline": "Confirmed as baseline"}
        return "↔" if event.kind == "bounds" else "+", f"{name[event.kind]} {span}"
    plain = {
        "label": f"Labelled {content.get('label') or 'with nothing'}",
        "comment": "Comment",
        "undo": "Taken back",
        "assign": f"Given to {content.get('reader') or 'nobody'}",
        "sign_off": f"Signed off, {content.get('n_reviewed')} of {content.get('n_segments')}",
        "reopen": "Reopened",
    }
    marks = {"label": "#", "undo": "↶", "sign_off": "■", "reopen": "□"}
    return marks.get(event.kind, "·"), plain.get(event.kind, event.kind)


def clock(seconds: float, decimals: int = 0) -> str:
    """Return a time on the recording's clock as ``m:ss`` or ``h:mm:ss``.

    Examples
    --------
    >>> clock(75.25), clock(75.25, 1), clock(3725)
    ('1:15', '1:15.2', '1:02:05')
    """
    ticks = int(seconds * 10**decimals + 1e-6)
    whole, part = divmod(ticks, 10**decimals)
    hours, rest = divmod(whole, 3600)
    text = f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
    return f"{text}.{part:0{decimals}d}" if decimals else text


def compared_with(baseline: Sequence[float] | None) -> str:
    """Say what scores are relative to: a baseline ``(start_s, stop_s)`` or the population."""
    if not baseline:
        return POPULATION
    start, stop = (clock(float(seconds)) for seconds in baseline)
    return BASELINE.format(start=start, stop=stop)


def length(seconds: float) -> str:
    """Return a duration in words: ``"1.1 s"``, ``"35 min"``, ``"24 h 10 min"``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def p_value(value: float) -> str:
    """Return a conformal p-value with the digits it deserves, or a dash for none."""
    if value != value:
        return "–"
    return f"{value:.2g}" if value >= 1e-4 else f"{value:.0e}"


def rarity(value: float) -> str:
    """Say what a conformal p-value means, and nothing more."""
    if not 0 < value <= 1:
        return "–"
    return f"1 in {round(1 / value):,} usual windows"


def percentile(share: float) -> str:
    """Say in words where a value lies among all windows, `share` of them being lower."""
    if 0.1 <= share <= 0.9:
        return "not unusual by itself, but together with the others"
    if share >= 0.5:
        return f"higher than {_percent(share)} of windows"
    return f"lower than {_percent(1 - share)} of windows"


def _percent(share: float) -> str:
    percent = 100 * share
    if percent > 99.9:
        return "99.9 %" if share < 1 else "100 %"
    return f"{percent:.1f} %" if percent >= 99 else f"{percent:.0f} %"


def against_usual(value: float, median: float, unit: str) -> str:
    """Compare a feature's value with the recording's median: amplitudes by their ratio."""
    if unit == "ln":
        ratio = math.exp(max(-20.0, min(20.0, value - median)))
    elif unit in ROOTS and median > 0:
        ratio = (value / median) ** 2
    else:
        return f"{value:.3g}, usually {median:.3g}"
    return f"{ratio:.0f} × the usual" if ratio >= 100 else f"{ratio:.2g} × the usual"
