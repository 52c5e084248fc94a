"""Making a table: durations from headers, files that are no audio, and what is told."""

import logging
import time
from pathlib import Path

import numpy as np
import pytest

from ser.errors import ConfigError, CorpusError
from ser.metadata.build import build, ensure_table, plugin_for
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.corpus import corpus, parse_corpus
from ser.metadata.parsing import LOG
from ser.metadata.table import make_table, read_table, write_table
from ser.workspace import Workspace

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab\nsize 66044\n"


def test_unreadable_files_have_no_duration_and_are_told_by_reason(tmp_path: Path) -> None:
    root = corpus("emodb").example(tmp_path)
    write_text(root / "wav" / "03a01Wa.wav", POINTER)
    write_text(root / "wav" / "03a01Wb.wav", POINTER)
    write_text(root / "wav" / "03a01Wc.wav", "<!DOCTYPE html><html>404</html>")
    write_text(root / "wav" / "03a01Ta.wav", "")
    write_text(root / "wav" / "03a01Tb.wav", "RIFF, but no more")
    built = build("emodb", root, quiet=True)
    frame = built.table.frame.set_index("utterance_id")
    assert frame["duration"].isna().sum() == 5
    assert frame.loc["03a01Fa", "duration"] == pytest.approx(0.25)
    line = built.unreadable.line(root)
    assert line.startswith("5 of 8 audio files cannot be read: Git LFS pointer 2 (wav/03a01Wa.wav, ...); ")
    assert all(part in line for part in ("HTML page 1", "empty 1", "not readable as audio 1", "git lfs pull"))
    assert built.table.facts["unreadable"]["Git LFS pointer"] == 2


def test_a_cremad_tree_of_pointers_gives_one_message(tmp_path: Path) -> None:
    root = corpus("cremad").example(tmp_path / "CREMA-D")
    for wav in root.rglob("*.wav"):
        wav.write_text(POINTER)
    with pytest.raises(CorpusError) as refused:
        ensure_table("cremad", Workspace(tmp_path), root)
    line = str(refused.value)
    assert "all 4 audio files" in line
    assert "are Git LFS pointers" in line
    assert f"cd {root} && git lfs install && git lfs pull" in line
    assert not (tmp_path / "metadata").exists()


def test_audio_that_is_gone_is_told(tmp_path: Path) -> None:
    file = write_text(tmp_path / "t.csv", "path,emotion\na.wav,joy\nb.wav,fear\n")
    with pytest.raises(CorpusError, match=r"2 of 2 audio files cannot be read: not there 2 \(a.wav, ...\)"):
        build("mine", file, quiet=True)
    with pytest.raises(CorpusError) as refused:
        build("mine", file, quiet=True)
    assert str(refused.value).endswith("(a.wav, ...). Check --root.")


def test_a_table_is_made_once_and_then_kept(tmp_path: Path) -> None:
    root, space, said = corpus("emodb").example(tmp_path / "emodb"), Workspace(tmp_path / "w"), []
    made = ensure_table("emodb", space, root, say=said.append, quiet=True)
    assert len(made.frame) == 3
    assert said[0].endswith("emodb.csv: 3 utterances, 3 speakers, 0.00 h, de")
    assert "the release has 535 utterances, 3 were found: 532 are missing" in said
    write_tone(root / "wav" / "03a01Wa.wav")
    said.clear()
    again = ensure_table("emodb", space, root, say=said.append)
    assert again.frame.equals(made.frame)
    assert again.facts == made.facts
    assert said == []


def test_another_root_is_told_and_used_for_the_audio(tmp_path: Path) -> None:
    first, second = corpus("emodb").example(tmp_path / "a"), corpus("emodb").example(tmp_path / "b")
    space, said = Workspace(tmp_path / "w"), []
    ensure_table("emodb", space, first, say=lambda _: None, quiet=True)
    table = ensure_table("emodb", space, second, say=said.append)
    assert table.root == second.resolve()
    assert len(said) == 1
    assert str(first) in said[0]
    assert str(second) in said[0]
    assert read_table(space.table("emodb")).root == first.resolve()  # the table itself is left as it was


def test_without_a_table_and_a_root(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="Make it with: ser metadata --dataset emodb --root DIR"):
        ensure_table("emodb", Workspace(tmp_path))


def test_which_plugin(tmp_path: Path) -> None:
    assert plugin_for("emodb", tmp_path) == "emodb"
    assert plugin_for("mine", tmp_path, "folder") == "folder"
    assert plugin_for("meld", write_text(tmp_path / "t.tsv", "")) == "csv"
    with pytest.raises(ConfigError, match=r"unknown corpus 'emodb2'.*Did you mean 'emodb'.*--format folder"):
        plugin_for("emodb2", tmp_path)
    with pytest.raises(CorpusError, match=r"there is no .*nofile\.csv$"):
        plugin_for("mine", tmp_path / "nofile.csv")
    with pytest.raises(
        ConfigError, match=r"t\.xlsx: unknown kind of table '\.xlsx'; expected .*\.csv, \.tsv.*--format"
    ):
        plugin_for("mine", write_text(tmp_path / "t.xlsx", ""))


def test_notes_are_collected_and_the_log_is_left_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = corpus("emodb").example(tmp_path)
    write_tone(root / "wav" / "other.wav")
    handlers = list(LOG.handlers)
    built = build("emodb", root, quiet=True)
    assert built.notes == ["wav files that are not named as EmoDB's are left out: 1"]
    assert built.table.facts["notes"] == built.notes
    assert LOG.handlers == handlers
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        parse_corpus("emodb", root)  # without a collector the note goes to the log
    assert "left out: 1" in caplog.text


def test_time_grows_with_the_number_of_utterances_not_its_square(tmp_path: Path) -> None:
    def seconds(number: int) -> float:
        rows = [{"utterance_id": f"u{n}", "text": f"say {n}", "votes": {"anger": 1}, "turn": n} for n in range(number)]
        begin = time.process_time()
        read_table(write_table(make_table(rows, "mine"), Workspace(tmp_path)))
        return time.process_time() - begin

    small = np.median([seconds(500) for _ in range(3)])
    assert seconds(8000) < 16 * 6 * max(small, 0.005)
