"""Hugging Face datasets and audformat databases; skipped, saying so, where the package is not installed."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from ser.errors import CorpusError
from ser.metadata.build import build
from ser.metadata.corpus import corpus, parse_corpus
from ser.metadata.parsing import optional


def test_audformat_joins_tables_splits_and_speakers(tmp_path: Path) -> None:
    pytest.importorskip("audformat")
    built = build("toy", corpus("audformat").example(tmp_path), "audformat", quiet=True)
    rows = {str(row["utterance_id"]): row for row in built.table.frame.to_dict("records")}
    assert {k: (r["emotion"], r["speaker"], r["gender"], r["split"], r["duration"]) for k, r in rows.items()} == {
        "audio/a@0.0": ("anger", "s1", "female", "test", 0.5),
        "audio/a@0.5": ("happiness", "s1", "female", "test", 0.75),
        "audio/b": ("happiness", "s2", "male", "", 0.1),
    }
    assert rows["audio/a@0.0"]["age"] == 30
    assert (built.table.facts["title"], built.table.facts["licence"]) == ("toy", "CC0-1.0")
    assert set(built.table.frame["language"]) == {"de"}


def test_audformat_reads_no_pickle(tmp_path: Path) -> None:
    pytest.importorskip("audformat")
    root = corpus("audformat").example(tmp_path)
    shutil.copy(root / "db.segments.csv", root / "db.segments.pkl")  # beside a CSV it is passed over
    assert len(parse_corpus("audformat", root).frame) == 3
    (root / "db.segments.csv").unlink()
    with pytest.raises(CorpusError, match=r"db.segments.pkl is a pickle, which can run code"):
        parse_corpus("audformat", root)


def test_audformat_without_emotions_lists_its_tables(tmp_path: Path) -> None:
    package = pytest.importorskip("audformat")
    database = package.Database("toy")
    database["files"] = package.Table(package.filewise_index(["a.wav"]))
    database["files"]["mood"] = package.Column()
    database.save(str(tmp_path), storage_format="csv")
    with pytest.raises(CorpusError, match="no table has emotions; expected a column emotion; found files: mood"):
        parse_corpus("audformat", tmp_path)


def test_datasets_writes_its_audio_out_once(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    root = corpus("datasets").example(tmp_path / "d")
    frame = parse_corpus("datasets", root).frame
    assert frame["path"].tolist() == ["ser_audio/train/a.wav", "ser_audio/train/b.wav", "ser_audio/test/c.wav"]
    assert frame["emotion"].tolist() == ["happiness", "sadness", "happiness"]
    assert frame["split"].tolist() == ["train", "train", "test"]
    assert frame["speaker"].tolist() == ["s-a", "s-b", "s-c"]
    assert (root / "ser_audio/train/a.wav").read_bytes() == (tmp_path / "a.wav").read_bytes()
    before = (root / "ser_audio/train/a.wav").stat().st_mtime_ns
    parse_corpus("datasets", root)
    assert (root / "ser_audio/train/a.wav").stat().st_mtime_ns == before


def test_datasets_from_the_parquet_files_of_a_hub_repository(tmp_path: Path) -> None:
    package = pytest.importorskip("datasets")
    saved = package.load_from_disk(str(corpus("datasets").example(tmp_path / "d")))
    saved["train"].to_parquet(str(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet"))
    frame = parse_corpus("datasets", tmp_path / "hub").frame
    assert frame["emotion"].tolist() == ["happiness", "sadness"]
    assert set(frame["split"]) == {"train"}


def test_lists_of_class_labels_become_their_words(tmp_path: Path) -> None:
    package = pytest.importorskip("datasets")
    words = package.ClassLabel(names=["happy", "sad", "gloom"])
    features = package.Features({"text": package.Value("string"), "labels": package.Sequence(words), "votes": [words]})
    labels = [[0, 2], [1], None, [1, None], [None]]
    votes = [[0, 0, 1, 1], [1], None, [1, None], [-1]]
    cells = {"text": list("xyzvw"), "labels": labels, "votes": votes}
    package.Dataset.from_dict(cells, features=features).to_parquet(str(tmp_path / "train-0.parquet"))
    frame = parse_corpus("datasets", tmp_path).frame
    assert frame["label"].tolist() == ["happy;gloom", "sad", "", "sad", ""]
    assert [json.loads(votes) if votes else None for votes in frame["votes"]] == [
        {"happiness": 0.5, "sadness": 0.5},
        {"sadness": 1.0},
        None,
        {"sadness": 1.0},
        None,
    ]


def test_a_package_that_is_not_there_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("ser.optional.find_spec", lambda name: None)
    with pytest.raises(CorpusError, match=r"datasets is not installed. Install it: pip install 'ser\[datasets\]'"):
        optional("datasets")
