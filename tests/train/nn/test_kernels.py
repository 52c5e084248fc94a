"""Compiled products and AdamW against torch's in double precision."""

import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from ser.train.loop.optimisation import AdamW
from ser.train.nn.inplace_gradients import Factors, Gradients
from ser.train.nn.kernels import compiler, passes, products
from ser.train.nn.layers import Dropout
from ser.train.nn.streams import bits

RUNS, INPUTS, OUTPUTS = 2, 88, 96  # not multiples of a tile

STEP = products.Step(0.99, 0.9, 0.1, 0.999, 0.001, 1.5, 1e-8, 1e-3)


class OnlyFactors(Gradients):
    """The gradient of a block of one weight and some other numbers."""

    def __init__(self, given: Factors) -> None:
        self.given = given

    def factors(self) -> list[Factors]:
        return [self.given]

    def parts(self) -> tuple[list[slice], list[slice]]:
        size = INPUTS * OUTPUTS
        return [slice(3, 3 + size)], [slice(0, 3), slice(3 + size, 3 + size + 10)]


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.fixture(params=[(1, 8, True), (7, 8, False), (16, 8, True), (20, 8, True), (15, 16, False)], ids=str)
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Rows of a batch; then numbers in a register, and if it has AVX-512's: any processor has code for both."""
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(compiler, "width", lambda: request.param[1])
    monkeypatch.setattr(compiler, "is_wide", lambda: request.param[2])
    products.build.cache_clear()
    yield int(request.param[0])
    products.build.cache_clear()


def test_compiled_steps_are_those_of_torch(rows: int) -> None:
    x, g = draw(RUNS, rows, INPUTS), draw(RUNS, rows, OUTPUTS).transpose(0, 1).contiguous().transpose(0, 1)
    whole = draw(RUNS, 3 + INPUTS * OUTPUTS + 10)  # of a block, in which a run's weight does not begin at a round address
    weight, bias = whole[:, 3:-10].view(RUNS, INPUTS, OUTPUTS), draw(RUNS, 1, OUTPUTS)
    assert products.fit(x, weight)
    exact = torch.baddbmm(bias.double(), x.double(), weight.double())
    torch.testing.assert_close(products.forward(x, weight, bias).double(), exact, rtol=1e-5, atol=1e-4)
    exact = g.double() @ weight.double().transpose(1, 2)
    torch.testing.assert_close(products.backward(g, weight).double(), exact, rtol=1e-5, atol=1e-4)

    theirs = whole.double().requires_grad_()
    ours = whole.clone().requires_grad_()
    optimiser, expected = AdamW(ours, 0.1), torch.optim.AdamW([theirs], lr=1e-2, weight_decay=0.1)
    theirs.grad = draw(RUNS, 1, whole.shape[1])[:, 0].double()
    for step in range(1, 4):
        theirs.grad[:, 3:-10] = ((x * step).double().transpose(1, 2) @ g.double()).view(RUNS, -1)
        ours.grad = theirs.grad.float()
        ours.grad[:, 3:-10] = torch.nan  # it is not looked at
        optimiser.step(1e-2, None, OnlyFactors(Factors(x * step, g.contiguous())))
        expected.step()
        torch.testing.assert_close(ours.detach().double(), theirs.detach(), rtol=1e-5, atol=2e-6)
    assert float(optimiser.steps) == 3
    alone = products.forward(x[1:], weight[1:], bias[1:])
    assert torch.equal(alone, products.forward(x, weight, bias)[1:])


