"""Pickles are read without executing anything; what is not arrays and plain containers is refused by name."""

import collections
import copyreg
import io
import os
import pickle
import pickletools
import resource
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ser.errors import CorpusError
from ser.features.importing.pickles import read_pickle

PLAIN: dict[str, Any] = {
    "floats": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "ints": np.array([[1, -2]], dtype=">i4"),
    "texts": np.array(["a", "äö"]),
    "empty": np.zeros((0, 3), np.float16),
    "objects": np.array([None, "x", [1.5]], dtype=object),
    "bools": np.array([True, False]),
    "scalar": np.float32(2.5),
    "integer": np.int64(-7),
    "nested": {"list": [1, (2.5, None)], 3: {"a", "b"}, "f": frozenset([1]), "b": b"\x00\xff", "ba": bytearray(b"x")},
    "ordered": collections.OrderedDict(b=1, a=2),
    "default": collections.defaultdict(list, {"Ses01": [np.ones(3)]}),
    "complex": 1 + 2j,
    "large": 2**70,
}


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def same(a: Any, b: Any) -> bool:
    if isinstance(b, np.ndarray):
        assert a.dtype == b.dtype, (a.dtype, b.dtype)
        return a.shape == b.shape and all(same(x, y) for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))
    if isinstance(b, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in b)
    if isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_content_is_read_as_pickle_reads_it(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps(PLAIN, protocol)
    read = read_pickle(written(tmp_path / "x.pkl", content))
    assert same(read, pickle.loads(content))
    np.testing.assert_array_equal(np.asarray(read["fortran"]).sum(0), [3, 5, 7])


def python2() -> bytes:
    """Python 2's bytes of `(np.array([1.5, -2]), {"Ses01": "caf\\xc3\\xa9"}, set(["a"]))`, protocol 2, NumPy 1."""
    raw = np.array([1.5, -2.0]).tobytes()
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U" + bytes([len(raw)]) + raw + b"tb"
        b"}U\x05Ses01U\x05caf\xc3\xa9s"
        b"c__builtin__\nset\n]U\x01aa\x85R\x87."
    )


def test_python_2(tmp_path: Path) -> None:
    content = python2()
    pickletools.dis(content, out=io.StringIO())  # it is a pickle indeed
    array, texts, names = read_pickle(written(tmp_path / "x.pkl", content))
    np.testing.assert_array_equal(array, [1.5, -2])
    assert texts["Ses01"].encode("latin-1").decode() == "café"
    assert names == {"a"}


class _Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return (self.function, self.args)


class Thing:
    """Any class."""


def payloads(mark: Path) -> dict[str, tuple[bytes, str]]:
    touch = f"touch {mark}"
    code = f"open({str(mark)!r}, 'w')"
    inst = f"(S'{touch}'\nios\nsystem\n.".encode()
    old = f"cos\nsystem\n(S'{touch}'\ntR.".encode()
    text = b"X" + len(code).to_bytes(4, "little") + code.encode()
    dotted = b"\x80\x04\x8c\x08builtins\x8c\x0deval.__call__\x93" + text + b"\x85R."
    return {
        "os.system": (pickle.dumps(_Call(os.system, touch)), "posix.system"),
        "os.system within": (pickle.dumps({"text": np.ones(3), "x": [_Call(os.system, touch)]}), "posix.system"),
        "eval": (pickle.dumps(_Call(eval, code)), "builtins.eval"),
        "exec, protocol 2": (pickle.dumps(_Call(exec, code), 2), "__builtin__.exec"),
        "getattr": (pickle.dumps(_Call(getattr, "x", "upper")), "builtins.getattr"),
        "protocol 0": (old, "os.system"),
        "INST": (inst, "os.system"),
        "a dotted name": (dotted, "builtins.eval.__call__"),
        "numpy's runstring": (b"cnumpy.testing._private.utils\nrunstring\n(S'x'\n}tR.", "runstring"),
        "numpy.load": (b"cnumpy\nload\n(S'x'\ntR.", "numpy.load"),
        "a class": (pickle.dumps(Thing()), "Thing"),
        "persistent": (b"\x80\x04\x8c\x01xQ.", "kept outside"),
        "codecs": (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xX\x04\x00\x00\x00zlib\x86R.", "encoding 'zlib'"),
        "changes what it imports": (b"\x80\x02cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01sb.", "change of what it imports"),
    }


@pytest.mark.parametrize("name", list(payloads(Path("x"))))
def test_a_malicious_pickle_is_refused_by_name(tmp_path: Path, name: str) -> None:
    mark = tmp_path / "executed"
    content, said = payloads(mark)[name]
    with pytest.raises(CorpusError, match="refused, and nothing of it was run") as refused:
        read_pickle(written(tmp_path / "evil.pkl", content))
    assert said in refused.value.line()
    assert not mark.exists()


def test_the_payloads_do_what_they_say(tmp_path: Path) -> None:
    """Read the usual way, they run: the test above refuses something real."""
    for name in ("os.system", "eval", "protocol 0", "INST", "a dotted name"):
        mark = tmp_path / name.replace(" ", "")
        pickle.loads(payloads(mark)[name][0])
        assert mark.exists(), name


def test_an_extension_code_is_refused(tmp_path: Path) -> None:
    copyreg.add_extension("os", "system", 240)
    try:
        with pytest.raises(CorpusError, match=r"os\.system"):
            read_pickle(written(tmp_path / "evil.pkl", b"\x80\x02\x82\xf0X\x04\x00\x00\x00true\x85R."))
    finally:
        copyreg.remove_extension("os", "system", 240)


def _array(dtype: str, state: bytes, content: bytes, shape: bytes = b"K\x02\x85") -> bytes:
    """An array of protocol 2 whose parts do not fit together, which NumPy itself would trust."""
    kind = b"cnumpy\ndtype\nU" + bytes([len(dtype)]) + dtype.encode() + b"K\x00K\x01\x87R" + state
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape + kind + b"\x89" + content + b"tb."
    )  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        _array("f8", b"", b"U\x08" + bytes(8)),  # too few bytes
        _array("O8", b"", b"]N\x61"),  # too few objects
        _array("O8", b"", b"U\x10" + bytes(16)),  # pointers given as bytes
        _array("f8", b"", b"U\x10" + bytes(16), shape=b"J\xff\xff\xff\xff\x85"),
        _array("V8", b"", b"U\x10" + bytes(16)),
        _array("f8", b"(K\x03U\x01<U\x01xNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb", b"U\x10" + bytes(16)),  # fields
        b"\x80\x02cnumpy\nndarray\nK\x02\x85cnumpy\ndtype\nU\x02O8\x85RU\x10" + bytes(16) + b"\x87R.",  # made by hand
        b"\x80\x02cnumpy.core.numeric\n_frombuffer\n(U\x10" + bytes(16) + b"cnumpy\ndtype\nU\x02O8\x85RK\x02\x85U\x01CtR.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02O8\x85RU\x08" + bytes(8) + b"\x86R.",
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CorpusError, match="refused"):
        read_pickle(written(tmp_path / "x.pkl", content))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"utterance_id,f0\na,1\n", "a text file"),
        (b"<!DOCTYPE html><html>", "a page of HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"\x80\x04", ""),
        (pickle.dumps(PLAIN)[:-40], ""),
        (b"\x80\x05}0.", ""),
    ],
)
def test_what_is_no_pickle_is_said_to_be_none(tmp_path: Path, content: bytes, found: str) -> None:
    with pytest.raises(CorpusError, match=f"is not a pickle, or is damaged; .*found {found}"):
        read_pickle(written(tmp_path / "x.pkl", content))


