"""Making a table: durations from headers, files that are not audio, and what the user is told."""

import logging
import os
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.audio import files
from ser.errors import ConfigError, CorpusError
from ser.metadata.build import build, ensure_table, keep, plugin_for, replaced, summary_lines
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
    line = built.unusable.line(root)
    assert line.startswith("5 of 8 audio files cannot be used: Git LFS pointer 2 (wav/03a01Wa.wav, ...); ")
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
    with pytest.raises(CorpusError, match=r"2 of 2 audio files cannot be used: not there 2 \(a.wav, ...\)"):
        build("mine", file, quiet=True)
    with pytest.raises(CorpusError) as refused:
        build("mine", file, quiet=True)
    assert str(refused.value).endswith(f"Paths are relative to {tmp_path}: is the audio there, under these names?")
    file.write_text(f"path,emotion\n{tmp_path.parent}/a.wav,joy\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"not there 1 \(/.*a.wav\). Is the audio there, under these names\?"):
        build("mine", file, quiet=True)


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


def test_what_a_table_replaces_and_who_made_it_are_told(tmp_path: Path) -> None:
    root, space, said = corpus("emodb").example(tmp_path / "a"), Workspace(tmp_path / "w"), []
    table = ensure_table("emodb", space, root, say=lambda _: None, quiet=True)
    assert replaced(build("emodb", root, quiet=True), space) == []
    names = sorted(table.frame["path"])
    rows = "".join(f"{n}-1,{path},joy;fear\n" for n, path in enumerate(names)) + f"{len(names)},{names[0]},joy\n"
    built = build("emodb", write_text(root / "t.csv", f"utterance_id,path,labels\n{rows}"), quiet=True)
    space.features("emodb").mkdir(parents=True)
    space.store("emodb", "egemaps").touch()
    known, before, gone = replaced(built, space)
    assert "emodb is the name of a corpus that ser knows" in known
    assert before.startswith(f"this replaces the table made by emodb from {root}, without its ")
    assert "speaker" in before
    assert gone.startswith(f"{len(names)} of its {len(names)} utterance ids are not in the new one; features in ")
    line = next(line for line in summary_lines(built, tmp_path) if line.startswith("emotions: "))
    assert line == f"emotions: several labels (for --target labels) {len(names)}, happiness 1"
    keep(built, space)
    ensure_table("emodb", space, root, say=said.append)
    assert len(said) == 1
    assert (
        "the table in use was made by csv, not by emodb. To make the table again: ser metadata --dataset emodb --root"
        in said[0]
    )
    ensure_table("emodb", space, tmp_path, say=said.append)
    assert f"--from FILE --root {tmp_path}" in said[2]


@pytest.mark.parametrize(
    ("rating", "message"),
    [
        ("arousal:5:1", "the ends are reversed; expected NAME:LOW:HIGH, as arousal:1:5"),
        ("gender:1:3", "gender is a column with another meaning"),
    ],
)
def test_a_rating_that_cannot_be_says_why(rating: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        build("mine", tmp_path, ratings=[rating])


def test_without_a_table_and_a_root(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="Make it with: ser metadata --dataset emodb --root DIR"):
        ensure_table("emodb", Workspace(tmp_path))


def test_which_plugin(tmp_path: Path) -> None:
    assert plugin_for("emodb", tmp_path) == "emodb"
    assert plugin_for("mine", tmp_path, "folder") == "folder"
    assert plugin_for("meld", write_text(tmp_path / "t.tsv", "")) == "csv"
    with pytest.raises(ConfigError, match=r"unknown corpus 'emodb2'.*Did you mean 'emodb'.*--format folder"):
        plugin_for("emodb2", tmp_path)
    with pytest.raises(CorpusError, match=r"there is no .*nofile\.csv; expected a corpus folder after --root"):
        plugin_for("mine", tmp_path / "nofile.csv")
    with pytest.raises(ConfigError, match=r"t\.docx: unknown kind of table '\.docx'; expected .*\.csv, \.tsv.*--format"):
        plugin_for("mine", write_text(tmp_path / "t.docx", ""))


def test_notes_are_collected_and_the_log_is_left_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = corpus("emodb").example(tmp_path)
    write_tone(root / "wav" / "other.wav")
    handlers = list(LOG.handlers)
    built = build("emodb", root, quiet=True)
    assert built.notes == ["audio files that are not named as EmoDB's are left out: 1"]
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


def test_names_that_no_table_can_hold_are_listed_and_the_corpus_goes_on(tmp_path: Path) -> None:
    good = write_tone(tmp_path / "angry" / "a.wav")
    for name in (b"b\xe9.wav", b"c\nd.wav"):
        shutil.copy(good, os.fsencode(tmp_path / "angry") + b"/" + name)
    (tmp_path / "angry" / "notes.txt").write_text("x")
    (tmp_path / "angry" / "film.webm").write_bytes(b"x")
    built = build("mine", tmp_path, "folder", quiet=True)
    assert built.table.ids == ["angry/a", "angry/film"]
    assert built.unusable.reasons["a name that is not UTF-8: rename it"] == ["angry/b\\xe9.wav"]
    assert built.unusable.reasons["a control character in its name: rename it"] == ["angry/c\\nd.wav"]
    assert built.unusable.files == 4
    assert "files that are not audio by their ending (.txt 1) left out: 1" in built.notes


def test_a_path_in_another_encoding_of_accents_is_found(tmp_path: Path) -> None:
    composed, decomposed = "\u00fc", "u\u0308"
    write_tone(tmp_path / f"f{decomposed}r" / f"{decomposed}.wav")
    write_tone(tmp_path / "f" / f"{composed}.wav")
    file = write_text(
        tmp_path / "t.csv", f"path,emotion,id\nf{composed}r/{composed}.wav,joy,{decomposed}\nf/{decomposed}.wav,sad,b\n"
    )
    built = build("mine", file, quiet=True)
    assert not built.unusable
    assert built.table.frame["path"].tolist() == [f"f{decomposed}r/{decomposed}.wav", f"f/{composed}.wav"]
    assert built.table.ids == [composed, "b"]


def test_files_that_may_not_be_read_and_pipes_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tone(tmp_path / "joy" / "a.wav")
    secret = write_tone(tmp_path / "joy" / "b.wav")
    os.mkfifo(tmp_path / "joy" / "c.wav")
    monkeypatch.setattr(files, "open_regular", partial(_guarded, secret, files.open_regular))
    built = build("mine", tmp_path, "folder", quiet=True)
    assert built.unusable.reasons == {"without permission to read it": ["joy/b.wav"], "not a regular file": ["joy/c.wav"]}
    assert "chmod -R u+rX" in built.unusable.line(tmp_path)


def _guarded(secret: Path, open_: Any, path: Path) -> Any:
    if path == secret:
        raise PermissionError(13, "Permission denied")
    return open_(path)


@pytest.mark.parametrize(
    ("files_", "expected"),
    [
        (["angry/a.wav", "sad/b.wav"], [("anger", "", ""), ("sadness", "", "")]),
        (["angry/s1/a.wav", "sad/s1/b.wav"], [("anger", "s1", ""), ("sadness", "s1", "")]),
        (["s1/angry/a.wav", "s1/sad/b.wav"], [("anger", "s1", ""), ("sadness", "s1", "")]),
        (["train/angry/a.wav", "Test/sad/b.wav"], [("sadness", "", "test"), ("anger", "", "train")]),
        (["dev/s1/angry/a.wav", "train/s2/sad/b.wav"], [("anger", "s1", "validation"), ("sadness", "s2", "train")]),
        (["loud/s1/a.wav", "soft/s2/b.wav"], [("other", "s1", ""), ("other", "s2", "")]),
        (["Angry/a.wav", "angry/b.wav", "angry/c.wav"], [("anger", "", "")] * 3),
        (["angry/test/a.wav", "angry/train/b.wav"], [("anger", "", "test"), ("anger", "", "train")]),
        (["angry/s1/train/a.wav", "sad/s2/dev/b.wav"], [("anger", "s1", "train"), ("sadness", "s2", "validation")]),
        (["MyCorpus/s1/angry/a.wav", "MyCorpus/s2/sad/b.wav"], [("anger", "s1", ""), ("sadness", "s2", "")]),
        (["a/b/angry/s1/a.wav", "a/b/sad/s2/b.wav"], [("anger", "s1", ""), ("sadness", "s2", "")]),
        (["train/angry/s1/a.wav", "train/angry/s2/b.wav"], [("anger", "s1", "train"), ("anger", "s2", "train")]),
    ],
)
def test_levels_of_folders(tmp_path: Path, files_: list[str], expected: list[tuple[str, str, str]]) -> None:
    for file in files_:
        write_tone(tmp_path / file)
    frame = parse_corpus("folder", tmp_path).frame
    assert list(frame[["emotion", "speaker", "split"]].itertuples(index=False, name=None)) == expected
    assert frame["label"].nunique() == len({e for e, *_ in expected}) or "loud" in files_[0]


@pytest.mark.parametrize(
    ("files_", "expected"),
    [
        (["s1/w\u00fctend/a", "s2/froh/b"], [("w\u00fctend", "s1"), ("froh", "s2")]),
        (["w\u00fctend/s1/a", "froh/s2/b"], [("froh", "s2"), ("w\u00fctend", "s1")]),
        (["s1/01-angry/a", "s2/02-sad/b"], [("01-angry", "s1"), ("02-sad", "s2")]),
        (["wav/angry/a", "wav/sad/b"], [("angry", ""), ("sad", "")]),
        (["angry/wav/a", "sad/wav/b"], [("angry", ""), ("sad", "")]),
        (["nan/a", "angry/b"], [("angry", ""), ("", "")]),
        (["Joy/angry/a", "Joy/sad/b"], [("angry", "Joy"), ("sad", "Joy")]),
    ],
)
def test_labels_and_speakers_of_folders(tmp_path: Path, files_: list[str], expected: list[tuple[str, str]]) -> None:
    for name in files_:
        write_tone(tmp_path / f"{name}.wav")
    frame = parse_corpus("folder", tmp_path).frame
    assert list(zip(frame["label"], frame["speaker"], strict=True)) == expected


def test_folders_of_genders_sessions_and_parts_are_neither_labels_nor_speakers(tmp_path: Path) -> None:
    write_tone(tmp_path / "Test set/Session2/female/s3/angry/a.wav")
    write_tone(tmp_path / "train_1/Session1/male/s1/01-sad/b.wav")
    frame = parse_corpus("folder", tmp_path).frame
    columns = ["split", "session", "gender", "speaker", "label", "emotion"]
    assert frame[columns].to_numpy().tolist() == [
        ["test", "Session2", "female", "s3", "angry", "anger"],
        ["train", "Session1", "male", "s1", "01-sad", "sadness"],
    ]


def test_a_part_beside_folders_of_labels(tmp_path: Path) -> None:
    for name in ("train/angry/a.wav", "angry/b.wav", "sad/c.wav"):
        write_tone(tmp_path / name)
    frame = parse_corpus("folder", tmp_path).frame
    assert frame[["split", "label", "speaker"]].to_numpy().tolist() == [
        ["", "angry", ""],
        ["", "sad", ""],
        ["train", "angry", ""],
    ]


def test_files_of_a_folder_that_differ_by_their_ending_alone(tmp_path: Path) -> None:
    for name in ("joy/x.mp3", "joy/x.m4a", "joy/y.wav"):
        write_text(tmp_path / name, "x")
    assert parse_corpus("folder", tmp_path).ids == ["joy/x.m4a", "joy/x.mp3", "joy/y"]
