"""`ser metadata` and `ser corpora` from the command line."""

import json
from pathlib import Path

import pytest

from ser import registry
from ser.cli import main
from ser.metadata.corpora._example import write_text
from ser.metadata.corpus import CORPORA, corpus
from ser.metadata.table import load_table

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab\nsize 66044\n"


def run(tmp_path: Path, *words: object) -> int:
    return main([*map(str, words), "--workspace", str(tmp_path / "w")])


def test_a_corpus_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = corpus("cremad").example(tmp_path / "tree")
    assert run(tmp_path, "metadata", "--dataset", "cremad", "--root", root) == 0
    out = capsys.readouterr().out
    for part in ("4 utterances, 3 speakers", "sadness 2", "Open Database License", "the release has 7442 utterances"):
        assert part in out
    table = load_table("cremad", tmp_path / "w")
    assert table.root == root.resolve()
    assert table.has("age")
    assert json.loads((tmp_path / "w/metadata/cremad.json").read_text())["counts"]["utterances"] == 4


def test_ones_own_folder_and_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(tmp_path, "metadata", "--dataset", "mine", "--format", "folder", "--root", corpus("folder").example(tmp_path / "f"))
        == 0
    )
    assert "note: folders that are not known emotion words (emotion: other): whispered" in capsys.readouterr().out
    assert run(tmp_path, "metadata", "--dataset", "mine", "--from", corpus("csv").example(tmp_path / "c")) == 0
    assert "this replaces the table made by folder from" in capsys.readouterr().err
    assert (
        run(tmp_path, "metadata", "--dataset", "j", "--format", "jsonl", "--from", corpus("jsonl").example(tmp_path / "j")) == 0
    )
    assert "without audio: 1 of 2 utterances" in capsys.readouterr().out
    assert load_table("mine", tmp_path / "w").facts["corpus"] == "csv"
    (tmp_path / "s.csv").write_text("text,label,speaker\na,angry,1\nb,sad,\nc,sad,1\n")
    assert run(tmp_path, "metadata", "--dataset", "s", "--from", tmp_path / "s.csv") == 0
    said = capsys.readouterr().out
    assert "3 utterances, 1 speaker, " in said
    assert "without a speaker: 1 of 3 utterances" in said


def test_a_table_and_the_folder_of_its_audio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = corpus("csv").example(tmp_path / "c")
    (tmp_path / "c" / "audio").rename(tmp_path / "audio")
    words = ("metadata", "--dataset", "mine", "--from", table, "--root")
    assert run(tmp_path, *words, tmp_path) == 0
    assert load_table("mine", tmp_path / "w").root == tmp_path.resolve()
    assert run(tmp_path, *words, table) == 2
    assert "with --from, the folder that the table's paths are relative to" in capsys.readouterr().err
    assert run(tmp_path, *words, tmp_path, "--format", "emobox") == 2
    assert "emobox knows where its audio lies" in capsys.readouterr().err


def test_some_unreadable_files_end_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = corpus("emodb").example(tmp_path / "tree")
    write_text(root / "wav" / "03a01Wa.wav", POINTER)
    assert run(tmp_path, "metadata", "--dataset", "emodb", "--root", root, "--quiet") == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "1 of 4 audio files cannot be used: Git LFS pointer 1 (wav/03a01Wa.wav)" in said.err
    assert len(load_table("emodb", tmp_path / "w").frame) == 4


def test_pointers_only_is_one_clear_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = corpus("cremad").example(tmp_path / "tree")
    for wav in root.rglob("*.wav"):
        wav.write_text(POINTER)
    assert run(tmp_path, "metadata", "--dataset", "cremad", "--root", root, "--quiet") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "all 4 audio files" in said
    assert "git lfs pull" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "emodb"], "--root"),
        (["--dataset", "emodb", "--root", ".", "--from", "x.csv", "--format", "emodb"], "there is no x.csv"),
        (["--dataset", "nosuch", "--root", "."], "unknown corpus 'nosuch'"),
        (["--dataset", "emodb", "--root", "/nowhere"], "there is no /nowhere"),
        (["--dataset", "a/b", "--format", "folder", "--root", "."], "cannot be the name of a dataset"),
        (["--dataset", "mine", "--format", "tarball", "--root", "."], "tarball"),
    ],
)
def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert run(tmp_path, "metadata", *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_corpora_lists_every_plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "corpora") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["name", *registry.names(CORPORA)]


@pytest.mark.parametrize("name", registry.names(CORPORA))
def test_corpora_describes_one(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = registry.load(CORPORA, name)
    assert run(tmp_path, "corpora", name) == 0
    out = capsys.readouterr().out
    assert plugin.CITATION in out
    assert plugin.LICENCE in out
    assert all(line in out for line in plugin.TREE.strip("\n").splitlines())


def test_corpora_of_no_such_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "corpora", "emodbb") == 2
    assert "Did you mean 'emodb'?" in capsys.readouterr().err
