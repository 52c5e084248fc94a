"""The code of `ser.train.nn.kernels.passes` in LLVM's intermediate language: dropout, GELU, layer normalisation.

`n` numbers of a row are computed at a time.
"""

import math
from collections.abc import Callable

import numpy as np
from llvmlite import ir

from ser.train.nn.kernels.vectors import FLOAT, INT32, Function

SHORT = ir.IntType(16)
EPS = 1e-5  # added to the variance of a row by layer normalisation, as by torch


def dropout(module: ir.Module, n: int) -> None:
    """y = x s where bits are below a limit, elsewhere x 0: `x`, `bits` (16 of each number), `y`, s; count and limit."""
    f = Function(module, "dropout", 4, n)
    x, bits, y, scale, count, limit = f.arguments

    def each(place: ir.Value, factor: ir.Value) -> None:
        f.store(f.build.fmul(f.load(f.at(x, place)), factor), f.at(y, place))

    _each_kept(f, each, bits, scale, count, limit)


def gelu(module: ir.Module, n: int) -> None:
    """`dropout` of GELU(x)."""
    f = Function(module, "gelu", 4, n)
    x, bits, y, scale, count, limit = f.arguments

    def each(place: ir.Value, factor: ir.Value) -> None:
        given = f.load(f.at(x, place))
        below, _ = _normal(f, given)
        f.store(f.build.fmul(f.build.fmul(given, below), factor), f.at(y, place))

    _each_kept(f, each, bits, scale, count, limit)


def gelu_gradient(module: ir.Module, n: int) -> None:
    """d, the gradient of `gelu`'s input: gradient of its output, `x`, `bits`, `d`, s; count and limit."""
    f = Function(module, "gelu_gradient", 5, n)
    gradient, x, bits, d, scale, count, limit = f.arguments

    def each(place: ir.Value, factor: ir.Value) -> None:
        given = f.load(f.at(x, place))
        below, density = _normal(f, given)
        slope = f.multiply_add(given, density, below)
        f.store(f.build.fmul(f.build.fmul(f.load(f.at(gradient, place)), factor), slope), f.at(d, place))

    _each_kept(f, each, bits, scale, count, limit)


