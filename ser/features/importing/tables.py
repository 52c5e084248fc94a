"""Tables of features: CSV and TSV, also compressed, and Parquet. A row an utterance; columns by name, or by number."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ser.errors import ConfigError, CorpusError
from ser.features.importing.columns import INDEX, Columns, assign
from ser.features.importing.delimited import columns_of, head
from ser.features.importing.model import Content
from ser.features.importing.sources import Source
from ser.features.telling import IDENTITY, refuse_exported

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
    source: Source, id_column: str | None = None, label: str | None = None, columns: Sequence[str] | None = None
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


def _refuse_index(frame: pd.DataFrame, chosen: Columns, id_column: str | None, source: Source) -> None:
    """A column without a name is one of ids if these are no numbers: numbers would be those of the rows."""
    if chosen.ids == "" and id_column is None and frame[""].str.fullmatch(r"\d+").all():
        raise CorpusError(f"{source.path}: a column has no name", expected="ids, or none", found="numbers",
                          action=f"{INDEX} If they are the utterances' ids: --id ''.")  # fmt: skip


def _refuse_words(frame: pd.DataFrame, chosen: Columns, source: Source) -> None:
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
