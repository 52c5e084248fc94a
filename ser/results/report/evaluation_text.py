"""An evaluation as text for the terminal. Pure and light: record in, text out."""

from typing import Any

from ser.results.report import evaluation_tables as tables
from ser.results.report.tables import date, grid, number


def evaluation_text(record: dict[str, Any], file: object) -> str:
    """A whole evaluation for the terminal.

    Args:
        file: where it lies, for the last line.
    """
    parts = [_facts(record), _scores(record), _calibration(record), _reliability(record), _selective(record)]
    parts += [*_groups(record["groups"]), _votes(record), _novelty(record), _files(record, file)]
    return "\n\n".join(part for part in parts if part)


def facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values: what was evaluated, on which data."""
    data, model = record["data"], record["model"]
    of = f"{model['runs']} runs of {model['folds']} folds, {model['heads']} saved heads"
    rows = [
        ("evaluation", record["experiment"] + (f", at {model['amount']}" if model["amount"] else "")),
        ("command", record["command"]),
        ("date", f"{date(record['time']['started'])} UTC"),
        ("data", f"{data['dataset']}, scheme {data['scheme']}, {data['utterances']} utterances: {data['rows']}"),
        ("heads", of if model["kind"] == "experiment" else "one saved head"),
    ]
    if data["dropped"]:
        rows.append(("left out", ", ".join(f"{reason}: {count}" for reason, count in data["dropped"].items())))
    return rows


def _facts(record: dict[str, Any]) -> str:
    rows = facts(record)
    rows += [("stamp" if i == 0 else "", stamp) for i, stamp in enumerate(record["stamps"])]
    rows += [("note" if i == 0 else "", note) for i, note in enumerate(record["notes"])]
    return "\n".join(f"{name:<10}  {value}" for name, value in rows)


def _scores(record: dict[str, Any]) -> str:
    """The four metrics of the heads, and of what averages over views, runs or snapshots."""
    lines = grid(tables.score_rows(record))
    paired = tables.paired_rows(record)
    if paired:
        lines += ["", *grid(paired), tables.P_NOTE]
    return "\n".join([*lines, *average_lines(record)])


def average_lines(record: dict[str, Any]) -> list[str]:
    """What is known of snapshots and averaged weights."""
    lines = []
    if record["snapshots"]:
        lines.append(f"UA of each snapshot: {', '.join(number(v) for v in record['snapshots']['UA_of_each'])}")
    if record["average"] != "none":
        lines.append(f"The heads' weights are averages over training ({record['average']}).")
    return lines


def _calibration(record: dict[str, Any]) -> str:
    """Probability scores before and after the temperature."""
    rows = grid(tables.probability_rows(record))
    return "\n".join([*rows, tables.probability_note(record), *tables.temperature_lines(record)])


def _reliability(record: dict[str, Any]) -> str:
    """The reliability curve, before and after."""
    return "\n".join(["reliability", *grid(tables.reliability_rows(record))])


def _selective(record: dict[str, Any]) -> str:
    lines = [*grid(tables.accuracy_rows(record)), tables.area_line(record)]
    return "\n".join([*lines, *grid(tables.risk_rows(record))])


def _groups(groups: dict[str, Any]) -> list[str]:
    found = []
    if groups["gender"]:
        rows = grid(tables.gender_rows(groups["gender"]))
        found.append("\n".join([*rows, tables.gender_note(groups["gender"])]))
    if groups["speaker"]:
        rows = grid(tables.speaker_rows(groups["speaker"], tables.SHOWN))
        found.append("\n".join([*rows, *tables.speaker_lines(groups["speaker"])]))
    return found


def votes_line(found: dict[str, Any]) -> str:
    return f"votes of {found['n']} utterances, all annotators' of {found['complete']}"


def _votes(record: dict[str, Any]) -> str:
    found = record["votes"]
    if found is None:
        return ""
    lines = [votes_line(found), *grid(tables.vote_rows(found)), *grid(tables.distance_rows(found))]
    return "\n".join([*lines, *tables.vote_lines(found)])


def _novelty(record: dict[str, Any]) -> str:
    entries = record["novelty"]
    return "\n\n".join("\n".join([*grid(tables.novelty_rows(e)), tables.novelty_line(e), *e["notes"]]) for e in entries)


def _files(record: dict[str, Any], file: object) -> str:
    names = ", ".join(f["path"] for f in record["files"].values())
    looks = (
        f"\nlooks at    {record['explanations']} beside it, with pictures and arrays" if record["explanations"] else ""
    )
    return f"written     {file}" + (f"\nbeside it   {names}" if names else "") + looks
