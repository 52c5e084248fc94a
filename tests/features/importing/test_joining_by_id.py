"""Labels join features by id, never by chance; layouts that others publish; files that are declared to be of one encoder."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.cli import main
from ser.errors import ConfigError, CorpusError, SerError
from ser.features.importing.feature_files import parse
from ser.features.importing.import_features import import_features
from ser.features.importing.loading import ImportOptions
from ser.features.stores.store import FeatureStore
from ser.features.tensors import load_tensors
from ser.metadata.table import load_table
from ser.workspace import Workspace

RNG = np.random.default_rng(0)
IDS = [f"u{k}" for k in range(1, 13)]  # as text, u10 comes before u2
LABELS = ["angry" if k % 2 else "sad" for k in range(1, 13)]


def make(folder: Path, *words: str, dataset: str = "d", **options: Any) -> Workspace:
    space = Workspace(folder / "ws")
    import_features(dataset, space, [parse(word) for word in words], ImportOptions(**options))
    return space


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of features, and labels in three forms."""
    (tmp_path / "npy").mkdir()
    for k, utterance in enumerate(IDS):
        np.save(tmp_path / "npy" / f"{utterance}.npy", np.array([k, 1.0], np.float32))
    (tmp_path / "list.txt").write_text("\n".join(LABELS) + "\n")
    mixed = RNG.permutation(12)
    lines = [f"{IDS[k]},{LABELS[k]}" for k in mixed]
    (tmp_path / "table.csv").write_text("id,emotion\n" + "\n".join(lines) + "\nelsewhere,joy\n")
    (tmp_path / "utt2emo").write_text("\n".join(lines).replace(",", " "))
    return tmp_path


@pytest.mark.parametrize("rows", [False, True])
def test_a_list_of_labels_does_not_join_a_folder(folder: Path, rows: bool) -> None:
    with pytest.raises(ConfigError, match=r"list.txt does not say which utterance .* no order that a list could follow"):
        make(folder, f"audio={folder / 'npy'}", f"labels={folder / 'list.txt'}", rows=rows)
    assert not (folder / "ws").exists()


@pytest.mark.parametrize("labels", ["table.csv", "utt2emo"])
def test_a_table_of_labels_joins_by_id(folder: Path, labels: str) -> None:
    space = make(folder, f"audio={folder / 'npy'}", f"labels={folder / labels}")
    frame = load_table("d", space).frame
    assert dict(zip(frame["utterance_id"], frame["label"], strict=True)) == dict(zip(IDS, LABELS, strict=True))
    with FeatureStore(space.store("d", "audio")) as store:
        assert store["u10"][0] == 9


@pytest.mark.parametrize("labels", ["table.csv", "utt2emo"])
def test_an_id_with_two_labels_is_refused(folder: Path, labels: str) -> None:
    with (folder / labels).open("a") as file:
        file.write("\nu1,sad\n" if labels.endswith("csv") else "\nu1 sad\n")
    with pytest.raises(CorpusError, match=r"utterance 'u1' is there twice; .* found angry and sad"):
        make(folder, f"audio={folder / 'npy'}", f"labels={folder / labels}")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_tables_in_other_encodings_with_what_excel_writes_first(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "f.csv").write_text("sep=;\nid;f0;f1\n\u00e4;1;2\nb;3;4\n", encoding=encoding)
    (tmp_path / "l.csv").write_text("utterance_id;label\n\u00e4;joy\nb;Fear\n", encoding=encoding)
    space = make(tmp_path, f"audio={tmp_path / 'f.csv'}", f"labels={tmp_path / 'l.csv'}")
    assert load_table("d", space).frame[["utterance_id", "label"]].to_numpy().tolist() == [["\u00e4", "joy"], ["b", "Fear"]]
    with FeatureStore(space.store("d", "audio")) as store:
        assert store["\u00e4"].tolist() == [1.0, 2.0]


