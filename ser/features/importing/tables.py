"""Tables of features: CSV, TSV and ARFF, also compressed, and Parquet; columns by name, or by number.

Each row is one utterance, except in openSMILE's files of frames (a column `frameTime`): there, rows of one name are the frames
of one utterance.
"""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.errors import CorpusError
from ser.features.importing.columns import INDEX, Columns, assign, of_words
from ser.features.importing.feature_files import MAX_RATIO, MAX_UNPACKED, Content, FeatureFile
from ser.features.label_leaks import IDENTITY, refuse_exported
from ser.files import HEAD, exact_floats, open_regular, why, why_damaged
from ser.metadata.column_names import choose
from ser.metadata.parsing import MARKS, refuse_stand_in
from ser.metadata.words_in_cells import is_missing
from ser.optional import absent

PARQUET, ARFF = (".parquet", ".pq"), ".arff"
# openSMILE's: the time of a frame, the id that -instname gives, and the id of rows without one.
FRAME_TIME, OPENSMILE_ID, UNKNOWN = "frameTime", "name", "unknown"


@dataclass(frozen=True)
class Opened:
    """A table of which the columns are known.

    Attributes:
        names: of the columns; their numbers where it has no header.
        header: it has one.
        read: reads the rows, and the columns that it is given as texts.
    """

    names: list[str]
    header: bool
    read: Callable[[list[str]], pd.DataFrame]


def open_table(path: Path) -> Opened:
    """Find a table's columns.

    Raises:
        CorpusError: it cannot be read, or two columns have one name.
        ConfigError: the package that reads Parquet is missing; its features were chosen by the true label.
    """
    if path.suffix.lower() in PARQUET:
        frame = _parquet(path)
        return Opened(list(frame.columns), True, partial(_with_texts, frame))
    _refuse_bomb(path)
    if path.name.lower().removesuffix(path.suffix.lower() if path.suffix.lower() in _OPEN else "").endswith(ARFF):
        arff, skipped = _arff_head(path)
        return Opened(arff, True, lambda words: _arff_rows(path, arff, skipped, words))
    return _delimited(path)


def read_table(
    source: FeatureFile, id_column: str | None = None, label: str | None = None, columns: Sequence[str] | None = None
) -> Content:
    """Read features of a table, with what it says of their utterances; arguments and errors as of `columns.assign`."""
    table = open_table(source.path)
    of_opensmile = FRAME_TIME in table.names and OPENSMILE_ID in table.names
    if of_opensmile and id_column is None:
        id_column = OPENSMILE_ID
    chosen = assign(table.names, table.header, source.path, id_column, label, columns)
    known = choose(table.names)[0] if table.header and label is None else {}
    words = known.get("emotion") if chosen.labels == known.get("label") and chosen.labels is not None else None
    frame = table.read([*chosen.words, *([] if words is None or words in chosen.features else [words])])
    if not len(frame):
        raise CorpusError(f"{source.path} has no rows", expected="one for each utterance, or for each of its frames")
    _refuse_index(frame, chosen, id_column, source)
    _refuse_words(frame, chosen, source)
    ids = None if chosen.ids is None else frame[chosen.ids].tolist()
    values: Any = frame[chosen.features].to_numpy(np.float64)
    labels = None if chosen.labels is None else frame[chosen.labels].tolist()
    if labels is not None and words is not None and words not in chosen.features:
        labels = of_words(labels, frame[words].tolist())
    facts = {name: frame[column].tolist() for name, column in chosen.facts.items()}
    if of_opensmile and ids is not None:
        ids = [i[1:-1] if len(i) > 1 and i[0] == i[-1] == "'" else i for i in ids]
        if len(ids) > 1 and set(ids) == {UNKNOWN}:
            raise CorpusError(
                f"{source.path}: openSMILE calls every row {UNKNOWN!r}",
                expected="the utterance's id",
                action="Give SMILExtract the option -instname UTTERANCE_ID, or import with --rows --id COLUMN.",
            )
        if labels is not None and all(map(is_missing, map(str.strip, labels))):
            labels = None  # an attribute class that openSMILE writes without values
        first = [k for k in range(len(ids)) if k == 0 or ids[k] != ids[k - 1]]
        if len(first) < len(ids):
            values = np.split(values, first[1:])
            ids, facts = [ids[k] for k in first], {name: [cells[k] for k in first] for name, cells in facts.items()}
            labels = None if labels is None else [labels[k] for k in first]
    return Content(values, ids, labels, facts, chosen.features if table.header else [], chosen.left_out)


