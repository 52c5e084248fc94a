"""A record with its place, and the files beside it, predictions and run records, which are read when they are used."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ser.errors import ConfigError
from ser.jsonfile import check, plain
from ser.results.records.find import beside, find_summary
from ser.results.records.kinds import read_record, read_run_record
from ser.results.records.model import AmountNumbers, FewshotSummary, RunRecord, RunRow, Summary
from ser.results.records.names import METRICS, amount_name, amount_of, amount_value
from ser.results.records.numbers import Groups, GroupScores, chance, classes_of
from ser.results.studies import StudyRecord

if TYPE_CHECKING:
    import pandas as pd


AnyResult = TypeVar("AnyResult", bound="StoredResult")


@dataclass(frozen=True, eq=False, repr=False)
class StoredResult(dict[str, Any]):
    """A record with its place; as a dict it is the content of the record's file, in JSON's own types.

    Attributes:
        path: its file; of a comparison, which is not written, the file that it would have.
        record: its content as an object: a summary, a study, an evaluation, a comparison or an audit.
    """

    path: Path
    record: Any

    def __post_init__(self) -> None:
        self.update(plain(self.record))

    @classmethod
    def of(cls: "type[AnyResult]", record: Any, path: Path) -> "AnyResult":
        """The result of a record that has just been made, as if it had been read from its file."""
        return cls(path, check(record, type(record), path.name))

    @classmethod
    def read(cls: "type[AnyResult]", path: Path) -> "AnyResult":
        """Read a record of any kind from its file.

        Raises:
            ConfigError: the file is not there, or not valid.
        """
        return cls(path, read_record(path))

    @classmethod
    def find(cls: "type[AnyResult]", name: str, folder: Path) -> "AnyResult":
        """Read a record of any kind by its path, its name in a results folder, or a beginning that only one has.

        Raises:
            ConfigError: there is none, or its file is not valid.
        """
        return cls.read(find_summary(name, folder))

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
    def chance(self) -> float:
        """The UA of a guess, of a result with classes; see `ser.results.records.numbers.chance`."""
        assert self.numbers.per_class
        return chance(self.numbers.per_class)

    @property
    def metrics(self) -> list[str]:
        """The names of its metrics, the one that stands for the result first; those of classes where it has none."""
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
        return [r for r in self.record.runs if self.amount is None or amount_name(**amount_of(r)) == self.amount]

    @cached_property
    def predictions(self) -> "pd.DataFrame":
        """The predictions of `runs`, test and validation; of a study those of its experiments, by their names (column `of`).

        Raises:
            ConfigError: a file is missing or damaged, or the record is of a kind that has none.
        """
        import pandas as pd

        from ser.results.stored.runs import read_predictions

        if isinstance(self.record, StudyRecord):
            each = [(name, StoredResult.read(beside(self.path, file))) for name, file in self.record.members()]
            frame: pd.DataFrame = pd.concat([one.predictions.assign(of=name) for name, one in each], ignore_index=True)
            return frame
        if not self.is_summary:
            raise ConfigError(f"{self.path.name} has no predictions of its own", expected="an experiment or a study")
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
