"""The contract of an adaptation method: one file in this folder, whose name is the method's name.

The file opens with a docstring (what the method is, who published it, its formula, how it differs from its neighbours) and
holds a class `Method(Adaptation)` whose `forward(source, target, progress)` gives each run's loss, `(runs,)`. It sees the
embeddings and logits of a batch of labelled source utterances and of as many target utterances, never a label. Parameters of
its own (a discriminator) it builds in `__init__` of `ser.train.nn.layers`, or with a leading 1 that becomes the number of runs.
They are drawn from the run's own stream, trained by the same optimiser, clipped with the run's gradient, and thrown away after
it. Other random numbers (directions of a projection) are the same in all runs: draw them by `streams.generator(0, NAME)`, as
`cdan.py` does.

lambda (`adapt_weight`) is the number that the gradient which reaches the head from a method's loss is multiplied by, in all
methods. Most losses are themselves multiplied by it. A method with a discriminator multiplies the reversed gradient on its way
from the discriminator to the features, and leaves the discriminator's own loss as it is: AdamW takes the same steps however a
loss is scaled, so that a factor on it would change nothing that the discriminator learns.

`tests/train/adapt/test_every_method.py` tests each plugin: `pytest tests/train/adapt -k NAME`.
"""

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser import registry
from ser.errors import ConfigError
from ser.train.nn import streams
from ser.train.nn.layers import Linear

METHODS = "ser.train.adapt"
NONE = "none"
RAMPS = ("constant", "dann")


class Side(NamedTuple):
    """One corpus's part of a step, source or target: `(runs, batch, E)` and `(runs, batch, classes)`."""

    embedding: Tensor
    logits: Tensor


class Adaptation(nn.Module):
    """The base of a method.

    Attributes:
        ramp: the schedule of lambda that the method was published with.
        reverses: true if lambda is in its reversed gradient, and not a factor of its loss.
        targets: the kinds of target that it is for, see `ser.metadata.targets`; () is all.

    Args:
        classes: the number of classes.
        size: of the embedding.
        weight: lambda.
        ramp: `constant`, or `dann`: lambda times `alpha` of training progress; "" for the method's own.
    """

    ramp = "constant"
    reverses = False
    targets: tuple[str, ...] = ()

    def __init__(self, classes: int, size: int, weight: float = 1.0, ramp: str = "") -> None:
        super().__init__()
        self.weight, self.schedule = weight, ramp or type(self).ramp

    def strength(self, progress: float) -> float:
        """lambda at this share of the training's steps."""
        return self.weight * alpha(progress) if self.schedule == "dann" else self.weight

    def factor(self, progress: float) -> float:
        """The factor of the loss where it is added to the classification loss."""
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


def check_adaptation(name: str, weight: float, ramp: str) -> str:
    """Refuse an unknown method and settings that no method has; return the schedule of lambda.

    Raises:
        ConfigError: there is one; it is named.
    """
    if name == NONE:
        if weight != 1 or ramp:
            raise ConfigError("adapt_weight and adapt_ramp mean nothing without adapt", action="Name a method: dann.")
        return ""
    if not registry.has(METHODS, name):
        raise registry.unknown("adaptation method", name, (NONE, *registry.names(METHODS)))
    if not 0 <= weight < float("inf"):
        raise ConfigError(f"adapt_weight = {weight}", expected="0 or more")
    if ramp not in ("", *RAMPS):
        raise ConfigError(f"adapt_ramp = {ramp}", expected=f"one of {', '.join(RAMPS)}")
    return ramp or method(name).ramp


def method(name: str) -> type[Adaptation]:
    """The class of a method."""
    return cast(type[Adaptation], registry.load(METHODS, name).Method)


def build_adaptation(name: str, classes: int, size: int, weight: float, ramp: str, seed: int) -> Adaptation:
    """The method of one run, its parameters drawn from the given seed alone."""
    make = method(name)
    with streams.drawing(streams.derive(seed, "adapt")):
        return make(classes, size, weight, ramp)


class Discriminator(nn.Module):
    """A network that tells target (above 0) from source: inputs-256-128-1, ReLU, `(runs, batch, inputs)` -> `(runs, batch)`."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first, self.second, self.last = Linear(inputs, 256), Linear(256, 128), Linear(128, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.second(torch.relu(self.first(x))))
        # Not self.last(hidden): a product with a single column has other last bits alone than in a stack of runs.
        return (hidden * self.last.weight.transpose(1, 2)).sum(-1) + self.last.bias[..., 0]


def domain_loss(scores: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of telling the corpora apart: the mean over source plus the mean over target, 2 log 2 by guessing.

    (Ganin et al., JMLR 2016, equation 9; many implementations take the mean over both, half of it.)

    Args:
        scores: of equally many source and target utterances, source first, `(runs, 2 batch)`.
        weights: of the utterances, `(runs, 2 batch)`, with a mean of 1 over each half; None for 1.

    Returns:
        `(runs,)`.
    """
    source, target = scores.chunk(2, dim=1)
    # Not softplus(-target), which would be of numbers side by side: the last of those torch computes by other instructions,
    # so that a run of a stack would differ from the run alone in its last bits.
    losses = torch.cat([F.softplus(source), -F.softplus(target, beta=-1)], dim=1)
    return (losses if weights is None else losses * weights).mean(1) * 2
