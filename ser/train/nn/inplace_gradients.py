"""Gradients of large weights written straight to where they are kept, or not at all, and the plain way beside it.

Autograd puts the gradient of a weight into a buffer of its own and adds that to the one that is kept, which has to be zeroed
before each step. For large weights and small batches the buffer, the addition and the zeroing cost as much as the matrix
product that gives the gradient. In training in float32 on a CPU, the gradients of weights of `LARGE` numbers or more are
therefore written in place by the product itself, and the sum of their squares, which clipping needs, is taken while they are
in the cache. Of few rows it is not even written where `ser.train.nn.kernels` can do without: the two factors of the product are
kept, its norm is computed from them, and the optimiser takes them. `benchmarks/train.md` says how much faster that is.

`SER_INPLACE_GRADIENTS=0` in the environment leaves all gradients to autograd. Losses and weights are then the same but for
rounding (`tests/train/nn/test_inplace_gradients.py`).
"""

import os
import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.train.nn.kernels import compiler, products

LARGE = 1 << 16  # numbers of a weight from which it pays
MANY, FEW = 256, 8  # inputs from which, and outputs up to which, `turned` is faster
ROWS, OUTPUTS = 16, 4  # what `turned` fills rows and outputs up to
ENABLED = os.environ.get("SER_INPLACE_GRADIENTS", "1") != "0"


def are_compiled() -> bool:
    """True if `ser.train.nn.kernels` computes the products of large weights in training on a CPU."""
    return ENABLED and compiler.width() > 0


class Factors(NamedTuple):
    """The gradient x^T g of a weight `(runs, K, N)`.

    Attributes:
        x: `(runs, rows, K)`.
        g: `(runs, rows, N)`.
    """

    x: Tensor
    g: Tensor

    def squares(self) -> list[Tensor]:
        """The sum of squares of each run's gradient, by the rows' products with each other, whose scalar product it is."""
        pairs = zip(self.x.unbind(), self.g.unbind(), strict=True)
        return [torch.dot((x @ x.t()).view(-1), (g @ g.t()).view(-1)).clamp_min_(0) for x, g in pairs]


class Weight(nn.Parameter):
    """A weight whose gradient may be written in place.

    Autograd adds to the gradient that is there. Where a head reads the weight itself, and no call of its layer has written a
    gradient in this step, the gradient that is there has to be 0: `watch` sees to that.

    Attributes:
        stale: the gradient that is there is of an earlier step, and the next one is to be written over it.
        squares: sums of squares of the gradient, one for each run; None where they are not known.
        factors: the gradient of this step, which is not written; None where it is.
    """

    stale: bool = False
    watched: bool = False  # it is large and in training, see `watch`
    squares: list[Tensor] | None = None
    factors: Factors | None = None

    def evaluates(self, x: Tensor) -> bool:
        """True if compiled products evaluate x of many rows: with a weight in training, for which they are compiled anyway."""
        if not self.watched or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or x.shape[1] <= products.ROWS:
            return False
        return products.fit(x, self)

    def watch(self) -> None:
        """From now on clear a stale gradient before autograd adds to it."""
        if not self.watched:
            self.watched = True
            self.register_hook(partial(_clear_stale, weakref.ref(self)))  # type: ignore[no-untyped-call]


def _clear_stale(reference: "weakref.ref[Weight]", gradient: Tensor | None) -> None:
    weight = reference()
    if gradient is not None and weight is not None and weight.stale and weight.grad is not None:
        weight.grad.zero_()
        weight.stale = False
    if gradient is not None and weight is not None:
        write(weight)
        weight.squares = None


