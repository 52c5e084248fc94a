"""A head whose encoder stays as it is: only the layers after the embedding learn (`freeze: encoder`).

The encoder is all that `embed` depends on, found by asking autograd. Its weights get no gradient, so that they count in no
norm, and after each step of the optimiser, which would decay them, they are put back bit for bit. Its batch normalisation
keeps its statistics. Its dropout stays on: the layers on top see the same as if all of it learned.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.backends import cudnn

from ser.errors import TrainingError
from ser.train.loop.callbacks import Callback
from ser.train.nn.layers import Features
from ser.train.nn.parameters import Parameters


class FrozenPart(NamedTuple):
    """Names of the parameters that `embed` depends on, and of the modules it calls that keep running statistics."""

    parameters: set[str]
    statistics: set[str]


def encoder_of(head: nn.Module, batch: Features) -> FrozenPart:
    """The encoder of a head.

    Args:
        batch: any utterances.
    """
    called: set[str] = set()
    keeping = {name: m for name, m in head.named_modules() if any(True for _ in m.buffers(recurse=False))}

    def note(name: str, *_: Any) -> None:
        called.add(name)

    hooks = [m.register_forward_hook(partial(note, name)) for name, m in keeping.items()]
    head.eval()
    named = dict(head.named_parameters())
    with torch.enable_grad(), _without_cudnn():
        embedding = head.embed(batch)  # type: ignore[operator]
        for hook in hooks:
            hook.remove()
        if not embedding.requires_grad:  # features as they are
            return FrozenPart(set(), called)
        gradients = torch.autograd.grad(embedding.sum(), list(named.values()), allow_unused=True)
    return FrozenPart({n for n, g in zip(named, gradients, strict=True) if g is not None}, called)


@contextmanager
def _without_cudnn() -> Iterator[None]:
    """Without cuDNN, whose LSTM has no backward pass in evaluation mode."""
    before, cudnn.enabled = cudnn.enabled, False
    try:
        yield
    finally:
        cudnn.enabled = before


def frozen(build: Callable[[], nn.Module], encoder: FrozenPart) -> nn.Module:
    """A head whose encoder does not learn."""
    head = build()
    for name, parameter in head.named_parameters():
        if name in encoder.parameters:
            parameter.requires_grad_(False)
    for name, module in head.named_modules():
        if name in encoder.statistics:
            _evaluate(module)
    return head


def _evaluate(module: nn.Module) -> None:
    """Put a module into evaluation mode, and keep it there."""
    module.eval()

    def train(mode: bool = True) -> nn.Module:
        return module

    module.train = train  # type: ignore[method-assign]


class FrozenWeights(Callback):
    """The weights of the frozen parameters of a stack, put back after each step.

    Args:
        parameters: with the weights to be kept.
        given: true if they are given, and not random.

    Raises:
        TrainingError: they are random.
    """

    def __init__(self, parameters: Parameters, given: bool) -> None:
        if not given:
            raise TrainingError("freeze encoder without weights to start from", action="Use it in: ser finetune.")
        self.parameters = parameters
        self.parts: list[slice] = []
        start = 0
        # The shapes are those of the head's parameters, then those of the losses'.
        for parameter, shape in zip(parameters.head.parameters(), parameters.shapes, strict=False):
            end = start + shape.numel()
            if not parameter.requires_grad:
                first = self.parts.pop().start if self.parts and self.parts[-1].stop == start else start
                self.parts.append(slice(first, end))
            start = end
        self.values = [parameters.theta.detach()[:, part].clone() for part in self.parts]

    @torch.no_grad()
    def after_step(self) -> None:
        for part, values in zip(self.parts, self.values, strict=True):
            self.parameters.theta[:, part] = values

    def keep(self, index: Tensor) -> None:
        self.values = [v[index] for v in self.values]
