"""A run's training in two halves, which different workers may train: what is left between them, and found again.

What is trained does not change by a bit: all that a run draws is derived from its seed and the epoch.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from ser.train.trainer import Stack


class Half(NamedTuple):
    """One half of a run's training.

    Attributes:
        path: where the first half leaves the run and the second finds it. Where it finds nothing, it trains the whole.
        epochs: the first half ends after so many; None: this is the second.
    """

    path: Path
    epochs: int | None = None


def leave(stack: "Stack", path: Path) -> None:
    """Write what a stack is between two epochs, whole or not at all."""
    kept = {
        "tensors": [t.detach().clone() for t in _tensors(stack)],
        "place": (stack.epoch, stack.step, stack.spent, stack.alive),
        "results": (stack.results, stack.choices, stack.collapses),
    }
    beside = path.with_suffix(".writing")
    with beside.open("wb") as file:
        torch.save(kept, file)
    beside.replace(path)


def resume(stack: "Stack", path: Path) -> None:
    """Make a new stack what another was when it was left; nothing where none was left."""
    if not path.exists():
        return
    kept = torch.load(path, weights_only=False)  # of this very experiment, in a folder of its own
    path.unlink()
    with torch.no_grad():
        for there, value in zip(_tensors(stack), kept["tensors"], strict=True):
            there.copy_(value)
    stack.epoch, stack.step, stack.spent, stack.alive = kept["place"]
    stack.results, stack.choices, stack.collapses = kept["results"]


def _tensors(stack: "Stack") -> list[torch.Tensor]:
    optimiser = stack.optimiser
    return [stack.parameters.theta, *stack.parameters.buffers, optimiser.mean, optimiser.square, optimiser.steps]
