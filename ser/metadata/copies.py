"""Audio that is in a table more than once, as `ser audit` found it: kept beside the table for every later record.

Audio that two tables share, as whole files or as parts of them, is found from the tables alone.

`metadata/NAME.copies.json` holds pairs of utterance ids and the hash of the table that they were found in: of another
table they say nothing.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import CorpusError
from ser.files import JsonObject, parse_json, read_bytes
from ser.workspace import Workspace, writing

SCHEMA = "ser.copies/1"
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Copies:
    """Pairs of utterances with the same audio.

    Attributes:
        identical: the same samples. Of three that are the same there are two pairs, each with the first.
        near_identical: the same recording, encoded again, louder, resampled or trimmed.
    """

    identical: tuple[tuple[str, str], ...] = ()
    near_identical: tuple[tuple[str, str], ...] = ()

    def pairs(self) -> dict[str, Pairs]:
        """Kind -> pairs."""
        return {"identical": self.identical, "near_identical": self.near_identical}


def copies_file(workspace: Workspace, dataset: str) -> Path:
    """Path of the file of a dataset's copies."""
    return workspace.table(dataset).with_name(f"{dataset}.copies.json")


def write_copies(workspace: Workspace, dataset: str, table_sha256: str, copies: Copies) -> Path:
    """Write the copies beside the table; return the path."""
    path = copies_file(workspace, dataset)
    content: JsonObject = {"schema": SCHEMA, "table_sha256": table_sha256, **copies.pairs()}
    with writing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_copies(workspace: Workspace, dataset: str, table_sha256: str) -> Copies | None:
    """Read the copies that were found in this very table; None where its audio was not audited, or the table has changed since.

    Raises:
        CorpusError: the file is damaged.
    """
    path = copies_file(workspace, dataset)
    if not path.is_file():
        return None
    try:
        content = parse_json(read_bytes(path))
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__} in place of a JSON object")
        if content.get("schema") != SCHEMA or content.get("table_sha256") != table_sha256:
            return None
        return Copies(*(_pairs(content.get(kind), kind) for kind in ("identical", "near_identical")))
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{path} is damaged", found=error, action=f"Write it again with: ser audit --dataset {dataset}"
        ) from None


def _pairs(value: object, kind: str) -> tuple[tuple[str, str], ...]:
    found = []
    for pair in value if isinstance(value, list) else [None]:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(i, str) for i in pair):
            raise ValueError(f"{kind}, which are not pairs of utterance ids")
        found.append((pair[0], pair[1]))
    return tuple(found)


def in_common(frame: pd.DataFrame, root: Path, other: pd.DataFrame, other_root: Path) -> NDArray[np.bool_]:
    """Find the rows that are of a file of another table, and of a part of it that a row there overlaps with; `(n,)`.

    An empty start is the file's beginning, an empty end its end, an empty channel all of them. Links are followed.

    Args:
        frame, other: rows of the tables.
        root, other_root: the folders that their paths are relative to.
    """
    theirs = {file: _parts(rows) for file, rows in other.groupby(_files(other, other_root))}
    found = pd.Series(False, index=frame.index)
    for file, rows in frame.groupby(_files(frame, root)):
        if file in theirs:
            starts, ends, channels = theirs[file]
            for row, start, end, channel in zip(rows.index, *_parts(rows), strict=True):
                same = (channels == channel) | np.isnan(channels) | np.isnan(channel)
                found[row] = bool((same & (starts < end) & (start < ends)).any())
    return np.asarray(found, dtype=np.bool_)


def _files(frame: pd.DataFrame, root: Path) -> pd.Series:
    """The audio file of each row; none for a row without audio."""
    return frame["path"].map({path: os.path.realpath(root / path) for path in set(frame["path"]) - {""}})


def _parts(rows: pd.DataFrame) -> tuple[NDArray[np.float64], ...]:
    """The start, the end and the channel of each row; `(n,)` each."""
    return rows["start"].fillna(0).to_numpy(), rows["end"].fillna(math.inf).to_numpy(), rows["channel"].to_numpy()
