"""An evaluation as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = tuple[str, ...]


def format_evaluation(result: Mapping[str, Any]) -> str:
    """Return the readable form of what :func:`pipelines.evaluate_run` returns."""
    rows = [*result["recordings"], {"recording_id": "pooled", **result["pooled"]}]
    tables = _beat_tables(rows) if result["method"] == "beats" else _event_tables(rows)
    parts = [
        _title(result),
        *tables,
        _rhythm(result.get("rhythm")),
        _mean(result["mean_over_recordings"]),
        _over_patients(result["mean_over_patients"], len(result["patients"])),
        _intervals(result["bootstrap"]),
        _left_out(result),
    ]
    return "\n\n".join(part for part in (*parts, result["notice"]) if part)


def _title(result: Mapping[str, Any]) -> str:
    return (
        f"{result['kind'].upper()} run against {result['labels']}, {result['method']}, "
        f"threshold {result['threshold']:.4g}"
    )


def _beat_tables(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    ranks = [
        (
            "recording",
            "N",
            "S",
            "V",
            "F",
            "Q",
            "missed",
            "AUROC",
            "AP",
            "random",
            "at 5 %",
            "VUS-PR",
        )
    ]
    found = [
        (
            "recording",
            "S found",
            "V found",
            "F found",
            "random",
            "false N",
            "an hour",
            "false events a day",
        )
    ]
    for row in rows:
        counts = row["n_beats"]
        missed = row["n_unmatched"] + row["n_not_scorable"]
        ranks.append(
            (
                row["recording_id"],
                *(str(counts[name]) for name in "NSVFQ"),
                str(missed),
                *_rank_cells(row),
            )
        )
        classes = row["classes"]
        found.append(
            (
                row["recording_id"],
                *(f"{classes[c]['n_found']}/{classes[c]['n']}" for c in "SVF"),
                _number(row["sensitivity_random"]),
                _number(row["false_positive_share"]),
                _number(row["false_positives_per_hour"]),
                _number(row["events"]["false_per_day"], 1),
            )
        )
    return [
        "Beats: abnormal (S, V, F) against N; missed: no window within 150 ms, or no score\n"
        + _table(ranks),
        "At the threshold: found of each class, what a random flag would find, N flagged, segments\n"
        "without an abnormal beat\n" + _table(found),
    ]


def _event_tables(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    ranks = [("recording", "windows", "in events", "AUROC", "AP", "random", "at 5 %", "VUS-PR")]
    found = [("recording", "hours", "found", "segments", "false", "a day", "SzCORE", "a day")]
    for row in rows:
        windows, events, szcore = row["windows"], row["events"], row["szcore"]
        n = windows["n_positive"] + windows["n_negative"]
        ranks.append(
            (row["recording_id"], str(n), str(windows["n_positive"]), *_rank_cells(windows))
        )
        found.append(
            (
                row["recording_id"],
                f"{row['scored_hours']:.2f}",
                f"{events['n_found']}/{events['n_events']}",
                str(events["n_segments"]),
                str(events["n_false"]),
                _number(events["false_per_day"], 1),
                f"{szcore['n_found']}/{szcore['n_events']}",
                _number(szcore["false_per_day"], 1),
            )
        )
    return [
        "Windows: those that overlap an event against the others\n" + _table(ranks),
        "Events: any overlap with a flagged segment, on scored time; false: segments that hit "
        "none\n" + _table(found),
    ]


def _rhythm(found: Mapping[str, Any] | None) -> str:
    """Return a table of the windows of rhythm; empty where there are none."""
    if found is None:
        return ""
    head = ("recording", "windows", "arrhythmia", "AUROC", "flagged", "others", "false", "a day")
    rows = [
        (
            row["recording_id"],
            str(row["n_positive"] + row["n_negative"]),
            str(row["n_positive"]),
            _number(row["auroc"]),
            _number(row["flagged_share_of_arrhythmia"]),
            _number(row["flagged_share_of_others"]),
            f"{row['n_false']}/{row['n_segments']}",
            _number(row["false_per_day"], 1),
        )
        for row in [*found["recordings"], {"recording_id": "pooled", **found["pooled"]}]
    ]
    return (
        "Rhythm: windows of a minute, share flagged of labelled arrhythmia and of others; false: "
        "segments\nof rhythm without an arrhythmia\n" + _table([head, *rows])
    )


def _rank_cells(measures: Mapping[str, Any]) -> Row:
    return (
        _number(measures["auroc"]),
        _number(measures["average_precision"]),
        _number(measures["average_precision_random"]),
        _number(measures["sensitivity_at_5_percent_fp"]),
        _number(measures.get("vus_pr")),  # of several recordings joined it is not defined
    )


def _intervals(facts: Mapping[str, Any]) -> str:
    if facts["intervals"] is None:
        return f"No interval: {facts['undefined']}."
    lines = [
        f"  {name:20} " + (f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else "undefined")
        for name, ends in facts["intervals"].items()
    ]
    return "\n".join([f"95 % intervals over {facts['n_patients']} patients (bootstrap)", *lines])


def _mean(mean: Mapping[str, Any]) -> str:
    n = mean["n_recordings"] - mean["n_undefined"]
    return (
        f"Mean over {n} of {mean['n_recordings']} recordings ({mean['n_undefined']} hold only one "
        f"class): AUROC {_number(mean['auroc'])}, AP {_number(mean['average_precision'])}, "
        f"VUS-PR {_number(mean['vus_pr'])} (random {_number(mean['vus_pr_random'])})"
    )


def _over_patients(means: Mapping[str, Any], n: int) -> str:
    """Return the mean over patients of each measure, and for how many it is not defined."""
    lines = [
        f"  {name:20} {_number(of['mean']):>8}  over {of['n_defined']}"
        + (f", undefined for {of['n_undefined']}" if of["n_undefined"] else "")
        for name, of in means.items()
    ]
    return "\n".join([f"Mean over {n} patient(s)", *lines])


def _left_out(result: Mapping[str, Any]) -> str:
    left = result["left_out"]
    fitted = result["fitted_on"]
    lines = []
    if result["others_count_as_usual"]:
        lines.append("No usual beats are listed: every other window counts as usual")
    lines += _baselines(result["baseline_left_out"], len(result["recordings"]))
    if fitted["recordings"]:
        part = fitted["part"]
        what = f"seconds {part[0]:g} to {part[1]:g} of" if part else "the whole of"
        lines.append(
            f"The model was fitted on {what} {', '.join(fitted['recordings'])}: "
            "figures there say nothing about new data"
        )
    lines += [
        f"Left out, {why}: {', '.join(left[key])}"
        for key, why in (("without_labels", "no labels"), ("not_scored", "not scored"))
        if left[key]
    ]
    return "\n".join(lines)


def _baselines(parts: Mapping[str, Sequence[float]], n_recordings: int) -> list[str]:
    """Return a line for each part that was not judged, with the recordings it is of."""
    names: dict[tuple[float, ...], list[str]] = {}
    for name, part in parts.items():
        names.setdefault(tuple(part), []).append(name)
    return [
        f"Not judged: the baseline, seconds {part[0]:g} to {part[1]:g} of "
        + ("each" if len(of) == n_recordings else ", ".join(of))
        for part, of in names.items()
    ]


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _table(rows: Sequence[Row]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  "
        + "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
