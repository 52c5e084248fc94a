"""Utterances that have no features, and why: a CSV beside the store."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ser.errors import SerError
from ser.workspace import writing


@dataclass(frozen=True)
class Failure:
    """Why an utterance has no features.

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
        """A failure from the error that was raised."""
        reason = error.line() if isinstance(error, SerError) else f"{type(error).__name__}: {error}"
        kind = reason.replace(str(path), "*").replace(path.name, "*") if path else reason
        return cls(utterance, str(path or ""), " ".join(reason.split()), re.sub(r"\d+", "#", kind))


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """Write `failures.csv`, or remove it where there are none."""
    for left_over in path.parent.glob(f".{path.name}.*.tmp"):
        left_over.unlink(missing_ok=True)
    if not failures:
        path.unlink(missing_ok=True)
        return
    with writing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["utterance_id", "path", "reason"])
        rows.writerows([f.id, f.path, f.reason] for f in failures)
