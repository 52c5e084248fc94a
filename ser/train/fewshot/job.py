"""What few-shot workers need: the job, and the source models that they share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import SerError
from ser.features.tensors import Tensors
from ser.metadata.folds.fold import Fold
from ser.train.fewshot.shots import Amount
from ser.train.loop.data import Trained
from ser.train.runs.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Job:
    """What workers need for all runs, folds and methods.

    Attributes:
        data: tensors, normalised already unless each fold is to do it by its own training part (`each_fold`).
        each_fold: `normalize` and `limit` of that; None where it is done.
        first: training on the source; None without one.
        config: of the source model.
        tuning, fresh: of fine-tuning, and of training from random weights.
        amounts: of target data, as every method gets them.
        speaker_aware: whether one speaker is used up before the next.
        folds: how many share the cost of a source model in the records.
        names: experiment and hash of its configuration, by method.
    """

    data: Tensors
    each_fold: tuple[str, float] | None
    first: Fold | None
    config: Recipe
    tuning: Recipe
    fresh: Recipe
    amounts: list[Amount]
    speaker_aware: bool
    seed: int
    device: str
    folds: int
    names: dict[str, tuple[str, str]]


@dataclass(eq=False)
class Source:
    """Source models of a stack of runs.

    Attributes:
        runs: their numbers.
        weights: of each part, `(runs, n)`.
        trained: one a run.
        account: of each run, what the record says of the training.
        validation: probabilities of the source's validation part, `(runs, rows, classes)`.
        errors: of the runs of the stack that diverged, and are none of these.
    """

    runs: list[int]
    weights: list[Any]
    trained: list[Trained]
    account: list[dict[str, Any]]
    validation: NDArray[np.float64]
    errors: list[SerError]

    def of(self, slots: slice) -> "Source":
        weights = [w[slots] for w in self.weights]
        return Source(self.runs[slots], weights, self.trained[slots], self.account[slots], self.validation[slots], [])
