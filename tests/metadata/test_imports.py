"""One's own table files: column names, delimiters, values, and what is wrong with them."""

import json
from pathlib import Path

import pytest

from ser.errors import CorpusError
from ser.metadata.build import build, plugin_for
from ser.metadata.column_names import choose
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.corpus import corpus, parse_corpus


def test_csv_knows_the_usual_names_of_columns(tmp_path: Path) -> None:
    built = build("mine", corpus("csv").example(tmp_path), quiet=True)
    first, second = built.table.frame.to_dict("records")
    assert (first["utterance_id"], first["path"]) == ("audio/a", "audio/a.wav")
    assert (first["emotion"], first["label"], first["speaker"], first["gender"]) == ("anger", "angry", "01", "female")
    assert (first["text"], first["text_source"], first["split"]) == ('Well, "no".\nNever.', "corpus", "validation")
    assert (second["utterance_id"], second["start"], second["end"]) == ("audio/b@0.5", 0.5, 1.25)
    assert (second["duration"], second["text"]) == (0.75, "NA")
    assert built.notes == ["columns ignored: mood"]
    assert built.table.root == tmp_path


@pytest.mark.parametrize(("name", "delimiter"), [("t.tsv", "\t"), ("t.csv", ";"), ("t.csv", ",")])
def test_delimiters(tmp_path: Path, name: str, delimiter: str) -> None:
    lines = [["id", "text", "emotion"], ["u1", "one", "joy"], ["u2", "two", "fear"]]
    file = write_text(tmp_path / name, "".join(delimiter.join(line) + "\r\n" for line in lines))
    assert list(parse_corpus("csv", file).frame["emotion"]) == ["happiness", "fear"]


def test_json_lines_by_format_and_by_ending(tmp_path: Path) -> None:
    file = corpus("jsonl").example(tmp_path)
    frame = parse_corpus("jsonl", file).frame
    assert frame.equals(parse_corpus("csv", file).frame)
    assert list(frame["utterance_id"]) == ["a", "t1"]
    assert json.loads(frame["votes"].iloc[0]) == {"happiness": 0.75, "anger": 0.25}
    assert frame["speaker"].iloc[0] == "7"
    assert plugin_for("mine", file) == "jsonl"


def test_offset_and_duration_make_a_segment_and_folders_above_stay(tmp_path: Path) -> None:
    write_tone(tmp_path / "other" / "a.wav")
    inside = write_tone(tmp_path / "in" / "b.wav")
    rows = [
        {"audio": str(tmp_path / "other" / "a.wav"), "offset": 0.02, "duration": 0.05},
        {"audio": str(inside), "label": ""},
        {"text": "no audio"},
    ]
    file = write_text(tmp_path / "in" / "t.jsonl", "\n".join(map(json.dumps, rows)))
    frame = build("mine", file, quiet=True).table.frame
    assert frame["path"].tolist() == [str(tmp_path / "other" / "a.wav"), "b.wav", ""]
    assert frame["end"].iloc[0] == pytest.approx(0.07)
    assert frame["duration"].iloc[0] == pytest.approx(0.05)
    assert frame["utterance_id"].tolist()[1:] == ["b", "row-000003"]
    assert frame["emotion"].tolist() == ["", "", ""]


def test_a_columns_own_name_comes_first() -> None:
    columns, ignored = choose(["File", "path", "Speaker ID", "utterance", "text"])
    assert columns == {"path": "path", "text": "text", "speaker": "Speaker ID"}
    assert ignored == ["File", "utterance"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,emotion\na.wav,joy,more\n", "line 2; expected as many fields as the header has; found more"),
        ("path,emotion\na.wav\n", "line 2; expected as many fields as the header has; found fewer"),
        ('path,emotion\n"a.wav,joy\n', "is no CSV"),
        ("emotion,mood\njoy,good\n", "names neither audio nor text; expected a column path"),
        ("path,sex\na.wav,x\n", "row 1: gender 'x'; expected one of f, w"),
        ("path,split\na.wav,third\n", "row 1: split 'third'; expected one of train"),
        ("path,age\na.wav,old\n", "column age, row 1; expected a number; found 'old'"),
        ("path,id\na.wav,1\nb.wav,1\n", "utterance id '1' is there 2 times"),
        ("path,votes\na.wav,angry\n", "column votes; expected JSON"),
        ("path,emotion\n", "no utterance found"),
        ("", "no utterance found"),
    ],
)
def test_a_wrong_csv_is_told_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    file = write_text(tmp_path / "t.csv", content)
    with pytest.raises(CorpusError) as refused:
        parse_corpus("csv", file)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"path": "a.wav"}\n{"path"', "line 2; expected one JSON object a line"), ("[1]", "found list")],
)
def test_wrong_json_lines(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        parse_corpus("jsonl", write_text(tmp_path / "t.jsonl", content))


def test_a_label_that_is_no_word_is_kept_and_told(tmp_path: Path) -> None:
    built = build("mine", write_text(tmp_path / "t.csv", "text,label\nx,3\ny,Very-Angry\n"), quiet=True)
    assert built.table.frame["emotion"].tolist() == ["other", "other"]
    assert built.table.frame["label"].tolist() == ["3", "Very-Angry"]
    assert built.notes == ["labels that are no known emotion word (emotion: other): 3, Very-Angry"]
