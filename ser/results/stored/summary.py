"""The summary of an experiment: its options, its data, its code, and the numbers over all runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypedDict

import pandas as pd
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from ser.errors import TrainingError
from ser.jsonfile import Time, plain
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.records.comparison import TestedOn
from ser.results.records.environment import environment
from ser.results.records.model import (
    AmountNumbers,
    CorpusNumbers,
    Environment,
    FewshotSummary,
    RunResult,
    RunRow,
    SourceModel,
    Spread,
    Summary,
)
from ser.results.records.names import AMOUNTS, amount_name, amount_of, amount_value, config_hash, run_name
from ser.results.records.numbers import Suspect
from ser.results.records.stamps import EQUAL, EQUAL_RUNS

ZERO = amount_name(0)
MANY_NOTES = 10  # of one kind; more are counted, and stay in the runs' own records


class OpeningFields(TypedDict):
    """The fields that all records of results begin with."""

    experiment: str
    command: str
    config: dict[str, Any]
    config_hash: str
    data: Any
    stamps: list[str]
    environment: Environment
    time: Time


@dataclass(frozen=True, eq=False)
class FinishedExperiment:
    """All that the summary of an experiment is made of.

    Attributes:
        runs: the records of the runs, as given to `write_run`.
        predictions: of all runs and folds.
        started: the time of the start, with its time zone; a string is taken as it is.
        device: the device that it was trained on.
        folder: the folder of the runs' files, relative to the summary's; the experiment's name by default.
    """

    experiment: str
    command: str
    config: dict[str, Any]
    data: dict[str, Any]
    stamps: list[str]
    runs: Sequence[RunResult]
    predictions: pd.DataFrame
    classes: list[str]
    started: datetime | str
    seconds: float
    device: str = "cpu"
    folder: str | None = None

    def opening(self) -> OpeningFields:
        """The fields that all records of results begin with."""
        return opening(
            self.experiment,
            self.command,
            self.config,
            self.data,
            [*self.stamps, *self._equal_runs()],
            self.started,
            self.seconds,
            self.device,
            trained=any(run.best_epoch for run in self.runs),
        )

    def _equal_runs(self) -> list[str]:
        """The stamp of several runs with the same predictions, where none says so yet: whether an estimator draws at random
        depends on its options and its data, so that the predictions alone tell."""
        if self.predictions["run"].nunique() < 2 or any(EQUAL in stamp for stamp in self.stamps):
            return []
        keys = [k for k in ("fold", "split", "utterance_id", *AMOUNTS) if k in self.predictions.columns]
        runs = self.predictions.groupby("run")  # one after another: the first two differ, mostly
        tidy = (own.drop(columns=["run", "seed"], errors="ignore").sort_values(keys, ignore_index=True) for _, own in runs)
        first = next(tidy)
        return [EQUAL_RUNS] if all(first.equals(own) for own in tidy) else []

    def rows(self) -> list[RunRow]:
        """The runs as the summary lists them."""
        found = []
        for record in self.runs:
            amount = amount_of(record)
            name = f"{self.folder or self.experiment}/{run_name(record.run, record.fold, **amount)}"
            found.append(
                RunRow(
                    run=record.run,
                    fold=record.fold,
                    seed=record.seed,
                    **amount,
                    best_epoch=record.best_epoch,
                    seconds=record.seconds,
                    record=f"{name}.json",
                    predictions=f"{name}.csv",
                )
            )
        return found


def summarise(
    finished: FinishedExperiment,
    *,
    notes: list[str] | UnsetType = UNSET,
    suspects: list[Suspect] | UnsetType = UNSET,
    datasets: dict[str, CorpusNumbers] | UnsetType = UNSET,
) -> Summary:
    """Summarise an experiment (SPEC part 7), all its numbers computed from the predictions.

    Args:
        notes: the runs' notes.
        suspects: of a transfer, classes that may be swapped.
        datasets: of a union of corpora, the numbers of each.

    Raises:
        TrainingError: the predictions do not fit together; see `metrics_from_predictions`.
    """
    numbers = metrics_from_predictions(finished.predictions, finished.classes)
    return Summary(
        **finished.opening(), **asdict(numbers), runs=finished.rows(), notes=notes, suspects=suspects, datasets=datasets
    )


def summarise_fewshot(finished: FinishedExperiment, *, notes: list[str] | UnsetType = UNSET) -> FewshotSummary:
    """Summarise a few-shot experiment: all numbers for each amount of the target's training data.

    Args:
        finished: its runs have a `percentage` or a number of `shots` each; percentage 0 is the source model itself. Its
            predictions have a column `percentage`, or `shots`, or both (NaN in the one that does not apply). Rows of
            percentage 0 are the source model's: split `test` is the target's test set (zero-shot), split `validation` the
            source's own validation set.

    Raises:
        TrainingError: as `summarise`; or there is no amount above 0.
    """
    names = amounts_of(finished.predictions)
    parts: dict[str, AmountNumbers] = {}
    source: SourceModel | UnsetType = UNSET
    for name in sorted(names.unique(), key=amount_value):
        numbers = metrics_from_predictions(finished.predictions[names == name], finished.classes)
        if name == ZERO:
            validation = numbers.validation or None
            numbers.validation = UNSET
            source = SourceModel(zero_shot=numbers, validation=validation)
        else:
            parts[name] = AmountNumbers(
                n_samples=_samples(finished.runs, name), n_speakers=_speakers(finished.runs, name), **asdict(numbers)
            )
    if not parts:
        raise TrainingError("there are no few-shot predictions", expected="rows of a percentage above 0, or of shots")
    return FewshotSummary(**finished.opening(), percentages=parts, source=source, runs=finished.rows(), notes=notes)


def notes_of(done: Sequence[tuple[RunResult, pd.DataFrame]]) -> list[str]:
    """The runs' notes, each with its run and fold; the same note of many runs once, with their number."""
    where: dict[str, list[str]] = {}
    some = any(amount_of(row) for row, _ in done)
    kinds = "runs x folds x amounts" if some else "runs x folds"
    for row, _ in done:
        for note in row.notes or ():
            amount = amount_of(row)
            at = f", {amount_name(**amount)}" if amount else ""
            where.setdefault(note, []).append(f"run {row.run}, fold {row.fold}{at}")
    found = []
    for note, places in where.items():
        many = len(places) > MANY_NOTES
        found += [f"{p}: {note}" for p in ([f"{len(places)} of {len(done)} {kinds}"] if many else places)]
    return sorted(found)


