"""Audio that is in a table more than once: what `ser audit` found, kept beside the table for every later record.

`metadata/NAME.copies.json` holds pairs of utterance ids and the hash of the table that they were found in: of another
table they say nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import CorpusError
from ser.metadata.folds.fold import Fold
from ser.workspace import Workspace, writing

SCHEMA = "ser.copies/1"
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Copies:
    """Pairs of utterances with the same audio.

    Attributes:
        identical: the same samples. Of three that are the same two pairs are told, each with the first.
        near_identical: the same recording, encoded again, louder, resampled or trimmed.
    """

    identical: tuple[tuple[str, str], ...] = ()
    near_identical: tuple[tuple[str, str], ...] = ()

    def pairs(self) -> dict[str, Pairs]:
        """Kind -> pairs."""
        return {"identical": self.identical, "near_identical": self.near_identical}


@dataclass(frozen=True)
class Crossing:
    """Where pairs of copies lie in the folds.

    Attributes:
        pairs: how many there are among the rows in use.
        across: pairs of a test utterance and one of training or validation, in any fold.
        test_utterances: test utterances, summed over folds, whose audio training or validation has too.
        labels_differ: how many of all pairs have two labels.
    """

    pairs: tuple[tuple[str, str], ...]
    across: tuple[tuple[str, str], ...]
    test_utterances: int
    labels_differ: int

    def facts(self) -> dict[str, int]:
        """The counts, for a record."""
        return {
            "pairs": len(self.pairs),
            "across": len(self.across),
            "test_utterances": self.test_utterances,
            "labels_differ": self.labels_differ,
        }


def crossing(pairs: Pairs, frame: pd.DataFrame, folds: list[Fold]) -> Crossing:
    """How pairs of copies lie in the folds over the rows of a frame. Copies of copies count: pairs are joined first."""
    position = {utterance: row for row, utterance in enumerate(frame["utterance_id"])}
    kept = tuple((a, b) for a, b in pairs if a in position and b in position)
    labels = frame["emotion"].to_numpy()
    groups = _groups(np.array([[position[a], position[b]] for a, b in kept], dtype=np.int64).reshape(-1, 2), len(frame))
    across: set[tuple[str, str]] = set()
    tested = 0
    for fold in folds:
        part = np.zeros(len(frame), dtype=np.int8)
        part[np.concatenate([fold.train, fold.validation])] = 1
        part[fold.test] = 2
        seen = np.zeros(len(frame), dtype=bool)  # by group
        seen[groups[(part == 1) & (groups >= 0)]] = True
        of_test = groups[fold.test]
        tested += int(seen[of_test[of_test >= 0]].sum())
        across |= {(a, b) for a, b in kept if {part[position[a]], part[position[b]]} == {1, 2}}
    differ = sum(labels[position[a]] != labels[position[b]] for a, b in kept)
    return Crossing(kept, tuple(p for p in kept if p in across), tested, int(differ))


def _groups(pairs: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """Number of each row's group of copies, `(rows,)`; -1 for a row without a copy."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(rows, rows))
    _, number = connected_components(edges, directed=False)
    found = np.full(rows, -1, dtype=np.int64)
    touched = np.unique(pairs)
    found[touched] = number[touched]
    return found


def copies_file(workspace: Workspace, dataset: str) -> Path:
    """Where the copies of a dataset are kept."""
    return workspace.table(dataset).with_name(f"{dataset}.copies.json")


def write_copies(workspace: Workspace, dataset: str, table_sha256: str, copies: Copies) -> Path:
    """Keep what was found, beside the table; returns the file."""
    path = copies_file(workspace, dataset)
    content: dict[str, Any] = {"schema": SCHEMA, "table_sha256": table_sha256, **copies.pairs()}
    with writing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_copies(workspace: Workspace, dataset: str, table_sha256: str) -> Copies | None:
    """What was found in this very table; None where its audio was not audited, or the table has changed since.

    Raises:
        CorpusError: the file is damaged.
    """
    path = copies_file(workspace, dataset)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA or content["table_sha256"] != table_sha256:
            return None
        return Copies(*(tuple((str(a), str(b)) for a, b in content[k]) for k in ("identical", "near_identical")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{path} is damaged", found=error, action=f"Write it anew with: ser audit --dataset {dataset}"
        ) from None