def test_labels_are_words_where_numbers_lie_beside_them(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id,emotion,label,f0\na,joy,0,1\nb,fear,1,2\n")
    (tmp_path / "g.csv").write_text("id,f0\na,1\nb,2\n")
    for words in (["f.csv"], ["g.csv", "f.csv"]):
        sources = [f"{name}={tmp_path / word}" for name, word in zip(("audio", "labels"), words, strict=False)]
        space = make(tmp_path, *sources, dataset=f"d{len(words)}")
        assert load_table(f"d{len(words)}", space).frame["label"].tolist() == ["joy", "fear"]


def test_features_joined_anew_leave_nothing_of_before(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "f.csv").write_text("filename,f0\n" + "".join(f"{i},{i[1:]}\n" for i in IDS[::-1]))
    space = make(tmp_path, f"audio={tmp_path / 'f.csv'}", f"labels={tmp_path / 'list.txt'}", rows=True, columns=("f0",))
    with pytest.raises(SerError, match="none of its 12 utterances is in the table"):
        make(tmp_path, f"audio={tmp_path / 'f.csv'}", id_column="filename", columns=("f0",))
    (tmp_path / "ids.txt").write_text("\n".join(["row-0002", "row-0001", *IDS[2:]]) + "\n")
    make(tmp_path, f"audio={tmp_path / 'f.csv'}", f"ids={tmp_path / 'ids.txt'}", columns=("f0",))
    with FeatureStore(space.store("d", "audio")) as store:
        assert {i: store[i].tolist() for i in store.ids} == {"row-0001": [11.0], "row-0002": [12.0]}


def test_labels_in_other_letters_than_the_tables_are_the_same(folder: Path) -> None:
    space = make(folder, f"audio={folder / 'npy'}", f"labels={folder / 'utt2emo'}")
    (folder / "upper").write_text((folder / "utt2emo").read_text().upper().replace("U", "u"))
    make(folder, f"visual={folder / 'npy'}", f"labels={folder / 'upper'}")
    assert set(load_table("d", space).frame["label"]) == {"angry", "sad"}


def test_ids_that_are_in_no_file_and_columns_that_are_not_there(folder: Path) -> None:
    (folder / "other.csv").write_text("id,emotion\nx,joy\ny,sad\n")
    with pytest.raises(CorpusError, match="none of its 2 ids is among those of the features"):
        make(folder, f"audio={folder / 'npy'}", f"labels={folder / 'other.csv'}")
    (folder / "other.csv").write_text("id,mood,colour\nu1,joy,1\n")
    with pytest.raises(CorpusError, match="which of its columns are ids and labels"):
        make(folder, f"audio={folder / 'npy'}", f"labels={folder / 'other.csv'}")
    np.save(folder / "bare.npy", np.zeros((12, 2)))
    with pytest.raises(ConfigError, match="has ids, and the features have none"):
        make(folder, f"audio={folder / 'bare.npy'}", f"labels={folder / 'utt2emo'}")


def test_the_layout_of_emotion2vec(tmp_path: Path) -> None:
    """train.npy has the frames of all, train.lengths their number, train.emo id and label (its downstream code, IEMOCAP)."""
    lengths = [3, 1, 5]
    values = RNG.normal(size=(9, 4)).astype(np.float32)
    np.save(tmp_path / "train.npy", values)
    (tmp_path / "train.lengths").write_text("".join(f"{n}\n" for n in lengths))
    (tmp_path / "train.emo").write_text("Ses01F_impro01_F000\tneu\nSes01F_impro01_F001\tang\nSes02F_a_F000\tsad\n")
    space = make(tmp_path, f"audio={tmp_path / 'train.npy'}")
    frame = load_table("d", space).frame
    assert frame["utterance_id"].tolist() == ["Ses01F_impro01_F000", "Ses01F_impro01_F001", "Ses02F_a_F000"]
    assert frame["emotion"].tolist() == ["neutral", "anger", "sadness"]
    with FeatureStore(space.store("d", "audio")) as store:
        assert store.level == "frame"
        np.testing.assert_array_equal(store["Ses01F_impro01_F001"], values[3:4])
        np.testing.assert_array_equal(store["Ses02F_a_F000"], values[4:])
        assert set(store.facts.identity["files"]) == {"train.npy", "train.lengths"}
    (tmp_path / "train.lengths").write_text("3\n1\n4\n")
    with pytest.raises(CorpusError, match=r"has 9 rows; expected 8 frames one after another, the sum of train.lengths"):
        make(tmp_path, f"audio={tmp_path / 'train.npy'}", dataset="e")


SMILE = "name;frameTime;F0_sma;loudness_sma\n"


def test_openSMILEs_own_csv(tmp_path: Path) -> None:
    file = tmp_path / "functionals.csv"
    file.write_text(SMILE + "'u1';0.000000;1.5;2.5\n'u2';0.000000;3.5;4.5\n")
    (tmp_path / "labels.csv").write_text("utterance_id,label\nu2,sad\nu1,angry\n")
    space = make(tmp_path, f"audio={file}", f"labels={tmp_path / 'labels.csv'}")
    with FeatureStore(space.store("d", "audio")) as store:
        assert (store.level, store.dim) == ("utterance", 2)
        np.testing.assert_array_equal(store["u2"], [3.5, 4.5])
    assert load_table("d", space).frame["emotion"].tolist() == ["anger", "sadness"]
    file.write_text(SMILE + "'unknown';0;1;2\n'unknown';0;3;4\n")
    with pytest.raises(CorpusError, match=r"calls every row 'unknown'.*-instname"):
        make(tmp_path, f"audio={file}", dataset="e")


def test_openSMILEs_frames(tmp_path: Path) -> None:
    file = tmp_path / "lld.csv"
    file.write_text(SMILE + "'u1';0.00;1;2\n'u1';0.01;3;4\n'u2';0.00;5;6\n")
    (tmp_path / "labels.csv").write_text("utterance_id,label\nu2,sad\nu1,angry\n")
    space = make(tmp_path, f"audio={file}", f"labels={tmp_path / 'labels.csv'}")
    with FeatureStore(space.store("d", "audio")) as store:
        assert store.level == "frame"
        np.testing.assert_array_equal(store["u1"], [[1, 2], [3, 4]])
        np.testing.assert_array_equal(store["u2"], [[5, 6]])


@pytest.mark.parametrize("ending", ["arff", "arff.gz"])
@pytest.mark.parametrize("classes", [True, False])
def test_openSMILEs_arff(tmp_path: Path, ending: str, classes: bool) -> None:
    kind, words = ("{angry,sad}", ("angry", "sad")) if classes else ("numeric", ("?", "?"))
    text = (
        "% made by openSMILE\n@relation openSMILE_features\n\n@attribute name string\n@attribute frameTime numeric\n"
        f"@attribute F0_sma numeric\n@attribute 'loudness sma' numeric\n@attribute class {kind}\n\n@data\n\n"
        f"'it, is u1',0.0,1.5,2.5,{words[0]}\n'u2',0.0,3.5,?,{words[1]}\n'u3',0.0,5.5,6.5,{words[0]}\n"
    )
    file = tmp_path / f"x.{ending}"
    file.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    more = []
    if not classes:
        (tmp_path / "labels.csv").write_text('id,label\n"it, is u1",angry\nu2,sad\nu3,angry\n')
        more = [f"labels={tmp_path / 'labels.csv'}"]
    space = make(tmp_path, f"audio={file}", *more)
    frame = load_table("d", space).frame
    assert frame["emotion"].tolist() == ["anger", "sadness", "anger"]
    with FeatureStore(space.store("d", "audio")) as store:
        assert store.ids == ["it, is u1", "u3"]  # u2 lacks a value
        np.testing.assert_array_equal(store["u3"], [5.5, 6.5])


def test_a_failed_import_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,label,f0\nu1,sad,1\nu2,angry,2\n")
    np.savez(tmp_path / "b.npz", ids=["u1", "u2"], features=np.full((2, 3), np.nan))
    with pytest.raises(SerError, match="none of 2 utterances can be used; found features that are not finite"):
        make(tmp_path, f"audio={tmp_path / 'a.csv'}", f"visual={tmp_path / 'b.npz'}")
    space = Workspace(tmp_path / "ws")
    assert not space.table("d").exists()
    assert space.stores("d") == []


def two_corpora(folder: Path, *more: str, dims: tuple[int, int] = (4, 4)) -> Workspace:
    for number, (name, dim) in enumerate(zip("de", dims, strict=True)):
        rng = np.random.default_rng(number)
        labels = np.array(["angry", "sad"] * 15)
        values = rng.normal(size=(30, dim)) + (labels == "sad")[:, None] * 2
        header = ",".join(["id", "speaker", "label", *(f"f{k}" for k in range(dim))])
        rows = [f"{name}{k},s{k % 5},{labels[k]}," + ",".join(map(str, v)) for k, v in enumerate(values)]
        (folder / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")
        command = ["store", "import", "--dataset", name, "--features", f"audio={folder / name}.csv", *more]
        assert main([*command, "--workspace", str(folder), "--overwrite"]) == 0
    return Workspace(folder)


def transfer(folder: Path) -> int:
    command = ["transfer", "--source", "d", "--target", "e", "--scheme", "native", "--head", "linear", "--runs", "1"]
    command += ["--epochs", "2", "--jobs", "1", "--quiet", "--output", str(folder / "transfer.json")]
    return main([*command, "--workspace", str(folder)])


def test_imported_features_of_two_corpora(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_corpora(tmp_path)
    assert transfer(tmp_path) == 1
    error = capsys.readouterr().err
    assert "not of the same encoder" in error
    assert "declare it: ser store import --encoder NAME" in error
    space = two_corpora(tmp_path, "--encoder", "hubert-large")
    assert load_tensors("d", space, scheme="native").stores["audio"]["identity"]["declared_encoder"] == "hubert-large"
    assert transfer(tmp_path) == 0
    stamps = json.dumps(json.loads((tmp_path / "transfer.json").read_text())["stamps"])
    assert "imported features of hubert-large by declaration: audio" in stamps


def test_a_declaration_does_not_make_other_features_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_corpora(tmp_path, "--encoder", "audio=hubert-large", dims=(4, 5))
    assert transfer(tmp_path) == 1
    assert "a difference in dim, names_sha256" in capsys.readouterr().err


def test_a_declaration_of_features_in_another_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_corpora(tmp_path, "--encoder", "hubert-large")
    file = tmp_path / "e.csv"
    file.write_text(file.read_text().replace("f0,f1", "f1,f0", 1))
    words = ["store", "import", "--dataset", "e", "--features", f"audio={file}", "--encoder", "hubert-large"]
    assert main([*words, "--overwrite", "--workspace", str(tmp_path)]) == 0
    capsys.readouterr()
    assert transfer(tmp_path) == 1
    assert "in another order. ser store import --columns" in capsys.readouterr().err


def test_a_declaration_is_of_a_store_of_the_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("id,label,f0\nu1,sad,1\nu2,angry,2\n")
    words = [f"audio={tmp_path / 'a.csv'}", f"visual={tmp_path / 'a.csv'}"]
    with pytest.raises(ConfigError, match="--encoder x of which store"):
        make(tmp_path, *words, encoders={"": "x"})
    with pytest.raises(ConfigError, match="--encoder without a name"):
        make(tmp_path, words[0], encoders={"": ""})
    with pytest.raises(ConfigError, match="unknown store of this import: 'text'"):
        make(tmp_path, *words, encoders={"text": "x"})
    twice = ["store", "import", "--dataset", "d", "--features", words[0], "--encoder", "x", "--encoder", "y"]
    assert main([*twice, "--workspace", str(tmp_path)]) == 2
    assert "--encoder has one store twice; expected each store once; found x, y" in capsys.readouterr().err


def test_ids_are_the_same_however_their_accents_are_encoded(tmp_path: Path) -> None:
    """macOS writes the names of files with accents apart from their letters."""
    (tmp_path / "npy").mkdir()
    for name in ("fu\u0308r", "b"):
        np.save(tmp_path / "npy" / f"{name}.npy", np.ones(2))
    (tmp_path / "labels.csv").write_text("id,label\nf\u00fcr,sad\nb,angry\n")
    space = make(tmp_path, f"audio={tmp_path / 'npy'}", f"labels={tmp_path / 'labels.csv'}")
    assert sorted(load_table("d", space).ids) == ["b", "f\u00fcr"]
    (tmp_path / "more.csv").write_text("id,f0\nfu\u0308r,1\nb,2\n")
    make(tmp_path, f"visual={tmp_path / 'more.csv'}")
    assert set(FeatureStore(space.store("d", "visual")).ids) == {"b", "f\u00fcr"}
