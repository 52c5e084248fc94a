"""The job of training an experiment, as its workers need it, and the units of work within it."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pandas as pd

from ser.errors import SerError
from ser.features.tensors import Tensors
from ser.metadata.folds.fold import Fold
from ser.results.records.model import RunResult
from ser.results.records.names import head_file_name, run_name
from ser.train.loop.handover import Handover
from ser.train.runs.halving import Rungs
from ser.train.runs.recipe import Recipe


class Run(NamedTuple):
    """One seed of an experiment on one fold.

    Attributes:
        record: its result, as `ser.results.stored.runs.write_run` takes it.
        predictions: of its validation and test part, see `ser.train.runs.predictions`.
    """

    record: RunResult
    predictions: pd.DataFrame


Finished: TypeAlias = list[Run | SerError]  # an error for each run that diverged


@dataclass(frozen=True, eq=False)
class Job:
    """The part of an experiment that its workers need.

    Attributes:
        data: tensors before normalisation.
        recipe: how heads are trained.
        normalize, limit: how features are standardised, see `ser.features.normalise.normalise`.
        seed: of the experiment.
        device: where heads are trained.
        experiment, config_hash: the experiment's name, and the hash of its configuration.
        stamps: sentences that a saved head carries.
        folder: where the runs' records lie.
        refit: `auto`, `always` or `never`, see `ser.train.runs.options.FitOptions`.
        save: whether each run's head is written too.
        tuning: how a fold that goes on from another (`Fold.before`) is trained; that other one is trained by `recipe`.
        balance: whether corpora are sampled equally often, see `ser.train.runs.joined_corpora`: `none` or `corpus`.
        rungs: of successive halving; None where no run leaves early.
        along: another experiment whose training is the first of this one's, see `Along`; None where there is none.
    """

    data: Tensors
    recipe: Recipe
    normalize: str
    limit: float
    seed: int
    device: str
    experiment: str
    config_hash: str
    stamps: list[str]
    folder: Path
    refit: str = "auto"
    save: bool = False
    tuning: Recipe | None = None
    balance: str = "none"
    rungs: Rungs | None = None
    along: "Along | None" = None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.data.classes

    def refits(self, fold: Fold) -> bool:
        """True if runs are trained again on training and validation."""
        return self.refit == "always" or (self.refit == "auto" and fold.carved)

    def head_file(self, run: int, fold: Fold) -> Path:
        """The file of the saved head of a run and fold."""
        return self.folder / head_file_name(run, head_name(fold))


class Along(NamedTuple):
    """The missing runs of an experiment whose training is the first of another's: they are trained once, for both.

    The head of a source alone, for instance, beside the same head fine-tuned.
    """

    job: Job
    folds: list[Fold]
    runs: frozenset[int]


class Unit(NamedTuple):
    """Runs that are trained together, on folds that share their first training.

    Attributes:
        handover: the file in which the only run is left to another unit, or taken over from it; None: it is trained whole.
    """

    job: Job
    folds: list[Fold]
    runs: list[int]
    handover: Handover | None = None


def handover_of(unit: Unit, until: int | None = None) -> Handover:
    """The file in which the only run of a unit is handed over.

    Args:
        until: the epoch after which the run is left to another unit; None takes it over.
    """
    (run,), fold = unit.runs, first_of(unit.folds[0]).name
    owner = f"{unit.job.config_hash} {run} {fold}"
    return Handover(unit.job.folder / f"{run_name(run, fold)}.begun", owner, until)


def end_handover(unit: Unit) -> None:
    """Remove the file in which the only run of a finished unit was handed over, also what a worker left that was killed before
    it had handed over. Of the first part of a run it stays."""
    if len(unit.runs) == 1 and (unit.handover is None or unit.handover.until is None):
        handover_of(unit).end()


def owner_of(job: Job, run: Run) -> Job:
    """The job whose run this is: the unit's own, or the one that is trained along."""
    along = job.along is not None and run.record.experiment == job.along.job.experiment
    return job.along.job if along and job.along is not None else job


def first_of(fold: Fold) -> Fold:
    """The fold that is trained first: the fold itself, or the one that it goes on from."""
    return fold.before or fold


def head_name(fold: Fold) -> str:
    """The name of a fold's saved head: heads of one stream are one head, unless each is adapted to rows of its own."""
    return fold.name if fold.unlabelled is not None else fold.stream or fold.name
