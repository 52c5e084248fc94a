"""Limits of what a pickle from elsewhere may make: its opcodes are gone through before it is loaded, nothing is executed.

A pickle of a few bytes can name a place in its memory that takes gigabytes to allocate, and thirty lists or tuples, each with
the one before twice, are a billion elements to whatever goes through them, hashing included.
"""

import pickletools
from typing import Any

import numpy as np

MAX_LEVELS = 16  # of containers in containers; published features have up to eight
SPARE_ELEMENTS = 10**6
ELEMENTS_PER_BYTE = 16  # of a file: a part that is used several times is written once
MAX_WIDE = 1000  # integers of more than 64 bits, with which a dict can be made quadratic
_WIDE = 10  # bytes of an opcode's argument

_GROWS = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")  # the object that is already on the stack
_GETS, _PUTS = ("GET", "BINGET", "LONG_BINGET"), ("PUT", "BINPUT", "LONG_BINPUT")
_INTEGERS = ("INT", "LONG", "LONG1", "LONG4")


class TooLarge(Exception):
    """A pickle would make more than its size allows."""


def limit_of(size: int) -> int:
    """The most elements that a file of a size in bytes may make, those that are used several times counted each time."""
    return SPARE_ELEMENTS + ELEMENTS_PER_BYTE * size


def scan(content: bytes) -> None:
    """Go through the opcodes of a pickle.

    Raises:
        TooLarge: its memory or an object in it would be larger than the file allows.
        ValueError: it is damaged.
    """
    limit = limit_of(len(content))
    leaf = [1]
    memory: dict[int, list[int]] = {}
    stack: list[list[int]] = []  # of each object, how many elements it is to whatever goes through it
    marks: list[int] = []
    place = wide = steps = 0
    while place < len(content):
        opcode = _OPCODES.get(content[place])
        if opcode is None:
            raise ValueError(f"an unknown opcode at byte {place}")
        name, kind, pops, pushes, to_mark, is_leaf = opcode
        if kind >= 0:
            begin, place = place + 1, place + 1 + kind
        else:
            begin, place = _argument(content, place + 1, kind)
        steps += 1
        if is_leaf:
            stack.append(leaf)
            if kind < 0 and place - begin > _WIDE and name in _INTEGERS:
                wide += 1
                if wide > MAX_WIDE:
                    raise TooLarge(f"more than {MAX_WIDE} integers of more than 64 bits")
        elif name in _GETS:
            stack.append(memory[_index(content[begin:place], name)])
        elif name in _PUTS or name == "MEMOIZE":
            index = len(memory) if name == "MEMOIZE" else _index(content[begin:place], name)
            if index > steps:
                raise TooLarge(f"place {index} of its memory after {steps} steps")
            memory[index] = stack[-1]
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "POP" and marks and marks[-1] == len(stack):
            marks.pop()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "STOP":
            return
        else:
            parts: list[list[int]] = []
            if to_mark:
                first = marks.pop()
                parts = stack[first:]
                del stack[first:]
            for _ in range(pops):
                parts.append(stack.pop())
            if not pushes:
                continue
            grown = parts.pop() if name in _GROWS else leaf
            whole = [1] if grown is leaf else grown
            whole[0] += sum([part[0] for part in parts])
            stack.append(whole)
            if whole[0] > limit:
                raise TooLarge(f"{whole[0]} elements, which it makes of fewer by using them several times")
    raise ValueError("it ends before its end")


def check(value: Any, size: int) -> None:
    """Refuse an object that is nested too deeply, has itself among its elements, or is larger than a file of a size allows.

    Raises:
        TooLarge: it is.
    """
    limit = limit_of(size)
    known: dict[int, int] = {}

    def elements(item: Any, level: int) -> int:
        if isinstance(item, np.ndarray) and not item.dtype.hasobject:
            return int(item.size)
        inner: Any = None
        if isinstance(item, dict):
            inner = [*item.keys(), *item.values()]
        elif isinstance(item, np.ndarray):
            inner = item.ravel().tolist()
        elif isinstance(item, (list, tuple, set, frozenset)):
            inner = item
        if inner is None:
            return 1
        if id(item) in known:
            return known[id(item)]
        if level >= MAX_LEVELS:
            raise TooLarge(f"more than {MAX_LEVELS} levels of containers in containers")
        inner = list(inner)
        total = 1 + len(inner)
        total += sum([elements(part, level + 1) - 1 for part in inner if isinstance(part, _CONTAINERS)])
        if total > limit:
            raise TooLarge(f"{total} elements, which it makes of fewer by using them several times")
        known[id(item)] = total
        return total

    elements(value, 0)


def _argument(content: bytes, place: int, kind: int) -> tuple[int, int]:
    """Find where the argument of an opcode begins and ends, whose length is not fixed."""
    if kind == pickletools.UP_TO_NEWLINE:
        end = place
        for _ in range(2 if content[place - 1] in _TWO_LINES else 1):
            end = content.index(b"\n", end) + 1  # ValueError where there is none
        return place, end
    begin = place + _WIDTHS[kind]
    end = begin + int.from_bytes(content[place:begin], "little")
    if end > len(content):
        raise ValueError("it ends within an element")
    return begin, end


def _index(argument: bytes, name: str) -> int:
    raw = bytes(argument)
    return int(raw) if name in ("GET", "PUT") else int.from_bytes(raw, "little")


def _described(opcode: Any) -> tuple[str, int, int, int, bool, bool]:
    """Name, kind of argument, objects taken from the stack and put there, whether all down to a mark are taken, and whether
    it puts an object without parts there.
    """
    to_mark = pickletools.stackslice in opcode.stack_before
    own = 0 if opcode.name == "OBJ" else sum(o not in _SPECIAL for o in opcode.stack_before)
    kind = opcode.arg.n if opcode.arg is not None else 0
    special = opcode.name.startswith("EMPTY") or opcode.name in (*_GETS, *_PUTS, "MARK", "MEMOIZE")
    is_leaf = not opcode.stack_before and bool(opcode.stack_after) and not special
    return opcode.name, kind, own, len(opcode.stack_after), to_mark, is_leaf


_CONTAINERS = (dict, list, tuple, set, frozenset, np.ndarray)
_SPECIAL = (pickletools.markobject, pickletools.stackslice)
_WIDTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_OPCODES = {ord(opcode.code): _described(opcode) for opcode in pickletools.opcodes}
_TWO_LINES = {ord(opcode.code) for opcode in pickletools.opcodes if opcode.name in ("GLOBAL", "INST")}
