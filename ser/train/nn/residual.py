"""Both halves of a transformer's layer: dense layers, dropout, residual and layer normalisation, as one function."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ser.train.nn.inplace_gradients import take
from ser.train.nn.kernels import passes, products
from ser.train.nn.layers import Dropout, LayerNorm, Linear


def residual(
    x: Tensor, source: Tensor, layers: Sequence[Linear], dropout: Dropout, norm: LayerNorm, gelu: bool = False
) -> Tensor:
    """LayerNorm(x + dropout(h)), where h is what one dense layer or two make of a source, or the source.

    In training on a CPU, with weights whose gradients are written in place (`ser.train.nn.inplace_gradients`), all of it is one
    function of autograd, of compiled passes: with 16 rows, calls take as long as what they compute between the products.

    Args:
        x: `(runs, batch, N, H)`.
        source: `(runs, batch, N, inputs)`.
        gelu: there are GELU and dropout between two layers.
    """
    flat = x.reshape(len(x), -1, x.shape[-1])
    if (draws := _draws(flat, layers, dropout, gelu)) is not None:
        given = [part for layer in layers for part in (layer.weight, layer.bias)]
        rows = source.reshape(len(x), -1, source.shape[-1])
        out: Tensor = _Residual.apply(flat, rows, draws, norm.weight, norm.bias, *given)  # type: ignore[no-untyped-call]
        return out.view(x.shape)
    h = source
    for number, layer in enumerate(layers):
        h = layer(dropout.of_gelu(h) if gelu and number else h)
    plain: Tensor = norm(x + dropout(h))
    return plain


class _Draws(NamedTuple):
    """Those of dropout after GELU, if there is any, and at the end."""

    inner: passes.Draws | None
    outer: passes.Draws


def _draws(x: Tensor, layers: Sequence[Linear], dropout: Dropout, gelu: bool) -> _Draws | None:
    """The draws of the function for `x (runs, rows, H)`; None where the layers are called one after another."""
    if not torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return None
    if not all(layer.weight.stale and products.fit(x, layer.weight) for layer in layers):
        return None
    inner = dropout.draws(x, x.shape[1] * layers[0].weight.shape[2]) if gelu else None
    outer = None if gelu and inner is None else dropout.draws(x, x[0].numel())
    return None if outer is None else _Draws(inner, outer)


class _Residual(torch.autograd.Function):
    """See `residual`; x and the source are `(runs, rows, ...)`, of each layer there are a weight and a bias."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, source: Tensor, draws: _Draws, gain: Tensor, shift: Tensor, *layers: Tensor) -> Tensor:
        h = products.forward(source, *layers[:2]) if layers else source
        between: list[Tensor] = []  # what comes out of the first layer, and what goes into the second
        if more := layers[2:]:
            between = [h, h if draws.inner is None else passes.gelu_dropped(h, draws.inner)]
            h = products.forward(between[1], *more)
        out, normal = passes.residual_norm(x, h, draws.outer, gain, shift)
        ctx.draws, ctx.weights = draws, layers[::2]
        ctx.save_for_backward(source, gain, *normal, *between)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        source, gain, z, factors, *between = ctx.saved_tensors
        found = passes.residual_norm_gradient(gradient, passes.Normal(z, factors), ctx.draws.outer, gain)
        g, bias = found.h, found.bias[:, None]
        if not ctx.weights:
            return found.x, g, None, found.gain, found.shift
        weight, *second = ctx.weights
        more: tuple[Tensor | None, ...] = ()
        for own in second:
            take(own, between[1], g, fit=True)
            g, more = products.backward(g, own), (None, bias)
            if ctx.draws.inner is not None:
                g = passes.gelu_gradient(g, between[0], ctx.draws.inner)
            bias = passes.row_sums(g)
        take(weight, source, g, fit=True)
        inward = products.backward(g, weight) if ctx.needs_input_grad[1] else None
        return found.x, inward, None, found.gain, found.shift, None, bias, *more
