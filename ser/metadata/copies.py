"""Audio that is in a table more than once: what `ser audit` found, kept beside the table for every later record.

`metadata/NAME.copies.json` holds pairs of utterance ids and the hash of the table that they were found in: of another
table they say nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.errors import CorpusError
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
