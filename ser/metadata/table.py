"""The utterance table: one row per utterance, the same columns for every corpus, and a sidecar that says where it is from.

`metadata/NAME.csv` holds the rows, `metadata/NAME.json` the facts: corpus, release, root, licence, citation, counts and
the SHA-256 of the CSV's bytes.
"""

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from ser.errors import CorpusError, NoCorpus
from ser.files import parse_json, read_bytes, why
from ser.metadata.copies import Copies, read_copies
from ser.metadata.ledger import IMPORTED
from ser.metadata.parsing import shared
from ser.metadata.schema import (
    RATINGS,
    TEXT,
    Row,
    Scale,
    TableFacts,
    check_name,
    check_table_facts,
    columns_of,
    one_name,
    validate,
)
from ser.registry import unknown
from ser.workspace import Workspace, open_workspace, writing

SEVERAL = "several labels (for --target labels)"
_AT_ONCE = 10_000  # rows that are made into text at a time
# pandas and Python's own writer leave a lone carriage return unquoted, and pandas reads `NA`, `01` and `1` as what they
# are not: so a table is written and read here.
_QUOTE = re.compile(r'[",\r\n]|^\s|\s$')


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """An utterance table and its facts.

    Attributes:
        frame: one row per utterance with the columns of `columns`; text is "" where there is none, numbers NaN.
        dataset: the name in the workspace.
        facts: the sidecar: corpus, root, licence, citation, language, sentences, counts, sha256 and others.
        path: the file it was read from; None for one that was just made.
        copies: audio that is in it twice, where `ser audit` has looked for it.
    """

    frame: pd.DataFrame
    dataset: str
    facts: TableFacts = field(default_factory=lambda: TableFacts())
    path: Path | None = None
    copies: Copies | None = None

    def __repr__(self) -> str:
        """The content in one line."""
        frame = self.frame
        speakers, hours = len(set(frame["speaker"]) - {""}), frame["duration"].sum() / 3600
        facts = [f"{len(frame)} utterances", speakers_in_words(speakers)]
        emotions = (f"{emotion} {count}" for emotion, count in emotions_in_words(frame).items())
        return f"{self.dataset}: {', '.join(facts + [f'{hours:.2f} h'] * bool(hours))}; {', '.join(emotions)}"

    def _repr_html_(self) -> str:
        """The same, and the first rows without the columns that are empty."""
        rows = self.frame[[name for name in self.columns if self.has(name)]].head()
        return f"<p>{escape(repr(self))}</p>{rows.to_html(index=False)}"

    @property
    def ids(self) -> list[str]:
        return list(self.frame["utterance_id"])

    @property
    def columns(self) -> dict[str, str]:
        """The columns and their kinds: those that all tables have, then this corpus's other dimensions."""
        return columns_of(self.facts)

    @property
    def ratings(self) -> list[str]:
        """The columns of ratings: valence, arousal, dominance and this corpus's other dimensions, where rows have values."""
        return [name for name in dict.fromkeys((*RATINGS, *self.dimensions)) if self.has(name)]

    @property
    def dimensions(self) -> dict[str, Scale]:
        """The dimensions that utterances are rated on, with their scales, where the corpus states them."""
        return self.facts.get("dimensions", {})

    @property
    def root(self) -> Path:
        """The corpus folder that `path` is relative to."""
        return Path(self.facts.get("root", "."))

    @property
    def folds_file(self) -> Path | None:
        """The published folds that lie beside the table, if there are any."""
        file = self.path.parent / "folds" / self.path.name if self.path else None
        return file if file is not None and file.is_file() else None

    @property
    def sentences(self) -> int | None:
        """Size of the corpus's fixed set of sentences; None where speech is free."""
        return self.facts.get("sentences")

    @property
    def sha256(self) -> str:
        return self.facts.get("sha256", "")

    def has(self, column: str) -> bool:
        """True where any row has a value in the column."""
        values = self.frame[column]
        return bool((values != "").any() if self.columns[column] == TEXT else values.notna().any())