def _nested(kind: Any, levels: int) -> Any:
    """Each level holds the one before twice: 2 ** levels elements in a few bytes."""
    value = kind([0, 1])
    for _ in range(levels):
        value = kind([value, value])
    return value


def bombs() -> dict[str, bytes]:
    itself: list[Any] = [1]
    itself.append(itself)
    late = [[0]]
    for _ in range(15):
        late.append([late[-1]] * 30)
    late[0].extend(range(40))
    return {
        "lists": pickle.dumps(_nested(list, 30)),
        "tuples": pickle.dumps(_nested(tuple, 30)),
        "lists, protocol 0": pickle.dumps(_nested(list, 30), 0),
        "itself": pickle.dumps(itself),
        "grown later": pickle.dumps(late),
        "levels": pickle.dumps(_nested(lambda v: [v[0]], 40)),
        "a key": b"\x80\x02}" + pickle.dumps(_nested(tuple, 30), 2)[2:-1] + b"K\x01s.",
        "memory": b"\x80\x02]r\xff\xff\xff\x7f.",
        "memory, protocol 0": b"(lp99999999999\n.",
        "a text of a container": b"\x80\x02c__builtin__\nstr\n](K\x01K\x02e\x85R.",
        "integers that collide": pickle.dumps({k * (2**61 - 1) * 2**64: 0 for k in range(1, 3000)}),
        "bytes": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x.",
    }


@pytest.mark.parametrize("name", list(bombs()))
def test_a_pickle_that_would_make_too_much_is_refused_at_once(tmp_path: Path, name: str) -> None:
    content = bombs()[name]
    assert len(content) < 100_000
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CorpusError, match=r"refused|is not a pickle, or is damaged"):
        read_pickle(written(tmp_path / "x.pkl", content))
    assert time.process_time() - begin < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_what_is_used_several_times_is_read(tmp_path: Path) -> None:
    padding = np.zeros(300)
    content = {f"d{k}": [padding] * 20 for k in range(50)}
    assert same(read_pickle(written(tmp_path / "x.pkl", pickle.dumps(content))), content)


PLAIN_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4) | st.binary(max_size=4)
    | st.sampled_from([np.arange(4.0), np.float32(2), np.array(["a"]), np.array([None, 1], dtype=object)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    | st.tuples(inner, inner),
    max_leaves=8,
)  # fmt: skip


@settings(
    max_examples=int(os.environ.get("SER_FUZZ_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(value=PLAIN_VALUES, protocol=st.integers(0, 5), data=st.data())
def test_any_pickle_ends_in_plain_content_or_one_error(tmp_path: Path, value: Any, protocol: int, data: st.DataObject) -> None:
    """Whole pickles are read as pickle reads them; with bytes changed, put in or cut off, in a second and 100 MB."""
    path = tmp_path / "x.pkl"
    content = pickle.dumps(value, protocol)
    assert same(read_pickle(written(path, content)), pickle.loads(content))
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(changed)))
        changed[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=6))
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with suppress(CorpusError):
        read_pickle(written(path, bytes(changed)))
    assert time.process_time() - begin < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
