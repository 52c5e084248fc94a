"""Scores only, as a tidy CSV: one row per result, split and metric, numbers in full."""

from pathlib import Path

from ser.results.blocks import Report, ScoreRow
from ser.results.cells import csv_text
from ser.workspace import writing

ENDING = ".csv"


def write(report: Report, path: Path) -> None:
    """Write the scores whole."""
    with writing(path) as temporary:
        temporary.write_text(csv_text(ScoreRow._fields, report.rows), encoding="utf-8")
