"""Folds in a file that other tools read and write: a CSV with columns `utterance_id`, `fold`, `part`, or any other file that
may hold a table of utterances (with semicolons, in UTF-16, Excel, JSON lines).

    utterance_id,fold,part,folds
    03a01Fa,1,test,10

`part` is `train`, `validation`, `test`, or `unused` (in no part of the fold). A fold without any `train` line trains on all
that it does not name. A file without `part` names the fold that tests each utterance. Columns and parts may have the other
names that those of a table of utterances may have: `id`, `split`, `dev`. Three more columns may be missing:
`validation_by` and `carved` say where validation came from, and `folds` is the number of folds in the whole file: by it a file
that was cut short is recognised. Without it, folds that test no utterance twice must together test all of them.
"""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ser.errors import ConfigError, SerError, UnusableError
from ser.metadata.column_names import choose, plain
from ser.metadata.folds.fold import PARTS, Fold, leave_out
from ser.metadata.table_files import read_rows
from ser.metadata.words_in_cells import as_written, part_of, said
from ser.workspace import writing

UNUSED = "unused"
FIELDS = ("utterance_id", "fold", "part")
SOURCE = ("validation_by", "carved")
COUNT = "folds"
Line = tuple[str, str, str]  # fold, utterance, part


def write_folds(path: Path, lines: Iterable[Line], sources: Mapping[str, tuple[str, bool]] | None = None) -> None:
    """Write the file, whole or not at all; an earlier one is replaced.

    Args:
        sources: fold -> the unit of validation, and true if it was taken out of training; see `Fold`.
    """
    lines = list(lines)
    count = len({fold for fold, _, _ in lines})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*FIELDS, *(SOURCE if sources else ()), COUNT))
    for fold, utterance, part in lines:
        by, carved = (sources or {}).get(fold, ("", False))
        writer.writerow((utterance, fold, part, *((by, "yes" if carved else "no") if sources else ()), count))
    with writing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def save_folds(path: Path, frame: pd.DataFrame, folds: list[Fold]) -> None:
    """Write folds over the rows of a frame, so that `read_folds` gives the same again.

    Raises:
        ConfigError: there is a file already, and it is not one that this function wrote.
    """
    if os.path.lexists(path):
        try:
            own = {*FIELDS, COUNT} <= set(_read(path)[0])
        except SerError:
            own = False
        if not own:
            raise ConfigError(
                f"{path} is there already, and is not a file of folds that ser wrote",
                expected="no file, or one of folds with a column folds, which is written again",
                action="Choose another name, or move that file away.",
            )
    write_folds(path, _lines(frame, folds), {f.name: (f.validation_by, f.carved) for f in folds})


def _lines(frame: pd.DataFrame, folds: list[Fold]) -> Iterator[Line]:
    ids = list(frame["utterance_id"])
    for fold in folds:
        part_of = np.full(len(ids), UNUSED, dtype=object)
        for part, rows in fold.parts().items():
            part_of[rows] = part
        yield from ((fold.name, utterance, part) for utterance, part in zip(ids, part_of, strict=True))


def read_folds(path: Path, frame: pd.DataFrame) -> list[Fold]:
    """Read the folds of a file over the rows of a frame, those that test any of them. Without validation, it is empty.

    Lines of utterances that are not in the frame are passed over: a label scheme may leave some out.

    Raises:
        CorpusError: there is no such file, or it is no table or was cut short.
        ConfigError: there is no such column, a part is unknown, an utterance is in two parts of a fold, or the file lacks one.
    """
    lines = _read(path)
    position = {utterance: row for row, utterance in enumerate(frame["utterance_id"])}
    own = {said(utterance): utterance for utterance in position}  # ids may have white space at their ends, as names of files
    for line in lines:
        line["utterance_id"] = own.get(line["utterance_id"], line["utterance_id"])
    declared = _declared(path, lines)
    if "part" not in lines[0]:
        return _tests(path, lines, position)
    parts: dict[str, dict[int, str]] = {}
    sources: dict[str, tuple[str, bool]] = {}
    for number, line in enumerate(lines, start=2):
        fold, part = line["fold"], line["part"]
        part = part_of(part) or part
        if part not in (*PARTS, UNUSED):
            raise ConfigError(f"{path}, line {number}: unknown part {part!r}", expected=f"{', '.join(PARTS)} or {UNUSED}")
        of_fold = parts.setdefault(fold, {})
        sources[fold] = (line.get("validation_by") or "split", (line.get("carved") or "no") == "yes")
        row = position.get(line["utterance_id"])
        if row is not None and of_fold.setdefault(row, part) != part:
            raise ConfigError(f"{path}, line {number}: {line['utterance_id']} is in two parts of fold {fold}")
    explicit = {line["fold"] for line in lines if line["part"] == "train"}
    found = [_fold(path, name, of, name in explicit, position, sources[name]) for name, of in parts.items()]
    found = [fold for fold in found if len(fold.test)]
    if not found:
        raise ConfigError(
            f"{path} tests none of the {len(frame)} utterances in use",
            expected=f"lines of the part test with their ids, as {frame['utterance_id'].iloc[0]}",
            found=f"first {lines[0]['utterance_id']}",
        )
    if declared is None:
        _refuse_untested(path, found, frame)
    return found


