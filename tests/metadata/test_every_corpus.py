"""One test for every corpus plugin, those of tomorrow too. A plugin's own `example(root)` writes the tree."""

import shutil
from pathlib import Path

import pytest

from ser import registry
from ser.errors import SerError
from ser.metadata.build import build
from ser.metadata.corpus import CORPORA, corpus, parse_corpus
from ser.metadata.labels import CANONICAL
from ser.metadata.schema import COLUMNS
from ser.metadata.table import read_table, write_table
from ser.workspace import Workspace

NAMES = registry.names(CORPORA)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(name: str, tmp_path: Path) -> Path:
    plugin = corpus(name)
    for package in getattr(plugin, "PACKAGES", ()):
        pytest.importorskip(package)
    return plugin.example(tmp_path / "tree")


def test_the_facts_are_there(name: str) -> None:
    plugin = corpus(name)
    assert all(text.strip() for text in (plugin.TITLE, plugin.CITATION, plugin.LICENCE, plugin.TREE))
    assert plugin.LANGUAGE == "" or len(plugin.LANGUAGE) == 2
    assert plugin.LABELS
    assert set(plugin.LABELS.values()) <= {*CANONICAL, ""}
    for number in (plugin.UTTERANCES, plugin.SENTENCES):
        assert number is None or number > 0
    if plugin.UTTERANCES is not None:
        assert plugin.URL.startswith("http")
    assert (registry.load(CORPORA, name).__doc__ or "").strip()
    assert isinstance(getattr(plugin, "NOTES", ()), tuple)


def test_an_example_tree_is_parsed(name: str, root: Path) -> None:
    plugin = corpus(name)
    table = parse_corpus(name, root)
    frame = table.frame
    dimensions = getattr(plugin, "DIMENSIONS", {})
    assert list(frame.columns) == [*COLUMNS, *(name for name in dimensions if name not in COLUMNS)]
    for dimension, (low, high) in dimensions.items():
        assert frame[dimension].notna().any()
        assert frame[dimension].dropna().between(low, high).all()
        assert table.dimensions[dimension] == {"low": low, "high": high}
    assert len(frame) >= 2
    assert (frame["label"] != "").all()
    for label, emotion in zip(frame["label"], frame["emotion"], strict=True):
        if ";" in label:  # several at once: the emotion is that of one of them, or none
            assert emotion in {"", *(plugin.LABELS[part] for part in label.split(";"))}
            continue
        known = plugin.LABELS.get(
            label, plugin.LABELS.get(label.lower(), "other")
        )  # only one's own corpora invent labels
        assert emotion == known
        assert label in plugin.LABELS or not plugin.URL
    assert frame["path"].ne("").any()
    for path in frame["path"]:
        assert path == "" or (table.root / path).is_file()
    if plugin.LANGUAGE:
        assert (frame["language"] == plugin.LANGUAGE).all()
    if plugin.SENTENCES is not None:
        texts, prompts = (set(frame[column]) - {""} for column in ("text", "prompt"))
        assert 1 <= max(len(texts), len(prompts)) <= plugin.SENTENCES
        assert not texts or (frame["text"] != "").all()
    assert table.facts["licence"] == plugin.LICENCE or hasattr(plugin, "facts")  # the source's own
    assert table.facts["citation"] == plugin.CITATION
    assert table.facts["utterances_of_release"] == plugin.UTTERANCES
    folds = getattr(plugin, "EMOBOX_FOLDS", None)
    if folds is not None:
        assert len({speaker for fold in folds for speaker in fold}) == sum(map(len, folds))
        assert set(frame["speaker"]) <= {speaker for fold in folds for speaker in fold}


def test_a_parse_is_the_same_twice_and_blind_to_hidden_files(name: str, root: Path) -> None:
    first = parse_corpus(name, root).frame
    below = root if root.is_dir() else root.parent
    for file in [p for p in below.rglob("*") if p.is_file()]:  # as an archive made by macOS leaves them
        shutil.copy(file, file.with_name(f"._{file.name}"))
    assert parse_corpus(name, root).frame.equals(first)


def test_headers_give_durations_and_the_table_reads_back(name: str, root: Path, tmp_path: Path) -> None:
    built = build(name, root, name, quiet=True)
    frame = built.table.frame
    sound = frame["path"].str.lower().str.endswith((".wav", ".flac"))
    assert (frame.loc[sound, "duration"] > 0).all()
    assert len(built.unusable) == 0
    path = write_table(built.table, Workspace(tmp_path))
    again = read_table(path)
    assert again.frame.equals(frame)
    assert again.facts == built.table.facts


def test_a_folder_of_something_else_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("nothing here")
    with pytest.raises(SerError) as refused:
        parse_corpus(name, tmp_path / "empty")
    assert "\n" not in str(refused.value)
    with pytest.raises(SerError, match="there is no"):
        parse_corpus(name, tmp_path / "nowhere")
