"""Gradients that are written in place are those of autograd, however a layer is used."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ser.train.loop import trainer
from ser.train.loop.config import make_config
from ser.train.loop.data import Data
from ser.train.loop.trainer import train
from ser.train.nn import inplace_gradients
from ser.train.nn.inplace_gradients import LARGE, Gradients, InPlaceGradients, affine, is_turned, write
from ser.train.nn.kernels import compiler, products
from ser.train.nn.layers import Linear
from ser.train.nn.parameters import Parameters

FEW = 16  # rows of a batch, of which gradients may be left unwritten
SIZE = 256  # SIZE * SIZE weights are enough to be written in place


class Ways(nn.Module):
    """A layer used in some way, after one that is always used once."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.epoch = way, 0
        self.first, self.second = Linear(SIZE, SIZE), Linear(SIZE, SIZE)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        direct = torch.bmm(x, self.second.weight)
        ways: dict[str, Callable[[], Tensor]] = {
            "once": lambda: self.second(x),
            "twice": lambda: self.second(torch.relu(self.second(x))),
            "never": lambda: x,
            "by its weight": lambda: direct,
            "both": lambda: self.second(x) + direct,
            "in turns": lambda: (self.second(x), direct, x)[self.epoch % 3],
            "frozen input": lambda: self.second(x.detach()),
        }
        self.epoch += 1
        return ways[self.way]()


def gradients(way: str, in_place: bool, runs: int) -> list[Tensor]:
    """The gradients of five steps, run by run, as the trainer takes them."""
    builds = []
    for run in range(runs):

        def build(run: int = run) -> nn.Module:
            torch.manual_seed(run)
            return Ways(way)

        builds.append(build)
    block, found = Parameters(builds, in_place=in_place), []
    kept = block.gradients
    assert isinstance(kept, InPlaceGradients) == in_place
    assert not isinstance(kept, InPlaceGradients) or len(kept.weights) == 2
    for step in range(5):
        x = torch.randn(8, SIZE, generator=torch.Generator().manual_seed(step)).expand(runs, -1, -1)
        kept.clear()
        block.head(x).square().mean((1, 2)).sum().backward()
        kept.settle()
        if isinstance(kept, InPlaceGradients):
            norms = torch.stack(kept.norms())
            for weight in kept.weights:
                write(weight)
            torch.testing.assert_close(norms, kept.block.norm(dim=1))
        found.append(kept.block.clone())
    return found