def emotions_in_words(frame: pd.DataFrame, none: str = "none") -> dict[str, int]:
    """Count emotions, the commonest first, where rows with several labels and no main one are not those without any."""
    several = (frame["emotion"] == "") & frame["label"].str.contains(";", regex=False)
    words = frame["emotion"].replace("", none).mask(several, SEVERAL)
    return {str(word): int(count) for word, count in words.value_counts().items()}


def make_table(rows: Iterable[Row], dataset: str, facts: TableFacts | None = None) -> Table:
    """Make a validated table of rows with any subset of the columns, in the order given.

    Raises:
        CorpusError: an unknown column, a missing or duplicated id, or a value that is not allowed.
    """
    return table_of_columns(*columns_of_rows(rows), dataset, facts)


def columns_of_rows(rows: Iterable[Row]) -> tuple[dict[str, list[Any]], int]:
    """The cells of each column, None where a row has none, and the number of rows, which are read one after the other."""
    cells: dict[str, list[Any]] = {}
    count = 0
    for count, row in enumerate(rows, start=1):
        for name, cell in row.items():
            if name not in cells:
                cells[name] = [None] * (count - 1)
            cells[name].append(cell)
        for column in cells.values():
            if len(column) < count:
                column.append(None)
    return cells, count


def table_of_columns(cells: Mapping[str, Iterable[Any]], count: int, dataset: str, facts: TableFacts | None = None) -> Table:
    """Make a validated table of columns, each of `count` cells, see `make_table`."""
    facts = TableFacts(**(facts or {}))
    known = columns_of(facts)
    strange = sorted({str(name) for name in cells} - set(known))
    if strange:
        raise CorpusError(
            f"{dataset}: unknown column {strange[0]!r}",
            expected=f"columns among {', '.join(known)}",
            action="A column of ratings is known where the sidecar has its scale in dimensions.",
        )
    columns: dict[str, list[Any]] = {}
    for name, kind in known.items():
        values = cells.get(name, [None] * count)
        if kind == TEXT:
            columns[name] = [_text(v) for v in values]
        else:
            columns[name] = [_number(v, dataset, name, n) for n, v in enumerate(values, start=1)]
    language = facts.get("language") or ""
    columns["language"] = [own or language for own in columns["language"]]
    sources = zip(columns["text_source"], columns["text"], strict=True)
    columns["text_source"] = [source or ("corpus" if text else "") for source, text in sources]
    index = pd.RangeIndex(count)  # one for all: columns with each their own are aligned first, for longer than all else takes
    series = {name: pd.Series(columns[name], index, dtype=object if kind == TEXT else float) for name, kind in known.items()}
    frame = pd.DataFrame(series, index)
    validate(frame, check_name(dataset), bare=facts.get("features") == IMPORTED)
    facts["dataset"] = dataset
    facts["counts"] = {
        "utterances": len(frame),
        "speakers": len(set(frame["speaker"]) - {""}),
        "hours": round(float(frame["duration"].sum()) / 3600, 4),
        "emotions": {str(e): int(n) for e, n in frame["emotion"].value_counts().items()},
    }
    return Table(frame, dataset, facts)


def _text(value: Any) -> str:
    """A cell as text: nothing is "", votes are JSON, and a number stays as it was written (pandas would make 1 to 1.0)."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _number(value: Any, dataset: str, column: str, row: int) -> float:
    if value is None or value == "":
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isinf(number):
        raise CorpusError(f"{dataset}: column {column}, row {row}", expected="a number", found=repr(value))
    return number


def write_table(table: Table, workspace: Workspace) -> Path:
    """Write `metadata/NAME.csv` and its sidecar; returns the CSV's path.

    The sidecar is renamed first: a dataset is there when its CSV is, and then its facts are.
    """
    path = workspace.table(check_name(table.dataset))
    with writing(path) as temporary:
        content = to_csv(table.frame, table.columns)
        temporary.write_bytes(content)
        table.facts["sha256"] = hashlib.sha256(content).hexdigest()
        with writing(path.with_suffix(".json")) as sidecar:
            sidecar.write_text(json.dumps(table.facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_table(path: Path) -> Table:
    """Read a table and its sidecar.

    Raises:
        CorpusError: the file is missing, damaged or not valid.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        raise CorpusError(f"cannot read the table {path}", found=why(error)) from None
    cells = from_csv(content, f"the table {path}")
    sidecar = path.with_suffix(".json")
    try:
        facts = check_table_facts(parse_json(read_bytes(sidecar))) if sidecar.exists() else TableFacts()
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{sidecar} is damaged",
            expected="JSON as `ser metadata` writes it",
            found=why(error),
            action="Make the table again with ser metadata.",
        ) from None
    table = table_of_columns(cells, len(next(iter(cells.values()))), path.stem, facts)
    table.facts["sha256"] = hashlib.sha256(content).hexdigest()
    return replace(table, path=path)


