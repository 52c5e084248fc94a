"""Kinds of study: made of several experiments, each with its own record. A file's name is the kind's name.

A plugin has a class `Study(StudyRecord)`: the fields of its record, and the methods that show it and compute it again.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ser.results.blocks import Block
from ser.results.records.find import dataset_of
from ser.results.records.kinds import kinds, schema_of
from ser.results.records.model import Opening
from ser.results.records.numbers import Metrics

if TYPE_CHECKING:
    from ser.results.stored.study_experiments import Experiments

KIND = "kind of study"
WORD = "study"
# What `ser new` copies, and how to see it at work in the workspace of `ser demo`, see `ser.starter`.
COPY = "own_study"
TRY = "ser ./NAME.py DEMO --head linear --head mlp && ser results list --kind study --part ./NAME.py"
CLASS, BASE = "Study", "ser.results.studies:StudyRecord"  # of a plugin from outside, see `ser.outside`
Parts = Iterator[tuple[str, Mapping[str, Metrics | None]]]  # name, and split (`validation`, `test`, `pooled`) -> metrics
Recomputed = Iterator[tuple[str, Any, Any]]  # place in the record, stored value, recomputed value


class Standing(NamedTuple):
    """The scores that stand for a study in the list of results.

    Attributes:
        of: a variant, a method or a mean, whose scores they are.
        scores: metric -> mean over runs.
        runs: number of runs.
        validation: the same on validation data; {} where the study does not have them.
    """

    of: str
    scores: dict[str, float]
    runs: int
    validation: Mapping[str, float] = {}

    @classmethod
    def at(cls, of: str, metrics: Metrics, validation: Metrics | None = None) -> "Standing":
        """The scores of a part of a study."""
        scores, chosen_by = (
            {name: metric.mean for name, metric in part.items()} if part else {} for part in (metrics, validation)
        )
        return cls(of, scores, metrics.main.n, chosen_by)


class StudyRecord(Opening, kw_only=True):
    """The record of a study. Its methods serve the list, the terminal, reports, comparisons and `verify`.

    Attributes:
        PICTURE: the kind of picture that is written beside the record with its table (`as_csv`); "": neither is.
    """

    PICTURE: ClassVar[str] = ""

    @property
    def dataset(self) -> str:
        """The dataset's name; `source -> target` where there are two."""
        return dataset_of(self)

    def standing(self) -> Standing:
        """The scores that stand for the study in the list of results."""
        raise NotImplementedError

    def members(self) -> list[tuple[str, str]]:
        """Name and record of each experiment that the study is made of, the record as a path from the study's folder."""
        raise NotImplementedError

    def compared(self) -> list[str]:
        """Records of the experiments that `ser results compare` takes in place of the study."""
        return list(dict.fromkeys(record for _, record in self.members()))

    def lead(self) -> str:
        """The sentence that a report begins with."""
        raise NotImplementedError

    def blocks(self) -> list[Block]:
        """Tables and remarks, the most important first."""
        raise NotImplementedError

    def parts(self) -> Parts:
        """Everything that has scores, for tidy rows."""
        raise NotImplementedError

    def recomputed(self, experiments: "Experiments") -> Recomputed:
        """Every number of the study, computed again from the predictions of its experiments."""
        raise NotImplementedError

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics of its target, the one that stands for a result first."""
        return next((m.names for _, parts in self.parts() for m in parts.values() if m), [])

    def as_csv(self) -> str | None:
        """Its table as CSV, where the kind has one of its own."""
        return None


def studies() -> dict[str, type[StudyRecord]]:
    """Records of studies by their `schema`."""
    return {schema_of(model): model for model in kinds().values() if issubclass(model, StudyRecord)}
