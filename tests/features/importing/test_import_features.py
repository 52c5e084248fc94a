"""Features made elsewhere become a table and stores: joined by id, or by row where that is asked for; never by chance."""

import gzip
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.cli import main
from ser.errors import ConfigError, CorpusError, StoreError
from ser.features.importing.feature_files import parse
from ser.features.importing.import_features import import_features
from ser.features.importing.loading import ImportOptions
from ser.features.stores.store import FeatureStore
from ser.features.tensors import load_tensors
from ser.metadata.table import load_table
from ser.workspace import Workspace

RNG = np.random.default_rng(0)
SIZES = {"train": 30, "test": 12}
LABELS = {part: (np.arange(n) * 7 % 5 < 2).astype(int) for part, n in SIZES.items()}
DIMS = {"text": 4, "audio": 3, "visual": 5}


def features(part: str, modality: str) -> Any:
    """Features that tell the labels apart, `(n, D)`."""
    seed = np.random.default_rng([list(SIZES).index(part), DIMS[modality]])
    return (seed.normal(size=(SIZES[part], DIMS[modality])) + 2 * LABELS[part][:, None]).round(4)


@pytest.fixture
def mosi(tmp_path: Path) -> Path:
    """Files as MOSI's: gzipped CSV without a header, quoted numbers, the label last."""
    for part in SIZES:
        for modality in DIMS:
            rows = np.column_stack([features(part, modality), LABELS[part]]).astype(str)
            text = "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows) + "\n"
            with gzip.open(tmp_path / f"{modality}_{part}0.csv.gz", "wt") as file:
                file.write(text)
    return tmp_path


def aligned(folder: Path, *more: str, dataset: str = "mosi") -> list[str]:
    files = [word for part in SIZES for m in DIMS for word in (f"--{part}", f"{m}={folder / f'{m}_{part}0.csv.gz'}")]
    return ["store", "import", "--dataset", dataset, "--workspace", str(folder), *files, *more]


NAMED = ("--rows", "--label", "-1", "--label-names", "negative,positive")


