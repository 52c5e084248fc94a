"""The list of results, as a table and as CSV: a line for each record of a folder, kept in an index as there may be thousands.

Reading a record takes a millisecond or more, most of it for runs and folds that the list does not show. So the line of each
file is kept beside the records, in `.list.cache`, with the file's size, times of change and number: where one of these
differs, the file is read again. The line of a file that changed less than two seconds ago is not kept, as another change
might leave no trace in its times. The index also names the code that made it. It can be deleted at any time.

Light: neither NumPy nor pandas.
"""

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, astuple

from ser.errors import ConfigError
from ser.jsonfile import decode, read_limited
from ser.metadata.parsing import few
from ser.progress import progress
from ser.registry import unknown
from ser.results.blocks import Table
from ser.results.cells import csv_text, date, head_of, number
from ser.results.headlines import STUDY, VALIDATION, Headline, Line, read_headline
from ser.results.records.kinds import read_schema, schemas
from ser.results.records.numbers import METRICS, MORE_METRICS
from ser.workspace import writing

INDEX = ".list.cache"
MANY = 500  # records; progress is shown while more are read
FileKey = tuple[int, int, int, int]  # size, times of change, number
SETTLED = 2_000_000_000  # ns after a change within which another change may leave the same times
SYSTEMS = ("import", "import_predictions", "classify")  # commands that record a system that was not trained here


def list_results(folder: Path, quiet: bool = True) -> tuple[list[Headline], list[str]]:
    """Headlines of all experiments and studies of a folder, oldest first, and a line for each file that is damaged.

    JSON files of another kind are passed over. Nothing is validated against the schema: that would take ten times as long.

    Args:
        quiet: show no progress where many have to be read.
    """
    before, now = _read_index(folder), time.time_ns()
    kept: dict[str, Any] = {}
    found: list[Headline] = []
    damaged: list[str] = []
    files = sorted(_files(folder))
    known = {name: before[name].line for name, key in files if name in before and before[name].key == key}
    few = quiet or len(files) - len(known) <= MANY
    for name, key in progress(files, len(files), "reading results for the first time", "result", few):
        if name in known:
            kept_line = known[name]
            line = None if kept_line is None else Headline(**asdict(kept_line), path=folder / name)
        else:
            try:
                line = read_headline(folder / name)
            except ConfigError as error:
                damaged.append(error.line())
                continue
            if line is None and read_schema(folder / name) not in ("", *schemas()):
                continue  # perhaps a study of a kind that is known once its part is named: not kept
        if line is not None:
            found.append(line)
        if now - max(key[1], key[2]) > SETTLED:
            kept[name] = [key, None if line is None else astuple(line)[:-1]]
    if len(known) < len(files) or len(kept) != len(before):
        _write_index(folder, kept)
    return sorted(found, key=lambda line: (line.started, line.experiment)), damaged


class _Kept(Struct, array_like=True):
    """A file that was read: its size, times and number, and its line; None for JSON of another kind."""

    key: FileKey
    line: Line | None


class _Index(Struct):
    """The index: the code that made it, and the files by name."""

    code: str
    files: dict[str, _Kept]