def speakers_in_words(count: int) -> str:
    """The number of speakers; 0 says that they are not known."""
    return f"{count} speaker{'s' * (count != 1)}" if count else "speakers not known"


def load_table(dataset: str, workspace: Workspace | str | Path = ".") -> Table:
    """The table of a dataset in a workspace.

    Raises:
        ConfigError: it is not one name.
        CorpusError: the workspace has no such table; the message lists those it has.
    """
    space = open_workspace(workspace)
    if one_name(dataset) not in space.datasets():
        near = unknown("table", dataset, space.datasets()).action
        raise NoCorpus(
            f"there is no table {space.table(dataset)}",
            expected=f"one of {', '.join(space.datasets())}" if space.datasets() else "a table",
            action=f"{near + ' ' if near else ''}Make it with: ser metadata --dataset {dataset} --root DIR",
        )
    table = read_table(space.table(dataset))
    return replace(table, copies=read_copies(space, dataset, table.sha256))


def to_csv(frame: pd.DataFrame, columns: dict[str, str]) -> bytes:
    """UTF-8 with `\\n` after each row.

    Raises:
        CorpusError: a text that is not Unicode (a file name of undecodable bytes, say).
    """
    found = io.BytesIO((",".join(columns) + "\n").encode())
    found.seek(0, io.SEEK_END)
    try:
        for begin in range(0, len(frame), _AT_ONCE):
            some = frame.iloc[begin : begin + _AT_ONCE]
            parts = [map(_quoted if kind == TEXT else _plain, some[name]) for name, kind in columns.items()]
            found.write("".join(",".join(row) + "\n" for row in zip(*parts, strict=True)).encode())
        return found.getvalue()
    except UnicodeEncodeError as error:
        bad = error.object[max(0, error.start - 40) : error.end].rsplit("\n", 1)[-1]
        raise CorpusError(f"the table holds text that is not Unicode: {bad!r}", action="Rename that file.") from None


def from_csv(content: bytes, what: str) -> dict[str, list[str]]:
    """The cells of each column, by its name.

    Args:
        content: the file's bytes.
        what: its name in an error.

    Raises:
        CorpusError: it is not CSV in UTF-8, two columns have one name, or a row is of another length than the header.
    """
    csv.field_size_limit(2**31 - 1)  # one long transcript is not damage
    try:
        # Of what is not UTF-8 this names the place in the file; the lines below read piece by piece.
        content.decode("utf-8-sig")
        reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""), strict=True)
        header = next(reader, [])
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            raise CorpusError(f"{what}: two columns are called {twice!r}", expected="every name once")
        cells: dict[str, list[str]] = {name: [] for name in header}
        # Equal cells of a column are one object: rows as they are read would take 2 KB each.
        columns: list[tuple[list[str], dict[str, str]]] = [(column, {}) for column in cells.values()]
        for number, row in enumerate(reader, start=1):
            if len(row) != len(header):
                raise CorpusError(f"{what}, row {number}", expected=f"{len(header)} fields", found=len(row))
            for (column, known), cell in zip(columns, row, strict=True):
                column.append(shared(cell, known))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{what} is not CSV in UTF-8", found=str(error)) from None
    if not header:
        raise CorpusError(f"{what} is empty", expected="a header, and one row for each utterance")
    return cells


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTE.search(text) else text


def _plain(number: float) -> str:
    if math.isnan(number):
        return ""
    return str(int(number)) if float(number).is_integer() else repr(float(number))
