"""NPY and NPZ files from elsewhere: what they declare is compared with what they have, before anything is allocated."""

import io
import os
import resource
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ser.errors import CorpusError, SerError
from ser.features.importing import arrays
from ser.features.importing.arrays import open_npz, read_npy
from ser.features.importing.feature_files import parse
from ser.features.importing.import_features import import_features
from ser.workspace import Workspace


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(["a", "äö"]),
        np.zeros((0, 4), np.float16),
        np.array(3.5),
        np.array([[True], [False]]),
        np.arange(4, dtype=">i4"),
    ],
)
def test_arrays_are_read_as_numpy_reads_them(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", a=array)
    np.savez_compressed(tmp_path / "b.npz", a=array)
    with open_npz(tmp_path / "a.npz") as plain, open_npz(tmp_path / "b.npz") as packed:
        for read in (read_npy(tmp_path / "a.npy"), plain.read("a"), packed.read("a")):
            assert (read.dtype, read.shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(read, array)


def header(shape: Any, descr: str = "<f4") -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (118 - len(text)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (header((2**28, 2**10)) + bytes(64), "an array of 1099511627776 bytes in 64"),
        (header((-1, 4)) + bytes(16), r"an array of shape \(-1, 4\)"),
        (header((4,), "|O") + bytes(32), "an array of type object"),
        (header((4,), "[('a', '<f4')]") + bytes(16), "an array of type|descr is not a valid dtype"),
        (header((4,)) + bytes(15), "an array of 16 bytes in 15"),
        (header((4,)) + bytes(17), "an array of 16 bytes in 17"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "Header|header|cannot|Cannot"),
        (b"\x93NUMPY\x09\x00" + bytes(99), "version|only support"),
        (b"", "an empty file"),
        (b"PK\x03\x04", "magic"),
    ],
)
def test_an_npy_that_is_not_what_it_declares(tmp_path: Path, content: bytes, found: str) -> None:
    file = tmp_path / "a.npy"
    file.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CorpusError, match=found):
        read_npy(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def npz(path: Path, *, packed: bool = True, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return path


def test_a_few_kilobytes_that_unpack_to_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MAX_UNPACKED", 2**20)
    monkeypatch.setattr(arrays, "MAX_RATIO", 100)
    file = npz(tmp_path / "a.npz", a=header((2**21,)) + bytes(2**23))
    assert file.stat().st_size < 20_000
    with (
        pytest.raises(CorpusError, match=r"a declares 8388737 bytes in a file of \d+: \d+ are read at most"),
        open_npz(file) as archive,
    ):
        archive.read("a")


def test_an_archive_whose_directory_lies(tmp_path: Path) -> None:
    """The size that is stated of an entry is not what it unpacks to."""
    file = npz(tmp_path / "a.npz", packed=False, a=header((4,)) + bytes(16))
    content = bytearray(file.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 20 : at + 28] = (2**31).to_bytes(4, "little") * 2
    file.write_bytes(content)
    with pytest.raises(CorpusError, match="declares 2147483648 bytes in a file of"), open_npz(file) as archive:
        archive.read("a")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"ids": np.array(["a", "b"])}, "ids that do not fit the features; expected 3 of them"),
        ({"ids": np.array(["a", "b", "a"])}, "ids that do not fit the features; .* found 3, 2 different"),
        ({"ids": np.zeros((3, 2))}, "ids of shape"),
        ({"offsets": np.array([0, 2])}, "offsets that do not fit the features; expected whole numbers from 0 to 3"),
        ({"offsets": np.array([0, 2, 1, 3])}, "offsets that do not fit"),
        ({"offsets": np.array([-1, 3])}, "offsets that do not fit"),
        ({"offsets": np.array([0.0, 3.0])}, "offsets that do not fit"),
        ({"offsets": np.array([], int)}, "offsets that do not fit"),
        ({"identity": np.array("[" * 100_000)}, "no labels"),  # nested too deeply to say anything
        ({"identity": np.array('{"view": [1], "text_source": 3}')}, "no labels"),
    ],
)
def test_parts_of_an_export_that_do_not_fit(tmp_path: Path, change: dict[str, Any], found: str) -> None:
    arrays: dict[str, Any] = {"ids": np.array(["a", "b", "c"]), "features": np.ones((3, 4))}
    np.savez(tmp_path / "x.npz", **{**arrays, **change})
    space = Workspace(tmp_path / "ws")
    with pytest.raises(SerError, match=found):
        import_features("d", space, [parse(f"audio={tmp_path / 'x.npz'}")])


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize(
    ("content", "found"), [(b"utterance_id,f0\na,1\n", "a text file"), (b"", "an empty file"), (b"<html>", "a page of HTML")]
)
def test_another_file_by_the_name_of_an_array_is_called_what_it_is(
    tmp_path: Path, name: str, content: bytes, found: str
) -> None:
    (tmp_path / name).write_bytes(content)
    words = rf"; expected .*; found {found}$"
    if name == "a.npy":
        with pytest.raises(CorpusError, match=words):
            read_npy(tmp_path / name)
    else:
        with pytest.raises(CorpusError, match=words), open_npz(tmp_path / name):
            pass


def test_a_pipe_is_no_array(tmp_path: Path) -> None:
    for name in ("a.npy", "a.npz"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(CorpusError, match="a named pipe"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(CorpusError, match="a named pipe"), open_npz(tmp_path / "a.npz"):
        pass


@settings(
    max_examples=int(os.environ.get("SER_FUZZ_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), packed=st.booleans())
def test_any_change_of_an_npz_ends_in_arrays_or_one_error(tmp_path: Path, data: st.DataObject, packed: bool) -> None:
    buffer = io.BytesIO()
    save = np.savez_compressed if packed else np.savez
    save(buffer, ids=np.array(["a", "b"]), features=np.ones((2, 3)), offsets=np.array([0, 1, 2]))
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    file = tmp_path / "a.npz"
    file.write_bytes(content)
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with suppress(SerError):
        import_features("d", Workspace(tmp_path / "ws"), [parse(f"audio={file}")])
    assert time.process_time() - begin < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
