"""The experiments that a study, or a summary over several corpora, is made of: read and checked for recomputation."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from ser.errors import ConfigError, UnusableError
from ser.results.metrics.measures import outputs_of
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.records.find import beside
from ser.results.records.kinds import read_record
from ser.results.records.model import FewshotSummary, RunRecord, Summary
from ser.results.records.names import run_name
from ser.results.records.numbers import Metrics
from ser.results.stored.checked_runs import Runs, read_runs
from ser.results.stored.runs import read_run
from ser.results.stored.verdict import Verdict

PARTS = ("validation", "test", "pooled")


class Named(Protocol):
    """A part of a study that is an experiment: its name, its record, and scores that say over how many runs."""

    @property
    def name(self) -> str: ...
    @property
    def experiment(self) -> str: ...
    @property
    def record(self) -> str: ...
    @property
    def pooled(self) -> Metrics: ...


class Experiments:
    """Summaries, runs and predictions of experiments, each read once.

    Attributes:
        path: the file of the record that they belong to.
        verdict: gets missing files and differences.
    """

    def __init__(self, path: Path, verdict: Verdict) -> None:
        self.path, self.verdict = path, verdict
        self._summaries: dict[str, Summary | FewshotSummary] = {}
        self._read: dict[str, Runs | None] = {}

    def runs(self, record: str, experiment: str, number: int) -> Runs | None:
        """The first runs of an experiment, as many as the study was made of; None where they are not all there."""
        if record not in self._read:
            self._read[record] = self._whole(record, experiment)
        whole = self._read[record]
        return None if whole is None else whole.first(number)

    def summary(self, record: str) -> Summary | FewshotSummary:
        """The summary of an experiment.

        Raises:
            ConfigError: it is not there, is damaged, or is of another kind.
        """
        if record not in self._summaries:
            file = beside(self.path, record)
            found = read_record(file, "summary")
            if not isinstance(found, (Summary, FewshotSummary)):
                raise UnusableError(f"{file} is not a summary")
            self._summaries[record] = found
        return self._summaries[record]

    def _whole(self, record: str, experiment: str) -> Runs | None:
        try:
            summary = self.summary(record)
        except ConfigError as error:
            self.verdict.add(record, error.line(), "the summary of an experiment")
            return None
        self.verdict.compare(experiment, summary.experiment, f"{record} $.experiment")
        found = read_runs(beside(self.path, record), summary, self.verdict)
        return found if found.whole and found.frames else None

    def of_fold(self, near: str, experiment: str, fold: str, number: int) -> list[tuple[RunRecord, pd.DataFrame]]:
        """The first runs of an experiment on a fold, looked for near the record of another; none where not all are there."""
        found = [self.of_run(near, experiment, fold, run) for run in range(number)]
        return [run for run in found if run is not None] if None not in found else []

    def of_run(self, near: str, experiment: str, fold: str, run: int) -> tuple[RunRecord, pd.DataFrame] | None:
        """One run of an experiment on a fold, which need not have a summary; None where it is not there."""
        name = f"{Path(near).parent.as_posix()}/{experiment}/{run_name(run, fold)}"
        try:
            files = [beside(self.path, f"{name}{ending}") for ending in (".json", ".csv")]
        except ConfigError:
            return None
        read = read_run(files[0].parent, run, fold)
        return None if read is None or read[0].experiment != experiment else read

    def pairs(self, member: Named) -> list[tuple[RunRecord, pd.DataFrame]]:
        """Records and predictions of the runs of one experiment."""
        found = self.runs(member.record, member.experiment, member.pooled.main.n)
        return [] if found is None else found.pairs()

    def frames(self, members: Sequence[Named]) -> dict[str, pd.DataFrame]:
        """Predictions by the name of the experiment, of those that are whole; the verdict says if some are not."""
        found = {m.name: self.runs(m.record, m.experiment, m.pooled.main.n) for m in members}
        if None in found.values():
            self.verdict.missing.append("the comparisons cannot be recomputed without all experiments")
        return {name: runs.predictions for name, runs in found.items() if runs is not None}

    @staticmethod
    def classes(frame: pd.DataFrame) -> list[str]:
        """The classes that predictions have probabilities of."""
        return outputs_of(frame)

    @staticmethod
    def scores(
        where: str, stored: object, frame: pd.DataFrame | None, parts: Sequence[str] = PARTS
    ) -> Iterator[tuple[str, Any, Any]]:
        """Place, stored and recomputed value of each of `parts`; nothing without predictions."""
        if frame is not None:
            again = metrics_from_predictions(frame, outputs_of(frame))
            yield from ((f"{where}.{part}", getattr(stored, part), again[part]) for part in parts)
