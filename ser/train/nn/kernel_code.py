"""The code of `ser.train.nn.kernels` in LLVM's intermediate language.

A product is computed in tiles of rows and columns whose sums stay in registers, as many as hide the time that a
multiplication with addition takes. All functions go through the weight from its first row to its last, some rows at a time,
and ask for the next rows meanwhile, for the second level of the cache: with the first level they take 1.6 times as long
(benchmarks/train.md). Each sum is taken in the same order whatever the tiles are.

All numbers are float32. `n` numbers of a row are a vector. `wide` says that the processor has the 32 registers of AVX-512.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from llvmlite import ir

FLOAT, INT, INT32, SHORT, BYTE = ir.FloatType(), *(ir.IntType(bits) for bits in (64, 32, 16, 8))
POINTER = FLOAT.as_pointer()
LINE = 16  # numbers that come into the cache together
FORWARD = {True: (16, 16, 1), False: (8, 6, 2)}  # if `wide`: numbers of a vector, rows and vectors of a tile
BACKWARD = {True: (8, 6, 4), False: (8, 6, 2)}  # numbers of a vector, rows and columns of a tile
UPDATE = {True: (16, 4, 1), False: (8, 4, 2)}  # numbers of a vector, rows of the weight, and vectors
UPDATE_OF_MANY = (16, 8, 1)  # if `wide`, of more than 16 rows and a weight whose K is a multiple of 8
FOUR = 4  # numbers that K is a multiple of
EPS = 1e-5  # added to the variance of a row by layer normalisation, as by torch
BLOCK = 32  # rows of the weight that `forward` goes through at a time


class Function:
    """A function under construction, of addresses and then whole numbers (mostly K and N), that returns nothing.

    Args:
        n: numbers of a vector.
    """

    def __init__(self, module: ir.Module, name: str, addresses: int, n: int, integers: int = 2) -> None:
        self.module, self.n = module, n
        kind = ir.FunctionType(ir.VoidType(), [POINTER] * addresses + [INT] * integers)
        function = ir.Function(module, kind, name)
        for pointer in function.args[:addresses]:
            pointer.add_attribute("noalias")
        self.arguments: Sequence[ir.Value] = function.args
        self.build = ir.IRBuilder(function.append_basic_block())
        self.vector = ir.VectorType(FLOAT, n)
        self.zero = ir.Constant(self.vector, [0.0] * n)

    def loop(
        self,
        stop: ir.Value,
        step: int,
        body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
        carried: Sequence[ir.Value] = (),
    ) -> list[ir.Value]:
        """From 0 to `stop`, which is more than 0, in steps.

        Args:
            body: from the place and the carried values to those of the next turn.
        """
        build = self.build
        before, turn, after = build.block, build.append_basic_block(), build.append_basic_block()
        build.branch(turn)
        build.position_at_end(turn)
        place, *values = (build.phi(v.type) for v in (stop, *carried))
        new = body(place, values)
        next_place = build.add(place, integer(step))
        for phi, first, then in zip((place, *values), (integer(0), *carried), (next_place, *new), strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(then, build.block)
        build.cbranch(build.icmp_signed("<", next_place, stop), turn, after)
        build.position_at_end(after)
        return new

    def in_tiles(self, count: ir.Value, size: int, body: Callable[[ir.Value], None]) -> None:
        """Rows by tiles of a size, of which there is at least one; the last one takes some of the rows before it once more."""
        last = self.build.sub(count, integer(size))

        def tile(first: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            body(self.build.select(self.build.icmp_signed("<", first, last), first, last))
            return []

        self.loop(count, size, tile)

    def at(self, pointer: ir.Value, *indices: ir.Value | int) -> ir.Value:
        """The address of a number, at the sum of the indices."""
        place = integer(0)
        for index in indices:
            place = self.build.add(place, integer(index) if isinstance(index, int) else index)
        return self.build.gep(pointer, [place])

    def times(self, value: ir.Value, factor: ir.Value | int) -> ir.Value:
        return self.build.mul(value, integer(factor) if isinstance(factor, int) else factor)

    def load(self, pointer: ir.Value) -> ir.Value:
        """A vector."""
        loaded = self.build.load(self.build.bitcast(pointer, self.vector.as_pointer()))
        loaded.align = 4
        return loaded

    def store(self, vector: ir.Value, pointer: ir.Value) -> None:
        self.build.store(vector, self.build.bitcast(pointer, self.vector.as_pointer()), align=4)

    def fill(self, pointer: ir.Value) -> ir.Value:
        """A vector of the number at an address."""
        return self.spread(self.build.load(pointer))

    def spread(self, number: ir.Value) -> ir.Value:
        """A vector of one number."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        vector = self.build.insert_element(undefined, number, INT32(0))
        return self.build.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(INT32, self.n), [0] * self.n))

    def totals(self, vectors: Sequence[ir.Value]) -> list[ir.Value]:
        """The sum of each vector's numbers, by halves; of `n` vectors at a time, which end as one."""
        found: list[ir.Value] = []
        for first in range(0, len(vectors), self.n):
            own = vectors[first : first + self.n]
            group, part = [*own, *[self.zero] * (self.n - len(own))], self.n
            while part > 1:
                part //= 2
                places = [k for k in range(2 * self.n) if k // part % 2 == 0]
                halves = [ir.Constant(ir.VectorType(INT32, self.n), [k + s for k in places]) for s in (0, part)]
                pairs = zip(group[::2], group[1::2], strict=True)
                group = [self.build.fadd(*(self.build.shuffle_vector(a, b, h) for h in halves)) for a, b in pairs]
            found += [self.build.extract_element(group[0], INT32(k)) for k in range(len(own))]
        return found

    def multiply_add(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """x y + z, rounded once."""
        return self._call(f"llvm.fma.v{self.n}f32", self.vector, x, y, z)

    def polynomial(self, x: ir.Value, *factors: float) -> ir.Value:
        """A polynomial whose first factor is that of the highest power."""
        value = self.number(factors[0])
        for factor in factors[1:]:
            value = self.multiply_add(value, x, self.number(factor))
        return value

    def number(self, value: float) -> ir.Constant:
        """A vector of one constant."""
        return ir.Constant(self.vector, [float(np.float32(value))] * self.n)

    def root(self, x: ir.Value) -> ir.Value:
        return self._call(f"llvm.sqrt.v{self.n}f32", self.vector, x)

    def absolute(self, x: ir.Value) -> ir.Value:
        return self._call(f"llvm.fabs.v{self.n}f32", self.vector, x)

    def whole(self, x: ir.Value) -> ir.Value:
        """The nearest whole numbers."""
        return self._call(f"llvm.rint.v{self.n}f32", self.vector, x)

    def fetch(self, pointer: ir.Value) -> None:
        """Ask for the line that a number is in, for the second level of the cache; an address of nothing is ignored."""
        address = self.build.bitcast(pointer, BYTE.as_pointer())
        self._call("llvm.prefetch.p0", ir.VoidType(), address, INT32(0), INT32(2), INT32(1))

    def _call(self, name: str, kind: ir.Type, *arguments: ir.Value) -> ir.Value:
        function = self.module.globals.get(name)
        function = function or ir.Function(self.module, ir.FunctionType(kind, [a.type for a in arguments]), name)
        return self.build.call(function, arguments)


def integer(value: int) -> ir.Constant:
    return ir.Constant(INT, value)


def tiles(rows: int, size: int) -> list[range]:
    """Rows in tiles."""
    return [range(first, min(first + size, rows)) for first in range(0, rows, size)]


def forward(module: ir.Module, rows: int, wide: bool) -> None:
    """y = x W + b, in tiles of rows: `x (count, K)`, `W (K, N)`, `b (N,)`, `y (count, N)`."""
    n, height, vectors = FORWARD[wide]
    f = Function(module, "forward", 4, n, 3)
    x, weight, bias, y, inputs, outputs, count = f.arguments
    # x of a block, side by side: where K is a multiple of 1024, the rows of x push each other out of the cache.
    given = f.build.alloca(FLOAT, rows * BLOCK)

    def tile(row: ir.Value) -> None:
        def copy(first: ir.Value, numbers: ir.Value) -> None:
            def four(k: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
                for r in range(rows):
                    pointers = f.at(given, r * BLOCK, k), f.at(x, f.times(inputs, f.build.add(row, integer(r))), first, k)
                    to, source = (f.build.bitcast(p, ir.VectorType(FLOAT, FOUR).as_pointer()) for p in pointers)
                    loaded = f.build.load(source)
                    loaded.align = 4
                    f.build.store(loaded, to, align=4)
                return []

            f.loop(numbers, FOUR, four)

        to = f.at(y, f.times(outputs, row))
        _tile(f, Block(given, BLOCK, 1, copy), (weight, bias, to), (inputs, outputs), rows, (height, vectors))

    f.in_tiles(count, rows, tile)
    f.build.ret_void()


def gradient(module: ir.Module) -> None:
    """y = x^T g of many rows, with AVX-512: `x (rows, count)`, `g (rows, N)`, `y (count, N)`."""
    n, height, vectors = FORWARD[True]
    f = Function(module, "gradient", 3, n, 3)
    x, g, y, rows, outputs, count = f.arguments
    given = f.build.alloca(FLOAT, height * BLOCK)

    def tile(column: ir.Value) -> None:
        def copy(first: ir.Value, numbers: ir.Value) -> None:
            def one(k: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
                row = f.build.add(first, k)
                f.fetch(f.at(x, f.times(count, f.build.add(row, integer(BLOCK))), column))
                f.store(f.load(f.at(x, f.times(count, row), column)), f.at(given, f.times(k, height)))
                return []

            f.loop(numbers, 1, one)

        to = f.at(y, f.times(outputs, column))
        _tile(f, Block(given, 1, height, copy), (g, None, to), (rows, outputs), height, (height, vectors))

    f.in_tiles(count, height, tile)
    f.build.ret_void()


class Block(NamedTuple):
    """Numbers of a tile's rows that are multiplied by a block of the weight's rows.

    Attributes:
        given: their address.
        between: the distance of two rows.
        step: that of two numbers of a row.
        copy: brings them there, from a place in a row on, so many.
    """

    given: ir.Value
    between: int
    step: int
    copy: Callable[[ir.Value, ir.Value], None]


def _tile(
    f: Function,
    source: Block,
    addresses: tuple[ir.Value, ir.Value | None, ir.Value],
    sizes: tuple[ir.Value, ir.Value],
    rows: int,
    tile: tuple[int, int],
) -> None:
    """y = x W + b of some rows.

    Args:
        addresses: W; b, if there is one; y.
        sizes: K and N.
        tile: rows and vectors whose sums stay in registers.
    """
    (weight, bias, y), (inputs, outputs), (height, vectors), n, build = addresses, sizes, tile, f.n, f.build
    places = [c * n for c in range(vectors)]

    def begin(column: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        for r in range(rows):
            f.store(f.zero if bias is None else f.load(f.at(bias, column)), f.at(y, f.times(outputs, r), column))
        return []

    def block(first: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        left = build.sub(inputs, first)
        count = build.select(build.icmp_signed("<", left, integer(BLOCK)), left, integer(BLOCK))
        source.copy(first, count)
        here, ahead = (f.at(weight, f.times(build.add(first, integer(more)), outputs)) for more in (0, BLOCK))

        def panel(column: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            for number, part in enumerate(tiles(rows, height)):
                given = [f.at(source.given, r * source.between) for r in part]
                targets = [f.at(y, f.times(outputs, r), column, c) for r in part for c in places]

                def step(
                    k: ir.Value, sums: list[ir.Value], number: int = number, given: list[ir.Value] = given
                ) -> list[ir.Value]:
                    row = f.times(k, outputs)
                    for c in range(0, vectors * n, LINE) if number == 0 else ():
                        f.fetch(f.at(ahead, row, column, c))
                    w = [f.load(f.at(here, row, column, c)) for c in places]
                    pairs = ((s, v) for s in [f.fill(f.at(own, f.times(k, source.step))) for own in given] for v in w)
                    return [f.multiply_add(s, v, total) for (s, v), total in zip(pairs, sums, strict=True)]

                sums = f.loop(count, 1, step, [f.load(target) for target in targets])
                for total, target in zip(sums, targets, strict=True):
                    f.store(total, target)
            return []

        f.loop(outputs, vectors * n, panel)
        return []

    f.loop(outputs, n, begin)
    f.loop(inputs, BLOCK, block)


def backward(module: ir.Module, rows: int, wide: bool) -> None:
    """d = g W^T, in tiles of rows: `g (count, N)`, `W (K, N)`, `d (count, K)`."""
    n, height, columns = BACKWARD[wide]
    f = Function(module, "backward", 3, n, 3)
    g, weight, d, inputs, outputs, count = f.arguments

    def tile(row: ir.Value) -> None:
        def panel(k: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            w_rows = [f.at(weight, f.times(f.build.add(k, integer(c)), outputs)) for c in range(columns)]
            for part in tiles(rows, height):
                places = [f.build.add(row, integer(r)) for r in part]
                sources = [f.at(g, f.times(outputs, place)) for place in places]

                def step(
                    j: ir.Value, sums: list[ir.Value], first: int = part.start, sources: list[ir.Value] = sources
                ) -> list[ir.Value]:
                    if first == 0:
                        for w_row in w_rows:
                            f.fetch(f.at(w_row, j, f.times(outputs, columns)))
                    w = [f.load(f.at(w_row, j)) for w_row in w_rows]
                    given = [f.load(f.at(source, j)) for source in sources]
                    pairs = ((s, v) for s in given for v in w)
                    return [f.multiply_add(s, v, total) for (s, v), total in zip(pairs, sums, strict=True)]

                sums = iter(f.totals(f.loop(outputs, n, step, [f.zero] * (len(part) * columns))))
                for place in places:
                    for c in range(columns):
                        f.build.store(next(sums), f.at(d, f.times(inputs, place), k, c))
            return []

        f.loop(inputs, columns, panel)

    f.in_tiles(count, rows, tile)
    f.build.ret_void()


def update(module: ir.Module, rows: int, wide: bool, eights: bool) -> None:
    """AdamW with the gradient x^T g: `x (rows, K)`, `g (rows, N)`, `W`, its moving means `(K, N)`, and the numbers of a step.

    The numbers are those of `ser.train.nn.kernels.Step`; `eights` says that K is a multiple of 8.
    """
    n, height, vectors = UPDATE_OF_MANY if wide and eights and rows > 16 else UPDATE[wide]
    f = Function(module, "update", 6, n)
    x, g, weight, mean, square, step, inputs, outputs = f.arguments
    build, places = f.build, [c * n for c in range(vectors)]
    decay, keep_mean, add_mean, keep_square, add_square, correct, eps, rate = (f.fill(f.at(step, k)) for k in range(8))

    def panel(k: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        starts = [f.times(build.add(k, integer(r)), outputs) for r in range(height)]

        def columns(j: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            sums = [f.zero] * (height * vectors)
            for s in range(rows):
                v = [f.load(f.at(g, f.times(outputs, s), j, c)) for c in places]
                given = [f.fill(f.at(x, f.times(inputs, s), k, r)) for r in range(height)]
                pairs = ((a, b) for a in given for b in v)
                sums = [f.multiply_add(a, b, total) for (a, b), total in zip(pairs, sums, strict=True)]
            for start in starts:
                for pointer in (weight, mean, square):
                    f.fetch(f.at(pointer, start, j, f.times(outputs, height)))
            found = iter(sums)
            for start in starts:
                for c in places:
                    w, m, q = (f.at(pointer, start, j, c) for pointer in (weight, mean, square))
                    gradient = next(found)
                    new_mean = f.multiply_add(add_mean, gradient, build.fmul(keep_mean, f.load(m)))
                    added = build.fmul(add_square, gradient)
                    new_square = f.multiply_add(added, gradient, build.fmul(keep_square, f.load(q)))
                    below = f.multiply_add(f.root(new_square), correct, eps)
                    moved = build.fdiv(build.fmul(rate, new_mean), below)
                    f.store(build.fsub(build.fmul(decay, f.load(w)), moved), w)
                    f.store(new_mean, m)
                    f.store(new_square, q)
            return []

        f.loop(outputs, vectors * n, columns)
        return []

    f.loop(inputs, height, panel)
    build.ret_void()


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
