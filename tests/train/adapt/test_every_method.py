"""Every adaptation method: its facts, one value for each run, lambda in the gradient, runs that are themselves."""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ser import registry
from ser.checks import adaptations
from ser.checks.stacked import of_one_run
from ser.train.adapt._base import METHODS, Adaptation, Side, alpha, reverse
from ser.train.adapt._base import method as method_of
from ser.train.loop.config import make_config
from ser.train.loop.data import Data
from ser.train.loop.trainer import train

PAPER = re.compile(r"[A-Z][a-z]+ .{0,150}?\b(19|20)\d\d\b", re.DOTALL)
ALL = registry.names(METHODS)
RUNS, BATCH, SIZE, CLASSES = 3, 6, 5, 4
SMALL: dict[str, Any] = {"epochs": 4, "patience": 2, "head_options": {"hidden": "16"}}


@pytest.mark.parametrize("name", ALL)
def test_a_method_opens_with_its_facts_and_gives_one_number_a_run(
    name: str, views: Callable[..., tuple[Side, Side]], stacked: Callable[..., Adaptation]
) -> None:
    module = registry.load(METHODS, name)
    assert len(registry.summary(module)) > 30
    assert PAPER.search(str(module.__doc__)), "who published it, and the year"
    found = stacked(name)(*views(), 0.5)
    assert found.shape == (RUNS,)
    assert bool((found > 0).all())


@pytest.mark.parametrize("name", ALL)
def test_a_run_s_loss_does_not_depend_on_the_other_runs(name: str) -> None:
    adaptations.runs_are_themselves(name)
    adaptations.draws_parameters(name)


@pytest.mark.parametrize("name", ALL)
def test_a_run_s_loss_and_gradients_have_the_same_bits_in_a_stack(name: str) -> None:
    each = [adaptations.views(seed) for seed in range(6)]

    def part(rows: int, runs: slice, k: int) -> Side:
        return Side(*(torch.cat([views[k][n] for views in each], 1)[runs, :rows].float() for n in (0, 1)))

    def computed(method: Adaptation, source: Side, target: Side) -> list[Tensor]:
        leaves = [side.embedding.requires_grad_() for side in (source, target)]
        loss = method.float()(source, target, 0.5)
        return [loss, *torch.autograd.grad(loss.sum(), leaves)]

    for rows in (1, 5, 9, 10, 18, 33):  # not a multiple of a register's size
        together = computed(adaptations.stacked(name), *(part(rows, slice(None), k) for k in (0, 1)))
        for run in range(RUNS):
            own = slice(run, run + 1)
            alone = computed(of_one_run(adaptations.stacked(name), run), *(part(rows, own, k) for k in (0, 1)))
            assert all(torch.equal(a[own], b) for a, b in zip(together, alone, strict=True)), (rows, run)


@pytest.mark.parametrize("name", ALL)
def test_lambda_times_the_slope_of_the_loss_reaches_the_embedding(
    name: str, views: Callable[..., tuple[Side, Side]], stacked: Callable[..., Adaptation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By finite differences: along the slope where the loss is minimised, against it where the head is to deceive.

    What a method detaches (a bandwidth, say) is held where it is, as no gradient goes through it.
    """
    weight, progress = 0.7, 0.3
    method, (source, target) = stacked(name, weight=weight), views()
    free = source.embedding.requires_grad_()
    held: list[Tensor] = []
    detach = Tensor.detach

    def recorded(x: Tensor) -> Tensor:
        found = detach(x)
        held.append(found)
        return found

    monkeypatch.setattr(Tensor, "detach", _but_in_reversals(recorded, detach))
    loss = method(source, target, progress)
    monkeypatch.undo()
    (method.factor(progress) * loss).sum().backward()
    assert free.grad is not None
    expected = weight * (alpha(progress) if method.ramp == "dann" else 1) * (-1 if method.reverses else 1)
    step = torch.randn(free.shape, generator=torch.Generator().manual_seed(5), dtype=torch.double) * 1e-5
    found = []
    for sign in (1, -1):
        again = iter(held)
        monkeypatch.setattr(Tensor, "detach", _but_in_reversals(lambda _, again=again: next(again), detach))
        with torch.no_grad():
            found.append(method(Side(free + sign * step, source.logits), target, progress))
        monkeypatch.undo()
    up, down = found
    torch.testing.assert_close((free.grad * step).sum((1, 2)), expected * (up - down) / 2, rtol=1e-4, atol=1e-12)


def _but_in_reversals(function: Callable[[Tensor], Tensor], detach: Callable[[Tensor], Tensor]) -> Any:
    """A `Tensor.detach` that is another function everywhere but in the reversal of a gradient."""

    def chosen(x: Tensor) -> Tensor:
        return (detach if sys._getframe(1).f_code is reverse.__code__ else function)(x)

    return chosen


@pytest.mark.parametrize("name", [n for n in ALL if method_of(n).reverses])
def test_a_discriminator_learns_at_full_strength_whatever_lambda(
    name: str, views: Callable[..., tuple[Side, Side]], stacked: Callable[..., Adaptation]
) -> None:
    gradients = []
    for weight in (0.1, 3.0):
        method = stacked(name, weight=weight)
        (method.factor(0.0) * method(*views(), 0.0)).sum().backward()
        gradients.append([p.grad for p in method.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
        assert float(a.abs().sum()) > 0


@pytest.mark.parametrize("kind", ["pooled", "frames"])
@pytest.mark.parametrize("name", ALL)
def test_a_run_is_itself_with_every_method_and_never_sees_a_target_label(
    name: str, kind: str, pair: Callable[..., Data]
) -> None:
    toy, seeds = pair(kind), [11, 22, 33, 44]
    config = make_config("mlp", adapt=name, adapt_weight=0.5, **SMALL)
    stacked = train(toy, config, seeds) if kind == "pooled" else []
    (alone,) = train(toy, config, [33])
    visible = replace(toy, labels=np.where(toy.labels < 0, np.random.default_rng(1).integers(0, 4, 150), toy.labels))
    for other in (train(visible, config, [33])[0], *stacked[2:3]):
        assert torch.equal(alone.weights, other.weights)
        assert alone.curves == other.curves
    assert not stacked or torch.equal(alone.weights, train(toy, config, [99, 33, 7])[1].weights)
    assert len(alone.curves["adaptation_loss"]) == alone.epochs


@pytest.mark.parametrize("name", ALL)
def test_lambdas_give_different_numbers_and_different_heads_can_be_adapted(name: str, pair: Callable[..., Data]) -> None:
    toy, found = pair("frames"), []
    for weight in (0.0, 0.03, 0.3):
        options = {"epochs": 2, "head_options": {"hidden": 8}, "batch_size": 16}
        (trained,) = train(toy, make_config("bilstm", adapt=name, adapt_weight=weight, **options), [5])
        assert np.isfinite(trained.curves["adaptation_loss"]).all()
        found.append(trained.weights)
    assert all(not torch.equal(found[a], found[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
