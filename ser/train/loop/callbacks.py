"""Optional parts of training, and the moments at which the loop calls them.

A callback belongs to one stack of runs. In each epoch the loop calls, in this order,

    begin_epoch -> batches
                -> for each step: rows, before_forward, after_forward, add_losses, after_step
                -> end_epoch -> judged -> add_scores -> chosen -> keep

Every method of `Callback` does nothing, so that a part overrides only the moments it needs. `ser.train.loop.trainer.callbacks`
lists all parts, in the order in which they act at each moment.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ser.train.loop.validation import EpochScores
from ser.train.nn.layers import Features

NOTHING = torch.empty(0)


@dataclass
class Step:
    """One step of a stack of runs: its batch, then the head's output, then its losses.

    Attributes:
        number: of the step in its epoch, from 0.
        progress: the share of all steps of the training that are done.
        features: the batch, by store.
        share: of an utterance's own target where it is mixed with the next of the batch, `(runs,)`; None without mixup.
        rows: of the utterances that are predicted, `(runs, n)`.
        logits: `(runs, n, classes)`.
        embedding: `(runs, n, E)`; None where nothing reads it.
        losses: by the names of their curves, each `(runs,)` and the factor with which it is minimised.
    """

    number: int
    progress: float
    features: Features
    share: Tensor | None = None
    rows: Tensor = NOTHING
    logits: Tensor = NOTHING
    embedding: Tensor | None = None
    losses: dict[str, tuple[float, Tensor]] = field(default_factory=dict)


class Callback:
    """The base of an optional part of training.

    Attributes:
        first: the first epoch (1-based) that may be chosen; patience begins there.
    """

    first = 1

    def begin_epoch(self, seeds: Sequence[int], epoch: int, steps: int) -> None:
        """Prepare an epoch (1-based) with a number of steps, of the runs with these seeds."""

    def batches(self, batches: Sequence[Tensor]) -> Sequence[Tensor]:
        """The units `(runs, batch, ...)` of each step of the epoch."""
        return batches

    def rows(self, store: str, rows: Tensor) -> Tensor:
        """The rows of a store's features that some utterances `(runs, ...)` are."""
        return rows

    def before_forward(self, step: Step) -> None:
        """Change the features of a batch."""

    def after_forward(self, step: Step) -> None:
        """Read or change the head's output for a batch."""

    def add_losses(self, step: Step) -> None:
        """Add a loss to that of the objective."""

    def after_step(self) -> None:
        """Follow a step of the optimiser."""

    def end_epoch(self, epoch: int) -> None:
        """Follow the last step of an epoch."""

    def judged(self) -> AbstractContextManager[None]:
        """Put the weights that the epoch is judged by in place of the runs' own, within the block."""
        return nullcontext()

    def add_scores(self, scores: list[EpochScores], alive: list[int], logits: Tensor | None) -> None:
        """Add scores of an epoch to those of validation, one set for each run that is alive.

        Args:
            alive: numbers of these runs.
            logits: of the validation rows, `(runs, rows, classes)`; None where there are no such rows.
        """

    def chosen(self, run: int, epoch: int, weights: Tensor) -> Tensor:
        """The weights to be kept of a run whose epoch is chosen, `(n,)`."""
        return weights

    def keep(self, index: Tensor) -> None:
        """Keep these runs only: the others have left the stack."""
