"""Every loss plugin: its facts, one value for each run, gradients, and runs that do not depend on each other."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ser import registry
from ser.checks import losses
from ser.checks.stacked import of_one_run
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
    losses.draws_parameters(name)


@pytest.mark.parametrize("name", ALL)
def test_a_run_s_loss_and_gradients_have_the_same_bits_in_a_stack(name: str) -> None:
    each = [losses.example(seed) for seed in range(4)]

    def part(rows: int, runs: slice) -> Batch:
        def of(values: list[Tensor]) -> Tensor:
            found = (torch.cat(values, 1)[:, :rows] if values[0].shape[1] == ROWS else values[0])[runs].clone()
            return found.float() if found.is_floating_point() else found

        return Batch._make(of(list(v)) if isinstance(v[0], Tensor) else v[0] for v in zip(*each, strict=True))

    def computed(term: torch.nn.Module, batch: Batch) -> list[Tensor]:
        assert batch.embedding is not None
        leaves = [batch.logits.requires_grad_(), batch.embedding.requires_grad_()]
        loss = term.float()(batch)
        return [loss, *(g for g in torch.autograd.grad(loss.sum(), leaves, allow_unused=True) if g is not None)]

    for rows in (1, 9, 10, 19, 21, 33):  # not a multiple of a register's size
        together = computed(losses.stacked(name), part(rows, slice(None)))
        for run in range(RUNS):
            alone = computed(of_one_run(losses.stacked(name), run), part(rows, slice(run, run + 1)))
            assert all(torch.equal(a[run : run + 1], b) for a, b in zip(together, alone, strict=True)), (rows, run)
