"""Store files from elsewhere: each ends in features or in one `StoreError`, in little time and memory."""

import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ser.cli import main
from ser.errors import StoreError
from ser.features.stores.file import StoreFile
from ser.features.stores.layout import SCHEMA, Malformed, index_checksum, to_json
from ser.features.stores.maintenance import verify
from ser.features.stores.store import FeatureStore

IDS = ["a", "b", "c"]
ARRAYS: dict[str, Any] = {
    "utt_id": np.array([b"a", b"b", b"c"]),
    "source_sha256": np.zeros((3, 32), np.uint8),
    "n_samples": np.zeros(3, np.int64),
    "n_frames": np.array([1, 1, 1], np.int64),
}
FACTS: dict[str, Any] = {
    "encoder": "toy", "modality": "audio", "level": "utterance", "dim": 4, "sample_rate": 16000, "vocabulary": 0,
    "identity": "{}", "provenance": "{}", "schema": SCHEMA,
}  # fmt: skip
VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def made(path: Path, values: Any = VALUES, attributes: dict[str, Any] | None = None, **arrays: Any) -> Path:
    """A store file by hand, whose check sums are right whatever it holds."""
    import zlib

    facts = {**FACTS, **(attributes or {})}
    facts = {name: value for name, value in facts.items() if value is not None}
    crc = np.array([zlib.crc32(np.ascontiguousarray(row).data) for row in values], np.uint32)
    index = {**ARRAYS, "crc32": crc, **arrays}
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", libver=("v108", "v108")) as file:
        for name, value in facts.items():
            if isinstance(value, str):
                file.attrs.create(name, value.encode(), dtype=h5py.string_dtype("utf-8", max(1, len(value.encode()))))
            else:
                file.attrs[name] = value
        file.attrs["index_crc32"] = index_checksum(facts, {}, index)
        for name, array in index.items():
            file[name] = array
        file["pooled"] = values
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features" / "corpus" / "toy.h5"


def test_the_file_made_here_is_sound(path: Path) -> None:
    with FeatureStore(made(path)) as store:
        np.testing.assert_array_equal(store.read(IDS), VALUES)
    assert verify(path, False, print).line() == "corpus toy: 3 utterances, all as they were written"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"attributes": {"dim": 8}}, r"vectors of shape \(4,\) where dim is 8"),
        ({"attributes": {"dim": "4"}}, "dim '4'"),
        ({"attributes": {"modality": "smell"}}, "modality 'smell'"),
        ({"attributes": {"level": "phrase"}}, "level 'phrase'"),
        ({"attributes": {"identity": "[]"}}, "an identity that is not a JSON object"),
        ({"attributes": {"identity": "{bad"}}, "Expecting property name"),
        ({"attributes": {"identity": '{"a":' + "[" * 500 + "]" * 500 + "}"}}, "nested more than 64 levels deep"),
        ({"attributes": {"provenance": "null"}}, "a provenance that is not a JSON object"),
        ({"attributes": {"encoder": None}}, "attributes dim"),
        ({"attributes": {"more": 1}}, "attributes dim"),
        ({"values": VALUES.astype(">f4")}, "byte order of another machine"),
        ({"values": VALUES.astype(np.float64)}, "values of type float64"),
        ({"values": VALUES.reshape(3, 2, 2)}, r"vectors of shape \(2, 2\)"),
        ({"values": VALUES[:2], "crc32": np.zeros(3, np.uint32)}, "2 rows of values where the index has 3"),
        ({"utt_id": np.array([b"a", b"b", b"a"])}, "the id 'a' more than once"),
        ({"utt_id": np.array([b"a", b"", b"c"])}, "an empty id"),
        ({"utt_id": np.array([b"a", b"b"])}, "source_sha256 of type"),
        ({"n_frames": np.array([1, 2, 0])}, "numbers of frames that cannot be"),
        ({"n_frames": np.array([1, 1, 1], ">i8")}, "n_frames of type >i8"),
        ({"source_sha256": np.zeros((3, 31), np.uint8)}, "source_sha256 of type"),
    ],
)
def test_what_no_store_is_like_is_named(path: Path, change: dict[str, Any], found: str) -> None:
    made(path, **change)
    with pytest.raises(Malformed, match=found):
        FeatureStore(path)
    check = verify(path, False, print)
    assert not check.sound
    said: list[str] = []
    assert verify(path, True, said.append).repaired
    assert "set aside as toy.h5.damaged" in said[0]
    assert path.with_name("toy.h5.damaged").exists()


def test_values_that_are_not_finite_are_reported_and_dropped(path: Path) -> None:
    values = VALUES.copy()
    values[1, 2] = np.nan
    made(path, values)
    check = verify(path, False, print)
    assert check.not_finite == ["b"]
    assert "1 utterance with values that are not finite: b" in check.line()
    verify(path, True, print)
    with FeatureStore(path) as store:
        assert store.ids == ["a", "c"]


def _external_link(file: h5py.File, secret: Path) -> None:
    del file["pooled"]
    file["pooled"] = h5py.ExternalLink(str(secret), "pooled")


