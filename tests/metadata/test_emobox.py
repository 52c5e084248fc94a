"""EmoBox's metadata in its true layout: labels, speakers, segments, folds, and the protocol that takes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.cli import main
from ser.errors import ConfigError, CorpusError, NoCorpus
from ser.metadata.build import build, keep
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.corpus import corpus
from ser.metadata.folds.fold_file import read_folds, write_folds
from ser.metadata.folds.protocols import make_folds
from ser.metadata.table import Table, load_table
from ser.workspace import Workspace

MAP = '{"gio": "Happy", "rab": "Angry", "Neu": "Neutral", "bor": "Boredom", "x": "No-agreement", "q": "Sarcastic"}'


def emobox_line(corpus: str, name: str, emo: str, **more: object) -> dict[str, Any]:
    """An utterance as EmoBox writes it."""
    facts = {"key": f"{corpus}-{name}", "dataset": corpus, "wav": f"downloads/{corpus}/{name}.wav", "type": "raw"}
    numbers = {"sample_rate": 16000, "num_frame": 1600.0, "task": "category", "length": 0.1, "emo": emo, "channel": 1}
    return {**facts, **numbers, **more}


def json_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    return write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def source(folder: Path, corpus: str, rows: list[dict[str, Any]], speakers: list[str] | None) -> Path:
    """`data/CORPUS/CORPUS.jsonl` with its audio, map and speakers; returns the file."""
    below = folder / "data" / corpus
    for row in rows:
        write_tone(folder / row["wav"], seconds=1.0)
    if speakers is not None:
        lines = (f"{row['key']} 1 {who} 0 1.5e-05 <id={row['key']},lang=en,spk={who},emotion=e> e"
                 for row, who in zip(rows, speakers, strict=True))  # fmt: skip
        write_text(below / "data.seg.wrd.stm", "".join(f"{line}\n" for line in lines))
    write_text(below / "label_map.json", MAP)
    return json_lines(below / f"{corpus}.jsonl", rows)


def table_of(file: Path, workspace: Path, name: str) -> Table:
    keep(build(name, file, "emobox", quiet=True), Workspace(workspace))
    return load_table(name, workspace)


def test_codes_merged_labels_and_what_is_no_emotion(tmp_path: Path) -> None:
    labels = ("gio", "rab", "neu", "exc", "bor", "x", "q")
    rows = [emobox_line("emovo", f"{label}-f1-b1", label) for label in labels]
    file = source(tmp_path, "emovo", rows, ["F1"] * 6 + ["M2"])
    file.with_name("label_map.json").rename(file.with_name("label_dict.json"))  # as EMOVO has it
    built = build("emovo", file, "emobox", quiet=True)
    frame = built.table.frame
    assert frame["emotion"].tolist() == ["happiness", "anger", "neutral", "excitement", "boredom", "", "other"]
    assert frame["label"].tolist() == list(labels)
    assert frame["speaker"].tolist() == ["F1"] * 6 + ["M2"]
    assert set(frame["language"]) == {"it"}
    assert set(frame["channel"]) == {0.0}  # theirs count from 1
    assert frame["duration"].tolist() == [1.0] * 7  # the header's, not the file's word
    assert built.table.root == tmp_path
    assert built.table.facts["source_corpus"] == "emovo"
    assert [note.partition(". ")[0] for note in built.notes] == ["labels that are not known emotion words (emotion: other): q"]


def test_segments_of_one_recording(tmp_path: Path) -> None:
    rows = [{**emobox_line("pavoque", "all", "rab", start_time=a, end_time=b, channel=2), "key": f"pavoque-{a}"}
            for a, b in ((0.0, 0.25), (0.25, 0.75))]  # fmt: skip
    frame = build("p", source(tmp_path, "pavoque", rows, None), "emobox", quiet=True).table.frame
    assert frame["duration"].tolist() == [0.25, 0.5]
    assert frame["channel"].tolist() == [1.0, 1.0]
    assert (frame["speaker"] == "").all()


@pytest.mark.parametrize("form", ["fold_{}/emovo_{}_fold_{}.jsonl", "fold{}/emovo_{}_fold{}.jsonl"])
def test_folds_reach_the_protocol(tmp_path: Path, form: str) -> None:
    speakers = [f"S{k % 4}" for k in range(24)]
    rows = [emobox_line("emovo", f"{k:02d}", ("gio", "rab")[k % 2]) for k in range(24)]
    file = source(tmp_path, "emovo", rows, speakers)
    for fold in range(1, 5):
        for part in ("train", "test"):
            chosen = [r for r, s in zip(rows, speakers, strict=True) if (s == f"S{fold - 1}") == (part == "test")]
            json_lines(file.parent / form.format(fold, part, fold), chosen)
    table = table_of(file, tmp_path / "w", "emovo")
    assert table.frame["split"].eq("").all()  # several folds are not a split
    folds = make_folds("emobox", table, table.frame, np.arange(24) % 2)
    assert [f.name for f in folds] == ["1", "2", "3", "4"]
    for number, fold in enumerate(folds):
        assert set(table.frame["speaker"].iloc[fold.test]) == {f"S{number}"}
        assert sorted([*fold.train, *fold.validation, *fold.test]) == list(range(24))
        assert fold.validation_by == "speaker"


def test_validation_as_published_and_utterances_in_no_part(tmp_path: Path) -> None:
    rows = [emobox_line("meld", f"{k:02d}", ("gio", "rab")[k % 2]) for k in range(12)]
    file = source(tmp_path, "meld", rows, ["A B"] * 12)
    for part, chosen in (("train", rows[:6]), ("valid", rows[6:8]), ("test", rows[8:10])):
        json_lines(file.parent / "fold_1" / f"meld_{part}_fold_1.jsonl", chosen)
    table = table_of(file, tmp_path / "w", "meld")
    assert table.frame["split"].tolist() == ["train"] * 6 + ["validation"] * 2 + ["test"] * 2 + [""] * 2
    assert set(table.frame["speaker"]) == {"A B"}
    (fold,) = make_folds("emobox", table, table.frame, np.arange(12) % 2)
    assert [list(p) for p in (fold.train, fold.validation, fold.test)] == [list(range(6)), [6, 7], [8, 9]]
    assert (fold.validation_by, fold.carved) == ("split", False)


def test_an_older_set_of_folds_beside_is_not_taken(tmp_path: Path) -> None:
    rows = [emobox_line("emodb", f"{k}", "rab") for k in range(4)]
    file = source(tmp_path, "emodb", rows, None)
    old = [{"key": r["key"], "audio": r["wav"], "label": "rab"} for r in rows]
    json_lines(file.parent / "fold_1" / "emodb_test_fold1.jsonl", old[:3])
    json_lines(file.parent / "fold_1" / "emodb_test_fold_1.jsonl", rows[3:])
    json_lines(file.parent / "fold_1" / "emodb_train_fold_1.jsonl", rows[:3])
    assert build("e", file, "emobox", quiet=True).folds == (("1", "emodb-3", "test"),)


def test_speakers_that_are_none(tmp_path: Path) -> None:
    rows = [emobox_line("mer2023", f"{k}", "rab") for k in range(3)]
    built = build("m", source(tmp_path / "a", "mer2023", rows, ["0", "1", "2"]), "emobox", quiet=True)
    assert not built.table.has("speaker")
    assert "every file as its own speaker" in built.notes[0]
    rows = [emobox_line("mesd", f"{k}", "rab") for k in range(4)]
    built = build("m", source(tmp_path / "b", "mesd", rows, ["Female", "Male", "Child", "Male"]), "emobox",
                  quiet=True)  # fmt: skip
    assert not built.table.has("speaker")
    assert built.table.frame["gender"].tolist() == ["female", "male", "", "male"]


def test_iemocap_tells_who_speaks_not_who_wears_the_markers(tmp_path: Path) -> None:
    names = ("Ses01F_impro01_M003", "Ses01F_impro01_F000", "Ses05M_script01_1b_F012")
    rows = [emobox_line("iemocap", name, "exc") for name in names]
    frame = build("i", source(tmp_path, "iemocap", rows, ["Ses01F", "Ses01F", "Ses05M"]), "emobox",
                  quiet=True).table.frame  # fmt: skip
    assert frame["speaker"].tolist() == ["Ses01M", "Ses01F", "Ses05F"]
    assert frame["session"].tolist() == ["Ses01", "Ses01", "Ses05"]
    assert set(frame["emotion"]) == {"excitement"}


def test_from_the_command_line_by_file_and_by_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = corpus("emobox").example(tmp_path)
    words = ["metadata", "--dataset", "t", "--format", "emobox", "--workspace", str(tmp_path / "w")]
    assert main([*words, "--from", str(file)]) == 0
    said = capsys.readouterr().out
    assert "folds: 1 published, kept beside the table" in said
    assert (tmp_path / "w/metadata/folds/t.csv").read_text() == "utterance_id,fold,part,folds\ntess-OAF-back,1,test,1\n"
    assert Workspace(tmp_path / "w").datasets() == ["t"]
    assert main([*words, "--root", str(file.parent)]) == 0
    assert load_table("t", tmp_path / "w").frame["split"].tolist() == ["test", "train", "train", "train"]
    assert main(["metadata", "--dataset", "t", "--workspace", str(tmp_path / "w"), "--format", "csv", "--from",
                 str(corpus("csv").example(tmp_path / "c"))]) == 0  # fmt: skip
    assert not (tmp_path / "w/metadata/folds/t.csv").exists()  # another corpus of that name has other folds


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel": 0}, "line 1: channel; expected a whole number from 1; found 0"),
        ({"key": None}, "line 1; expected key, wav and emo, as EmoBox writes them; found no key"),
        ({"emo": None}, "found no emo"),
    ],
)
def test_what_emobox_would_not_write(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    line = {k: v for k, v in {**emobox_line("emovo", "a", "gio"), **change}.items() if v is not None}
    write_text(tmp_path / "emovo.jsonl", json.dumps(line))
    with pytest.raises(CorpusError) as refused:
        build("e", tmp_path / "emovo.jsonl", "emobox", quiet=True)
    assert message in str(refused.value)


def test_a_damaged_map_and_a_folder_of_many(tmp_path: Path) -> None:
    file = corpus("emobox").example(tmp_path)
    write_text(file.with_name("label_map.json"), "[1]")
    with pytest.raises(CorpusError, match=r"label_map.json; expected JSON such as"):
        build("t", file, "emobox", quiet=True)
    write_text(tmp_path / "many" / "a.jsonl", "")
    write_text(tmp_path / "many" / "b.jsonl", "")
    with pytest.raises(CorpusError, match=r"no EmoBox metadata; expected NAME/NAME.jsonl; found a.jsonl, b.jsonl"):
        build("t", tmp_path / "many", "emobox", quiet=True)


def test_fold_files_read_back_and_say_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    write_folds(file, [("2", "a", "test"), ("10", "b", "test"), ("10", "c", "validation"), ("2", "gone", "unused")])
    first, second = read_folds(file, pd.DataFrame({"utterance_id": ["a", "b", "c"]}))
    assert (first.name, second.name) == ("2", "10")
    assert first.train.tolist() == [1, 2]
    assert second.validation.tolist() == [2]
    file.write_text("fold,utterance_id,part\n1,a,tset\n")
    one = pd.DataFrame({"utterance_id": ["a"]})
    with pytest.raises(ConfigError, match="'tset'"):
        read_folds(file, one)
    with pytest.raises(NoCorpus, match="cannot read"):
        read_folds(tmp_path / "none.csv", one)
