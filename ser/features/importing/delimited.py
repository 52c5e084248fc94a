"""CSV and TSV files of features, also compressed, with a header or without."""

import bz2
import csv
import gzip
import lzma
from pathlib import Path
from typing import Any

import pandas as pd

from ser.errors import CorpusError

_OPEN: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def head(path: Path) -> tuple[list[str], str, bool]:
    """Names of a CSV or TSV file's columns, its delimiter, and whether it has a header; without one, numbers are names.

    A header is a first line that has fewer numbers than the second.
    """
    open_ = _OPEN.get(path.suffix.lower(), open)
    try:
        with open_(path, "rt", encoding="utf-8-sig", newline="") as file:
            lines = [file.readline() for _ in range(2)]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot read {path}", expected="a CSV file of numbers", found=error) from None
    delimiter = max(",;\t", key=lines[0].count)
    cells = [next(csv.reader([line], delimiter=delimiter), []) for line in lines]
    numbers = [sum(map(_is_number, row)) for row in cells]
    header = numbers[0] < len(cells[0]) and numbers[0] < numbers[1]
    names = [name.strip() for name in cells[0]] if header else [str(n) for n in range(len(cells[0]))]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise CorpusError(f"{path}: two columns are called {twice!r}", expected="every name once")
    return names, delimiter, header


def columns_of(path: Path, names: list[str], delimiter: str, header: bool, words: list[str]) -> pd.DataFrame:
    """Columns of a CSV file as numbers, and those of `words` as the texts that they are."""
    kept: dict[Any, Any] = dict.fromkeys(words, str.strip)
    try:
        return pd.read_csv(path, header=0 if header else None, names=names, sep=delimiter, converters=kept,
                           skipinitialspace=True, index_col=False)  # fmt: skip
    except (ValueError, OSError, EOFError) as error:
        raise CorpusError(f"cannot read {path}", expected="a CSV file of numbers", found=error) from None


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True
