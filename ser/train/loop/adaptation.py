"""Domain adaptation in the loop: each batch is followed by as many unlabelled rows of the target corpus."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ser.errors import TrainingError
from ser.train.adapt._base import NONE, Adaptation, Side
from ser.train.loop.callbacks import Callback, Step
from ser.train.loop.data import Data
from ser.train.nn import streams


class Alignment(Callback):
    """Alignment of the features of two corpora by a method of `ser/train/adapt/`.

    The second half of a batch is of the target. The losses of the objective see the source half alone; the method sees the
    embeddings and logits of both, and its loss is added. Nothing of the target is read but features.

    Args:
        method: of the stack.
        rows: of the target, `(m,)`.
    """

    def __init__(self, method: Adaptation, rows: Tensor) -> None:
        self.method, self.target_rows = method, rows
        self.seeds: Sequence[int] = ()
        self.epoch = 0
        self.sides: tuple[Side, Side] | None = None

    def begin_epoch(self, seeds: Sequence[int], epoch: int, steps: int) -> None:
        self.seeds, self.epoch = seeds, epoch

    def batches(self, batches: Sequence[Tensor]) -> Sequence[Tensor]:
        sizes = [batch.shape[1] for batch in batches]
        count = sum(sizes)
        drawn = streams.cyclic(self.seeds, len(self.target_rows), (self.epoch - 1) * count, count)
        target = torch.split(self.target_rows[drawn.to(self.target_rows.device)], sizes, dim=1)
        return [torch.cat(pair, dim=1) for pair in zip(batches, target, strict=True)]

    def after_forward(self, step: Step) -> None:
        assert step.embedding is not None
        step.rows, _ = step.rows.chunk(2, dim=1)
        halves = zip(step.embedding.chunk(2, dim=1), step.logits.chunk(2, dim=1), strict=True)
        source, target = (Side(*half) for half in halves)
        step.embedding, step.logits = source
        self.sides = source, target

    def add_losses(self, step: Step) -> None:
        assert self.sides is not None
        distance: Tensor = self.method(*self.sides, step.progress)
        step.losses["adaptation_loss"] = self.method.factor(step.progress), distance
        self.sides = None


def target_rows(data: Data, adapt: str) -> Tensor | None:
    """The target rows that a method aligns, `(m,)`; None without a method.

    Raises:
        TrainingError: a method has no target rows.
    """
    if adapt == NONE:
        return None
    if data.unlabelled is None or not len(data.unlabelled):
        raise TrainingError(f"adapt {adapt} without unlabelled target rows", action="Use it in: ser adapt.")
    return torch.as_tensor(data.unlabelled, dtype=torch.long, device=data.resident.device)