def write(weight: Weight) -> None:
    """Write a gradient that was kept as factors, as more is to be added to it."""
    if weight.factors is not None and weight.grad is not None:
        for into, x, g in zip(weight.grad, *weight.factors, strict=True):
            torch.mm(x.t(), g, out=into)
        weight.factors = weight.squares = None


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b of each run, `(runs, n, inputs)` -> `(runs, n, outputs)`."""
    if is_turned(x, weight):
        return turned(x, weight, bias)
    if isinstance(weight, Weight) and weight.stale and torch.is_grad_enabled():
        out: Tensor = _Affine.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return out
    if isinstance(weight, Weight) and weight.evaluates(x):
        return products.forward(x, weight, bias)
    return torch.baddbmm(bias, x, weight)


def is_turned(x: Tensor, weight: Tensor) -> bool:
    """True where `turned` computes a layer: of outputs that are neither 2 nor a multiple of 4, and of few from many inputs.

    The number of runs does not count, nor that of rows.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return False
    inputs, outputs = weight.shape[1:]
    return (outputs % OUTPUTS > 0 and outputs != 2) or (inputs >= MANY and outputs <= FEW)


def turned(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b by W^T x^T, with rows and outputs filled up with zeros.

    Libraries are slow where the last dimension of a product has few numbers, here and in the backward pass. Of 1, 6 or 7
    outputs they also compute a run of a stack by other instructions than a run alone, by where its numbers lie in memory;
    with sizes that are filled up the bits are the same.
    """
    rows, outputs = x.shape[1], weight.shape[2]
    columns = weight.transpose(1, 2)
    if missing := -outputs % OUTPUTS:
        columns = F.pad(columns, (0, 0, 0, missing))
    if missing := -rows % ROWS:
        x = F.pad(x, (0, 0, 0, missing))
    out = torch.bmm(columns.contiguous(), x.transpose(1, 2))[:, :outputs, :rows]
    return (out.transpose(1, 2) + bias).contiguous()


class _Affine(torch.autograd.Function):
    """x W + b whose backward pass writes the gradient of W in place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.weight, ctx.fit = weight, products.fit(x, weight)
        return products.forward(x, weight, bias) if ctx.fit else torch.baddbmm(bias, x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor]:
        x, weight = ctx.saved_tensors
        take(ctx.weight, x, gradient, ctx.fit)
        inward = None
        if ctx.needs_input_grad[0]:
            inward = products.backward(gradient, weight) if ctx.fit else torch.bmm(gradient, weight.transpose(1, 2))
        return inward, None, gradient.sum(1, keepdim=True)


def take(weight: Weight, x: Tensor, g: Tensor, fit: bool) -> None:
    """Write the gradient x^T g of a weight in place, add it to that of an earlier call, or keep its factors.

    Args:
        fit: the compiled products are used.
    """
    if weight.stale and fit and x.shape[1] <= products.ROWS:
        weight.factors = Factors(x.detach().contiguous(), g.detach().contiguous())
    elif weight.grad is not None:
        write(weight)
        weight.squares = []
        for into, source, own in zip(weight.grad, x, g, strict=True):
            if weight.stale and fit:
                products.transposed_times(source, own, into)
            elif weight.stale:
                torch.mm(source.t(), own, out=into)
            else:
                into.addmm_(source.t(), own)
            weight.squares.append(torch.dot(into.view(-1), into.view(-1)))
    weight.stale = False


class Gradients:
    """The gradients of a stack of runs as autograd leaves them: zeroed before each step, added up by it.

    Args:
        block: `(runs, n)`, of which the parameters' gradients are views.
    """

    def __init__(self, block: Tensor) -> None:
        self.block = block

    def clear(self) -> None:
        """Prepare a step's backward pass."""
        self.block.zero_()

    def settle(self) -> None:
        """Zero, after a step's backward pass, the gradients that it did not reach."""

    def clip(self, limit: float) -> Tensor | None:
        """Scale each run's gradient down to a norm of at most `limit`, run by run.

        Returns:
            None; or a number that the gradient is still to be divided by, see `InPlaceGradients`.
        """
        norm = self.block.norm(dim=1, keepdim=True)
        self.block.mul_((limit / (norm + 1e-6)).clamp_max(1.0))
        return None

    def factors(self) -> list[Factors]:
        """The gradients that are not written."""
        return []

    def parts(self) -> tuple[list[slice], list[slice]]:
        """The parts of the block whose gradients are not written, in the order of `factors`, and the others."""
        return [], [slice(None)]


class InPlaceGradients(Gradients):
    """The gradients of a stack of runs, of which those of some weights are written in place.

    Args:
        block: `(runs, n)`, of which the parameters' gradients are views.
        weights: the weights whose gradients are written in place.
        sizes: of all parameters in the order of the block, numbers of one run.
    """

    def __init__(self, block: Tensor, weights: list[Weight], sizes: Iterable[tuple[nn.Parameter, int]]) -> None:
        super().__init__(block)
        self.weights = weights
        for weight in weights:
            weight.watch()
        large = {id(w) for w in weights}
        self.between: list[slice] = []  # parts of the block that autograd adds to
        self.places: list[slice] = []  # those of the weights
        start = end = 0
        for parameter, size in sizes:
            if id(parameter) in large:
                self.between += [slice(start, end)] if end > start else []
                start = end + size
                self.places.append(slice(end, start))
            end += size
        self.between += [slice(start, end)] if end > start else []
        self.rows = [[row[part] for part in self.between] for row in block]

    def clear(self) -> None:
        for weight in self.weights:
            weight.stale, weight.factors = True, None
        for row in self.rows:
            torch._foreach_zero_(row)

    def settle(self) -> None:
        for weight in self.weights:
            if weight.stale and weight.grad is not None:
                weight.grad.zero_()
                weight.squares = None
            weight.stale = False

    def clip(self, limit: float) -> Tensor | None:
        """As `Gradients`; of one run the fused optimiser divides on its way (`grad_scale`), which saves a pass."""
        divisors = ((torch.stack(self.norms()) + 1e-6) / limit).clamp_min(1.0)
        over = [divisor > 1 for divisor in divisors.tolist()]
        if not any(over):
            return None
        for weight in self.weights:
            if weight.factors is not None:
                weight.factors = weight.factors._replace(g=weight.factors.g / divisors.view(-1, 1, 1))
        if len(divisors) == 1:
            return divisors[0]
        for row, divisor, is_over in zip(self.block, divisors, over, strict=True):
            for part in self.parts()[1] if is_over else []:
                row[part].div_(divisor)
        return None

    def norms(self) -> list[Tensor]:
        """The norm of each run's gradient, from sums of squares that were taken as it was written, where they were."""
        found = [[torch.dot(part, part) for part in row] for row in self.rows]
        for weight, part in zip(self.weights, self.places, strict=True):
            if weight.factors is not None:
                squares = weight.factors.squares()
            else:
                squares = weight.squares or [torch.dot(row[part], row[part]) for row in self.block]
            for own, square in zip(found, squares, strict=True):
                own.append(square)
        return [torch.stack(squares).sum().sqrt() for squares in found]

    def factors(self) -> list[Factors]:
        return [weight.factors for weight in self.weights if weight.factors is not None]

    def parts(self) -> tuple[list[slice], list[slice]]:
        factored: list[slice] = []
        written = [*self.between]
        for weight, part in zip(self.weights, self.places, strict=True):
            (written if weight.factors is None else factored).append(part)
        return factored, written


def gradients(block: Tensor, head: nn.Module, sizes: list[tuple[nn.Parameter, int]], in_place: bool) -> Gradients:
    """The gradients of a stack: in place for the head's large weights where that is wanted and there are any.

    Args:
        block, sizes: see `InPlaceGradients`.
        in_place: the gradients may be written in place.
    """
    own = {id(p) for p in head.parameters()}
    weights = [p for p, size in sizes if id(p) in own and isinstance(p, Weight) and p.requires_grad and size >= LARGE]
    return InPlaceGradients(block, weights, sizes) if in_place and ENABLED and weights else Gradients(block)
