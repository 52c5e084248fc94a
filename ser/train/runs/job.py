"""What a worker needs to train runs of an experiment: the job, and units of work within it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from ser.errors import SerError
from ser.features.tensors import Tensors
from ser.metadata.folds.fold import Fold
from ser.train.runs.recipe import Recipe

Run: TypeAlias = tuple[dict[str, Any], pd.DataFrame]
Finished: TypeAlias = list[Run | SerError]  # an error for each run that diverged


@dataclass(frozen=True, eq=False)
class Job:
    """One configuration on one dataset: what a worker needs to train its runs.

    Attributes:
        data: tensors before normalisation.
        folder: where the runs' records lie.
        refit: `auto`, `always` or `never`, see `ser.train.experiments.fit.fit`.
        save: whether each run's head is written too.
        balance: what each training corpus is sampled equally often by, see `ser.train.runs.balance`: `none` or `corpus`.
        tuning: the configuration of a fold that goes on from another (`Fold.before`), which `config` is of.
    """

    data: Tensors
    config: Recipe
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


Unit: TypeAlias = tuple[Job, list[Fold], list[int]]  # folds that share what is trained first


def first_of(fold: Fold) -> Fold:
    """What is trained first: the fold itself, or what it goes on from."""
    return fold.before or fold


def head_name(fold: Fold) -> str:
    """What a fold's saved head is called by: heads of one stream are one head, unless each is adapted to rows of its own."""
    return fold.name if fold.unlabelled is not None else fold.stream or fold.name


def refits(job: Job, fold: Fold) -> bool:
    """Whether runs are trained again on training and validation."""
    return job.refit == "always" or (job.refit == "auto" and fold.carved)
