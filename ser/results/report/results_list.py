"""The list of results as a table and as CSV. Pure and light."""

from collections.abc import Iterable

from ser.results.blocks import Table
from ser.results.cells import csv_text, date, head_of, number
from ser.results.headlines import STUDY, VALIDATION, Headline, Line
from ser.results.records.numbers import METRICS, MORE_METRICS

SYSTEMS = ("import", "import_predictions", "classify")  # commands that record a system that was not trained here


def list_table(headlines: Iterable[Headline]) -> Table:
    """One line per result, in the order given; `2*` means two stamps."""
    lines = list(headlines)
    other = any("UA" not in line.scores for line in lines)
    validated = any(line.validation for line in lines)
    learned = any(line.target != "emotion" for line in lines)
    rows = [
        [
            *(line.experiment, f"{line.command} (study)" if line.kind == STUDY else line.command, line.dataset),
            *(line.features, line.head, line.scheme, *([line.target] if learned else []), line.protocol),
            *(str(line.runs), line.at, number(line.scores.get("UA")), number(line.scores.get("WA"))),
            *([_other(line)] if other else []),
            *([_validation(line)] if validated else []),
            date(line.started),
            f"{line.stamps}*" if line.stamps else "",
        ]
        for line in lines
    ]
    who = "head or system" if any(line.command in SYSTEMS for line in lines) else "head"
    names = [
        "experiment",
        "command",
        "dataset",
        "features",
        who,
        "scheme",
        *(["target"] if learned else []),
        "protocol",
    ]
    head = [*names, "runs", "of", "UA", "WA", *(["other score"] if other else [])]
    head += [*([VALIDATION] if validated else []), "date (UTC)", "stamps"]
    note = "stamps: see ser results show NAME" if any(line.stamps for line in lines) else ""
    return Table("", head, rows, left=len(names), note=note)


def _other(line: Headline) -> str:
    """The score of a result that has no UA."""
    return "" if "UA" in line.scores else next(f"{head_of(m)} {number(v)}" for m, v in line.scores.items())


def _validation(line: Headline) -> str:
    """The score on validation data of the metric that stands for the result, named where that is not UA."""
    name, value = next(iter(line.validation.items()), ("UA", None))
    return number(value) if name == "UA" else f"{head_of(name)} {number(value)}"


def list_csv(headlines: Iterable[Headline]) -> str:
    """The list of results as CSV, all columns; those of metrics that no result has are left out, but for those of classes."""
    lines = list(headlines)
    metrics = [name for name in (*METRICS, *MORE_METRICS) if name in METRICS or any(name in x.scores for x in lines)]
    columns = ["path", *(name for name in Line.__struct_fields__ if name not in ("scores", VALIDATION)), *metrics]
    columns += [f"{VALIDATION}_{name}" for name in metrics]
    return csv_text(columns, ([line.facts().get(name) for name in columns] for line in lines))
