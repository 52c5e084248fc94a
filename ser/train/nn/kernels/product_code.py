"""The code of `ser.train.nn.kernels.products` in LLVM's intermediate language.

A product is computed in tiles of rows and columns whose sums stay in registers, as many as hide the time that a
multiplication with addition takes. All functions go through the weight from its first row to its last, some rows at a time,
and ask for the next rows meanwhile, for the second level of the cache: with the first level they take 1.6 times as long
(benchmarks/train.md). Each sum is taken in the same order whatever the tiles are.

`n` numbers of a row are a vector. `wide` says that the processor has the 32 registers of AVX-512.
"""

from collections.abc import Callable
from typing import NamedTuple

from llvmlite import ir

from ser.train.nn.kernels.compiler import INPUTS
from ser.train.nn.kernels.vectors import FLOAT, Function, integer

LINE = 16  # numbers that come into the cache together
FORWARD = {True: (16, 16, 1), False: (8, 6, 2)}  # if `wide`: numbers of a vector, rows and vectors of a tile
BACKWARD = {True: (8, 6, 4), False: (8, 6, 2)}  # numbers of a vector, rows and columns of a tile
UPDATE = {True: (16, 4, 1), False: (8, 4, 2)}  # numbers of a vector, rows of the weight, and vectors
UPDATE_OF_MANY = (16, 8, 1)  # if `wide`, of more than 16 rows and a weight whose K is a multiple of 8
BLOCK = 32  # rows of the weight that `forward` goes through at a time


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
                    to, source = (f.build.bitcast(p, ir.VectorType(FLOAT, INPUTS).as_pointer()) for p in pointers)
                    loaded = f.build.load(source)
                    loaded.align = 4
                    f.build.store(loaded, to, align=4)
                return []

            f.loop(numbers, INPUTS, four)

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

    The numbers are those of `ser.train.nn.kernels.products.Step`; `eights` says that K is a multiple of 8.
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