def _files(folder: Path) -> Iterable[tuple[str, FileKey]]:
    """Names of the JSON files, each with the size, times and number that a changed file does not keep."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    try:
                        stat = entry.stat()
                    except OSError:  # a link that leads nowhere, or in a circle: said when it is read
                        stat = entry.stat(follow_symlinks=False)
                    yield entry.name, (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    except FileNotFoundError:
        return


def _read_index(folder: Path) -> dict[str, _Kept]:
    try:
        index = decode(read_limited(folder / INDEX, "index"), _Index, INDEX)
    except ConfigError:
        return {}
    return index.files if index.code == _code() else {}


def _write_index(folder: Path, files: dict[str, Any]) -> None:
    try:
        with writing(folder / INDEX) as temporary:
            temporary.write_text(json.dumps({"code": _code(), "files": files}, separators=(",", ":")), encoding="utf-8")
    except OSError:
        pass  # a folder that may only be read is listed all the same, and read every time


def _code() -> str:
    """The code that makes headlines: an index of another one is not used."""
    parts = [
        (Path(__file__).parent / name).read_bytes()
        for name in ("listing.py", "headlines.py", "records/find.py", "records/names.py")
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


SORTS = (*METRICS, *MORE_METRICS, *(name for name in Line.__struct_fields__ if name not in ("scores", "at")))


def main_validation(line: Line) -> float:
    """The score on validation data of the metric that stands for the result; -inf where there is none."""
    return next(iter(line.validation.values()), -math.inf)


def select(
    lines: Iterable[Headline],
    *,
    dataset: str | None = None,
    features: str | None = None,
    since: str | None = None,
    stamps: bool | None = None,
    **equal: str | None,
) -> list[Headline]:
    """The lines that fit all conditions.

    Args:
        dataset: as the only one, source, target or one of several.
        features: a store, or the short name of its encoder.
        since: ISO 8601, UTC; a day is enough.
        stamps: true: with any; false: with none.
        equal: `kind`, `head`, `command`, `scheme`, `protocol`: the exact word.
    """
    given = {"dataset": dataset, "features": features, **equal}
    words = {name: word for name, word in given.items() if word is not None}
    return [
        line
        for line in lines
        if all(word in _words(line, name) for name, word in words.items())
        and (since is None or line.started[: len(since)] >= since)
        and (stamps is None or (line.stamps > 0) == stamps)
    ]


def _words(line: Headline, name: str) -> set[str]:
    """The words by which a condition finds a line."""
    word = str(getattr(line, name))
    if name == "dataset":
        return set(word.replace("->", " ").replace("+", " ").split())
    if name == "features":
        return {short for store in word.split("+") for short in (store, store.split(".")[0])}
    return {word, *(word.split("+") if name == "protocol" else ())}


def why_none(lines: Sequence[Headline], *, since: str | None = None, stamps: bool | None = None, **words: str | None) -> str:
    """Say why no line fits conditions, which are those of `select`: a word that no line has, with those that there are."""
    asked = {name: word for name, word in words.items() if word is not None}
    for name, word in asked.items():
        known = sorted({known for line in lines for known in _words(line, name)} - {""})
        if word not in known:
            near = unknown(name, word, known).action
            return f"none has the {name} {word!r}; there are {few(known, 30) or 'none'}. {near or ''}".rstrip()
    newest = max(line.started for line in lines)
    if since is not None and newest[: len(since)] < since:
        return f"the newest is of {date(newest)} (UTC)."
    parts = [f"the {name} {word}" for name, word in asked.items()]
    parts += [] if stamps is None else ["stamps" if stamps else "no stamps"]
    return f"none has {' and '.join(parts)}."


def ordered(lines: list[Headline], sort: str = "started", limit: int | None = None) -> list[Headline]:
    """Sort lines by a metric or a column, the highest last, and keep the last ones."""
    if sort in (*METRICS, *MORE_METRICS):
        lines = sorted(lines, key=lambda line: line.scores.get(sort, -math.inf))
    elif sort == VALIDATION:
        lines = sorted(lines, key=main_validation)
    else:
        lines = sorted(lines, key=lambda line: (getattr(line, sort), line.started, line.experiment))
    return lines if limit is None else lines[max(0, len(lines) - limit) :]


def list_table(headlines: Iterable[Headline]) -> Table:
    """One line per result, in the order given; `2*` means two stamps."""
    lines = list(headlines)
    other = any("UA" not in line.scores for line in lines)
    validated = any(line.validation for line in lines)
    learned = any(line.target != "emotion" for line in lines)
    rows = [
        [
            *(line.experiment, f"{line.command} (study)" if line.kind == STUDY else line.command, line.dataset),
            *(line.features, line.head, line.scheme, *([line.target] if learned else []), line.protocol),
            *(str(line.runs), line.at, number(line.scores.get("UA")), number(line.scores.get("WA"))),
            *([_other(line)] if other else []),
            *([_validation(line)] if validated else []),
            date(line.started),
            f"{line.stamps}*" if line.stamps else "",
        ]
        for line in lines
    ]
    who = "head or system" if any(line.command in SYSTEMS for line in lines) else "head"
    names = ["experiment", "command", "dataset", "features", who, "scheme", *(["target"] if learned else []), "protocol"]
    head = [*names, "runs", "of", "UA", "WA", *(["other score"] if other else [])]
    head += [*([VALIDATION] if validated else []), "date (UTC)", "stamps"]
    note = "stamps: see ser results show NAME" if any(line.stamps for line in lines) else ""
    return Table("", head, rows, left=len(names), note=note)


def _other(line: Headline) -> str:
    """The score of a result that has no UA."""
    return "" if "UA" in line.scores else next(f"{head_of(m)} {number(v)}" for m, v in line.scores.items())


def _validation(line: Headline) -> str:
    """The score on validation data of the metric that stands for the result, named where that is not UA."""
    name, value = next(iter(line.validation.items()), ("UA", None))
    return number(value) if name == "UA" else f"{head_of(name)} {number(value)}"


def list_csv(headlines: Iterable[Headline]) -> str:
    """The list of results as CSV, all columns; those of metrics that no result has are left out, but for those of classes."""
    lines = list(headlines)
    metrics = [name for name in (*METRICS, *MORE_METRICS) if name in METRICS or any(name in x.scores for x in lines)]
    columns = ["path", *(name for name in Line.__struct_fields__ if name not in ("scores", VALIDATION)), *metrics]
    columns += [f"{VALIDATION}_{name}" for name in metrics]
    return csv_text(columns, ([line.facts().get(name) for name in columns] for line in lines))
