"""The list of results as a table and as CSV. Pure and light."""

from collections.abc import Iterable

from ser.results.records.headlines import STUDY, Headline, Line
from ser.results.records.model import METRICS
from ser.results.report.blocks import Table
from ser.results.report.cells import date, number
from ser.results.report.score_rows import csv_text

SYSTEMS = ("import", "import_predictions", "classify")  # commands that record a system that was not trained here


def list_table(headlines: Iterable[Headline]) -> Table:
    """One line per result, in the order given; `2*` means two stamps."""
    lines = list(headlines)
    rows = [
        [
            *(line.experiment, f"{line.command} (study)" if line.kind == STUDY else line.command, line.dataset),
            *(line.features, line.head, line.scheme, line.protocol),
            *(str(line.runs), line.at, number(line.scores["UA"]), number(line.scores["WA"]), date(line.started)),
            f"{line.stamps}*" if line.stamps else "",
        ]
        for line in lines
    ]
    who = "head or system" if any(line.command in SYSTEMS for line in lines) else "head"
    names = ["experiment", "command", "dataset", "features", who, "scheme", "protocol"]
    head = [*names, "runs", "of", "UA", "WA", "date (UTC)", "stamps"]
    note = "stamps: see ser results show NAME" if any(line.stamps for line in lines) else ""
    return Table("", head, rows, left=len(names), note=note)


def list_csv(headlines: Iterable[Headline]) -> str:
    """The list of results as CSV, all columns."""
    columns = ["path", *(name for name in Line.__struct_fields__ if name != "scores"), *METRICS]
    return csv_text(columns, ([line.facts()[name] for name in columns] for line in headlines))
