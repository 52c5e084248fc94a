"""Rows of a table that people made: a CSV, TSV, Excel or JSON lines file."""

import csv
import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ser.errors import CorpusError
from ser.files import open_regular, parse_json, why, why_damaged
from ser.metadata.parsing import LOG, few, optional, read_text, shared
from ser.metadata.words_in_cells import said

RawRow = dict[str, Any]  # by the file's own column names
JSON_LINES, EXCEL = (".jsonl", ".ndjson", ".json"), (".xlsx", ".xlsm")
OTHER_SHEETS = (".xls", ".ods", ".numbers")
MAX_SHEET_BYTES = 2**30  # of an Excel file's content, unpacked
_DELIMITERS = ",\t;|"


def read_rows(path: Path) -> tuple[list[RawRow], Path]:
    """Rows of a table file, by its ending, and the folder that paths in it are relative to.

    Raises:
        CorpusError: it cannot be read, two columns have one name, or a row does not fit the header.
    """
    suffix = path.suffix.lower()
    if suffix in JSON_LINES:
        return read_json_lines(path)
    if suffix in EXCEL:
        return read_excel(path)
    if suffix in OTHER_SHEETS:
        raise CorpusError(f"{path}: {suffix} files cannot be read", action="Save it as .xlsx or as CSV.")
    return read_delimited(path)


def read_delimited(path: Path) -> tuple[list[RawRow], Path]:
    """Rows of a CSV or TSV file. Rows without any content are passed over.

    The delimiter is what a first line `sep=;` says (Excel writes it), else the commonest of comma, tab, semicolon and bar in
    the header.

    Raises:
        CorpusError: it is not such a file, two columns have one name, or a row is longer or shorter than the header.
    """
    text = read_text(path)
    given = re.match(r'"?sep=(.)"?\r?\n', text, re.IGNORECASE)
    text = text[given.end() :] if given else text
    first = re.sub(r'"[^"]*"', "", next((line for line in text.split("\n") if line.strip()), ""))
    delimiter = given[1] if given else max(_DELIMITERS, key=first.count)
    csv.field_size_limit(2**31 - 1)  # one long transcript is not damage
    # As bytes, which are read piece by piece: StringIO takes four for each character.
    stream = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="")
    del text
    return _by_column(
        _numbered(csv.reader(stream, delimiter=delimiter, strict=True), bool(given), path), path, "line"
    ), path.parent


def _numbered(reader: Any, before: int, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines of a reader of CSV, with their numbers in a file that has so many lines before."""
    known: defaultdict[int, dict[str, str]] = defaultdict(dict)
    try:
        for cells in reader:
            yield reader.line_num + before, [shared(cell, known[k]) for k, cell in enumerate(cells)]
    except csv.Error as error:
        raise CorpusError(f"{path}, line {reader.line_num}: this is not CSV", found=str(error)) from None


def read_excel(path: Path) -> tuple[list[RawRow], Path]:
    """Rows of the first sheet of an Excel file (.xlsx) that has any. Needs the package openpyxl.

    Raises:
        CorpusError: the package is not installed, it is not such a file, or as of `read_delimited`.
    """
    package = optional("openpyxl", "xlsx")
    try:
        with open_regular(path) as file:
            with zipfile.ZipFile(file) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
            if size > MAX_SHEET_BYTES:
                raise CorpusError(
                    f"{path} declares {size} bytes of content", expected=f"{MAX_SHEET_BYTES} at most", action="Save it as CSV."
                )
            book = package.load_workbook(file, read_only=True, data_only=True)
            for number, sheet in enumerate(book.worksheets):
                sheet.reset_dimensions()  # what the file declares may be a million rows of sixteen thousand cells
                lines = [(k, [_cell(c) for c in row]) for k, row in enumerate(sheet.iter_rows(values_only=True), start=1)]
                rows = _by_column(lines, path, "row")
                if rows:
                    others = [s.title for s in book.worksheets[number + 1 :]]
                    if others:
                        LOG.warning("only the sheet %s is read, not %s", sheet.title, few(others))
                    return rows, path.parent
    except CorpusError:
        raise
    except OSError as error:
        raise CorpusError(f"cannot read {path}", found=why(error)) from None
    except Exception as error:  # openpyxl raises almost anything over a damaged file
        raise CorpusError(
            f"{path} is not an Excel file, or is damaged",
            found=why_damaged(path, CorpusError(f"{type(error).__name__}: {error}")),
            action="Save it again as .xlsx; a text file is called NAME.csv.",
        ) from None
    return [], path.parent


def read_json_lines(path: Path) -> tuple[list[RawRow], Path]:
    """Rows of a JSON lines file, one object in each line, empty lines passed over; or of a list of objects in JSON.

    Raises:
        CorpusError: a line is no JSON object, is nested too deeply, or has a key twice.
    """
    rows = []
    text = read_text(path)
    if text.lstrip().startswith("["):
        return _objects(text, path), path.parent
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, every_key_once=True)
        except ValueError as error:
            begins = line.lstrip().startswith(("{", "["))
            found = str(error) if begins else repr(line[:40])
            raise CorpusError(f"{path}, line {number}", expected="one JSON object", found=found) from None
        if not isinstance(row, dict):
            raise CorpusError(f"{path}, line {number}", expected="a JSON object", found=type(row).__name__)
        rows.append(row)
    return rows, path.parent


def _objects(text: str, path: Path) -> list[RawRow]:
    try:
        rows = parse_json(text, every_key_once=True)
    except ValueError as error:
        raise CorpusError(f"cannot read {path}", expected="a list of JSON objects", found=str(error)) from None
    strange = next((k for k, row in enumerate(rows, 1) if not isinstance(row, dict)), None)
    if strange is not None:
        raise CorpusError(f"{path}, entry {strange}", expected="a JSON object", found=type(rows[strange - 1]).__name__)
    return list(rows)


def _by_column(lines: Iterable[tuple[int, Sequence[Any]]], path: Path, unit: str) -> list[RawRow]:
    """Rows as dicts by the names of the first line that has content. Columns without name and content are left out."""
    filled = (line for line in lines if any(_has_content(cell) for cell in line[1]))
    _, header = next(filled, (0, []))
    if not header:
        return []
    rows: list[Any] = list(filled)
    names = [said(cell) for cell in header]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise CorpusError(f"{path}: two columns are called {twice!r}", expected="every name once")
    for number, cells in rows:
        longer = any(_has_content(cell) for cell in cells[len(names) :])
        if longer or (len(cells) < len(names) and unit == "line"):
            raise CorpusError(
                f"{path}, {unit} {number}",
                expected="as many fields as the header has",
                found="more" if longer else "fewer" + (": the file may be cut short" if cells is rows[-1][1] else ""),
            )
    used = {k for k, name in enumerate(names) if name or any(_has_content(c[k]) for _, c in rows if k < len(c))}
    keys = {k: names[k] or f"column {k + 1}" for k in sorted(used)}
    for number, (_, cells) in enumerate(rows):  # in their place: all at once would be twice as much
        rows[number] = {key: cells[k] if k < len(cells) else None for k, key in keys.items()}
    return rows


def _has_content(cell: Any) -> bool:
    return said(cell) != ""


def _cell(value: Any) -> Any:
    """A cell of Excel: whole numbers without a decimal point, dates as text."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
