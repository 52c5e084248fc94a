"""What a stack of runs minimises: one loss, or a weighted sum, such as `cross_entropy,cb_focal:0.3,supcon:0.1`.

A loss is one file in `ser/train/losses/` with a docstring that opens with what it is and who published it, and a class
`Loss(Term)` whose `forward(batch)` gives each run's mean over the batch, `(runs,)`. One that has parameters of its own
(class prototypes) builds them in `__init__` as a head builds its layers, of `ser.train.nn.layers` or with a leading 1 that
becomes the number of runs. They are drawn from the run's own stream, trained with the head, and thrown away after it.
"""

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from ser import registry
from ser.errors import ConfigError
from ser.train.loop.adaptation import Adaptation
from ser.train.nn import streams
from ser.train.nn.head import drawing, part_of, plugin
from ser.train.nn.layers import Feature

LOSSES = "ser.train.losses"


class Batch(NamedTuple):
    """What a loss sees of one step.

    Attributes:
        logits: `(runs, batch, classes)`.
        labels: class numbers, `(runs, batch)`.
        weights: the class weights of the configuration, `(runs, classes)`.
        counts: training utterances of each class, `(runs, classes)`.
        smoothing: of labels, in [0, 1).
        embedding: what the head's `embed` gave, `(runs, batch, E)`; None where no loss reads it.
        vad: valence, arousal, dominance in standard deviations of the training part, `(runs, batch, 3)`, NaN where
            unknown; None where no loss reads it.
    """

    logits: Tensor
    labels: Tensor
    weights: Tensor
    counts: Tensor
    smoothing: float = 0.0
    embedding: Tensor | None = None
    vad: Tensor | None = None


class Term(nn.Module):
    """The base of a loss plugin.

    Attributes:
        reads_embedding: it needs a head that offers `embed`, and does not train the layers after it.
        reads_vad: it needs a corpus with values of valence, arousal and dominance.
        mixes: it is linear in the label, so that with mixup it is the mean of both labels' losses.

    Args:
        classes: how many.
        size: of the embedding; 0 where no loss reads it.
    """

    reads_embedding = False
    reads_vad = False
    mixes = True

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()


def parse(text: str) -> dict[str, float]:
    """Names of losses and their weights; a name alone counts 1.

    >>> parse("cross_entropy,cb_focal:0.3")
    {'cross_entropy': 1.0, 'cb_focal': 0.3}

    Raises:
        ConfigError: an unknown loss, one that is named twice, or a weight that is no number above 0.
    """
    terms: dict[str, float] = {}
    for word in str(text).split(","):
        name, colon, number = (part.strip() for part in word.partition(":"))
        registry.load(LOSSES, name)
        try:
            weight = float(number) if colon else 1.0
        except ValueError:
            weight = 0.0
        if not 0 < weight < float("inf"):
            raise ConfigError(f"weight of loss {name}", expected="a number above 0", found=repr(number))
        if name in terms:
            raise ConfigError(f"loss {name} is named twice", found=text)
        terms[name] = weight
    return terms


def canonical(text: str) -> str:
    """The same sum, always written in the same way.

    >>> canonical("cross_entropy:1, cb_focal:0.30")
    'cross_entropy,cb_focal:0.3'
    """
    return ",".join(name if weight == 1 else f"{name}:{weight:g}" for name, weight in parse(text).items())


def check(text: str, head: str, mixup: bool) -> None:
    """Refuse losses that cannot be had together, or not with this head.

    Raises:
        ConfigError: no loss that trains the classifier; a head without an embedding; mixup with a loss that has no soft labels.
    """
    kinds = {name: term(name) for name in parse(text)}
    deep = [name for name, kind in kinds.items() if kind.reads_embedding]
    if len(deep) == len(kinds):
        raise ConfigError(f"loss {text} trains no classifier", action=f"Add one that does: --loss cross_entropy,{text}")
    if deep:
        require_embedding(head, f"loss {deep[0]}")
    rigid = [name for name, kind in kinds.items() if not kind.mixes]
    if mixup and rigid:
        raise ConfigError(f"loss {rigid[0]} has no meaning for mixed labels", action="Leave --mixup or this loss out.")


