"""Every loss plugin: its facts, one value for each run, gradients, and runs that do not depend on each other."""

import re
from collections.abc import Callable

import pytest
import torch

from ser import registry
from ser.checks import losses
from ser.train.losses._base import LOSSES, Batch

PAPER = re.compile(r"[A-Z][a-z]+ .{0,150}?\b(19|20)\d\d\b", re.DOTALL)
ALL = registry.names(LOSSES)
RUNS, ROWS, CLASSES, SIZE = 3, 10, 4, 5
SUM = "cross_entropy,cb_focal:0.3,supcon:0.1,prototype:0.01,vad:0.2"


@pytest.mark.parametrize("name", ALL)
def test_a_loss_opens_with_its_facts_and_gives_one_number_a_run(
    name: str, example: Callable[..., Batch], stacked: Callable[..., torch.nn.Module]
) -> None:
    module = registry.load(LOSSES, name)
    assert len(registry.summary(module)) > 30
    assert PAPER.search(str(module.__doc__)), "who published it, and the year"
    found = stacked(name)(example())
    assert found.shape == (RUNS,)
    assert bool((found > 0).all())


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    losses.has_true_gradients(name)


@pytest.mark.parametrize("name", ALL)
def test_a_run_s_loss_does_not_depend_on_the_other_runs(name: str) -> None:
    losses.runs_are_themselves(name)
