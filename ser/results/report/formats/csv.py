"""Scores only, as a tidy CSV: a row a result, split and metric, numbers in full."""

from pathlib import Path

from ser.results.report.blocks import Report
from ser.results.report.tidy import as_csv
from ser.workspace import writing

ENDING = ".csv"


def write(report: Report, path: Path) -> None:
    """Write the scores whole."""
    with writing(path) as temporary:
        temporary.write_text(as_csv(report.rows), encoding="utf-8")
