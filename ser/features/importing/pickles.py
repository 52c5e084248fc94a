"""Pickles read without executing anything: NumPy arrays and scalars, and plain containers.

A pickle is a program that may import any function and call it. Here no global of a file is ever looked up. The few names that
NumPy and plain containers need stand for functions of this file, which check what they are given: not even NumPy's own
`ndarray`, `dtype` and their `__setstate__` are within reach of a file. Any other name is refused, and named.

Protocols 0 to 5, of Python 2 too (texts in Latin-1, as NumPy needs it), of NumPy 1 and 2.
"""

import io
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import CorpusError
from ser.features.importing.pickle_limits import TooLarge, check, limit_of, scan
from ser.files import HEAD, read_bytes, text_in


class Refused(Exception):
    """A pickle asks for something that is not admitted."""


class _Stand:
    """A substitute that a file gets for a global: it can be called, and nothing else."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *args: Any) -> Any:
        return self._make(*args)

    def __setstate__(self, _: object) -> None:
        raise Refused("a change of what it imports")


class _Dtype:
    """A plain dtype as a file describes it: its kind and size, then its byte order."""

    __slots__ = ("order", "word")

    def __init__(self, word: Any, *_: object) -> None:
        text = _text(word)
        if not re.fullmatch(r"[<>|=]?([?biufcSU]\d*|O8?)", text):
            raise Refused(f"an array of type {text[:40]!r}")
        self.order, self.word = (text[0], text[1:]) if text[0] in "<>|=" else ("=", text)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise Refused("an array of a type with fields")
        order = _text(state[1])
        if order not in tuple("<>|="):
            raise Refused(f"byte order {order[:4]!r}")
        self.order = order

    def dtype(self) -> np.dtype[Any]:
        return np.dtype("O") if self.word.startswith("O") else np.dtype(self.order + self.word)


class _Array(np.ndarray[Any, Any]):
    """An array that takes only a state that fits its shape and type."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise Refused("an array of an unknown form")
        shape, kind, fortran, raw = state[-4:]
        dtype, shape = _kind(kind), _shape(shape)
        if dtype.hasobject:
            if not isinstance(raw, list) or len(raw) != math.prod(shape):
                raise Refused("an array whose content does not fit its shape")
        else:
            raw = _bytes(raw)
            if len(raw) != math.prod(shape) * dtype.itemsize:
                raise Refused("an array whose content does not fit its shape")
        super().__setstate__((1, shape, dtype, bool(fortran), raw))  # type: ignore[arg-type]


def _reconstruct(subtype: object, *_: object) -> NDArray[Any]:
    if subtype is not _NDARRAY:
        raise Refused("an array of a subclass")
    made: NDArray[Any] = _Array((0,))
    return made


def _frombuffer(content: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    dtype = _kind(kind)
    if dtype.hasobject or order not in ("C", "F"):
        raise Refused("an array of objects in one buffer")
    made: NDArray[Any] = np.frombuffer(bytes(content), dtype).reshape(_shape(shape), order=order).view(_Array)
    return made


def _scalar(kind: Any, raw: Any) -> Any:
    dtype, content = _kind(kind), _bytes(raw)
    if dtype.hasobject or len(content) != dtype.itemsize:
        raise Refused("a number whose content does not fit its type")
    return np.frombuffer(content, dtype)[0]


def _encode(text: Any, encoding: Any) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise Refused(f"the encoding {str(encoding)[:40]!r}")
    return str(text).encode("latin-1")


def _kind(kind: Any) -> np.dtype[Any]:
    if not isinstance(kind, _Dtype):
        raise Refused("an array without a type")
    return kind.dtype()


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise Refused("an array without a shape")
    return shape


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _scalar_text(value: Any) -> Any:
    """Refuse to make a text of a container, which can be of any length."""
    if not isinstance(value, (str, bytes, int, float, bool, type(None))):
        raise Refused("the text of a container")
    return value


def _bytes(value: Any) -> bytes:
    """Python 2's texts were bytes."""
    if isinstance(value, str):
        return value.encode("latin-1")
    if not isinstance(value, (bytes, bytearray)):
        raise Refused("an array without content")
    return bytes(value)


_NDARRAY = _Stand(lambda *_: _refuse("an array made by hand"))
_NUMPY = {"_reconstruct": _Stand(_reconstruct), "scalar": _Stand(_scalar), "_frombuffer": _Stand(_frombuffer)}
_PLAIN = {t.__name__: _Stand(t) for t in (set, frozenset, list, tuple, dict, int, float, bool, complex)}
_PLAIN |= {"str": _Stand(lambda *a: str(*map(_scalar_text, a)))}
_PLAIN |= {"bytes": _Stand(lambda *a: bytes(*a) if not a or isinstance(a[0], list) else _bytes(a[0]))}
_PLAIN |= {"bytearray": _Stand(lambda *a: bytearray(_bytes(a[0]) if a else b""))}
_PLAIN |= {"long": _PLAIN["int"], "unicode": _PLAIN["str"]}
_ADMITTED: dict[str, dict[str, _Stand]] = {
    "numpy": {"ndarray": _NDARRAY, "dtype": _Stand(_Dtype)},
    "numpy.core.multiarray": _NUMPY,
    "numpy._core.multiarray": _NUMPY,
    "numpy.core.numeric": _NUMPY,
    "numpy._core.numeric": _NUMPY,
    "_codecs": {"encode": _Stand(_encode)},
    "builtins": _PLAIN,
    "__builtin__": _PLAIN,
    "collections": {"OrderedDict": _Stand(dict), "defaultdict": _Stand(lambda *_: {})},
}


def _refuse(what: str) -> Any:
    raise Refused(what)


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        stand = _ADMITTED.get(module, {}).get(name)
        return stand if stand is not None else _refuse(f"{module}.{name}")

    def persistent_load(self, _: Any) -> Any:
        _refuse("an object kept outside of the file")


def read_pickle(path: Path) -> Any:
    """Read a pickle that holds NumPy arrays, numbers, texts and plain containers of these.

    Raises:
        CorpusError: it asks for anything else, which is named; nothing of it was run. Or it would make more than its size
            allows (`pickle_limits`), or is damaged.
        OSError: it cannot be read.
    """
    content = read_bytes(path)
    try:
        scan(content)
        value = _Reader(io.BytesIO(content), encoding="latin1").load()
        check(value, len(content))
    except Refused as error:
        raise CorpusError(
            f"the pickle {path} is refused, and nothing of it was run: it asks for {error}",
            expected="NumPy arrays and plain containers",
            action="A pickle can run any program. Only if you trust its author: load it yourself, save its arrays as NPZ.",
        ) from None
    except TooLarge as error:
        raise CorpusError(
            f"the pickle {path} of {len(content)} bytes is refused: it would make {error}",
            expected=f"{limit_of(len(content))} elements at most, for its size",
            action="Only if you trust its author: load it yourself, save its arrays as NPZ.",
        ) from None
    except MemoryError:
        raise
    except Exception:  # damaged opcodes raise almost anything
        raise CorpusError(
            f"{path} is not a pickle, or is damaged",
            expected="what pickle.dump writes",
            found=text_in(content[:HEAD]) or ("something else, or a part of one" if content else "an empty file"),
        ) from None
    return value