@pytest.fixture(params=[False, True], ids=["torch", "compiled"])
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Gradients of few rows are written; or kept as factors, by functions that are compiled on this processor too."""
    if request.param:
        pytest.importorskip("llvmlite")
    monkeypatch.setattr(compiler, "width", lambda: 8 if request.param else 0)
    return bool(request.param)


@pytest.mark.parametrize("way", ["once", "twice", "never", "by its weight", "both", "in turns", "frozen input"])
def test_gradients_in_place_are_those_of_autograd(way: str, compiled: bool) -> None:
    assert SIZE * SIZE >= LARGE
    for ours, expected in zip(gradients(way, True, 2), gradients(way, False, 2), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))
    for ours, alone in zip(gradients(way, True, 2), gradients(way, True, 1), strict=True):
        assert torch.equal(ours[:1], alone)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"average": "ema", "loss": "cross_entropy,prototype:0.1", "batch_size": FEW},
        {"clip": 0.05},
        {"clip": 0.05, "batch_size": FEW},
    ],
)
def test_a_run_is_itself_where_gradients_are_written_in_place(
    options: dict[str, Any], data: Callable[..., Data], compiled: bool
) -> None:
    toy = data()
    config = make_config("mlp", **{"epochs": 4, "patience": 2, "batch_size": 40, **options})  # 512 x 256 weights
    five = train(toy, config, [11, 22, 33, 44, 55])
    for other in (train(toy, config, [33])[0], train(toy, config, [33, 99])[0]):
        assert torch.equal(five[2].weights, other.weights)
        assert five[2].curves == other.curves


@pytest.mark.parametrize(
    "options",
    [
        {"clip": 0.05},
        {"batch_size": FEW},
        {"clip": 0.05, "batch_size": FEW},
        {"adapt": "dann", "loss": "cross_entropy,prototype:0.1", "batch_size": FEW},
    ],
)
def test_without_them_training_is_the_same_but_for_rounding(
    options: dict[str, Any], data: Callable[..., Data], monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    toy = replace(data(), unlabelled=np.arange(125, 150))
    config = make_config("mlp", **{"epochs": 2, "patience": 0, "batch_size": 40, **options})  # 512 x 256 weights
    in_place = train(toy, config, [1, 2])
    monkeypatch.setattr(inplace_gradients, "ENABLED", False)
    stack = trainer.Stack(toy, config, [1, 2], None)
    assert type(stack.parameters.gradients) is Gradients
    for ours, plain in zip(in_place, train(toy, config, [1, 2]), strict=True):
        torch.testing.assert_close(ours.weights, plain.weights, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(ours.curves["loss"], plain.curves["loss"], rtol=1e-4)


def test_of_few_rows_the_gradient_is_not_written(data: Callable[..., Data], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(compiler, "width", lambda: 8)
    counts = []
    for size in (FEW, 40):
        stack = trainer.Stack(data(), make_config("mlp", batch_size=size), [1], None)
        stack.update(stack.begin_epoch(1)[0], 0)
        counts.append(len(stack.parameters.gradients.factors()))
    assert counts == [1, 0]  # the first layer is large


def test_many_rows_are_evaluated_by_the_products_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(compiler, "width", lambda: 8)
    monkeypatch.setattr(compiler, "is_wide", lambda: True)
    calls, own = [], products.forward

    def counted(x: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
        calls.append(x.shape[1])
        return own(x, *given)

    monkeypatch.setattr(products, "forward", counted)
    layers = [Parameters([partial(Linear, SIZE, SIZE)] * 2, in_place=in_place) for in_place in (True, False)]
    layers[1].theta.data.copy_(layers[0].theta.data)
    with torch.no_grad():
        for rows in (products.ROWS, 100):
            x = torch.randn(2, rows, SIZE, generator=torch.Generator().manual_seed(rows))
            torch.testing.assert_close(*(layer.head(x) for layer in layers), rtol=1e-5, atol=1e-5)
    assert calls == [100]


@pytest.mark.parametrize(("value", "enabled"), [("0", False), ("1", True)])
def test_the_environment_leaves_all_gradients_to_autograd(value: str, enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SER_INPLACE_GRADIENTS", value)
    monkeypatch.setattr(compiler, "width", lambda: 8)
    spec = importlib.util.spec_from_file_location("read_again", inplace_gradients.__file__)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    assert (found.ENABLED, found.are_compiled()) == (enabled, enabled)


@pytest.mark.parametrize("rows", [1, 2, 3, 16, 200])
@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 6, 7, 8, 9, 10, 33, 66])
@pytest.mark.parametrize("inputs", [39, 300])
def test_a_layer_of_few_outputs_is_itself_in_a_stack_and_right(rows: int, outputs: int, inputs: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    sizes = (rows, inputs), (inputs, outputs), (1, outputs)
    given = [torch.randn(6, *size, generator=generator) for size in sizes]

    def computed(function: Callable[..., Tensor], tensors: list[Tensor]) -> list[Tensor]:
        leaves = [t.clone().requires_grad_() for t in tensors]
        out = function(*leaves)
        return [out, *torch.autograd.grad(out.square().sum(), leaves)]

    assert [is_turned(given[0][runs], given[1][runs]) for runs in (slice(6), slice(1))] == [
        outputs not in (2, 4, 8) or (inputs > 256 and outputs < 9)
    ] * 2
    together = computed(affine, given)
    exact = computed(lambda x, weight, bias: x @ weight + bias, [t.double() for t in given])
    for ours, right in zip(together, exact, strict=True):
        torch.testing.assert_close(
            ours.detach().double(), right.detach(), rtol=1e-4, atol=1e-4 * float(right.detach().abs().max())
        )
    for run in range(6):
        alone = computed(affine, [t[run : run + 1] for t in given])
        assert all(torch.equal(ours[run : run + 1], own) for ours, own in zip(together, alone, strict=True))