def term(name: str) -> type[Term]:
    """The class of a loss plugin."""
    return cast(type[Term], registry.load(LOSSES, name).Loss)


def offers_embedding(head: str) -> bool:
    """Whether a head has `embed(batch) -> (runs, batch, E)`, which its `forward` calls."""
    return hasattr(plugin(part_of(head)).Head, "embed")


def require_embedding(head: str, reader: str) -> None:
    """Refuse a head without `embed`.

    Raises:
        ConfigError: listing those that have it.
    """
    if not offers_embedding(head):
        offering = [h for h in registry.names("ser.train.heads") if offers_embedding(h)]
        raise ConfigError(
            f"{reader} reads an embedding, and head {head} has none",
            expected=f"one of the heads {', '.join(offering)}",
        )


class Objective(nn.Module):
    """The weighted sum of one step's losses.

    Args:
        terms: weights by name.
        classes, size: see `Term`.
        adaptation: a method that is trained beside the losses, and is no part of the sum; see `ser.train.loop.adaptation`.
    """

    def __init__(
        self, terms: Mapping[str, float], classes: int, size: int = 0, adaptation: Adaptation | None = None
    ) -> None:
        super().__init__()
        self.adaptation = adaptation
        self.weights = list(terms.values())
        self.terms = nn.ModuleList(term(name)(classes, size) for name in terms)
        self.reads_embedding = adaptation is not None or any(term(name).reads_embedding for name in terms)
        self.reads_vad = any(term(name).reads_vad for name in terms)

    def forward(self, batch: Batch, share: Tensor | None = None) -> Tensor:
        """Each run's loss, `(runs,)`.

        Args:
            batch: with the targets of the utterances themselves.
            share: of their own targets, `(runs,)`, where each is mixed with the next of the batch; None without mixup.
        """
        if share is None:
            return self._sum(batch)
        if batch.vad is not None:
            own = share[:, None, None]
            batch = batch._replace(vad=own * batch.vad + (1 - own) * batch.vad.roll(-1, 1))
        others = batch._replace(labels=batch.labels.roll(-1, 1))
        return share * self._sum(batch) + (1 - share) * self._sum(others)

    def _sum(self, batch: Batch) -> Tensor:
        total: Tensor | None = None
        for weight, one in zip(self.weights, self.terms, strict=True):
            loss: Tensor = one(batch) if weight == 1 else weight * one(batch)
            total = loss if total is None else total + loss
        assert total is not None
        return total


def build(
    terms: Mapping[str, float], classes: int, size: int, seed: int, adaptation: Adaptation | None = None
) -> Objective:
    """The objective of one run, its losses' own parameters drawn from the given seed alone."""
    with drawing(streams.derive(seed, "loss")):
        return Objective(terms, classes, size, adaptation)


class Tap:
    """Keeps the embedding that a head computes on its way to the logits, so that no step computes it twice."""

    def __init__(self, head: nn.Module) -> None:
        inner = head.embed
        self._last: list[Tensor] = []

        def embed(batch: dict[str, Feature]) -> Tensor:
            self._last = [inner(batch)]  # type: ignore[operator]
            return self._last[0]

        head.embed = embed  # type: ignore[assignment]

    def take(self) -> Tensor:
        """The embedding of the last forward pass, `(runs, batch, E)`; once."""
        return self._last.pop()


@torch.no_grad()
def embedding_size(head: nn.Module, batch: dict[str, Feature]) -> int:
    """The E of a head's `embed`, found by calling it."""
    head.eval()
    return int(head.embed(batch).shape[-1])  # type: ignore[operator]
