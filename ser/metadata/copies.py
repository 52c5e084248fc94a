"""Audio that is in a table more than once, as `ser audit` found it: kept beside the table for every later record.

`metadata/NAME.copies.json` holds pairs of utterance ids and the hash of the table that they were found in: of another
table they say nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
