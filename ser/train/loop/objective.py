"""The objective of a stack of runs: a sum of losses, such as `cross_entropy,supcon:0.1`, their targets, and alignment."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ser.errors import TrainingError
from ser.metadata.targets import DIMENSIONS, EMOTION, MIXED
from ser.train.adapt import _base as adapt
from ser.train.loop.callbacks import Callback, Step
from ser.train.loop.config import Config
from ser.train.loop.data import Data
from ser.train.loop.freezing import encoder_of, frozen
from ser.train.loop.prediction import heads
from ser.train.losses._base import Batch, parse, term
from ser.train.losses.cross_entropy import class_weights
from ser.train.nn import streams
from ser.train.nn.layers import Features
from ser.train.nn.parameters import Parameters


class Objective(nn.Module):
    """The weighted sum of one step's losses.

    Args:
        terms: weights by name.
        classes, size: see `ser.train.losses._base.Term`.
        dimensions: the number of values that a head gives after its classes, where it learns both.
    """

    def __init__(self, terms: Mapping[str, float], classes: int, size: int = 0, dimensions: int = 0) -> None:
        super().__init__()
        self.first = classes if dimensions else 0
        self.weights = list(terms.values())
        self.terms = nn.ModuleList(term(name)(classes, size) for name in terms)
        self.reads_embedding = any(term(name).reads_embedding for name in terms)
        self.reads_vad = any(term(name).reads_vad for name in terms)

    def forward(self, batch: Batch, share: Tensor | None = None) -> Tensor:
        """Each run's loss, `(runs,)`.

        Args:
            batch: with the targets of the utterances themselves.
            share: of their own targets, `(runs,)`, where each is mixed with the next of the batch; None without mixup.
        """
        if share is None:
            return self._sum(batch)
        own = share[:, None, None]
        if batch.target is not None:
            batch = batch._replace(target=own * batch.target + (1 - own) * batch.target.roll(-1, 1))
        if batch.vad is not None:
            batch = batch._replace(vad=own * batch.vad + (1 - own) * batch.vad.roll(-1, 1))
        others = batch._replace(labels=batch.labels.roll(-1, 1))
        return share * self._sum(batch) + (1 - share) * self._sum(others)

    def after_step(self) -> None:
        """Tell each loss that a step was made."""
        for one in self.terms:
            one.after_step()  # type: ignore[operator]

    def keep(self, index: Tensor) -> None:
        """Keep these runs only."""
        for one in self.terms:
            one.keep(index)  # type: ignore[operator]

    def _sum(self, batch: Batch) -> Tensor:
        total: Tensor | None = None
        for weight, one in zip(self.weights, self.terms, strict=True):
            own = self._part(batch, one) if self.first else batch
            loss: Tensor = one(own) if weight == 1 else weight * one(own)
            total = loss if total is None else total + loss
        assert total is not None
        return total

    def _part(self, batch: Batch, one: nn.Module) -> Batch:
        """The outputs of a class and dimensions that a loss is of."""
        if DIMENSIONS in one.targets:  # type: ignore[operator]
            return batch._replace(logits=batch.logits[..., self.first :])
        return batch._replace(logits=batch.logits[..., : self.first], target=None)


# Balanced weights of each kind of target: of training utterances (or votes) of each output, and the number of utterances.
OF_TARGET: dict[str, Callable[[Tensor, int], Tensor]] = {
    "emotion": lambda counts, number: class_weights(counts),
    "votes": lambda counts, number: class_weights(counts),
    "mixed": lambda counts, number: class_weights(counts),
    "labels": lambda counts, number: ((number - counts) / counts.clamp_min(1)).clamp(0.01, 100).float(),
}


class Targets:
    """The targets of a stack of runs: class numbers or values, class weights and counts, valence, arousal and dominance.

    Args:
        data: labels, and values of valence, arousal and dominance.
        rows: training rows of each run, `(runs, m)`.
        config: class weights and smoothing.
        vad: true if a loss reads valence, arousal and dominance.

    Raises:
        TrainingError: a training part with one class, or without a value of valence, arousal or dominance where a loss reads
            them.
    """

    def __init__(self, data: Data, rows: Tensor, config: Config, vad: bool) -> None:
        self.labels = torch.as_tensor(data.labels, device=rows.device)
        self.values = None if data.values is None else torch.tensor(data.values, dtype=torch.float32, device=rows.device)
        self.smoothing = config.label_smoothing
        self.counts = torch.stack([torch.bincount(self.labels[r], minlength=data.classes) for r in rows])
        if config.target in (EMOTION, MIXED) and int((self.counts > 0).sum(1).min()) < 2:
            raise TrainingError("the training part has fewer than two classes", action="Take more data or another scheme.")
        balanced = config.class_weights == "balanced"
        weigh = OF_TARGET.get(config.target) if balanced else None
        if weigh is None:
            self.weights = torch.ones_like(self.counts, dtype=torch.float32)
        elif self.values is None or config.target == MIXED:
            self.weights = weigh(self.counts, rows.shape[1])
        else:
            self.weights = weigh(torch.stack([self.values[r].sum(0) for r in rows]), rows.shape[1])
        self.vad = _standardised(data, rows) if vad else None

    def batch(self, rows: Tensor, logits: Tensor, embedding: Tensor | None) -> Batch:
        """One step on utterances `rows (runs, batch)`, as the losses see it."""
        vad = None if self.vad is None else self.vad.gather(1, rows[..., None].expand(-1, -1, 3))
        target = None if self.values is None else self.values[rows]
        return Batch(logits, self.labels[rows], self.weights, self.counts, self.smoothing, embedding, vad, target)

    def keep(self, index: Tensor) -> None:
        """Keep these runs only."""
        self.counts, self.weights = self.counts[index], self.weights[index]
        self.vad = None if self.vad is None else self.vad[index]


def _standardised(data: Data, rows: Tensor) -> Tensor:
    """Each run's values in standard deviations of its training part, `(runs, n, 3)`."""
    if data.vad is None:
        values = torch.full((len(data.labels), 3), torch.nan, device=rows.device)
    else:
        values = torch.tensor(data.vad, dtype=torch.float32, device=rows.device)
    ours = values[rows]
    known = ~ours.isnan()
    number = known.sum(1, keepdim=True)
    if not bool((number >= 2).any(-1).all()):
        raise TrainingError(
            "loss vad: the training part has no values of valence, arousal or dominance",
            expected="columns valence, arousal, dominance in the utterance table",
            action="Leave the loss vad out.",
        )
    mean = ours.nan_to_num().sum(1, keepdim=True) / number.clamp_min(1)
    variance = (ours - mean).square().nan_to_num().sum(1, keepdim=True) / number.clamp_min(1)
    scale = torch.where(variance > 0, variance.sqrt(), 1)
    return (values - mean) / scale


