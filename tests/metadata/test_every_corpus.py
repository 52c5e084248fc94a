"""One test for every corpus plugin, those of tomorrow too. A plugin's own `example(root)` writes the tree."""

from pathlib import Path

import pytest

from ser import registry
from ser.checks import corpora
from ser.metadata.build import build
from ser.metadata.corpus import CORPORA, corpus
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
    corpora.states_facts(name)


def test_an_example_tree_is_parsed(name: str, root: Path) -> None:
    corpora.parses_its_example(name, root)


def test_a_parse_is_the_same_twice_and_blind_to_hidden_files(name: str, root: Path) -> None:
    corpora.parses_the_same_twice(name, root)


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
    corpora.refuses_something_else(name, tmp_path)
