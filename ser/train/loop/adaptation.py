"""What brings the features of two corpora together: a method of unsupervised domain adaptation, trained beside the head.

A method is one file in `ser/train/adapt/` with a docstring that opens with what it is and who published it, and a class
`Method(Adaptation)` whose `forward(source, target, progress)` gives each run's loss, `(runs,)`. It sees embeddings and logits
of a batch of labelled source utterances and of as many target utterances, never a label. Parameters of its own (a
discriminator) it builds in `__init__` of `ser.train.nn.layers`, or with a leading 1 that becomes the number of runs. They are
drawn from the run's own stream, trained by the same optimiser, clipped with the run's gradient, and thrown away after it.

lambda (`adapt_weight`) is what the gradient that reaches the head from a method's loss is multiplied by, in all methods. Most
losses are themselves multiplied by it. A method with a discriminator multiplies the reversed gradient on its way from the
discriminator to the features, and leaves the discriminator's own loss as it is: AdamW takes the same steps however a loss is
scaled, so that a factor on it would change nothing that the discriminator learns.
"""

import math
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ser import registry
from ser.errors import ConfigError, TrainingError
from ser.train.nn import streams
from ser.train.nn.head import drawing

METHODS = "ser.train.adapt"
NONE = "none"
RAMPS = ("constant", "dann")


class View(NamedTuple):
    """What a method sees of one corpus's part of a step: `(runs, batch, E)` and `(runs, batch, classes)`."""

    embedding: Tensor
    logits: Tensor


class Adaptation(nn.Module):
    """The base of a method.

    Attributes:
        ramp: the schedule of lambda that the method was published with.
        reverses: whether lambda is in its reversed gradient, and not a factor of its loss.

    Args:
        classes: how many.
        size: of the embedding.
        weight: lambda.
        ramp: `constant`, or `dann`: lambda times `alpha` of training progress; "" for the method's own.
    """

    ramp = "constant"
    reverses = False

    def __init__(self, classes: int, size: int, weight: float = 1.0, ramp: str = "") -> None:
        super().__init__()
        self.weight, self.schedule = weight, ramp or type(self).ramp

    def strength(self, progress: float) -> float:
        """lambda at this share of the training's steps."""
        return self.weight * alpha(progress) if self.schedule == "dann" else self.weight

    def factor(self, progress: float) -> float:
        """What the loss is multiplied by before it is added to the classification loss."""
        return 1.0 if self.reverses else self.strength(progress)


def alpha(progress: float) -> float:
    """2 / (1 + exp(-10 p)) - 1, from 0 to nearly 1 over training (Ganin et al., JMLR 2016, section 5.2.2).

    >>> [round(alpha(p), 6) for p in (0, 0.1, 0.5, 1)]
    [0.0, 0.462117, 0.986614, 0.999909]
    """
    return 2 / (1 + math.exp(-10 * progress)) - 1


def reverse(x: Tensor, strength: float) -> Tensor:
    """x itself, whose gradient is multiplied by -strength (gradient reversal, Ganin & Lempitsky, ICML 2015)."""
    fixed = x.detach()
    return fixed + strength * (fixed - x)


def check(name: str, weight: float, ramp: str) -> str:
    """Refuse what is no method or cannot be one's setting; gives the schedule of lambda.

    Raises:
        ConfigError: naming it.
    """
    if name == NONE:
        if weight != 1 or ramp:
            raise ConfigError("adapt_weight and adapt_ramp mean nothing without adapt", action="Name a method: dann.")
        return ""
    if name not in registry.names(METHODS):
        raise registry.unknown("adaptation method", name, (NONE, *registry.names(METHODS)))
    if not 0 <= weight < float("inf"):
        raise ConfigError(f"adapt_weight = {weight}", expected="0 or more")
    if ramp not in ("", *RAMPS):
        raise ConfigError(f"adapt_ramp = {ramp}", expected=f"one of {', '.join(RAMPS)}")
    return ramp or method(name).ramp


def method(name: str) -> type[Adaptation]:
    """The class of a method."""
    return cast(type[Adaptation], registry.load(METHODS, name).Method)


def build(name: str, classes: int, size: int, weight: float, ramp: str, seed: int) -> Adaptation | None:
    """The method of one run, its parameters drawn from the given seed alone; None where the name is `none`."""
    if name == NONE:
        return None
    make = partial(method(name), classes, size, weight, ramp)
    with drawing(streams.derive(seed, "adapt")):
        return make()


def rows_of(name: str, unlabelled: NDArray[np.int64] | None, device: str) -> Tensor | None:
    """The target rows that a method aligns, `(m,)`; None where the name is `none`.

    Raises:
        TrainingError: there are none.
    """
    if name == NONE:
        return None
    if unlabelled is None or not len(unlabelled):
        raise TrainingError(f"adapt {name} without unlabelled target rows", action="Use it in: ser adapt.")
    return torch.as_tensor(unlabelled, dtype=torch.long, device=device)