def _refuse_index(frame: pd.DataFrame, chosen: Columns, id_column: str | None, source: FeatureFile) -> None:
    """A column without a name is one of ids if these are not numbers: numbers would be those of the rows."""
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


def _refuse_bomb(path: Path) -> None:
    """Refuse a file that is not a regular one or is in place of one, and one that unpacks to more than its size allows."""
    opener = _OPEN.get(path.suffix.lower())
    try:
        with open_regular(path) as packed:
            refuse_stand_in(path, packed.read(HEAD))
            if opener is None:
                return
            most = max(MAX_UNPACKED, MAX_RATIO * packed.seek(0, io.SEEK_END))
            packed.seek(0)
            with opener(packed) as file:
                size = 0
                while size <= most and (block := file.read(2**20)):
                    size += len(block)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise CorpusError(f"cannot read {path}", expected="a CSV file of numbers", found=error) from None
    if size > most:
        raise CorpusError(f"{path} unpacks to more than {most} bytes", action="Unpack it, if you trust it.")


def _arff_head(path: Path) -> tuple[list[str], int]:
    """Names of the attributes of an ARFF file (Weka's), and the number of lines up to the data."""
    names: list[str] = []
    try:
        with _OPEN.get(path.suffix.lower(), open)(path, "rt", encoding=_encoding(path), newline="") as file:
            number = 0
            for line in file:
                number += 1
                if re.match(r"\s*@data\b", line, re.IGNORECASE):
                    break
                attribute = re.match(r"""\s*@attribute\s+('[^']*'|"[^"]*"|\S+)\s+\S""", line, re.IGNORECASE)
                if attribute:
                    names.append(attribute[1].strip("'\""))
            else:
                raise CorpusError(f"{path} is not an ARFF file", expected="a line @data")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot read {path}", expected="an ARFF file", found=error) from None
    _refuse_twice(names, path)
    return names, number


def _arff_rows(path: Path, names: list[str], skipped: int, words: list[str]) -> pd.DataFrame:
    missing: dict[Any, Any] = {name: ("?", "") for name in names if name not in words}
    return _read_csv(
        path,
        words,
        skiprows=skipped,
        header=None,
        names=names,
        quotechar="'",
        comment="%",
        na_values=missing,
        encoding=_encoding(path),
    )


def _parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise absent("pyarrow", by="parquet") from None
    try:
        with open_regular(path) as file:
            size = file.seek(0, io.SEEK_END)
            about = pq.ParquetFile(file).metadata
            declared = 8 * about.num_rows * about.num_columns
            if declared > max(MAX_UNPACKED, MAX_RATIO * size):
                raise ValueError(f"it declares {about.num_rows} rows of {about.num_columns} columns in {size} bytes")
            content = pq.read_table(file)
            frame: pd.DataFrame = content.to_pandas()
    except (ValueError, OSError, OverflowError) as error:  # pyarrow's own errors are among these
        raise CorpusError(f"cannot read {path}", expected="a Parquet file", found=why_damaged(path, error)) from None
    carried = (content.schema.metadata or {}).get(f"ser.{IDENTITY}".encode())
    refuse_exported(str(path), None if carried is None else carried.decode("utf-8", "replace"))
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    elif not isinstance(frame.index, pd.RangeIndex):
        frame.insert(0, "", frame.index)
    frame.columns = [str(name).strip() for name in frame.columns]
    _refuse_twice(list(frame.columns), path)
    return frame


