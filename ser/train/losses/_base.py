"""The contract of a loss plugin: one file in this folder, whose name is the loss's name.

The file opens with a docstring (what the loss is, who published it, its formula) and holds a class `Loss(Term)` whose
`forward(batch)` gives each run's mean over the batch, `(runs,)`. A loss that has parameters of its own (class prototypes)
builds them in `__init__` as a head builds its layers, of `ser.train.nn.layers` or with a leading 1 that becomes the number of
runs. They are drawn from the run's own stream, trained with the head, and thrown away after it. A loss that remembers earlier
steps changes its memory in `after_step` only.

`tests/train/losses/test_every_loss.py` tests each plugin: `pytest tests/train/losses -k NAME`.
"""

from typing import NamedTuple, cast

from torch import Tensor, nn

from ser import registry
from ser.errors import ConfigError
from ser.metadata.targets import DIMENSIONS, EMOTION, MIXED, in_words
from ser.train.heads._base import require_embedding
from ser.train.losses import split

LOSSES = "ser.train.losses"


class Batch(NamedTuple):
    """One step of a stack of runs, as a loss sees it.

    Attributes:
        logits: `(runs, batch, classes)`; of a class and dimensions, each loss sees those that it is of.
        labels: class numbers, `(runs, batch)`.
        weights: the class weights of the configuration, `(runs, classes)`; of labels, those of the utterances that have it.
        counts: training utterances of each class, `(runs, classes)`.
        smoothing: of labels, in [0, 1).
        embedding: of the head's `embed`, `(runs, batch, E)`; None where no loss reads it.
        vad: valence, arousal, dominance in standard deviations of the training part, `(runs, batch, 3)`, NaN where
            unknown; None where no loss reads it.
        target: of a target that is not one class, `(runs, batch, outputs)`: shares of votes, 0 or 1 for each label, or values
            in standard deviations of the training part; None for classes.
    """

    logits: Tensor
    labels: Tensor
    weights: Tensor
    counts: Tensor
    smoothing: float = 0.0
    embedding: Tensor | None = None
    vad: Tensor | None = None
    target: Tensor | None = None


class Term(nn.Module):
    """The base of a loss.

    Attributes:
        reads_embedding: it needs a head that offers `embed`, and does not train the layers after it.
        reads_vad: it needs a corpus with values of valence, arousal and dominance.
        mixes: it is linear in the label, so that with mixup it is the mean of both labels' losses.
        refuses_weights: it has no place for class weights and label smoothing: alone, it refuses them.
        targets: the kinds of target that it learns. Of votes, losses on classes learn the label.

    Args:
        classes: the number of classes.
        size: of the embedding; 0 where no loss reads it.
    """

    reads_embedding = False
    reads_vad = False
    mixes = True
    refuses_weights = False
    targets: tuple[str, ...] = ("emotion", "votes")

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()

    def after_step(self) -> None:
        """Take note of the step that was just made, for a loss that remembers steps."""

    def keep(self, index: Tensor) -> None:
        """Keep what is remembered of these runs only."""


def term(name: str) -> type[Term]:
    """The class of a loss plugin."""
    return cast(type[Term], registry.load(LOSSES, name).Loss)


def parse(text: str) -> dict[str, float]:
    """Names of losses and their weights; a name alone counts 1.

    >>> parse("cross_entropy,cb_focal:0.3")
    {'cross_entropy': 1.0, 'cb_focal': 0.3}

    Raises:
        ConfigError: an unknown loss, one that is named twice, or a weight that is not a number above 0.
    """
    terms: dict[str, float] = {}
    for word in str(text).split(","):
        name, number = split(word)
        registry.load(LOSSES, name)
        try:
            weight = 1.0 if word.strip() == name else float(number)
        except ValueError:
            weight = 0.0
        if not 0 < weight < float("inf"):
            raise ConfigError(f"weight of loss {name}", expected="a number above 0", found=repr(number))
        if name in terms:
            raise ConfigError(f"loss {name} is named twice", found=text)
        terms[name] = weight
    return terms


def canonical_losses(text: str) -> str:
    """Write the same sum always in the same way.

    >>> canonical_losses("cross_entropy:1, cb_focal:0.30")
    'cross_entropy,cb_focal:0.3'
    """
    return ",".join(name if weight == 1 else f"{name}:{weight:g}" for name, weight in parse(text).items())


def check_losses(text: str, head: str, mixup: bool, target: str = "emotion") -> None:
    """Refuse losses that do not go together, or not with this head.

    Raises:
        ConfigError: a loss does not learn this target, or no loss trains the classifier; the head has no embedding; a loss has
            no meaning for mixed labels.
    """
    kinds = {name: term(name) for name in parse(text)}
    parts = (EMOTION, DIMENSIONS) if target == MIXED else (target,)
    other = next((name for name, kind in kinds.items() if not set(parts) & set(kind.targets)), None)
    if other is not None:
        fitting = [name for name in registry.names(LOSSES) if set(parts) & set(term(name).targets)]
        raise ConfigError(
            f"--loss {other} does not learn {in_words(target)}", expected=f"one of {', '.join(fitting)}", option="loss"
        )
    for part in parts:
        if not any(part in kind.targets for kind in kinds.values()):
            fitting = [name for name in registry.names(LOSSES) if part in term(name).targets]
            raise ConfigError(
                f"--loss {text} does not train {part}", expected=f"one of {', '.join(fitting)} beside it", option="loss"
            )
    deep = [name for name, kind in kinds.items() if kind.reads_embedding]
    if len(deep) == len(kinds):
        raise ConfigError(f"loss {text} trains no classifier", action=f"Add one that does: --loss cross_entropy,{text}")
    if deep:
        require_embedding(head, f"loss {deep[0]}")
    rigid = [name for name, kind in kinds.items() if not kind.mixes]
    if mixup and rigid:
        raise ConfigError(
            f"loss {rigid[0]} has no meaning for mixed labels", action="Leave --mixup or this loss out.", option="mixup"
        )
