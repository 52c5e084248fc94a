"""Rows of a table that people made: a CSV, TSV or JSON lines file."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from ser.errors import CorpusError
from ser.metadata.parsing import read_text


def read_delimited(path: Path) -> tuple[list[dict[str, Any]], Path]:
    """Rows of a CSV or TSV file (the delimiter is the commonest of comma, tab and semicolon in the header).

    Raises:
        CorpusError: it is no such file, or a row is longer than the header.
    """
    text = read_text(path)
    first = text.split("\n", 1)[0]
    delimiter = max(",\t;", key=first.count)
    rows = []
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for row in reader:
            if None in row or None in row.values():
                wrong = "more" if None in row else "fewer"
                raise CorpusError(f"{path}, line {reader.line_num}", expected="as many fields as the header has",
                                  found=wrong)  # fmt: skip
            rows.append(dict(row))
    except csv.Error as error:
        raise CorpusError(f"{path} is no CSV", found=str(error)) from None
    return rows, path.parent


def read_json_lines(path: Path) -> tuple[list[dict[str, Any]], Path]:
    """Rows of a JSON lines file: one object a line; empty lines are skipped.

    Raises:
        CorpusError: a line is no JSON object.
    """
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise CorpusError(f"{path}, line {number}", expected="one JSON object a line", found=str(error)) from None
        if not isinstance(row, dict):
            raise CorpusError(f"{path}, line {number}", expected="a JSON object", found=type(row).__name__)
        rows.append(row)
    return rows, path.parent