def amounts_of(predictions: pd.DataFrame) -> "pd.Series[str]":
    """The name of each prediction's amount of target data (`amount_name`).

    Raises:
        TrainingError: there is no column of amounts.
    """
    columns = [key for key in AMOUNTS if key in predictions.columns]
    if not columns:
        raise TrainingError("few-shot predictions have no column 'percentage' and none 'shots'")
    names = pd.Series("", index=predictions.index, dtype=object)
    for key in columns:
        for value in predictions[key].dropna().unique():
            name = amount_name(shots=int(value)) if key == "shots" else amount_name(float(value))
            names[predictions[key] == value] = name
    return names


def opening(
    experiment: str,
    command: str,
    config: dict[str, Any],
    data: dict[str, Any] | TestedOn,
    stamps: Sequence[str],
    started: datetime | str,
    seconds: float,
    device: str,
    trained: bool = True,
) -> OpeningFields:
    """Make the fields that all records of results begin with: options, data, time and place.

    Args:
        data: the facts of the data; of a comparison the object that states them.
        trained: see `environment`.
    """
    if isinstance(started, datetime):
        started = started.astimezone(timezone.utc).isoformat(timespec="seconds")
    return {
        "experiment": experiment,
        "command": command,
        "config": plain(config),
        "config_hash": config_hash(config),
        "data": plain(data) if isinstance(data, dict) else data,
        "stamps": list(stamps),
        "environment": environment(device, trained),
        "time": Time(started=started, seconds=round(float(seconds), 3)),
    }


def _samples(records: Sequence[RunResult], name: str) -> int | Spread:
    """The number of training utterances at an amount, or its mean, min and max where folds differ."""
    sizes = [r.n.train for r in _at(records, name)]
    if not sizes:
        raise TrainingError(f"there is no run record of {name}", expected="one for each run, fold and amount")
    return _spread(sizes)


def _speakers(records: Sequence[RunResult], name: str) -> int | Spread | UnsetType:
    """The number of their speakers, where it is known."""
    known = [r.speakers for r in _at(records, name) if r.speakers is not UNSET]
    return _spread(known) if known else UNSET


def _at(records: Sequence[RunResult], name: str) -> list[RunResult]:
    return [r for r in records if amount_of(r) and amount_name(**amount_of(r)) == name]


def _spread(sizes: list[int]) -> int | Spread:
    if len(set(sizes)) == 1:
        return sizes[0]
    return Spread(mean=sum(sizes) / len(sizes), min=min(sizes), max=max(sizes))