class Tap(Callback):
    """A store of the embedding that a head computes on its way to the logits, so that no step computes it twice."""

    def __init__(self, head: nn.Module) -> None:
        inner = head.embed
        self._last: list[Tensor] = []

        def embed(batch: Features) -> Tensor:
            self._last = [inner(batch)]  # type: ignore[operator]
            return self._last[0]

        head.embed = embed  # type: ignore[assignment]

    def after_forward(self, step: Step) -> None:
        step.embedding = self._last.pop().float()


class Trainable(nn.Module):
    """The modules that are trained beside the heads of a stack and thrown away after it: losses and adaptation method.

    Args:
        method: of domain adaptation; None without one.
        objective: the losses.
    """

    def __init__(self, method: adapt.Adaptation | None, objective: Objective) -> None:
        super().__init__()
        self.method, self.objective = method, objective

    @property
    def reads_embedding(self) -> bool:
        return self.method is not None or self.objective.reads_embedding


def trainable(data: Data, config: Config, seeds: Sequence[int]) -> tuple[Parameters, Trainable]:
    """The block of a stack, and its losses and its adaptation method, whose parameters are views of it too."""
    builds, size = heads(data, config, seeds), 0
    terms, adapts = parse(config.loss), config.adapt != adapt.NONE
    first = torch.zeros(1, 1, dtype=torch.long, device=data.resident.device)
    if adapts or any(term(name).reads_embedding for name in terms):
        size = embedding_size(builds[0]().to(data.resident.device), data.resident.batch(first))
    if config.freeze != "none":
        encoder = encoder_of(builds[0]().to(data.resident.device), data.resident.batch(first))
        builds = [partial(frozen, build, encoder) for build in builds]

    def beside(seed: int) -> Trainable:
        method = None
        if adapts:
            method = adapt.build_adaptation(config.adapt, data.classes, size, config.adapt_weight, config.adapt_ramp, seed)
        with streams.drawing(streams.derive(seed, "loss")):
            return Trainable(method, Objective(terms, data.classes, size, data.dimensions))

    others: list[Callable[[], nn.Module]] = [partial(beside, s) for s in seeds]
    parameters = Parameters(builds, data.resident.device, others, in_place=config.precision == "float32")
    assert isinstance(parameters.beside, Trainable)
    return parameters, parameters.beside


@torch.no_grad()
def embedding_size(head: nn.Module, batch: Features) -> int:
    """The E of a head's `embed`, found by calling it."""
    head.eval()
    return int(head.embed(batch).shape[-1])  # type: ignore[operator]


class Alignment(Callback):
    """Alignment of the features of two corpora by a method of `ser/train/adapt/`.

    The second half of a batch is of the target. The losses of the objective see the source half alone; the method sees the
    embeddings and logits of both, and its loss is added. Nothing of the target is read but features.

    Args:
        method: of the stack.
        rows: of the target, `(m,)`.
    """

    def __init__(self, method: adapt.Adaptation, rows: Tensor) -> None:
        self.method, self.target_rows = method, rows
        self.seeds: Sequence[int] = ()
        self.epoch = 0
        self.sides: tuple[adapt.Side, adapt.Side] | None = None

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
        source, target = (adapt.Side(*half) for half in halves)
        step.embedding, step.logits = source
        self.sides = source, target

    def add_losses(self, step: Step) -> None:
        assert self.sides is not None
        distance: Tensor = self.method(*self.sides, step.progress)
        step.losses["adaptation_loss"] = self.method.factor(step.progress), distance
        self.sides = None


def target_rows(data: Data, method: str) -> Tensor | None:
    """The target rows that a method aligns, `(m,)`; None without a method.

    Raises:
        TrainingError: a method has no target rows.
    """
    if method == adapt.NONE:
        return None
    if data.unlabelled is None or not len(data.unlabelled):
        raise TrainingError(f"adapt {method} without unlabelled target rows", action="Use it in: ser adapt.")
    return torch.as_tensor(data.unlabelled, dtype=torch.long, device=data.resident.device)