def _soft_link(file: h5py.File, _: Path) -> None:
    del file["n_samples"]
    file["n_samples"] = h5py.SoftLink("/n_frames")


def _linked_asset(file: h5py.File, secret: Path) -> None:
    file.create_group("assets")["tokenizer"] = h5py.ExternalLink(str(secret), "pooled")


def _external_storage(file: h5py.File, secret: Path) -> None:
    del file["pooled"]
    file.create_dataset("pooled", (3, 4), np.float32, external=[(str(secret), 0, 48)])


def _virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((3, 4), np.float32)
    layout[:] = h5py.VirtualSource(str(secret), "pooled", (3, 4))
    del file["pooled"]
    file.create_virtual_dataset("pooled", layout)


def _group(file: h5py.File, _: Path) -> None:
    del file["n_samples"]
    file.create_group("n_samples")


@pytest.mark.parametrize("change", [_external_link, _soft_link, _linked_asset, _external_storage, _virtual, _group])
def test_nothing_outside_of_the_file_is_read(path: Path, change: Callable[[h5py.File, Path], None]) -> None:
    secret = made(path.with_name("secret.h5"))
    made(path)
    with h5py.File(path, "r+") as file:
        change(file, secret)
    with pytest.raises(Malformed, match=r"a link to elsewhere|in another file|which is not an array|an asset that is a link"):
        FeatureStore(path)


@pytest.mark.parametrize("name", ["utt_id", "n_frames", "pooled"])
def test_rows_that_are_declared_and_not_there_are_not_allocated(path: Path, name: str) -> None:
    made(path)
    with h5py.File(path, "r+") as file:
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        file.create_dataset(name, (2**28, *shape[1:]), dtype)  # HDF5 allocates none of it until something is written
    assert path.stat().st_size < 20_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StoreError, match=r"declares \d+ bytes and has 0"):
        FeatureStore(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_compressed_arrays_are_refused(path: Path) -> None:
    made(path)
    with h5py.File(path, "r+") as file:
        del file["n_samples"]
        file.create_dataset("n_samples", data=np.zeros(3, np.int64), chunks=(3,), compression="gzip")
    with pytest.raises(StoreError, match="not in one piece"):
        FeatureStore(path)


def test_a_text_of_variable_length_is_not_read(path: Path) -> None:
    made(path)
    with h5py.File(path, "r+") as file:
        file.attrs["encoder"] = "toy"
    with pytest.raises(Malformed, match="the attribute encoder of variable length"):
        FeatureStore(path)


def test_a_pipe_is_not_waited_for(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(OSError, match="a named pipe, not a regular file"):
        StoreFile(path)


@settings(
    max_examples=int(os.environ.get("SER_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_change_of_bytes_ends_in_features_or_one_error(path: Path, data: st.DataObject) -> None:
    """The bytes of a sound file, some of them changed, or cut off: within a second and 100 MB."""
    content = bytearray(made(path).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 1] = data.draw(st.binary(min_size=0, max_size=8))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    path.write_bytes(content)
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with suppress(StoreError), FeatureStore(path) as store:
        store.read([i for i in store.ids if i not in store.verify()])
    assert time.process_time() - begin < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
ATTRIBUTE = st.none() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=9).filter(lambda t: "\0" not in t)
ATTRIBUTE |= JSON.map(to_json)
ARRAY = st.tuples(st.sampled_from(["u1", "i8", "u4", "f4", "f2", ">i8", "S3", "i4"]), st.lists(st.integers(0, 4), max_size=3))


@settings(
    max_examples=int(os.environ.get("SER_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    attributes=st.dictionaries(st.sampled_from(list(FACTS)), ATTRIBUTE, max_size=3),
    arrays=st.dictionaries(st.sampled_from([*ARRAYS, "crc32", "values"]), ARRAY, max_size=2),
)
def test_any_content_with_right_check_sums_ends_in_features_or_one_error(
    path: Path, attributes: dict[str, Any], arrays: dict[str, tuple[str, list[int]]]
) -> None:
    begin = time.process_time()
    changed = {name: np.ones(shape, dtype) for name, (dtype, shape) in arrays.items()}
    if "values" in changed and not changed["values"].shape:
        changed["values"] = changed["values"][None]
    made(path, attributes=attributes, **changed)
    with suppress(StoreError), FeatureStore(path) as store:
        store.read([i for i in store.ids if i not in store.verify()])
    assert time.process_time() - begin < 5


def test_an_odd_file_does_not_end_the_list(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(path)
    os.mkfifo(path.with_name("bad.h5"))
    path.with_name("folder.h5").mkdir()
    (path.with_name("loop.h5")).symlink_to(path.with_name("loop.h5"))
    space = ["--workspace", str(path.parents[2])]
    assert main(["store", "info", *space]) == 3
    said = capsys.readouterr()
    assert "corpus toy: 3 utterances" in said.out
    assert "bad.h5; found a named pipe, not a regular file" in said.err
    assert main(["store", "verify", *space]) == 3
    said = capsys.readouterr()
    assert "corpus toy: 3 utterances, all as they were written" in said.out
    assert "1 file damaged" in said.out
