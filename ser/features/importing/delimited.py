"""CSV and TSV files of features, also compressed, with a header or without."""

import bz2
import csv
import gzip
import lzma
from pathlib import Path
from typing import Any

import pandas as pd

from ser.errors import CorpusError

_MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-NaN", "-nan", "null", "NULL", "None")
_NAMES = ("utterance_id", "emotion", "label", "speaker")  # no cell of a row is one of these
_OPEN: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def head(path: Path) -> tuple[list[str], str, bool]:
    """Names of a CSV or TSV file's columns, its delimiter, and whether it has a header; without one, numbers are names.

    A header is a first line that has one of `_NAMES`, or fewer numbers than the second, or no name for the index of the rows,
    or whose numbers count the columns.
    """
    open_ = _OPEN.get(path.suffix.lower(), open)
    try:
        with open_(path, "rt", encoding="utf-8-sig", newline="") as file:
            lines = [file.readline() for _ in range(2)]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot read {path}", expected="a CSV file of numbers", found=error) from None
    delimiter = max(",;\t", key=lines[0].count)
    cells = [next(csv.reader([line], delimiter=delimiter), []) for line in lines]
    header = _is_header(cells[0], cells[1], delimiter != ",")
    names = [name.strip() for name in cells[0]] if header else [str(n) for n in range(len(cells[0]))]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise CorpusError(f"{path}: two columns are called {twice!r}", expected="every name once")
    return names, delimiter, header


def columns_of(path: Path, names: list[str], delimiter: str, header: bool, words: list[str]) -> pd.DataFrame:
    """Columns of a CSV file as numbers, and those of `words` as the texts that they are."""
    kept: dict[Any, Any] = dict.fromkeys(words, str.strip)
    missing: dict[Any, Any] = {name: _MISSING for name in names if name not in kept}  # a speaker may be called NA
    try:
        return pd.read_csv(path, header=0 if header else None, names=names, sep=delimiter, converters=kept,
                           skipinitialspace=True, index_col=False, keep_default_na=False, na_values=missing)  # fmt: skip
    except (ValueError, OSError, EOFError) as error:
        raise CorpusError(f"cannot read {path}", expected="a CSV file of numbers", found=error) from None


def _is_header(first: list[str], second: list[str], comma: bool) -> bool:
    """Whether the first line names the columns; `comma`: numbers may have a decimal comma."""
    if any(cell.strip() in _NAMES for cell in first):
        return True
    here, there = ([cell for cell in row if _is_number(cell, comma)] for row in (first, second))
    words = sum(bool(cell.strip()) for cell in first) > len(here)
    if not words and any(not _is_whole(cell) for cell in here):
        return False  # a row in which a number is missing
    if len(here) < len(first) and len(here) < len(there):
        return True
    # pandas leaves the index without a name, and counts columns that have none.
    unnamed = len(first) > 1 and not first[0].strip() and bool(second) and bool(second[0].strip())
    unnamed &= all(map(_is_whole, here))
    counted = len(here) > 1 and [cell.strip() for cell in here] == [str(k) for k in range(len(here))]
    return unnamed or (counted and any(not _is_whole(cell) for cell in there))


def _is_number(cell: str, comma: bool) -> bool:
    try:
        float(cell.replace(",", ".") if comma else cell)
    except ValueError:
        return False
    return True


def _is_whole(cell: str) -> bool:
    return cell.strip().lstrip("+-").isdigit()
