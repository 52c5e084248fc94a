"""Published folds in a file of their own: CSV with a line for each utterance that a fold does not train on.

    fold,utterance_id,part
    1,aesdd-a03-3,test

`part` is `test`, `validation` or `unused` (in no part of the fold). What a fold does not name is its training part, so that
an utterance that is never tested needs no line. Without the column `part` every line is `test`, and each utterance needs one.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.workspace import writing

PARTS = ("test", "validation", "unused")
FIELDS = ("fold", "utterance_id", "part")
Line = tuple[str, str, str]  # fold, utterance, part


@dataclass(frozen=True, eq=False)
class Published:
    """One fold, as masks over the utterances it was read for; each `(n,)`. What is in none of them is for training."""

    test: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    unused: NDArray[np.bool_]

    @property
    def train(self) -> NDArray[np.bool_]:
        return np.asarray(~(self.test | self.validation | self.unused))


def write_folds(path: Path, lines: Iterable[Line]) -> None:
    """Write the file; an earlier one is replaced."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows(lines)
    with writing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def read_folds(path: Path, ids: list[str]) -> dict[str, Published]:
    """The folds of some utterances, by name; utterances that the file has and the list has not are passed over.

    Raises:
        ConfigError: the file cannot be read, has other columns or parts, or lacks the fold of an utterance.
    """
    rows = _rows(path)
    if "part" not in rows[0]:
        _complete(path, {row["utterance_id"] for row in rows}, ids)
    position = {utterance: n for n, utterance in enumerate(ids)}
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for number, row in enumerate(rows, start=2):
        part = row.get("part", "test")
        if part not in PARTS:
            raise ConfigError(f"{path}, line {number}: part {part!r}", expected=f"one of {', '.join(PARTS)}")
        masks = found.setdefault(row["fold"], {p: np.zeros(len(ids), dtype=bool) for p in PARTS})
        if row["utterance_id"] in position:
            masks[part][position[row["utterance_id"]]] = True
    return {name: Published(**found[name]) for name in sorted(found, key=lambda f: (len(f), f))}


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
    except OSError as error:
        raise ConfigError(f"cannot read the folds {path}", found=error.strerror) from None
    if not rows or not {"fold", "utterance_id"} <= set(rows[0]):
        raise ConfigError(f"{path} holds no folds", expected="a CSV with columns fold and utterance_id")
    return rows


def _complete(path: Path, listed: set[str], ids: list[str]) -> None:
    lacking = [i for i in ids if i not in listed]
    if lacking:
        raise ConfigError(
            f"{path} has no fold for {len(lacking)} utterances, {lacking[0]} first", expected="a fold for each"
        )
