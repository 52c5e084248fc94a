"""A database in audformat (as audEERING's audb keeps them), from its folder. Needs the package audformat.

A database has tables of files or of segments; those with a column of emotions are read, the columns of other tables of whole
files (speaker, transcription, ...) are joined by file, and speakers' attributes come from the scheme `speaker`.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ser.errors import CorpusError
from ser.metadata.column_names import choose, translate
from ser.metadata.corpora._example import write_tone
from ser.metadata.labels import BY_WORD
from ser.metadata.parsing import optional
from ser.metadata.schema import Row, TableFacts
from ser.metadata.table_files import RawRow

PACKAGES = ("audformat",)
TITLE = "audformat database"
CITATION = "none: that of the database"
LICENCE = "that of the database"
URL = ""
LANGUAGE = ""
TREE = """
db.yaml                 schemes, splits, tables
db.files.csv, ...       tables (or .parquet, .pkl: pickles are not read)
audio/*.wav             files that the tables name
"""
LABELS = BY_WORD
UTTERANCES = None
SENTENCES = None
NOTES = (
    "ser metadata --dataset NAME --format audformat --root DIR; needs: pip install 'ser[audformat]'.",
    "Emotions are in a column called emotion, label, class or category; of several tables with one, the first to name a "
    "file or segment counts.",
)
SPLITS = ("train", "dev", "test")


def parse(root: Path, ratings: Sequence[str] = ()) -> Iterator[Row]:
    """Rows of the tables that have emotions.

    Raises:
        CorpusError: the package or the database is not there, or no table has emotions.
    """
    database = _loaded(root)
    tables = {name: database.tables[name] for name in sorted(database.tables)}
    told = {name: table for name, table in tables.items() if _emotion(table) is not None}
    if not told:
        columns = [f"{name}: {', '.join(table.df.columns)}" for name, table in tables.items()]
        raise CorpusError(f"{root}: no table has emotions", expected="a column emotion", found="; ".join(columns) or "none")
    joined = _by_file(tables)
    speakers = _speakers(database)
    rows: dict[tuple[Any, ...], RawRow] = {}
    for table in told.values():
        for key, cells in _lines(table):
            row = {**joined.get(key[0], {}), **cells, **_segment(*key), "split": _split(database, table)}
            row |= {k: v for k, v in speakers.get(str(row.get("speaker", "")), {}).items() if k not in row}
            rows.setdefault(key, row)
    yield from translate(rows.values(), root, root, ratings)


def example(root: Path) -> Path:
    write_tone(root / "audio" / "a.wav", seconds=2.0)
    write_tone(root / "audio" / "b.wav")
    package = optional("audformat")
    database = package.Database("toy", languages=["deu"], license="CC0-1.0")
    speakers = {"s1": {"gender": "female", "age": 30}, "s2": {"gender": "male"}}
    database.schemes["emotion"] = package.Scheme(labels=["angry", "happy"])
    database.schemes["speaker"] = package.Scheme(labels=speakers)
    database.splits["test"] = package.Split(package.define.SplitType.TEST)

    def add(table: str, index: Any, column: str, values: list[str], **options: str) -> None:
        database[table] = package.Table(index, **options)
        database[table][column] = package.Column(scheme_id=column)
        database[table][column].set(values)

    segments = package.segmented_index(["audio/a.wav", "audio/a.wav"], ["0s", "0.5s"], ["0.5s", "1.25s"])
    add("segments", segments, "emotion", ["angry", "happy"], split_id="test")
    add("whole", package.filewise_index(["audio/b.wav"]), "emotion", ["happy"])
    add("files", package.filewise_index(["audio/a.wav", "audio/b.wav"]), "speaker", ["s1", "s2"])
    database.save(str(root), storage_format="csv")
    return root


def facts(root: Path) -> TableFacts:
    """The database's own name, licence and language."""
    database = _loaded(root)
    languages = [_two_letters(str(code)) for code in database.languages]
    return {
        "title": str(database.name),
        "licence": str(database.license or LICENCE),
        "language": languages[0] if len(languages) == 1 else "",
    }


def _loaded(root: Path) -> Any:
    package = optional("audformat")
    if not (root / "db.yaml").is_file():
        raise CorpusError(f"{root}: no audformat database", expected="a folder with db.yaml")
    tables = [p for p in root.glob("db.*") if p.suffix in (".csv", ".parquet")]
    pickled = [p.name for p in root.glob("db.*.pkl") if p.stem not in {t.stem for t in tables}]
    if pickled:
        raise CorpusError(
            f"{root}: {pickled[0]} is a pickle, which can run code when it is read",
            expected="tables as CSV or Parquet",
            action="Save the database again: db.save(root, storage_format='csv').",
        )
    # Of a CSV and a pickle of the same table the package reads the pickle: so the tables are read from where there is none.
    with TemporaryDirectory() as folder:
        for file in (root / "db.yaml", *tables):
            shutil.copy(file, folder)
        try:
            return package.Database.load(folder, load_data=True)
        except Exception as error:
            raise CorpusError(f"{root}: audformat cannot read the database", found=error) from error


def _emotion(table: Any) -> str | None:
    """The table's column of emotions, under any of its usual names."""
    columns, _ = choose([str(c) for c in table.df.columns])
    return columns.get("emotion") or columns.get("label")


def _lines(table: Any) -> Iterator[tuple[tuple[Any, ...], RawRow]]:
    """((file, start, end), cells) of each line; start and end are None for whole files."""
    frame = table.df
    for index, cells in zip(frame.index, frame.astype(object).to_dict("records"), strict=True):
        key = index if isinstance(index, tuple) else (index, None, None)
        yield key, {str(name): None if value != value else value for name, value in cells.items()}


def _segment(file: str, start: Any, end: Any) -> RawRow:
    whole = (start is None or start != start or not start.total_seconds()) and (end is None or end != end)
    times = {} if whole else {"start": start.total_seconds()}
    return {"path": file, **times, **({} if end is None or end != end else {"end": end.total_seconds()})}


def _by_file(tables: dict[str, Any]) -> dict[str, RawRow]:
    """File -> cells of all tables of whole files."""
    joined: dict[str, RawRow] = {}
    for table in tables.values():
        if table.is_filewise:
            for (file, _, _), cells in _lines(table):
                joined.setdefault(file, {}).update({k: v for k, v in cells.items() if v is not None})
    return joined


def _speakers(database: Any) -> dict[str, RawRow]:
    """Speaker -> gender and age, where the scheme `speaker` says them."""
    labels = database.schemes["speaker"].labels if "speaker" in database.schemes else None
    if not isinstance(labels, dict):
        return {}
    return {str(who): {k: told[k] for k in ("gender", "age") if k in told} for who, told in labels.items()
            if isinstance(told, dict)}  # fmt: skip


def _split(database: Any, table: Any) -> str:
    kind = str(database.splits[table.split_id].type) if table.split_id else ""
    return kind if kind in SPLITS else ""


def _two_letters(code: str) -> str:
    """ISO 639-3 -> ISO 639-1, by the package that audformat brings; "" where there is none."""
    if len(code) == 2:
        return code
    try:
        return str(optional("iso639").Lang(code).pt1)
    except Exception:
        return ""