def test_aligned_csv_of_three_modalities(mosi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(aligned(mosi, *NAMED)) == 0
    assert "mosi visual: 42 utterances, visual, utterance level, 5" in capsys.readouterr().out
    frame = load_table("mosi", mosi).frame
    assert frame["utterance_id"].tolist()[28:32] == ["train-0029", "train-0030", "test-0001", "test-0002"]
    assert frame["label"].tolist() == [("negative", "positive")[k] for p in SIZES for k in LABELS[p]]
    assert set(frame["emotion"]) == {"other"}  # sentiment is not an emotion
    data = load_tensors("mosi", mosi, scheme="native")
    assert data.classes == ("negative", "positive")
    assert data.modalities == set(DIMS)
    for block in data.blocks:
        expected = np.concatenate([features(p, block.modality) for p in SIZES])
        np.testing.assert_allclose(block.values, expected, rtol=1e-6)
    identity = data.stores["text"]["identity"]
    assert identity["model"] == "imported"
    whole = hashlib.sha256((mosi / "text_train0.csv.gz").read_bytes()).hexdigest()
    assert identity["files"]["train text_train0.csv.gz"] == whole


def test_labels_may_be_ratings(mosi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rated = ("--rows", "--label", "-1", "--rating", "sentiment:0:1")
    assert main(aligned(mosi, *rated)) == 0
    assert "42 utterances; ratings: sentiment of 42" in capsys.readouterr().out
    table = load_table("mosi", mosi)
    assert table.dimensions == {"sentiment": {"low": 0, "high": 1}}
    assert set(table.frame["label"]) == set(table.frame["emotion"]) == {""}
    data = load_tensors("mosi", mosi, target="sentiment")
    assert data.values is not None
    raw = data.values * data.unit[1] + data.unit[0] if data.unit is not None else data.values
    np.testing.assert_allclose(raw[:, 0], np.concatenate([LABELS[p] for p in SIZES]))
    assert main(aligned(mosi, *rated)) == 0  # the same again
    (mosi / "metadata" / "mosi.csv").write_text(
        (mosi / "metadata" / "mosi.csv").read_text().replace("train,1\n", "train,0.5\n")
    )
    table = load_table("mosi", mosi)
    capsys.readouterr()
    for more, said in (
        (rated, "in the files and 0.5 in the table of mosi"),
        ((*NAMED, "--rating", "sentiment:0:1"), "--rating says that labels are numbers, --label-names that they are classes"),
        (
            (*rated[:-1], "sentiment:0:5"),
            "--rating sentiment:0:5 is another scale than that of mosi's table; expected sentiment:0:1",
        ),
        ((*rated[:-1], "anger:0:1"), "--rating anger: the table of mosi has no such ratings; expected one of sentiment"),
    ):
        assert main(aligned(mosi, *more)) == (1 if "in the files" in said else 2)
        assert said in capsys.readouterr().err
    with gzip.open(mosi / "text_test0.csv.gz", "rt") as file:
        text = file.read().replace('"1.0"\n', '"good"\n')
    with gzip.open(mosi / "text_test0.csv.gz", "wt") as file:
        file.write(text)
    assert main(aligned(mosi, *rated, dataset="other")) == 1
    assert "text_test0.csv.gz: label 'good'; expected a rating" in capsys.readouterr().err


RATINGS = [-2.4, 0.5, 2.9999, -1.0, 0.0, 3.2]  # means of several raters, one outside of the scale of 3


def test_ratings_are_any_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space, values = Workspace(tmp_path), RNG.normal(size=(6, 3))
    np.save(tmp_path / "x.npy", values.astype(np.float32))
    np.save(tmp_path / "y.npy", np.array(RATINGS, dtype=np.float32).reshape(-1, 1, 1))  # as MOSI's files have them
    lines = [
        f"u{k},{rating!r},{','.join(map(repr, row.tolist()))}"
        for k, (rating, row) in enumerate(zip(RATINGS, values, strict=True))
    ]
    lines.insert(0, f"u9,,{'0.1,' * 2}0.1")
    (tmp_path / "t.csv").write_text("\n".join(["utterance_id,label,f0,f1,f2", *lines]) + "\n")
    words = ["store", "import", "--workspace", str(tmp_path), "--rating", "sentiment:-4:4"]
    arrays = ["--rows", "--train", f"audio={tmp_path / 'x.npy'}", "--train", f"labels={tmp_path / 'y.npy'}"]
    assert main([*words, "--dataset", "arrays", *arrays]) == 0
    assert main([*words, "--dataset", "csv", "--features", f"text={tmp_path / 't.csv'}"]) == 0
    csv, npy = (load_table(name, space) for name in ("csv", "arrays"))
    np.testing.assert_array_equal(csv.frame["sentiment"], [np.nan, *RATINGS])
    capsys.readouterr()
    assert main([*words[:-1], "sentiment:-3:3", "--dataset", "narrow", "--features", f"text={tmp_path / 't.csv'}"]) == 1
    assert "ratings of sentiment: 1 of 6 values lie outside" in capsys.readouterr().err
    np.testing.assert_allclose(npy.frame["sentiment"], RATINGS, rtol=1e-7)
    # The same rating in another precision is the same; a rating that one file lacks is that of the other.
    (tmp_path / "u.csv").write_text(
        (tmp_path / "t.csv").read_text().replace(",-2.4,", ",-2.4000000953674316,").replace(",0.5,", ",,")
    )
    both = ["--features", f"audio={tmp_path / 'u.csv'}", "--features", f"text={tmp_path / 't.csv'}"]
    assert main([*words, "--dataset", "both", *both]) == 0
    np.testing.assert_allclose(load_table("both", space).frame["sentiment"], [np.nan, *RATINGS], rtol=1e-6)
    for old, new, said in (
        (",-2.4,", ",-2.3,", "label of u0; expected -2.3, as in the other files; found -2.4"),
        (",-2.4,", ",inf,", "label 'inf'; expected a rating, as --rating says: a finite number"),
        (",-2.4,", ",good,", "label 'good'; expected a rating"),
    ):
        (tmp_path / "u.csv").write_text((tmp_path / "t.csv").read_text().replace(old, new))
        assert main([*words, "--dataset", "other", *both]) == 1
        assert said in capsys.readouterr().err
    assert main([*words[:-2], "--dataset", "other", *arrays]) == 1
    assert "expected the number of a class. Ratings are imported with --rating NAME:LOW:HIGH." in capsys.readouterr().err


def test_ratings_of_dialogues(tmp_path: Path) -> None:
    ids, lengths = {"a": ["a-1", "a-2"], "b": ["b-1"]}, {"a": 2, "b": 1}
    labels = {"a": [-2.4, 1.0], "b": [0.5]}
    text = {dialogue: [np.full(3, k + 0.5) for k in range(n)] for dialogue, n in lengths.items()}
    path = tmp_path / "talks.pkl"
    path.write_bytes(pickle.dumps((ids, labels, text, ["a"], ["b"])))
    fields = ["ids", "labels", "text", "train", "test"]
    import_features("talks", Workspace(tmp_path), (), ImportOptions(rating="sentiment:-3:3"), pickle=path, fields=fields)
    frame = load_table("talks", tmp_path).frame
    assert dict(zip(frame["utterance_id"], frame["sentiment"], strict=True)) == {"a-1": -2.4, "a-2": 1.0, "b-1": 0.5}
    np.save(tmp_path / "x.npy", RNG.normal(size=(2, 2, 3)))
    np.save(tmp_path / "n.npy", np.array([2, 1]))
    np.save(tmp_path / "y.npy", np.array([[0.0, 1.0], [-2.4, 0.0]]))
    words = [f"{what}={tmp_path / name}.npy" for what, name in (("text", "x"), ("lengths", "n"), ("labels", "y"))]
    options = ImportOptions(rows=True, axis="turns", rating="sentiment:-3:3")
    import_features("turns", Workspace(tmp_path), [parse(word, "train") for word in words], options)
    assert load_table("turns", tmp_path).frame["sentiment"].tolist() == [0.0, 1.0, -2.4]


@pytest.mark.parametrize("head", ["early", "cross_attention", "sklearn:LogisticRegression"])
def test_heads_train_on_three_imported_modalities(mosi: Path, head: str) -> None:
    assert main(aligned(mosi, *NAMED)) == 0
    options = ["--scheme", "native", "--protocol", "official", "--runs", "1", "--head", head, "--jobs", "1"]
    options += [] if ":" in head else ["--epochs", "15", "--lr", "0.01", "--head-option", "hidden=16"]
    output = mosi / "out.json"
    assert main(["fit", "--dataset", "mosi", "--workspace", str(mosi), *options, "--output", str(output), "--quiet"]) == 0
    summary = json.loads(output.read_text())
    assert set(summary["data"]["stores"]) == set(DIMS)
    assert summary["test"]["WA"]["mean"] > 0.7
    assert main(["audit", "--dataset", "mosi", "--workspace", str(mosi)]) == 3  # speakers are not known
    assert main(["store", "verify", "--workspace", str(mosi)]) == 0


def test_extract_has_nothing_to_do(mosi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(aligned(mosi, *NAMED)) == 0
    assert main(["extract", "--dataset", "mosi", "--workspace", str(mosi)]) == 1
    assert "neither audio nor text" in capsys.readouterr().err


def test_again_is_nothing_new_and_other_files_are_refused(mosi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(aligned(mosi, *NAMED)) == 0
    before = load_tensors("mosi", mosi, scheme="native").stores
    assert main(aligned(mosi, *NAMED)) == 0
    after = load_tensors("mosi", mosi, scheme="native").stores
    assert {n: s["features_sha256"] for n, s in after.items()} == {n: s["features_sha256"] for n, s in before.items()}
    file = mosi / "text_test0.csv.gz"
    content = gzip.decompress(file.read_bytes())
    file.write_bytes(gzip.compress(content.replace(b"1", b"2", 1)))
    assert main(aligned(mosi, *NAMED)) == 1
    assert "was made with other settings: files.test text_test0.csv.gz" in capsys.readouterr().err
    assert main(aligned(mosi, *NAMED, "--overwrite")) == 0


def test_rows_are_not_joined_unless_asked(mosi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(aligned(mosi, "--label", "-1")) == 2
    assert "does not say which utterance a row is of" in capsys.readouterr().err
    assert not (mosi / "metadata").exists()


@pytest.mark.parametrize(("change", "said"), [("label", "the same labels"), ("row", "30 rows in both; found 29")])
def test_files_that_are_not_aligned(mosi: Path, change: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = mosi / "audio_train0.csv.gz"
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    if change == "label":
        lines[4] = lines[4][: lines[4].rindex(",")] + (',"1.0"' if LABELS["train"][4] == 0 else ',"0.0"')
    else:
        del lines[4]
    file.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert main(aligned(mosi, *NAMED)) == 1
    error = capsys.readouterr().err
    assert "are not aligned by row" in error
    assert said in error
    assert change != "label" or "in row 5" in error


def make(folder: Path, *words: str, dataset: str = "d", part: str = "", **options: Any) -> Workspace:
    space = Workspace(folder / "ws")
    import_features(dataset, space, [parse(word, part) for word in words], ImportOptions(**options))
    return space


def test_ids_join_files_in_any_order(tmp_path: Path) -> None:
    values = RNG.normal(size=(6, 2)).astype(np.float32)
    ids = [f"0{k}" for k in range(6)]  # not numbers: 01 is not 1
    facts = {"name": ids, "speaker": list("aabbcc"), "set": ["train"] * 4 + ["dev", "test"], "emotion": ["sad", "joy"] * 3}
    frame = pd.DataFrame({**facts, "f1": values[:, 0], "f2": values[:, 1]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    order = [3, 1, 0, 5, 4, 2]
    np.savez(tmp_path / "b.npz", ids=np.array(ids)[order], features=10 * values[order])
    np.save(tmp_path / "c.npy", 100 * values[order])
    np.save(tmp_path / "ids.npy", np.array(ids)[order])
    space = make(tmp_path, f"audio={tmp_path / 'a.csv'}", f"text={tmp_path / 'b.npz'}", id_column="name")
    table = load_table("d", space).frame
    assert table["speaker"].tolist() == list("aabbcc")
    assert table["emotion"].tolist() == ["sadness", "happiness"] * 3
    assert table["split"].tolist() == ["train"] * 4 + ["validation", "test"]
    make(tmp_path, f"visual:face={tmp_path / 'c.npy'}", f"ids={tmp_path / 'ids.npy'}")
    for store, times in (("audio", 1), ("text", 10), ("face", 100)):
        read = FeatureStore(space.store("d", store)).read(ids)
        np.testing.assert_allclose(np.asarray(read), times * values, rtol=1e-6)


def test_a_folder_of_frames_joins_a_table_that_is_there(tmp_path: Path, maker: Any) -> None:
    maker.table("toy", speakers=3, each=1)
    ids = load_table("toy", maker.space).ids
    folder = tmp_path / "openface"
    folder.mkdir()
    frames = {i: RNG.normal(size=(k % 4 + 1, 3)) for k, i in enumerate(ids[:-2])}
    for utterance, values in frames.items():
        np.save(folder / f"{utterance}.npy", values)
    np.save(folder / f"{ids[-2]}.npy", np.full((2, 3), np.nan))
    np.save(folder / "someone-else.npy", np.zeros((2, 3)))
    kept = import_features("toy", maker.space, [parse(f"visual:openface={folder}")])
    assert kept[0].failed == 2
    assert "1 that are not in the table left out" in kept[0].line
    store = FeatureStore(maker.space.store("toy", "openface"))
    assert (store.level, store.modality, store.ids) == ("frame", "visual", ids[:-2])
    np.testing.assert_array_equal(store[ids[3]], frames[ids[3]].astype(np.float32))
    failed = pd.read_csv(maker.space.features("toy") / "openface.failures.csv")
    assert failed["reason"].tolist() == ["features that are not finite", "not in the files that were imported"]
    data = load_tensors("toy", maker.space, scheme="4")
    assert len(data.frame) == len(ids) - 2
    assert data.dropped == {"no openface features": 2}


def test_padded_frames_and_masks(tmp_path: Path) -> None:
    values, lengths = RNG.normal(size=(4, 5, 2)), np.array([5, 1, 3, 2])
    np.save(tmp_path / "x.npy", values)
    np.save(tmp_path / "n.npy", np.arange(5) < lengths[:, None])
    np.save(tmp_path / "y.npy", np.eye(3)[[0, 1, 2, 1]])  # one-hot
    words = [f"{n}={tmp_path / f}.npy" for n, f in (("audio", "x"), ("lengths", "n"), ("labels", "y"))]
    with pytest.raises(ConfigError, match="--frames of an utterance, or --turns"):
        make(tmp_path, *words, rows=True)
    space = make(tmp_path, *words, rows=True, axis="frames", label_names=("anger", "joy", "sad"))
    store = FeatureStore(space.store("d", "audio"))
    assert [len(store[i]) for i in store.ids] == lengths.tolist()
    assert load_table("d", space).frame["emotion"].tolist() == ["anger", "happiness", "sadness", "happiness"]


def test_turns_of_dialogues(tmp_path: Path) -> None:
    values, lengths = RNG.normal(size=(3, 4, 2)).astype(np.float32), np.array([4, 1, 2])
    labels = RNG.integers(0, 2, size=(3, 4))
    arrays = {"text": values, "lengths": lengths, "labels": labels, "visual": values * 2}
    np.savez(tmp_path / "all.npz", **arrays)
    words = [f"{name}={tmp_path / 'all.npz'}:{name}" for name in arrays]
    space = make(tmp_path, *words, part="train", rows=True, axis="turns")
    frame = load_table("d", space).frame
    assert frame["dialogue"].tolist() == ["train-0000"] * 4 + ["train-0001"] + ["train-0002"] * 2
    assert frame["turn"].tolist() == [0, 1, 2, 3, 0, 0, 1]
    real = [(d, t) for d, n in enumerate(lengths) for t in range(n)]
    assert frame["label"].tolist() == [str(labels[d, t]) for d, t in real]
    read = FeatureStore(space.store("d", "visual")).read(list(frame["utterance_id"]))
    np.testing.assert_array_equal(read, [2 * values[d, t] for d, t in real])


def dialogue_tuple() -> tuple[Any, ...]:
    """As IEMOCAP_features.pkl: dicts by dialogue, the parts as sets."""
    rng = np.random.default_rng(1)
    names = {f"Ses0{s}{g}_impro0{k}": int(rng.integers(3, 7)) for s in (1, 2, 3, 5) for g in "FM" for k in (1, 2)}
    ids = {d: [f"{d}_{'FM'[t % 2]}{t:03d}" for t in range(n)] for d, n in names.items()}
    labels = {d: rng.integers(0, 6, n).tolist() for d, n in names.items()}
    vectors = [
        {d: [rng.normal(size=dim) + np.array(labels[d][t]) for t in range(n)] for d, n in names.items()} for dim in (4, 3, 5)
    ]
    who = {d: ["FM"[t % 2] for t in range(n)] for d, n in names.items()}
    said = {d: [f"that’s turn {t}".encode().decode("latin-1") for t in range(n)] for d, n in names.items()}
    test = {d for d in names if d.startswith("Ses05")}
    return (ids, who, labels, *vectors, said, set(names) - test, test)


def test_a_pickle_of_dialogues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = dialogue_tuple()
    file = tmp_path / "IEMOCAP_features.pkl"
    file.write_bytes(pickle.dumps(content, 2))
    command = ["store", "import", "--dataset", "talks", "--pickle", str(file), "--workspace", str(tmp_path)]
    assert main(command) == 0
    assert "read as happiness, sadness, neutral, anger, excitement, frustration" in capsys.readouterr().out
    frame = load_table("talks", tmp_path).frame.set_index("utterance_id")
    ids, _, labels, text, audio, visual, *_ = content
    names = ("happiness", "sadness", "neutral", "anger", "excitement", "frustration")
    expected = {i: names[labels[d][t]] for d in ids for t, i in enumerate(ids[d])}
    assert frame["emotion"].to_dict() == expected
    row = frame.loc["Ses02M_impro01_M001"]
    assert (row["speaker"], row["gender"], row["session"], row["turn"]) == ("Ses02M", "male", "Ses02", 1)
    assert (row["dialogue"], row["split"], row["text"]) == ("Ses02M_impro01", "train", "that’s turn 1")
    for store, vectors in (("text", text), ("audio", audio), ("visual", visual)):
        read = np.asarray(FeatureStore(Workspace(tmp_path).store("talks", store)).read(list(expected)))
        np.testing.assert_allclose(read, [v for d in ids for v in vectors[d]], rtol=1e-6)
    options = ["--scheme", "native", "--context", "dialogue", "--head", "text_centred", "--epochs", "1", "--runs", "1"]
    assert main(["fit", "--dataset", "talks", "--workspace", str(tmp_path), *options, "--jobs", "1", "--quiet"]) == 0


def test_arrangements_that_are_not_known(tmp_path: Path) -> None:
    _, who, labels, text, audio, _, _, train, test = dialogue_tuple()
    file = tmp_path / "other.pkl"
    file.write_bytes(pickle.dumps((labels, audio, text, who, train, test)))
    space = Workspace(tmp_path / "ws")
    with pytest.raises(ConfigError, match=r"not known.*1: 16 dialogues of vectors of 3.*Name them with --fields"):
        import_features("x", space, pickle=file)
    with pytest.raises(ConfigError, match="sentences as member 1"):
        import_features("x", space, pickle=file, fields=["labels", "sentences", "text", "speakers", "train", "test"])
    import_features("x", space, pickle=file, fields=["labels", "audio:opensmile", "text", "-", "train", "test"])
    assert space.stores("x") == ["opensmile", "text"]
    assert load_table("x", space).ids[0] == f"{min(train)}-000"
    text[min(train)].pop()
    file.write_bytes(pickle.dumps((labels, audio, text, who, train, test)))
    with pytest.raises(CorpusError, match=f"dialogue {min(train)}.*as many turns"):
        import_features("y", space, pickle=file, fields=["labels", "audio", "text", "-", "train", "test"])


def test_pickles_of_padded_dialogues(tmp_path: Path) -> None:
    """As text.pickle, audio.pickle, video.pickle: (data, labels) of each part, the longest, and lengths of each part."""
    rng = np.random.default_rng(2)
    counts = {"train": np.array([3, 1, 2]), "test": np.array([2, 3])}
    labels = {p: rng.integers(0, 2, (len(n), 3)) for p, n in counts.items()}
    data = {m: {p: rng.normal(size=(len(n), 3, 2)) for p, n in counts.items()} for m in DIMS}
    for modality, own in data.items():
        whole = (own["train"], labels["train"], own["test"], labels["test"], 3, counts["train"], counts["test"])
        (tmp_path / f"{modality}.pickle").write_bytes(pickle.dumps(whole, 2))
    space = make(tmp_path, *(f"{m}={tmp_path / m}.pickle" for m in DIMS), label_names=("no", "yes"))
    frame = load_table("d", space).frame
    assert frame["split"].tolist() == ["train"] * 6 + ["test"] * 5
    real = [(p, d, t) for p, n in counts.items() for d, k in enumerate(n) for t in range(k)]
    assert frame["label"].tolist() == [("no", "yes")[labels[p][d, t]] for p, d, t in real]
    read = FeatureStore(space.store("d", "audio")).read(list(frame["utterance_id"]))
    np.testing.assert_allclose(np.asarray(read), [data["audio"][p][d, t] for p, d, t in real], rtol=1e-6)


def test_an_entry_of_a_pickle(tmp_path: Path) -> None:
    content = {"train": {"vision": RNG.normal(size=(3, 2)), "id": ["a$1", "a$2", "b$1"], "y": [0, 1, 1]}}
    (tmp_path / "all.pkl").write_bytes(pickle.dumps(content))
    at = f"{tmp_path / 'all.pkl'}:train"
    space = make(tmp_path, f"visual={at}/vision", f"ids={at}/id", f"labels={at}/y", part="train")
    assert FeatureStore(space.store("d", "visual")).ids == ["a$1", "a$2", "b$1"]
    with pytest.raises(ConfigError, match="no entry 'sound'; found vision, id, y"):
        make(tmp_path, f"audio={at}/sound", part="train")


def test_what_cannot_be_imported_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    (tmp_path / "t.csv").write_text("id,f0,word\na,1,hello\nb,2,you\n")
    for words, options, error, said in (
        ([f"audio={tmp_path / 'x.npy'}"], {"rows": True}, CorpusError, "the files have no labels"),
        ([f"sound={tmp_path / 'x.npy'}"], {}, ConfigError, "NAME one of audio, text, visual"),
        ([f"audio={tmp_path / 'y.npy'}"], {}, ConfigError, "there is no"),
        ([f"audio={tmp_path / 'objects.npy'}"], {"rows": True}, CorpusError, "array of numbers or texts"),
        ([f"audio={tmp_path / 't.csv'}"], {}, CorpusError, "column 'word' holds texts"),
        ([f"audio={tmp_path / 'x.npy'}"], {"rows": True, "label": "5"}, ConfigError, "there is no column 5"),
    ):
        with pytest.raises(error, match=said):  # type: ignore[call-overload]
            make(tmp_path, *words, **options)  # type: ignore[arg-type]
    make(tmp_path, f"audio={tmp_path / 'x.npy'}", rows=True, label="-1")
    (tmp_path / "t.csv").write_text("id,f0\na,1\nb,2\n")
    with pytest.raises(StoreError, match="none of its 2 utterances is in the table of d; expected ids such as row-0"):
        make(tmp_path, f"text={tmp_path / 't.csv'}")


def test_what_is_exported_can_be_imported(tmp_path: Path, maker: Any) -> None:
    from ser.features.export import export

    maker.table("toy", speakers=3, each=1)
    for name, framewise in (("pooled", False), ("frames", True)):
        maker.store("toy", name, framewise=framewise)
        with FeatureStore(maker.space.store("toy", name)) as store:
            file = export(store, tmp_path / f"{name}.npz")
            import_features("toy", maker.space, [parse(f"audio:again-{name}={file}")])
            again = FeatureStore(maker.space.store("toy", f"again-{name}"))
            assert again.ids == store.ids
            assert all((again[i] == store[i]).all() for i in store.ids)
