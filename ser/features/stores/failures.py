"""Utterances without features, with the reasons: a CSV beside the store."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ser.errors import SerError, StoreError
from ser.files import read_text, why
from ser.workspace import writing


@dataclass(frozen=True)
class Failure:
    """The reason why an utterance has no features.

    Attributes:
        id: utterance id.
        path: its audio file; empty for text.
        reason: one line.
        kind: the reason without the file's name and without numbers: equal for files that are wrong in the same way.
    """

    id: str
    path: str
    reason: str
    kind: str

    @classmethod
    def of(cls, utterance: str, path: Path | None, error: Exception) -> "Failure":
        """Make a failure of the error that was raised."""
        reason = error.line() if isinstance(error, SerError) else f"{type(error).__name__}: {error}"
        kind = reason.replace(str(path), "*").replace(path.name, "*") if path else reason
        return cls(utterance, str(path or ""), " ".join(reason.split()), re.sub(r"\d+", "#", kind))


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """Write the list, or remove it where there are no failures."""
    for left_over in path.parent.glob(f".{path.name}.*.tmp"):
        left_over.unlink(missing_ok=True)
    if not failures:
        path.unlink(missing_ok=True)
        return
    with writing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["utterance_id", "path", "reason"])
        rows.writerows([f.id, f.path, f.reason] for f in failures)


def read_failures(path: Path) -> set[str]:
    """Ids of the utterances that a list of failures names.

    Raises:
        StoreError: it cannot be read, or is not such a list.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True))
        return {str(row["utterance_id"]) for row in rows}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise StoreError(f"{path} is damaged", expected="a list as `ser extract` writes it", found=why(error)) from None
