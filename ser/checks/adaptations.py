"""The promises of a method of adaptation: one number for each run, and runs that do not depend on each other."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from ser.checks import Promises, hold
from ser.checks.stacked import RUNS, draws_parameters_alone, gives_one_number_a_run, of_one_run, of_three_runs
from ser.train.adapt._base import Adaptation, Side
from ser.train.adapt._base import method as method_of

BATCH, SIZE, CLASSES = 6, 5, 4


def views(seed: int = 0) -> tuple[Side, Side]:
    """The source and the target of a step of three runs, in double precision."""
    random = torch.Generator().manual_seed(seed)

    def draw(size: int) -> Tensor:
        return torch.randn(RUNS, BATCH, size, generator=random, dtype=torch.double)

    return Side(draw(SIZE), draw(CLASSES)), Side(draw(SIZE) * 2 + 1, draw(CLASSES))


def stacked(name: str, **options: Any) -> Adaptation:
    """A method of three runs, in double precision, its own parameters different in each."""
    return of_three_runs(lambda: method_of(name)(CLASSES, SIZE, **options), 0.3)


def promises(name: str) -> Promises:
    """The promises of a method."""
    return {
        "it gives one finite number for each run": lambda: gives_one_number_a_run(stacked(name)(*views(), 0.5)),
        "a gradient reaches the embedding of the source or of the target": partial(reaches_the_embedding, name),
        "a run's loss does not depend on the other runs": partial(runs_are_themselves, name),
        "it draws nothing but parameters": partial(draws_parameters, name),
    }


def reaches_the_embedding(name: str) -> None:
    """Check that the method has a gradient: without one it aligns nothing."""
    source, target = views()
    both = [side.embedding.requires_grad_() for side in (source, target)]
    loss = stacked(name)(source, target, 0.5).sum()
    if loss.requires_grad:
        loss.backward()
    hold(any(e.grad is not None and bool(e.grad.abs().sum() > 0) for e in both), "neither embedding gets a gradient")


def runs_are_themselves(name: str) -> None:
    """Each run alone has the loss that it has among three."""
    together = stacked(name)(*views(), 0.5)
    for r in range(RUNS):
        alone = of_one_run(stacked(name), r)
        source, target = (Side(*(t[r : r + 1] for t in view)) for view in views())
        torch.testing.assert_close(alone(source, target, 0.5)[0], together[r])


def draws_parameters(name: str) -> None:
    """What it holds beside its parameters is the same in every run."""
    draws_parameters_alone(lambda: method_of(name)(CLASSES, SIZE), lambda part: part(*views(), 0.5))