def _with_texts(frame: pd.DataFrame, words: list[str]) -> pd.DataFrame:
    texts = {w: ["" if pd.isna(cell) else str(cell).strip() for cell in frame[w]] for w in words}
    made: pd.DataFrame = frame.assign(**texts)
    return made


_MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-NaN", "-nan", "null", "NULL", "None")
_NAMES = ("utterance_id", "emotion", "label", "speaker")  # no cell of a row is one of these
_OPEN: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def _delimited(path: Path) -> Opened:
    """A CSV or TSV file. Without a header, numbers are the names of its columns.

    A header is a first line that has one of `_NAMES`, or fewer numbers than the second, or no name for the index of the rows,
    or whose numbers count the columns.
    """
    open_ = _OPEN.get(path.suffix.lower(), open)
    try:
        encoding = _encoding(path)
        with open_(path, "rt", encoding=encoding, newline="") as file:
            first = file.readline()
            said = re.fullmatch(r'"?sep=(.)"?\s*', first, re.IGNORECASE)
            lines = [file.readline() if said else first, file.readline()]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot read {path}", expected="a CSV file of numbers", found=why(error)) from None
    delimiter = said[1] if said else max(",;\t", key=lines[0].count)
    cells = [next(csv.reader([line], delimiter=delimiter), []) for line in lines]
    header = _is_header(cells[0], cells[1], delimiter != ",")
    names = [name.strip() for name in cells[0]] if header else [str(n) for n in range(len(cells[0]))]
    _refuse_twice(names, path)
    options: dict[str, Any] = {"sep": delimiter, "skiprows": int(said is not None), "encoding": encoding}
    return Opened(names, header, partial(_columns_of, path, names, header, **options))


def _encoding(path: Path) -> str:
    """The encoding of a text: UTF-8, UTF-16 or UTF-32 by its byte order mark, else Windows-1252 where it is not UTF-8."""
    with _OPEN.get(path.suffix.lower(), open)(path, "rb") as file:
        decoder = codecs.getincrementaldecoder("utf-8")()
        block = file.read(2**20)
        mark = next((name for mark, name in MARKS.items() if block.startswith(mark)), "utf-8-sig")
        if mark != "utf-8-sig":
            return mark
        try:
            while block:
                decoder.decode(block)
                block = file.read(2**20)
        except UnicodeDecodeError:
            return "cp1252"
    return mark


def _columns_of(path: Path, names: list[str], header: bool, words: list[str], **options: Any) -> pd.DataFrame:
    """Read columns of a CSV file as numbers, and those of `words` as the texts that they are."""
    missing: dict[Any, Any] = {name: _MISSING for name in names if name not in words}  # a speaker may be called NA
    return _read_csv(path, words, header=0 if header else None, names=names, na_values=missing, **options)


def _read_csv(path: Path, words: Sequence[str], **options: Any) -> pd.DataFrame:
    kept: dict[Any, Any] = dict.fromkeys(words, str.strip)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of rows that are longer than the header
            frame: pd.DataFrame = pd.read_csv(
                path,
                converters=kept,
                skipinitialspace=True,
                index_col=False,
                keep_default_na=False,
                **exact_floats(),
                **options,
            )
            return frame
    except (ValueError, OSError, EOFError, OverflowError, pd.errors.ParserWarning) as error:
        raise CorpusError(f"cannot read {path}", expected="a table of numbers", found=error) from None


def _refuse_twice(names: Sequence[str], path: Path) -> None:
    twice = next((name for name, n in Counter(names).items() if n > 1), None)
    if twice is not None:
        raise CorpusError(f"{path}: two columns are called {twice!r}", expected="every name once")


def _is_header(first: list[str], second: list[str], comma: bool) -> bool:
    """True where the first line names the columns; `comma`: numbers may have a decimal comma."""
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