def _declared(path: Path, lines: list[dict[str, str]]) -> int | None:
    """The number of folds that the file says it has; None where it does not say."""
    if COUNT not in lines[0]:
        return None
    there = len({line["fold"] for line in lines})
    for number, line in enumerate(lines, start=2):
        if line[COUNT] != str(there):
            raise UnusableError(
                f"{path} is cut short, or was put together of others",
                expected=f"{line[COUNT]} folds, as line {number} says",
                found=there,
                action="Write it again: ser audit --write-folds.",
            )
    return there


def _refuse_untested(path: Path, folds: list[Fold], frame: pd.DataFrame) -> None:
    """Refuse folds of a cross-validation that leave utterances untested: their file may have been cut short."""
    tested = np.concatenate([fold.test for fold in folds]) if folds else np.zeros(0, dtype=np.int64)
    untested = np.setdiff1d(np.arange(len(frame)), tested)
    if len(folds) < 2 or len(np.unique(tested)) < len(tested) or not len(untested):
        return
    raise ConfigError(
        f"{path}: no fold tests {len(untested)} of {len(frame)} utterances, {frame['utterance_id'].iloc[untested[0]]} first",
        expected=f"each in the test part of one of the {len(folds)} folds",
        action=f"Was the file cut short? If it is whole, say so in a column {COUNT}, the number of folds in every line.",
    )


def _fold(
    path: Path, name: str, part_of: dict[int, str], explicit: bool, position: dict[str, int], source: tuple[str, bool]
) -> Fold:
    unnamed = [utterance for utterance, row in position.items() if row not in part_of]
    if explicit and unnamed:
        raise ConfigError(
            f"{path}: fold {name} has no part for {len(unnamed)} utterances, {unnamed[0]} first",
            expected=f"a line for each, or no {PARTS[0]} line at all",
        )
    part_of = part_of | {position[utterance]: "train" for utterance in unnamed}
    rows = [np.array(sorted(r for r, p in part_of.items() if p == part), dtype=np.int64) for part in PARTS]
    return Fold(name, rows[0], rows[1], rows[2], *source)


def _tests(path: Path, lines: list[dict[str, str]], position: dict[str, int]) -> list[Fold]:
    """Folds of a file that names only the fold that tests each utterance."""
    fold_of = {line["utterance_id"]: line["fold"] for line in lines}
    lacking = [i for i in position if i not in fold_of]
    if lacking:
        strange = next((i for i in fold_of if i not in position), None)
        raise ConfigError(
            f"{path} has no fold for {len(lacking)} utterances, {lacking[0]} first",
            expected="a fold for each",
            found=f"{len(fold_of)} ids" + (f", of which {strange} is not in use" if strange else ""),
        )
    twice = next((line["utterance_id"] for line in lines if fold_of[line["utterance_id"]] != line["fold"]), None)
    if twice is not None:
        raise ConfigError(
            f"{path}: two folds test {twice}",
            expected="one for each utterance",
            action=f"For folds that overlap, give the columns {', '.join(FIELDS)}.",
        )
    if len(set(fold_of.values())) == 1:
        raise ConfigError(
            f"{path} has one fold alone, which tests all utterances and leaves none for training",
            expected=f"two or more folds, or a column {FIELDS[2]}",
        )
    of_row = np.array([fold_of[i] for i in position], dtype=object)
    return [leave_out(name, of_row == name) for name in sorted(set(of_row), key=lambda f: (len(f), f))]


def _names(keys: list[str]) -> dict[str, str]:
    """The columns of `FIELDS` by the names that the file has for them, which may be those of a table of utterances."""
    columns, known = choose(keys)[0], {plain(key): key for key in reversed(keys)}
    found = {"utterance_id": columns.get("utterance_id"), "fold": known.get("fold")}
    found["part"] = known.get("part", columns.get("split"))
    return {key: name for name, key in found.items() if key is not None}


def _read(path: Path) -> list[dict[str, str]]:
    rows, _ = read_rows(path)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    names = _names(columns)
    if not {"fold", "utterance_id"} <= set(names.values()):
        raise UnusableError(
            f"{path} has no folds",
            expected="a table with columns fold and utterance_id",
            found=f"the columns {', '.join(columns)}" if rows else "no line below a header",
            action="This writes one: ser audit --dataset NAME --protocol P --write-folds FILE.csv",
        )
    lines = [{names.get(key, key): said(row.get(key)) for key in columns} for row in rows]
    for number, line in enumerate(lines, start=2):
        empty = next((name for name in ("fold", "utterance_id") if not line[name]), None)
        if empty is not None:
            raise UnusableError(f"{path}, line {number}", expected=f"a value in the column {empty}", found="an empty one")
    if lines and not all(line.get(COUNT, "").isdecimal() for line in lines):  # a file of ours has the names that its folds have
        for name in {"fold", COUNT} & set(lines[0]):
            for line, whole in zip(lines, as_written([line[name] for line in lines]), strict=True):
                line[name] = whole
    return lines
