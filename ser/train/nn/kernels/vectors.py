"""A small language over LLVM's intermediate one: loops over the numbers of rows, and vectors of some of them.

All numbers are float32. `n` numbers of a row are a vector.
"""

from collections.abc import Callable, Sequence

import numpy as np
from llvmlite import ir

FLOAT, INT, INT32, BYTE = ir.FloatType(), *(ir.IntType(bits) for bits in (64, 32, 8))
POINTER = FLOAT.as_pointer()


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
