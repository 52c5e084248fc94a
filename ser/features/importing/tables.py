"""Tables of features: CSV and TSV, also compressed, and Parquet. A row an utterance; columns by name, or by number."""

import bz2
import csv
import gzip
import lzma
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.errors import ConfigError, CorpusError
from ser.features.importing.columns import INDEX, Columns, assign
from ser.features.importing.feature_files import Content, FeatureFile
from ser.features.label_leaks import IDENTITY, refuse_exported

PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class Opened:
    """A table of which the columns are known.

    Attributes:
        names: of the columns; their numbers where it has no header.
        header: whether it has one.
        read: the rows; those columns as texts that are given to it, the others as they are.
    """

    names: list[str]
    header: bool
    read: Callable[[list[str]], pd.DataFrame]


def open_table(path: Path) -> Opened:
    """A table's columns.

    Raises:
        CorpusError: it cannot be read, or two columns have one name.
        ConfigError: the package that reads Parquet is missing; its features were chosen by the true label.
    """
    if path.suffix.lower() in PARQUET:
        frame = _parquet(path)
        return Opened(list(frame.columns), True, partial(_with_texts, frame))
    names, delimiter, header = head(path)
    return Opened(names, header, lambda words: columns_of(path, names, delimiter, header, words))


def read_table(
    source: FeatureFile, id_column: str | None = None, label: str | None = None, columns: Sequence[str] | None = None
) -> Content:
    """Features of a table, with what it says of their utterances; arguments and errors as of `columns.assign`."""
    table = open_table(source.path)
    chosen = assign(table.names, table.header, source.path, id_column, label, columns)
    frame = table.read(chosen.words)
    _refuse_index(frame, chosen, id_column, source)
    _refuse_words(frame, chosen, source)
    return Content(
        frame[chosen.features].to_numpy(np.float64),
        None if chosen.ids is None else frame[chosen.ids].tolist(),
        None if chosen.labels is None else frame[chosen.labels].tolist(),
        {name: frame[column].tolist() for name, column in chosen.facts.items()},
        chosen.features if table.header else [],
        chosen.left_out,
    )


def _refuse_index(frame: pd.DataFrame, chosen: Columns, id_column: str | None, source: FeatureFile) -> None:
    """A column without a name is one of ids if these are no numbers: numbers would be those of the rows."""
    if chosen.ids == "" and id_column is None and frame[""].str.fullmatch(r"\d+").all():
        raise CorpusError(f"{source.path}: a column has no name", expected="ids, or none", found="numbers",
                          action=f"{INDEX} If they are the utterances' ids: --id ''.")  # fmt: skip


def _refuse_words(frame: pd.DataFrame, chosen: Columns, source: FeatureFile) -> None:
    strange = next((n for n in chosen.features if not pd.api.types.is_numeric_dtype(frame[n])), None)
    if strange is None:
        return
    cells = [str(cell).strip() for cell in frame[strange] if not pd.isna(cell)]
    comma = all(re.fullmatch(r"[-+]?\d*,\d+", cell) for cell in cells)
    raise CorpusError(
        f"{source.path}: column {strange!r} holds " + ("numbers with a decimal comma" if comma else "texts"),
        expected="features as numbers" + ("" if comma else "; ids with --id COLUMN, labels with --label COLUMN"),
        found=cells[0] if cells else "nothing",
        action="Write them with a decimal point." if comma else None,
    )


def _parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError("parquet needs the package pyarrow", action="Install it: pip install pyarrow") from None
    try:
        content = pq.read_table(path)
        frame: pd.DataFrame = content.to_pandas()
    except (ValueError, OSError) as error:  # pyarrow's own errors are among these
        raise CorpusError(f"cannot read {path}", expected="a Parquet file", found=error) from None
    carried = (content.schema.metadata or {}).get(f"ser.{IDENTITY}".encode())
    refuse_exported(str(path), None if carried is None else carried.decode("utf-8", "replace"))
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    elif not isinstance(frame.index, pd.RangeIndex):
        frame.insert(0, "", frame.index)
    frame.columns = [str(name).strip() for name in frame.columns]
    twice = next((name for name in frame.columns if list(frame.columns).count(name) > 1), None)
    if twice is not None:
        raise CorpusError(f"{path}: two columns are called {twice!r}", expected="every name once")
    return frame


def _with_texts(frame: pd.DataFrame, words: list[str]) -> pd.DataFrame:
    texts = {w: ["" if pd.isna(cell) else str(cell).strip() for cell in frame[w]] for w in words}
    made: pd.DataFrame = frame.assign(**texts)
    return made


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