@pytest.mark.parametrize("rows", [1, 6, 17])
def test_the_bits_do_not_depend_on_the_registers(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(compiler, "width", lambda: 8)
    x, g, weight, bias = draw(1, rows, INPUTS), draw(1, rows, OUTPUTS), draw(1, INPUTS, OUTPUTS), draw(1, 1, OUTPUTS)
    found = []
    for wide in (True, False):
        monkeypatch.setattr(compiler, "is_wide", lambda wide=wide: wide)
        products.build.cache_clear()
        state = [draw(1, INPUTS * OUTPUTS).abs() for _ in range(3)]
        products.update(x, g, *state, STEP)
        found.append((products.forward(x, weight, bias), products.backward(g, weight), *state))
    products.build.cache_clear()
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


@pytest.mark.parametrize("rows", [33, 48])
def test_many_rows_are_those_of_each_alone(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(compiler, "width", lambda: 8)
    x, g = draw(RUNS, rows, INPUTS), draw(RUNS, rows, OUTPUTS)
    weight, bias = draw(RUNS, INPUTS, OUTPUTS), draw(RUNS, 1, OUTPUTS)
    forward, backward = products.forward(x, weight, bias), products.backward(g, weight)
    for row in range(rows):
        one = slice(row, row + 1)
        assert torch.equal(forward[:, one], products.forward(x[:, one], weight, bias))
        assert torch.equal(backward[:, one], products.backward(g[:, one], weight))


def test_rows_that_runs_share_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(compiler, "width", lambda: 8)
    shared, weight, bias = draw(1, 48, INPUTS).expand(RUNS, -1, -1), draw(RUNS, INPUTS, OUTPUTS), draw(RUNS, 1, OUTPUTS)
    expected = products.forward(shared.contiguous(), weight, bias)
    monkeypatch.setattr(torch.Tensor, "contiguous", lambda x: x if x.is_contiguous() else pytest.fail("a copy"))
    assert torch.equal(products.forward(shared, weight, bias), expected)


@pytest.mark.parametrize("inputs", [INPUTS, 20, 8])
@pytest.mark.parametrize("wide", [True, False])
def test_the_gradient_of_many_rows_is_that_of_torch(inputs: int, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(compiler, "width", lambda: 8)
    monkeypatch.setattr(compiler, "is_wide", lambda: wide)
    for rows in (33, 100):
        x, g = draw(rows, inputs), draw(OUTPUTS, rows).t()
        whole = torch.full((inputs + 2, OUTPUTS), torch.nan)
        products.transposed_times(x, g, whole[1:-1])
        torch.testing.assert_close(whole[1:-1].double(), x.double().t() @ g.double(), rtol=1e-5, atol=1e-4)
        assert whole[[0, -1]].isnan().all()


def test_products_of_parts_of_wider_rows_are_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(compiler, "width", lambda: 8)
    x, g, w = draw(40, 2 * INPUTS)[:, :INPUTS], draw(40, 2 * OUTPUTS)[:, :OUTPUTS], draw(INPUTS, 2 * OUTPUTS)[:, :OUTPUTS]
    out, inward, gradient = torch.empty(40, OUTPUTS), torch.empty(40, INPUTS), torch.empty(INPUTS, OUTPUTS)
    products.times(x, w, out)
    products.times_transposed(g, w, inward)
    products.transposed_times(x, g, gradient)
    torch.testing.assert_close(out, x @ w, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(inward, g @ w.t(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient, x.t() @ g, rtol=1e-4, atol=1e-4)


def test_the_squares_of_a_gradient_are_those_of_its_numbers(rows: int) -> None:
    factors = Factors(draw(RUNS, rows, INPUTS), draw(RUNS, rows, OUTPUTS))
    exact = (factors.x.double().mT @ factors.g.double()).square().sum((1, 2))
    torch.testing.assert_close(torch.stack(factors.squares()).double(), exact, rtol=1e-5, atol=1e-3)
    alone = Factors(factors.x[1:], factors.g[1:])
    assert torch.equal(alone.squares()[0], factors.squares()[1])


@pytest.mark.parametrize("width", [8, 16])
@pytest.mark.parametrize("shape", [(3, 16, 7), (1, 2, 5, 16), (2, 3, 5)], ids=str)
@pytest.mark.parametrize("p", [0.3, 0.0001])
def test_dropout_is_that_of_torch_bit_for_bit(
    shape: tuple[int, ...], p: float, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a gradient does not lie side by side; 15 numbers of a run are left to torch."""
    pytest.importorskip("llvmlite")
    found = []
    for numbers in (0, width):
        monkeypatch.setattr(compiler, "width", lambda numbers=numbers: numbers)
        layer, x = Dropout(p), draw(*shape).requires_grad_()
        layer.generators = [bits(seed, "dropout") for seed in range(len(x))]
        assert passes.drops(x, x[0].numel()) == (numbers > 0 and x[0].numel() % width == 0)
        out = layer(x)
        out.backward(draw(*shape[:-2], shape[-1], shape[-2]).mT)
        found.append((out.detach(), x.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert bool((found[0][0] == 0).any()) == (p == 0.3)
    assert not passes.drops(draw(2, 0, 16), 0)


@pytest.mark.parametrize("p", [0.0001, 0.3])
@pytest.mark.parametrize("width", [8, 16])
def test_gelu_with_dropout_is_that_of_torch(p: float, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To 1e-6 for numbers of all sizes, its gradient too; where nothing is dropped in evaluation it is torch's."""
    pytest.importorskip("llvmlite")
    some = torch.cat([torch.linspace(-15, 15, 3992), torch.tensor([0.0, -0.0, 1e-30, -1e-30, 1e4, -1e4, 40.0, -40.0])])
    x, outer = torch.stack([some, some.flip(0)]).view(2, 50, 80), draw(2, 80, 50).mT
    found = []
    for numbers in (0, width):
        monkeypatch.setattr(compiler, "width", lambda numbers=numbers: numbers)
        layer, given = Dropout(p), x.clone().requires_grad_()
        layer.generators = [bits(seed, "dropout") for seed in range(2)]
        out = layer.of_gelu(given)
        out.backward(outer)
        found.append((out.detach(), given.grad))
        assert torch.equal(layer.eval().of_gelu(x), torch.nn.functional.gelu(x))
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=2e-6)
    assert bool((found[1][0][x > 1] == 0).any()) == (p == 0.3)
    alone = Dropout(p)
    alone.generators = [bits(1, "dropout")]
    assert torch.equal(alone.of_gelu(x[1:]), found[1][0][1:])


def test_few_rows_and_whole_registers_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "width", lambda: 8)
    monkeypatch.setattr(compiler, "is_wide", lambda: False)
    weight = draw(1, 88, 32)
    assert products.fit(draw(1, 32, 88), weight)
    assert products.fit(draw(5, 32, 88), weight.expand(5, -1, -1))
    for x, w in (
        (draw(1, 33, 88), weight),
        (draw(1, 0, 88), weight),
        (draw(1, 4, 87), weight[:, :87]),
        (draw(1, 4, 88), weight[..., :24]),
        (draw(1, 4, 88).double(), weight.double()),
    ):
        assert not products.fit(x, w)
    monkeypatch.setattr(compiler, "is_wide", lambda: True)
    assert products.fit(draw(1, 33, 88), weight)
    monkeypatch.setattr(compiler, "width", lambda: 0)
    assert not products.fit(draw(1, 4, 88), weight)


def test_without_llvmlite_or_if_asked_torch_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiler.width.__wrapped__() in (0, 8)
    monkeypatch.setattr(compiler, "SETTING", "0")
    assert compiler.width.__wrapped__() == 0
    monkeypatch.setattr(compiler, "SETTING", "")
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    assert compiler.width.__wrapped__() == 0


@pytest.mark.parametrize("width", [8, 16])
@pytest.mark.parametrize("rows", [1, 9, 40])
def test_the_end_of_a_layer_is_that_of_torch(rows: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(compiler, "width", lambda: width)
    x, h, outer = (draw(2, rows, 96 + k)[..., :96] for k in range(3))  # whose rows do not lie side by side
    gain, shift, dropout = draw(2, 96), draw(2, 95 + 1) + 3, Dropout(0.3)
    dropout.generators = [bits(seed, "dropout") for seed in range(2)]
    draws = dropout.draws(x, rows * 96)
    assert draws is not None
    out, normal = passes.residual_norm(x, h, draws, gain, shift)
    ours = passes.residual_norm_gradient(outer, normal, draws, gain)

    kept = torch.stack([torch.from_numpy(own.view("uint16")[: rows * 96].copy().astype("int64")) for own in draws.bits])
    factors = (kept < draws.limit).view(2, rows, 96) * draws.scale
    exact = [part.double().requires_grad_() for part in (x, h, gain, shift)]
    joined = exact[0] + exact[1] * factors
    theirs = torch.nn.functional.layer_norm(joined, (96,)) * exact[2][:, None] + exact[3][:, None]
    theirs.backward(outer.double())
    torch.testing.assert_close(out.double(), theirs.detach(), rtol=1e-5, atol=1e-5)
    for own, part in zip(ours, exact, strict=False):
        torch.testing.assert_close(own.double(), part.grad, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(ours.bias[:, None], passes.row_sums(ours.h))
    torch.testing.assert_close(ours.bias, ours.h.sum(1), rtol=1e-5, atol=1e-5)
    assert bool((factors == 0).any())
    alone = passes.residual_norm(x[1:], h[1:], draws._replace(bits=draws.bits[1:]), gain[1:], shift[1:])[0]
    assert torch.equal(alone, out[1:])
