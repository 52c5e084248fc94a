"""What a stack of runs is trained on, and what comes of a run."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ser.errors import TrainingError
from ser.features.view_rows import ViewRows
from ser.train.loop.batches import Resident


@dataclass(frozen=True, eq=False)
class Data:
    """What one stack is trained on.

    Attributes:
        resident: the features.
        labels: class number of every row, `(n,)`.
        classes: how many classes.
        train: training rows, `(m,)` for all runs, or `(runs, m)` for runs with training sets of their own.
        validation: validation rows; may be empty when the last epoch is taken.
        names: of the classes, for notes; () where they have none.
        vad: valence, arousal and dominance of every row on the corpus's scale, `(n, 3)`, NaN where unknown; None where no
            loss reads them.
        unlabelled: rows of a target corpus, `(m,)`, whose features may be used, never their labels; None where there is none.
        oracle: validation rows of the target, whose labels the selection `oracle` alone may read.
        views: augmented views that training rows are drawn among; None where there are none.
    """

    resident: Resident
    labels: NDArray[np.int64]
    classes: int
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    names: tuple[str, ...] = ()
    vad: NDArray[np.float64] | None = None
    unlabelled: NDArray[np.int64] | None = None
    oracle: NDArray[np.int64] | None = None
    views: ViewRows | None = None


@dataclass(eq=False)
class Trained:
    """One run's outcome.

    Attributes:
        weights: of the chosen epoch, `(n,)`; of a snapshot ensemble those of all its snapshots, one after another.
        epochs, best_epoch: epochs trained, and the chosen one (1-based).
        curves: one value an epoch: `loss` (training), `validation_loss` (plain cross-entropy, whatever is trained with),
            `validation_UA`, `validation_WA`; with adaptation `adaptation_loss` (before lambda, and no part of `loss`); with a
            selection for a target corpus `selection_NAME`, see `ser.train.loop.target_criteria`.
        notes: what a reader must know, a collapse for instance.
        seconds: of the stack, divided by its runs.
        error: why there is no result: the run diverged; its weights are not numbers then. None where there is one.
    """

    weights: Tensor
    epochs: int = 0
    best_epoch: int = 0
    curves: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: TrainingError | None = None
