"""A result as read from its file, and the files beside it: predictions and run records, read when they are used."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.results.records.beside import beside
from ser.results.records.find import find_summary
from ser.results.records.kinds import read_record, read_run_record
from ser.results.records.model import (
    AmountNumbers,
    FewshotSummary,
    Groups,
    GroupScores,
    RunRecord,
    RunRow,
    Summary,
    classes_of,
)
from ser.results.records.names import METRICS, amount_name, amount_value

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Result:
    """A record with its place.

    Attributes:
        path: its file.
        record: its content: a summary, a study, an evaluation, a comparison or an audit.
    """

    path: Path
    record: Any

    @property
    def is_summary(self) -> bool:
        """True for a record with runs of its own, not those of several experiments."""
        return isinstance(self.record, (Summary, FewshotSummary))

    @property
    def amount(self) -> str | None:
        """The largest amount of target data of a few-shot summary, whose details are shown; None for all other records."""
        return max(self.record.percentages, key=amount_value) if isinstance(self.record, FewshotSummary) else None

    @property
    def numbers(self) -> Summary | AmountNumbers:
        """Metrics, matrix, classes and groups: those of the summary, or of a few-shot summary's largest amount."""
        found: Summary | AmountNumbers = self.record if self.amount is None else self.record.percentages[self.amount]
        return found

    @property
    def groups(self) -> Groups:
        """Scores by gender and by speaker; empty where they are not known."""
        return self.numbers.groups or Groups(gender={}, gender_gap=None, speaker={}, speaker_gap=None)

    @property
    def classes(self) -> list[str]:
        """The classes, or the dimensions or labels, in order."""
        return classes_of(self.numbers)

    @property
    def metrics(self) -> list[str]:
        """The names of its metrics, the one that stands for the result first; those of classes where it has none."""
        from ser.results.studies import StudyRecord

        if self.is_summary:
            return self.numbers.pooled.names
        return (self.record.metrics if isinstance(self.record, StudyRecord) else []) or list(METRICS)

    @property
    def outputs_in_words(self) -> str:
        """`4 classes`, `3 dimensions` or `6 labels`."""
        return outputs_in_words(len(self.classes), self.metrics)

    @property
    def runs(self) -> list[RunRow]:
        """The runs of the summary; of a few-shot summary those of its largest amount."""
        return [r for r in self.record.runs if self.amount is None or _amount(r) == self.amount]

    @cached_property
    def predictions(self) -> "pd.DataFrame":
        """The predictions of `runs`, test and validation.

        Raises:
            ConfigError: a file is missing or damaged.
        """
        from ser.results.records.runs import read_predictions

        return read_predictions(self.path, self.runs)

    @cached_property
    def test(self) -> "pd.DataFrame":
        """The test predictions among `predictions`."""
        found: pd.DataFrame = self.predictions[self.predictions["split"] == "test"]
        return found

    @cached_property
    def records(self) -> list[RunRecord]:
        """The record of each of `runs`.

        Raises:
            ConfigError: a file is missing or damaged.
        """
        return [read_run_record(beside(self.path, row.record)) for row in self.runs]


def outputs_in_words(count: int, metrics: Sequence[str]) -> str:
    """The number of a head's outputs with their kind, by the metrics that they have.

    >>> outputs_in_words(4, ["UA", "WA"]), outputs_in_words(1, ["CCC"])
    ('4 classes', '1 dimension')
    """
    kind = "dimensions" if "CCC" in metrics else "labels" if "exact" in metrics else "classes"
    return f"{count} {kind if count > 1 or kind == 'classes' else kind[:-1]}"


def metrics_of_groups(groups: dict[str, GroupScores]) -> list[str]:
    """The metrics that groups have scores of."""
    return list(dict.fromkeys(metric for group in groups.values() for metric in group.names))


def _amount(row: RunRow) -> str:
    return amount_name(row.percentage or 0.0, row.shots or None)


def read_result(name: str, folder: Path) -> Result:
    """Read a record of any kind by its path, its name in a results folder, or a beginning that only one has.

    Raises:
        ConfigError: there is none, or its file is not valid.
    """
    path = find_summary(name, folder)
    return Result(path, read_record(path))
