"""A result: its record, and the files beside it, predictions and run records, which are read when they are used.

It is what `ser.fit` and its siblings return, and what `load_result` reads. In a notebook it shows itself as a report does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import ConfigError
from ser.jsonfile import check, plain
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
from ser.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    import pandas as pd

    from ser.results.plotting.style import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Result(dict[str, Any]):
    """A record with its place; as a dict it is the content of the record's file, in JSON's own types.

    Attributes:
        path: its file; of a comparison, which is not written, the file that it would have.
        record: its content as an object: a summary, a study, an evaluation, a comparison or an audit.
    """

    path: Path
    record: Any

    def __post_init__(self) -> None:
        self.update(plain(self.record))

    def __repr__(self) -> str:
        from ser.results.report.compose import lead_of

        name = str(self.get("experiment", self.path.name))
        lead = lead_of(self)
        return f"{name}\n{lead}" if lead else name

    def _repr_html_(self) -> str:
        """The first section of its report, for a notebook."""
        from ser.results.report.compose import compose
        from ser.results.report.formats.html import fragment

        return fragment(compose([self], full=False))

    def to_frame(self) -> "pd.DataFrame":
        """Its scores, one row for each metric of each part; of a comparison, one row for each pair.

        Returns:
            Columns as of `ser.results.report.blocks.ScoreRow`; of a comparison `a`, `b`, `metric`, `difference`, the ends of
            its 95 % interval, `p` and `p_holm`.
        """
        import pandas as pd

        from ser.results.records.comparison import ResultComparison
        from ser.results.report.blocks import ScoreRow
        from ser.results.report.score_rows import score_rows

        if isinstance(self.record, ResultComparison):
            metric = self.record.metric
            rows: Sequence[tuple[Any, ...]] = [
                (p.a, p.b, metric, p.difference, *(p.ci_95 or (None, None)), p.p, p.p_holm) for p in self.record.pairs
            ]
            names = ["a", "b", "metric", "difference", "ci_95_low", "ci_95_high", "p", "p_holm"]
        else:
            rows, names = score_rows(self.record), list(ScoreRow._fields)
        found: pd.DataFrame = pd.DataFrame(rows, columns=names)
        return found

    def plot(self, kind: str | None = None, metric: str = "UA") -> "Figure":
        """Draw a picture, which a notebook shows.

        Args:
            kind: see `kinds_of_pictures`; None: the first that fits.
            metric: for the kinds that show one.

        Raises:
            ConfigError: an unknown kind, or one that does not fit; the message lists what fits.
        """
        from ser.results.plotting.gallery import draw, wanted

        (first, *_) = wanted(self, None if kind is None else [kind])
        return draw(self, first, metric).figure

    @property
    def kinds_of_pictures(self) -> list[str]:
        """The kinds that `plot` can draw of it."""
        from ser.results.plotting.gallery import kinds

        return kinds(self)

    def report(self, output: Path | str | None = None, form: str | None = None) -> Path:
        """Write its report, and return the file.

        Args:
            output: the file; None: beside the record.
            form: a plugin of `ser.results.report.formats`; None takes it from the ending of `output`, or `html`.

        Raises:
            ConfigError: an unknown format or ending; or the format needs a package that is not installed.
        """
        from ser.results.report.compose import report_of

        return report_of([self], form, None if output is None else Path(output))

    def compare(
        self,
        *others: "Result | Path | str",
        metric: str | None = None,
        allow: Sequence[str] = (),
        at: str | None = None,
    ) -> "Result":
        """Compare with other results on the same test utterances, in pairs, as `ser results compare` does.

        Args:
            others: results, their files, or names of results of the same folder.
            metric, allow, at: as of `ser.results.statistics.comparison.compare_results`.

        Returns:
            The comparison; it is not written, and there is no file at its `path`.

        Raises:
            ConfigError: they are not comparable, or a stamp voids it.
        """
        from ser.results.statistics.comparison import compare_results

        folder = self.path.parent
        names = []
        for one in (self, *others):
            if not isinstance(one, (Result, Path, str)):
                raise ConfigError(
                    "a result to compare with", expected="a result, its file or its name", found=repr(one)
                )
            names.append(str(one.path if isinstance(one, Result) else one))
        found = compare_results(names, folder, metric=metric, at=at, allow=allow)
        return recorded(found, folder / f"{found.experiment}.json")

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
        """The predictions of `runs`, test and validation; of a study those of its experiments, by their names (column `of`).

        Raises:
            ConfigError: a file is missing or damaged, or the record is of a kind that has none.
        """
        import pandas as pd

        from ser.results.records.runs import read_predictions
        from ser.results.studies import StudyRecord

        if isinstance(self.record, StudyRecord):
            each = [(name, load_record(beside(self.path, file))) for name, file in self.record.members()]
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


def _amount(row: RunRow) -> str:
    return amount_name(row.percentage or 0.0, row.shots or None)


def recorded(record: Any, path: Path) -> Result:
    """The result of a record that has just been made, as if it had been read from its file."""
    return Result(path, check(record, type(record), path.name))


def load_record(path: Path) -> Result:
    """Read a record of any kind from its file.

    Raises:
        ConfigError: the file is not there, or not valid.
    """
    return Result(path, read_record(path))


def read_result(name: str, folder: Path) -> Result:
    """Read a record of any kind by its path, its name in a results folder, or a beginning that only one has.

    Raises:
        ConfigError: there is none, or its file is not valid.
    """
    return load_record(find_summary(name, folder))


def load_result(name: str, workspace: Workspace | str | Path = ".") -> Result:
    """Read a result of a workspace, as `ser.fit` and its siblings return it.

    Args:
        name: its name, a beginning that no other has, or the path of its file.

    Raises:
        ConfigError: there is none, or its file is not valid.
    """
    return read_result(name, open_workspace(workspace).results)