def _each_kept(
    f: Function, each: Callable[[ir.Value, ir.Value], None], bits: ir.Value, scale: ir.Value, count: ir.Value, limit: ir.Value
) -> None:
    """Go through vectors: `each` takes a place and the factors of its numbers, the scale or 0."""
    factors = _factors(f, bits, scale, limit)

    def step(place: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        each(place, factors(place))
        return []

    f.loop(count, f.n, step)
    f.build.ret_void()


def _factors(f: Function, bits: ir.Value, scale: ir.Value, limit: ir.Value) -> Callable[[ir.Value], ir.Value]:
    """What gives the factors of the numbers at a place: the scale where their bits are below the limit, elsewhere 0."""
    build, kind = f.build, ir.VectorType(INT32, f.n)
    undefined, first = ir.Constant(kind, ir.Undefined), ir.Constant(kind, [0] * f.n)
    one = build.insert_element(undefined, build.trunc(limit, INT32), INT32(0))
    below, factor = build.shuffle_vector(one, undefined, first), f.fill(scale)
    draws = build.bitcast(bits, SHORT.as_pointer())

    def at(place: ir.Value) -> ir.Value:
        drawn = build.load(build.bitcast(build.gep(draws, [place]), ir.VectorType(SHORT, f.n).as_pointer()))
        drawn.align = 2
        return build.select(build.icmp_unsigned("<", build.zext(drawn, kind), below), factor, f.zero)

    return at


def residual_norm(module: ir.Module, n: int) -> None:
    """y = c z + b, where z is x + dropout(h) with mean 0 and variance 1 in each row: `x`, `h`, bits, scale, c, b, `z`, s, `y`.

    `s (rows,)` is what the centred rows were multiplied by. Last come the numbers of rows and columns, and dropout's limit.
    """
    f = Function(module, "residual_norm", 9, n, 3)
    x, h, bits, scale, gain, shift, z, factor, y, rows, size, limit = f.arguments
    build, kept = f.build, _factors(f, bits, scale, limit)
    share = build.fdiv(ir.Constant(FLOAT, 1.0), build.sitofp(size, FLOAT))

    def row(r: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        start = f.times(size, r)

        def add(c: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            place = build.add(start, c)
            joined = f.multiply_add(f.load(f.at(h, place)), kept(place), f.load(f.at(x, place)))
            f.store(joined, f.at(z, place))
            return [build.fadd(sums[0], joined)]

        mean = f.spread(build.fmul(f.totals(f.loop(size, n, add, [f.zero]))[0], share))

        def centre(c: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            centred = build.fsub(f.load(f.at(z, start, c)), mean)
            f.store(centred, f.at(z, start, c))
            return [f.multiply_add(centred, centred, sums[0])]

        variance = build.fmul(f.totals(f.loop(size, n, centre, [f.zero]))[0], share)
        own = build.fdiv(f.number(1), f.root(f.spread(build.fadd(variance, ir.Constant(FLOAT, float(np.float32(EPS)))))))
        build.store(build.extract_element(own, INT32(0)), f.at(factor, r))

        def scaled(c: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            normal = build.fmul(f.load(f.at(z, start, c)), own)
            f.store(normal, f.at(z, start, c))
            f.store(f.multiply_add(normal, f.load(f.at(gain, c)), f.load(f.at(shift, c))), f.at(y, start, c))
            return []

        f.loop(size, n, scaled)
        return []

    f.loop(rows, 1, row)
    build.ret_void()


def residual_norm_gradient(module: ir.Module, n: int) -> None:
    """The gradients of `residual_norm`: that of `y`, then `z`, s, c, bits, scale; those of `x`, `h`, c, b; h's, summed.

    The sum is over rows. Last come the numbers of rows and columns, and dropout's limit.
    """
    f = Function(module, "residual_norm_gradient", 11, n, 3)
    gradient, z, factor, gain, bits, scale, dx, dh, d_gain, d_shift, d_bias, rows, size, limit = f.arguments
    build, kept = f.build, _factors(f, bits, scale, limit)
    share = build.fdiv(ir.Constant(FLOAT, 1.0), build.sitofp(size, FLOAT))

    def clear(c: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        for to in (d_gain, d_shift, d_bias):
            f.store(f.zero, f.at(to, c))
        return []

    def row(r: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        start, own = f.times(size, r), f.fill(f.at(factor, r))

        def means(c: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            given, normal = f.load(f.at(gradient, start, c)), f.load(f.at(z, start, c))
            f.store(f.multiply_add(given, normal, f.load(f.at(d_gain, c))), f.at(d_gain, c))
            f.store(build.fadd(given, f.load(f.at(d_shift, c))), f.at(d_shift, c))
            of_normal = build.fmul(given, f.load(f.at(gain, c)))
            return [build.fadd(sums[0], of_normal), f.multiply_add(of_normal, normal, sums[1])]

        totals = f.totals(f.loop(size, n, means, [f.zero, f.zero]))
        mean, product = (f.spread(build.fmul(total, share)) for total in totals)

        def inward(c: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            place = build.add(start, c)
            of_normal = build.fmul(f.load(f.at(gradient, place)), f.load(f.at(gain, c)))
            rest = build.fsub(build.fsub(of_normal, mean), build.fmul(f.load(f.at(z, place)), product))
            whole = build.fmul(rest, own)
            f.store(whole, f.at(dx, place))
            part = build.fmul(whole, kept(place))
            f.store(part, f.at(dh, place))
            f.store(build.fadd(part, f.load(f.at(d_bias, c))), f.at(d_bias, c))
            return []

        f.loop(size, n, inward)
        return []

    f.loop(size, n, clear)
    f.loop(rows, 1, row)
    build.ret_void()


def row_sums(module: ir.Module, n: int) -> None:
    """s, the sum over rows: `g (rows, N)`, `s (N,)`; the numbers of rows and columns."""
    f = Function(module, "row_sums", 2, n)
    g, to, rows, size = f.arguments

    def clear(c: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        f.store(f.zero, f.at(to, c))
        return []

    def row(r: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        start = f.times(size, r)

        def add(c: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            f.store(f.build.fadd(f.load(f.at(g, start, c)), f.load(f.at(to, c))), f.at(to, c))
            return []

        f.loop(size, n, add)
        return []

    f.loop(size, n, clear)
    f.loop(rows, 1, row)
    f.build.ret_void()


def _normal(f: Function, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The standard normal distribution function and density at x.

    The tail by Abramowitz & Stegun 7.1.26, to 1e-7 as torch's GELU on a CPU; the exponential function by 2^n and a polynomial
    on what is left (Cephes, expf).
    """
    build, number = f.build, f.number
    power = build.fmul(build.fmul(x, x), number(-0.5))
    power = build.select(build.fcmp_ordered(">", power, number(-87.0)), power, number(-87.0))
    twos = f.whole(build.fmul(power, number(math.log2(math.e))))
    rest = f.multiply_add(twos, number(-0.693359375), power)
    rest = f.multiply_add(twos, number(2.12194440e-4), rest)
    series = f.polynomial(rest, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5, 1, 1)
    whole = ir.VectorType(INT32, f.n)
    shift, bias = (ir.Constant(whole, [value] * f.n) for value in (23, 127))
    exponent = build.shl(build.add(build.fptosi(twos, whole), bias), shift)
    bell = build.fmul(series, build.bitcast(exponent, f.vector))
    size = f.absolute(x)
    t = build.fdiv(number(1), f.multiply_add(size, number(0.3275911 / math.sqrt(2)), number(1)))
    tail = f.polynomial(t, 1.061405429 / 2, -1.453152027 / 2, 1.421413741 / 2, -0.284496736 / 2, 0.254829592 / 2, 0)
    tail = build.fmul(tail, bell)
    above = build.fcmp_ordered(">", x, f.zero)
    below = build.select(above, build.fsub(number(1), tail), tail)
    return below, build.fmul(bell, number(1 / math.sqrt(2 * math.pi)))
