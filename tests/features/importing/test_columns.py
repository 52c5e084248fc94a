"""The meaning of a table's columns: no label, id or fold becomes a feature by chance, and a file's own words hold."""

import gzip
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ser.errors import ConfigError, CorpusError, SerError, StoreError
from ser.features.importing.feature_files import parse
from ser.features.importing.import_features import import_features
from ser.features.importing.loading import ImportOptions
from ser.features.importing.tables import open_table
from ser.features.stores.store import FeatureStore
from ser.metadata.table import load_table
from ser.workspace import Workspace

COUNT = 40
VALUES = np.random.default_rng(0).normal(size=(COUNT, 3)).astype(np.float32)
LABELS = ["anger", "sadness"] * (COUNT // 2)
NUMBERS = [0, 1] * (COUNT // 2)
IDS = [f"u{k}" for k in range(COUNT)]
PLAIN = pd.DataFrame({"utterance_id": IDS, "label": LABELS, "f0": VALUES[:, 0], "f1": VALUES[:, 1], "f2": VALUES[:, 2]})


class Import:
    """Imports a table of features, and what it told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.told = folder, list[str]()
        self.line = ""

    def __call__(self, content: "pd.DataFrame | str", *more: str, index: bool = False, **options: Any) -> Any:
        """The features that were stored, `(n, D)`."""
        file = self.folder / "a.csv"
        if isinstance(content, str):
            file.write_text(content)
        else:
            content.to_csv(file, index=index)
        return self.file(file, *more, **options)

    def file(self, file: Path, *more: str, **options: Any) -> Any:
        space = Workspace(self.folder / f"ws{len(list(self.folder.iterdir()))}")
        words = [parse(word) for word in (f"audio={file}", *more)]
        (kept,) = import_features("d", space, words, ImportOptions(**options), say=self.told.append)
        self.line, self.table = kept.line, load_table("d", space).frame
        store = FeatureStore(space.store("d", "audio"))
        assert store.ids == self.table["utterance_id"].tolist()
        return store.read(store.ids)


@pytest.fixture
def read(tmp_path: Path) -> Import:
    return Import(tmp_path)


@pytest.mark.parametrize("words", [NUMBERS, LABELS])
def test_a_second_column_of_labels_is_no_feature(read: Import, words: list[Any]) -> None:
    np.testing.assert_array_equal(read(PLAIN.assign(emotion=words, start=0.5, f3=1.0))[:, :3], VALUES)
    assert read.told[0].endswith("a.csv: no features are emotion, start; --columns names those that are")
    assert read.line.endswith("utterance level, 4 (f0 to f3)")
    assert read.table["label"].tolist() == LABELS


@pytest.mark.parametrize("name", ["label_id", "fold", "Target", "y", "emotionId", "index", "Unnamed: 0"])
def test_a_column_that_may_be_anything_is_refused(read: Import, name: str) -> None:
    content = PLAIN.assign(**{name: NUMBERS})
    with pytest.raises(CorpusError, match=rf"is column '{name}' a feature\?.*--columns"):
        read(content)
    np.testing.assert_array_equal(read(content, columns=("f0:f2",)), VALUES)
    assert read(content, columns=("f0", "-1")).shape == (COUNT, 2)
    assert read.line.endswith(f"(f0 to {name}); {name} alone gives the label away: a column of labels?")


def test_columns_that_are_asked_for(read: Import) -> None:
    np.testing.assert_array_equal(read(PLAIN, columns=("f2", "2")), VALUES[:, [2, 0]])
    for columns, said in ((("nope",), "no column 'nope'"), (("f2:f0",), "FIRST:LAST"), (("label", "f0"), "'label' is no")):
        with pytest.raises(ConfigError, match=said):
            read(PLAIN, columns=columns)
    np.save(read.folder / "x.npy", VALUES)
    with pytest.raises(ConfigError, match="is not a table"):
        read.file(read.folder / "x.npy", rows=True, columns=("0",))


def test_an_index_of_rows_is_no_feature(read: Import) -> None:
    with pytest.raises(CorpusError, match=r"a column has no name.*index=False"):
        read(PLAIN, index=True)
    counted = pd.DataFrame(VALUES).assign(label=LABELS)
    with pytest.raises(CorpusError, match="a column has no name; expected ids, or none; found numbers"):
        read(counted, index=True)
    np.testing.assert_array_equal(read(counted, index=True, id_column=""), VALUES)
    assert read.table["utterance_id"].tolist()[:2] == ["0", "1"]


@pytest.mark.parametrize("name", [None, "utterance_id"])
def test_the_header_that_pandas_writes(read: Import, name: str | None) -> None:
    content = pd.DataFrame(VALUES, index=pd.Index(IDS, name=name)).assign(label=LABELS)
    np.testing.assert_array_equal(read(content, index=True), VALUES)
    np.testing.assert_array_equal(read(content, index=True, label="label"), VALUES)
    content.drop(columns="label").to_csv(read.folder / "b.csv")
    np.save(read.folder / "y.npy", LABELS)
    beside = f"labels={read.folder / 'y.npy'}"
    with pytest.raises(ConfigError, match=r"y.npy does not say which utterance a row is of; .* say so: --rows"):
        read.file(read.folder / "b.csv", beside)
    np.testing.assert_array_equal(read.file(read.folder / "b.csv", beside, rows=True), VALUES)
    assert read.table["utterance_id"].tolist() == IDS


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        (",0,1\nu0,0.5,1.5\n", True),
        ("0,1,2\n0.5,1.5,2.5\n", True),
        ("0,1,2\n3,4,5\n", False),
        (",0.5,1.5\n0.1,0.2,0.3\n", False),  # a missing number
        ("0.1,0.2,1\n0.3,0.4,0\n", False),
        ("id;label;f\nu0;happy;0,5\n", True),
        ("1\n0\n", False),
        ("label\nanger\n", True),
        ("utterance_id,f0\nu0,\n", True),  # a missing number
    ],
)
def test_what_is_a_header(tmp_path: Path, lines: str, header: bool) -> None:
    (tmp_path / "a.csv").write_text(lines)
    assert open_table(tmp_path / "a.csv").header is header


def test_a_decimal_comma_is_named(read: Import) -> None:
    lines = "".join(f"u{k};{LABELS[k]};{k},5\n" for k in range(COUNT))
    with pytest.raises(CorpusError, match=r"column 'f1' holds numbers with a decimal comma.*found 0,5"):
        read("utterance_id;label;f1\n" + lines)


def test_a_file_without_rows_or_arrays_is_called_so(read: Import, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="has no rows; expected one for each utterance"):
        read("utterance_id;label;f1\n")
    np.savez(tmp_path / "a.npz")
    with pytest.raises(ConfigError, match="holds no arrays"):
        read.file(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("what", "own", "other"), [("labels", LABELS, LABELS[::-1]), ("ids", IDS, IDS[::-1]), ("speakers", IDS, LABELS)]
)
def test_what_lies_beside_a_file_does_not_overrule_it(read: Import, what: str, own: list[str], other: list[str]) -> None:
    content = PLAIN.assign(speaker=IDS)
    beside = read.folder / "beside.npy"
    np.save(beside, other)
    with pytest.raises(CorpusError, match=f"{what}=FILE is not of .*a.csv.*expected '{own[0]}' in row 1; found '{other[0]}'"):
        read(content, f"{what}={beside}")
    np.save(beside, own)
    np.testing.assert_array_equal(read(content, f"{what}={beside}"), VALUES)


def test_a_split_that_is_not_known_is_refused(read: Import) -> None:
    with pytest.raises(CorpusError, match="split 'holdout'; expected one of train, "):
        read(PLAIN.assign(split=["train", "holdout"] * (COUNT // 2)))
    read(PLAIN.assign(split=["Train", ""] * (COUNT // 2)))
    assert read.table["split"].tolist() == ["train", ""] * (COUNT // 2)


def test_words_are_no_missing_numbers(read: Import) -> None:
    speakers = ["NA", "None", "", "nan"] * (COUNT // 4)
    values = read(PLAIN.assign(speaker=speakers, f3=[None, *range(1, COUNT)]), columns=("f0:f2",))
    np.testing.assert_array_equal(values, VALUES)
    assert read.table["speaker"].tolist() == speakers
    with pytest.raises(StoreError, match="not finite"):
        read(PLAIN.assign(f0=np.nan))


def test_parts_with_other_columns_are_refused(tmp_path: Path) -> None:
    PLAIN[:20].to_csv(tmp_path / "a.csv", index=False)
    PLAIN[20:].rename(columns={"f0": "f2", "f2": "f0"}).to_csv(tmp_path / "b.csv", index=False)
    words = [parse(f"audio={tmp_path / 'a.csv'}", "train"), parse(f"audio={tmp_path / 'b.csv'}", "test")]
    with pytest.raises(CorpusError, match=r"other columns than the files before it; expected 'f0'; found 'f2'"):
        import_features("d", Workspace(tmp_path / "ws"), words, ImportOptions())


def test_parquet(read: Import) -> None:
    pytest.importorskip("pyarrow")
    file = read.folder / "a.parquet"
    PLAIN.assign(emotion=NUMBERS).to_parquet(file)
    np.testing.assert_array_equal(read.file(file), VALUES)
    PLAIN.set_index("utterance_id").to_parquet(file)
    np.testing.assert_array_equal(read.file(file), VALUES)
    PLAIN.set_index(pd.Index(IDS)).drop(columns="utterance_id").to_parquet(file)
    np.testing.assert_array_equal(read.file(file), VALUES)
    assert read.table["utterance_id"].tolist() == IDS
    file.write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match=r"cannot read .*a\.parquet"):
        read.file(file)


def test_a_parquet_file_of_more_rows_than_its_size_allows(read: Import) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file = read.folder / "a.parquet"
    values = pa.array(np.zeros(1_000_000)).dictionary_encode()
    names = [f"f{k}" for k in range(12)]
    pq.write_table(pa.table({"id": pa.array(["u"] * 1_000_000), **dict.fromkeys(names, values)}), file)
    assert file.stat().st_size < 60_000
    with pytest.raises(CorpusError, match="it declares 1000000 rows of 13 columns in"):
        read.file(file)


def test_labels_of_files_that_differ_in_case_only_are_one(read: Import) -> None:
    read(PLAIN.assign(label=["Positive", "positive", "negative", "positive"] * (COUNT // 4)))
    assert set(read.table["label"]) == {"positive", "negative"}


@settings(
    max_examples=int(os.environ.get("SER_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), ending=st.sampled_from(["csv", "tsv", "arff", "csv.gz"]))
def test_any_table_of_features_ends_in_stores_or_one_error(tmp_path: Path, data: st.DataObject, ending: str) -> None:
    lines = {"arff": "@relation x\n@attribute name string\n@attribute frameTime numeric\n@attribute f0 numeric\n@data\n"}
    text = lines.get(ending, "id,label,f0,f1\n") + "'u1',0.1,0.5,2\nu2,3,1e400,nan\nu3,sad,?,\n"
    content = bytearray(text.encode())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 5))] = data.draw(
            st.binary(max_size=5) | st.sampled_from([b"\n", b'"', b";"])
        )
    packed = bytearray(gzip.compress(bytes(content)) if ending.endswith("gz") else content)
    if ending.endswith("gz") and data.draw(st.booleans()):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file = tmp_path / f"x.{ending}"
    file.write_bytes(packed)
    begin = time.process_time()
    with suppress(SerError):
        import_features("d", Workspace(tmp_path / "ws"), [parse(f"audio={file}")], overwrite=True)
    assert time.process_time() - begin < 5
