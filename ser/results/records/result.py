"""A result as read from its file, with what lies beside it: predictions and run records, read when they are asked for."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ser.jsonfile import read_object
from ser.results.records.find import find_summary, read_any
from ser.results.records.names import SUMMARY_SCHEMA, amount_name, amount_of, amount_value
from ser.results.records.record import read_predictions


@dataclass(frozen=True, eq=False)
class Source:
    """A summary or a study.

    Attributes:
        path: its file.
        result: its content.
    """

    path: Path
    result: dict[str, Any]

    @property
    def schema(self) -> str:
        return str(self.result["schema"])

    @property
    def is_summary(self) -> bool:
        """Whether it has runs of its own, not those of several experiments."""
        return self.schema == SUMMARY_SCHEMA

    @property
    def amount(self) -> str | None:
        """Of a few-shot summary the largest amount of target data; its details are of that. Else None."""
        if "percentages" not in self.result:
            return None
        return max(map(str, self.result["percentages"]), key=amount_value)

    @property
    def part(self) -> dict[str, Any]:
        """What has metrics, matrix, classes and groups: the summary, or a few-shot summary's largest amount."""
        amount = self.amount
        return self.result if amount is None else dict(self.result["percentages"][amount])

    @property
    def classes(self) -> list[str]:
        return list(self.part["confusion_matrix"]["labels"])

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The summary's `runs`; of a few-shot summary those of its largest amount."""
        amount = self.amount
        return [r for r in self.result["runs"] if amount is None or amount_name(**amount_of(r)) == amount]

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Of `runs`, test and validation.

        Raises:
            ConfigError: a file is missing or damaged.
        """
        return read_predictions(self.path, {"runs": self.runs})

    @cached_property
    def test(self) -> pd.DataFrame:
        """The test predictions among `predictions`."""
        found: pd.DataFrame = self.predictions[self.predictions["split"] == "test"]
        return found

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The record of each of `runs`.

        Raises:
            ConfigError: a file is missing or damaged.
        """
        return [read_object(self.path.parent / run["record"], "record") for run in self.runs]


def read_source(name: str, folder: Path) -> Source:
    """A summary or a study by its path, its name in a results folder, or a beginning that only one has.

    Raises:
        ConfigError: there is none, or its file is not valid.
    """
    path = find_summary(name, folder)
    return Source(path, read_any(path))
