"""One's own table files: column names, delimiters, values, and what is wrong with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from ser.errors import ConfigError, CorpusError
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


def test_a_column_of_numbers_is_kept_with_its_scale(tmp_path: Path) -> None:
    rows = 'id,text,Mean Engagement,VAL,rater,note,fun\nu1,one,"2,5",3,1,x,\nu2,two,4.5,4,2,y,NA\nu3,three,,1,3,z,\n'
    file = write_text(tmp_path / "t.csv", rows)
    built = build("mine", file, quiet=True, ratings=["Mean Engagement:1:5", "valence:1:7"])
    assert built.table.frame["mean_engagement"].tolist() == pytest.approx([2.5, 4.5, float("nan")], nan_ok=True)
    scales = {"mean_engagement": {"low": 1, "high": 5}, "valence": {"low": 1, "high": 7}}
    assert built.table.dimensions == scales
    assert built.table.ratings == ["valence", "mean_engagement"]
    assert (
        "columns ignored: rater, note, fun (ratings are kept with --rating rater:LOW:HIGH, the ends of their scale)"
        in built.notes
    )
    outside = r"ratings of mean_engagement: 1 of 2 values lie outside .*; expected values from 1 to 4; found 2.5 to 4.5"
    with pytest.raises(CorpusError, match=outside):
        build("mine", file, quiet=True, ratings=["Mean Engagement:1:4"])
    with pytest.raises(ConfigError, match="expected each column once"):
        build("mine", file, quiet=True, ratings=["val:0:1", "val:0:2"])
    with pytest.raises(CorpusError, match="--rating joy: no column is called so; found id, text"):
        build("mine", file, quiet=True, ratings=["joy:0:1"])
    with pytest.raises(CorpusError, match="--rating fun: the column is empty in all 3 rows; expected numbers"):
        build("mine", file, quiet=True, ratings=["fun:0:1"])
    with pytest.raises(CorpusError, match="column note, row 1; expected a number; found 'x'"):
        build("mine", file, quiet=True, ratings=["note:0:1"])
    for wrong in ("engagement", "engagement:5:1", "engagement:a:b", "speaker:1:5", "engagement:1:inf"):
        with pytest.raises(ConfigError, match=r"expected NAME:LOW:HIGH|another meaning"):
            build("mine", file, quiet=True, ratings=[wrong])
    with pytest.raises(ConfigError, match="folder is not a table of one's own"):
        build("mine", tmp_path, "folder", quiet=True, ratings=["engagement:1:5"])


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
        ('path,emotion\n"a.wav,joy\n', "line 2: this is not CSV"),
        ("emotion,mood\njoy,good\n", "names neither audio nor text; expected a column path"),
        ("path,sex\na.wav,x\n", "row 1: gender 'x'; expected one of f, w"),
        ("path,split\na.wav,third\n", "row 1: split 'third'; expected one of train"),
        ("path,age\na.wav,old\n", "column age, row 1; expected a number; found 'old'"),
        ("path,id\na.wav,1\nb.wav,1\n", "utterance id '1' occurs 2 times"),
        ("path,votes\na.wav,angry\n", "column votes; expected JSON"),
        ('path,votes\na.wav,"[0.2, 0.8]"\n', "column votes; expected JSON"),
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
    [
        ('{"path": "a.wav"}\n{"path"', "line 2; expected one JSON object"),
        ("[1]", "entry 1; expected a JSON object; found int"),
        ('{"path": "a.wav", "emotion": "joy", "emotion": "fear"}', "line 1; .* the key 'emotion' is there twice"),
        ('[{"path": "a.wav", "emotion": "joy", "emotion": "fear"}]', "the key 'emotion' is there twice"),
    ],
)
def test_wrong_json_lines(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        parse_corpus("jsonl", write_text(tmp_path / "t.jsonl", content))


def test_a_list_of_json_objects(tmp_path: Path) -> None:
    file = write_text(tmp_path / "t.json", '[{"path": "a.wav", "emotion": "joy"},\n {"path": "b.wav", "emotion": "fear"}]')
    assert plugin_for("mine", file) == "jsonl"
    assert parse_corpus("jsonl", file).frame["label"].tolist() == ["joy", "fear"]


def test_a_label_that_is_no_word_is_kept_and_told(tmp_path: Path) -> None:
    built = build("mine", write_text(tmp_path / "t.csv", "text,label\nx,3\ny,Very-Angry\n"), quiet=True)
    assert built.table.frame["emotion"].tolist() == ["other", "other"]
    assert built.table.frame["label"].tolist() == ["3", "Very-Angry"]
    assert built.notes == [
        "labels that are not known emotion words (emotion: other): 3, Very-Angry. --scheme native takes each as a class; a "
        "scheme of your own says which emotion each is: --scheme FILE.yaml with {anger: ['3'], ...}."
    ]


def test_names_of_common_releases(tmp_path: Path) -> None:
    """Columns as MSP-Podcast names them."""
    file = write_text(
        tmp_path / "labels.csv",
        "FileName,Emotions,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set,Transcript\n"
        "a.wav,Angry,4.5,2,5,1,Male,Train,x\nb.wav,Sad,1,2,3,2,Female,Development,y\nc.wav,Happy,1,2,3,3,f,Test1,z\n",
    )
    frame = parse_corpus("csv", file).frame
    assert frame["emotion"].tolist() == ["anger", "sadness", "happiness"]
    assert frame["speaker"].tolist() == ["1", "2", "3"]
    assert frame["split"].tolist() == ["train", "validation", "test"]
    assert frame[["arousal", "valence", "dominance"]].iloc[0].tolist() == [4.5, 2, 5]
    assert choose(["EmoClass"]) == ({"emotion": "EmoClass"}, [])


@pytest.mark.parametrize(
    ("names", "cells", "splits"),
    [
        ("mode", ("train", "valid", "test"), ["train", "validation", "test"]),  # as label files of MOSI have it
        ("mode", ("train", "speech", "test"), ["", "", ""]),
        ("mode", ("train", "", "test"), ["", "", ""]),
        ("mode", ("test", "test", "test"), ["", "", ""]),
        ("mode,split", ("test,train", "valid,train", "train,test"), ["train", "train", "test"]),
    ],
)
def test_a_column_of_parts_called_mode_is_the_split(
    names: str, cells: tuple[str, ...], splits: list[str], tmp_path: Path
) -> None:
    lines = "".join(f"so {n},joy,{cell}\n" for n, cell in enumerate(cells))
    built = build("mine", write_text(tmp_path / "label.csv", f"text,emotion,{names}\n{lines}"), quiet=True)
    assert list(built.table.frame["split"]) == splits
    assert ("split: the column mode, which holds parts alone, is read as it" in built.notes) == (splits[1] == "validation")


def test_two_columns_with_one_name_are_refused(tmp_path: Path) -> None:
    for header in ("path,emotion,emotion", "path,emotion,Emotion"):
        file = write_text(tmp_path / "t.csv", f"{header}\na.wav,joy,fear\n")
        with pytest.raises(CorpusError, match="two columns are called 'emotion'"):
            parse_corpus("csv", file)


@pytest.mark.parametrize(
    "word", ["nan", "NaN", "NA", "N/A", "n.a.", "null", "NULL", "-", "--", "?", "??", ".", "None", "none", "Unknown", "xxx", ""]
)
def test_words_for_no_label(tmp_path: Path, word: str) -> None:
    built = build("mine", write_text(tmp_path / "t.csv", f"text,emotion\nx,{word}\ny,joy\n"), quiet=True)
    assert built.table.frame["emotion"].tolist() == ["", "happiness"]
    assert built.table.frame["label"].tolist() == ["", "joy"]
    assert built.notes == ([f"read as no label: {word!r} 1"] if word else [])


def test_what_other_programs_leave_around_a_label_is_not_of_it(tmp_path: Path) -> None:
    words = ["angry", "angry\u00a0", "\u200bangry", "'angry'", "\u201cAngry\u201d", '"""angry"""', "angry\ufeff"]
    file = write_text(tmp_path / "t.csv", "\ufeff\ufefftext,emotion\n" + "".join(f"x,{word}\n" for word in words))
    assert set(parse_corpus("csv", file).frame["label"]) == {"angry"}


def test_a_speaker_who_is_not_known_is_none(tmp_path: Path) -> None:
    rows = "".join(f"x,joy,{who}\n" for who in ("unknown", "-", "NA", "01"))
    frame = parse_corpus("csv", write_text(tmp_path / "t.csv", "text,emotion,speaker\n" + rows)).frame
    assert frame["speaker"].tolist() == ["", "", "NA", "01"]


def test_labels_that_differ_in_case_or_encoding_are_one(tmp_path: Path) -> None:
    rows = ["w1,Whispered", "w2,whispered", "w3,whispered", "w4,Wu\u0308tend", "w5,W\u00fctend", "s1,A", "s2,a"]
    file = write_text(tmp_path / "t.csv", "text,label\n" + "\n".join(rows))
    built = build("mine", file, quiet=True)
    assert built.table.frame["label"].tolist() == ["whispered"] * 3 + ["W\u00fctend"] * 2 + ["A", "a"]
    assert "labels that differ in case only are one: whispered, Whispered" in built.notes


@pytest.mark.parametrize(
    "cell", ["anger;sadness", "anger, sadness", "anger|sadness", "['anger', 'sadness']", "joy/fear", '["a", "b"]']
)
def test_several_labels_in_a_cell_are_refused(tmp_path: Path, cell: str) -> None:
    file = write_text(tmp_path / "t.tsv", f"text\temotion\nx\tjoy\ny\t{cell}\n")
    with pytest.raises(
        CorpusError, match=r"row 2: .* is several labels \(rows of this kind: 1\); expected one label in each row"
    ) as e:
        parse_corpus("csv", file)
    assert "column votes" in str(e.value)


def test_a_class_with_a_slash_in_its_name_is_one(tmp_path: Path) -> None:
    file = write_text(tmp_path / "t.csv", "text,emotion\nx,happy/excited\ny,sad\n")
    assert parse_corpus("csv", file).frame["label"].tolist() == ["happy/excited", "sad"]


def test_a_column_of_several_labels_takes_any_words_and_no_empty_ones(tmp_path: Path) -> None:
    cells = ("anger;sadness;anger", "anger;", ";", "", "anger;grumpy", "sadness;nan", "anger")
    rows = "".join(f"u{k},hello,{cell}\n" for k, cell in enumerate(cells))
    (tmp_path / "several.csv").write_text(f"id,text,labels\n{rows}")
    frame = parse_corpus("csv", tmp_path / "several.csv").frame
    assert frame["label"].tolist() == ["anger;sadness", "anger", "", "", "anger;grumpy", "sadness", "anger"]
    assert frame["emotion"].tolist() == ["", "anger", "", "", "", "sadness", "anger"]


def test_nothing_in_a_list_of_labels_is_no_label(tmp_path: Path) -> None:
    cells: list[Any] = [
        ["anger", None],
        [None, "sad", "b"],
        '["sad", null]',
        "[null]",
        [None, None],
        None,
        "calm",
        "[joy, nan]",
    ]
    rows = [{"id": f"u{k}", "text": "x", "labels": cell} for k, cell in enumerate(cells)]
    frame = parse_corpus("jsonl", write_text(tmp_path / "t.jsonl", "\n".join(map(json.dumps, rows)))).frame
    assert frame["label"].tolist() == ["anger", "sad;b", "sad", "", "", "", "calm", "joy"]
    assert frame["emotion"].tolist() == ["anger", "", "sadness", "", "", "", "calm", "happiness"]
    one = [{"id": row["id"], "text": "x", "label": row["labels"]} for k, row in enumerate(rows) if k != 1]
    frame = parse_corpus("jsonl", write_text(tmp_path / "one.jsonl", "\n".join(map(json.dumps, one)))).frame
    assert frame["label"].tolist() == ["anger", "sad", "", "", "", "calm", "joy"]


def test_lists_in_cells_are_lists_of_labels_and_of_votes(tmp_path: Path) -> None:
    """As JSON lines have them, and as texts of JSON, Python and NumPy."""
    cells: list[Any] = [["anger", "b"], '["a", "b"]', "['a' 'b']", ["b"], [], None, "['sad', 'unknown']"]
    votes: list[Any] = [["joy", "joy", "sad", "fear"], '["joy"]', [], None, {"joy": 2, "sad": 2}, ["NA", "sad"], None]
    rows = [{"id": f"u{k}", "text": "x", "labels": c, "votes": v} for k, (c, v) in enumerate(zip(cells, votes, strict=True))]
    frame = parse_corpus("jsonl", write_text(tmp_path / "t.jsonl", "\n".join(map(json.dumps, rows)))).frame
    assert frame["label"].tolist() == ["anger;b", "a;b", "a;b", "b", "", "", "sad"]
    assert frame["emotion"].tolist() == ["", "", "", "other", "", "", "sadness"]
    assert [json.loads(v) if v else None for v in frame["votes"]] == [
        {"happiness": 0.5, "sadness": 0.25, "fear": 0.25},
        {"happiness": 1.0},
        None,
        None,
        {"happiness": 0.5, "sadness": 0.5},
        {"sadness": 1.0},
        None,
    ]


def test_one_hot_columns_are_labels(tmp_path: Path) -> None:
    content = "path,angry,Happy,neutral,score\na.wav,1,0,0,7\nb.wav,0,1,0,8\nc.wav,0,0,0,9\n"
    file = write_text(tmp_path / "t.csv", content)
    table = parse_corpus("csv", file)
    assert table.frame["emotion"].tolist() == ["anger", "happiness", ""]
    write_text(tmp_path / "t.csv", content + "d.wav,1,1,0,9\n")
    with pytest.raises(CorpusError, match="row 4: 'angry;Happy' is several labels"):
        parse_corpus("csv", file)


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("text,emotion_angry,emotion_sad\nx,1,0\ny,0,1\n", ["angry", "sad"]),
        ("text,is_angry,Is Sad\nx,True,False\ny,False,True\n", ["angry", "Sad"]),
        ("text,angry,sad\nx,x,\ny,,x\n", ["angry", "sad"]),
        ("text,angry,sad,whispered\nx,1,0,0\ny,0,0,1\nz,0,1,0\n", ["angry", "whispered", "sad"]),
        ("text,angry,sad,clean\nx,1,0,1\ny,0,0,1\nz,0,1,0\n", ["angry", "", "sad"]),
        ("text,emotion_froh,emotion_traurig\nx,1,0\ny,0,1\n", ["froh", "traurig"]),
        ("text,angry,sad\nx,7,3\ny,0,10\n", ["", ""]),
    ],
)
def test_columns_of_classes(tmp_path: Path, content: str, labels: list[str]) -> None:
    assert parse_corpus("csv", write_text(tmp_path / "t.csv", content)).frame["label"].tolist() == labels


def test_a_table_without_emotions_says_so(tmp_path: Path) -> None:
    built = build("mine", write_text(tmp_path / "t.csv", "text,mood,who\nx,good,me\n"), quiet=True)
    assert any("no column of emotions among 'text', 'mood', 'who'" in note for note in built.notes)
    built = build("mine", write_text(tmp_path / "t.csv", "text,valence,act\nx,1,2\n"), quiet=True)
    (note,) = [note for note in built.notes if "ratings (valence, act)" in note]
    assert "--target valence,arousal" in note
    assert "add a column emotion" in note


def test_times_in_milliseconds(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav", 1.0)
    file = write_text(tmp_path / "t.csv", "path,emotion,start_ms,End_MS\na.wav,joy,100,600\na.wav,fear,600,900\n")
    frame = build("mine", file, quiet=True).table.frame
    assert frame[["start", "end", "duration"]].iloc[0].tolist() == [0.1, 0.6, 0.5]
    assert frame["utterance_id"].tolist() == ["a@100", "a@600"]
    write_text(file, "path,emotion,start,end\na.wav,joy,100,600\na.wav,fear,600,900\n")
    with pytest.raises(CorpusError, match=r"look like milliseconds: 2 of 2 segments .* call the columns start_ms and end_ms"):
        build("mine", file, quiet=True)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("begin_time_ms,finish_ms", (0.1, 0.9)),
        ("Start [msec],End (ms)", (0.1, 0.9)),
        ("startMs,endMs", (0.1, 0.9)),
        ("time_start_s,end_time_sec", (100.0, 900.0)),
    ],
)
def test_units_in_names_of_columns_of_times(tmp_path: Path, header: str, expected: tuple[float, float]) -> None:
    file = write_text(tmp_path / "t.csv", f"path,emotion,{header}\na.wav,joy,100,900\n")
    assert parse_corpus("csv", file).frame[["start", "end"]].iloc[0].tolist() == list(expected)


def test_times_of_the_clock(tmp_path: Path) -> None:
    file = write_text(tmp_path / "t.csv", "path;emotion;start;end\na.wav;joy;00:00:01,5;0:02\na.wav;fear;3.25;1:02:03.5\n")
    assert parse_corpus("csv", file).frame[["start", "end"]].to_numpy().tolist() == [[1.5, 2.0], [3.25, 3723.5]]
    write_text(file, "path,emotion,start\na.wav,joy,0:75\n")
    with pytest.raises(CorpusError, match=r"row 1: start '0:75'; expected seconds, such as 12.5 or 0:12.5"):
        parse_corpus("csv", file)


def test_times_that_lie_outside_of_their_files(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav", 1.0)
    file = write_text(tmp_path / "t.csv", "path,emotion,start\na.wav,joy,100\na.wav,fear,600\n")
    with pytest.raises(CorpusError, match=r"look like milliseconds: 2 of 2 segments .* start 100 of a file of 1"):
        build("mine", file, quiet=True)
    write_text(file, "path,emotion,start,end\na.wav,joy,0,16000\na.wav,fear,0.1,0.6\n")
    notes = build("mine", file, quiet=True).notes
    assert notes == ["segments that lie outside of their files: 1 (a@0: end 16000 of a file of 1.000 s)"]
    write_text(file, "path,emotion,start,end\na.wav,joy,0,500\na.wav,fear,500,1000\na.wav,joy,10,90000\n")  # one is wrong
    with pytest.raises(CorpusError, match=r"look like milliseconds: 3 of 3 segments"):
        build("mine", file, quiet=True)
    for times in ("0,8000\na.wav,fear,8000,16000", "0,1.2\na.wav,fear,0.5,1.2"):  # samples; rounded up
        write_text(file, f"path,emotion,start,end\na.wav,joy,{times}\n")
        with pytest.raises(CorpusError, match=r"^2 of 2 segments lie outside .* expected start and end in seconds.* found a@"):
            build("mine", file, quiet=True)


def test_two_rows_of_one_file_name_the_columns_that_are_not_known(tmp_path: Path) -> None:
    file = write_text(tmp_path / "t.csv", "path,emotion,from_sample\na.wav,joy,0\n./a.wav,fear,9\n")
    with pytest.raises(
        CorpusError, match=r"rows 1 and 2 are both of a.wav; expected columns start and end .* not known: from_sample"
    ):
        parse_corpus("csv", file)


def test_onset_and_offset_are_start_and_end() -> None:
    assert choose(["onset", "offset", "text"])[0] == {"start": "onset", "end": "offset", "text": "text"}
    assert choose(["offset", "text"])[0] == {"start": "offset", "text": "text"}


def test_files_that_differ_by_their_ending_alone(tmp_path: Path) -> None:
    file = write_text(tmp_path / "t.csv", "path,emotion\nx.mp3,joy\nx.m4a,fear\ny.wav,joy\n")
    assert parse_corpus("csv", file).ids == ["x.mp3", "x.m4a", "y"]


def test_several_words_for_a_part_are_noted(tmp_path: Path) -> None:
    built = build("mine", write_text(tmp_path / "t.csv", "text,emotion,split\nx,joy,Test1\ny,joy,Test2\n"), quiet=True)
    assert built.notes == ["split: test1, test2 are all read as test"]


def test_what_is_wrong_with_a_table_of_ones_own_names_its_file(tmp_path: Path) -> None:
    file = write_text(tmp_path / "age.csv", "text,emotion,age\nx,joy,twelve\n")
    with pytest.raises(CorpusError, match=r"age.csv: mine: column age, row 1; expected a number; found 'twelve'"):
        build("mine", file, quiet=True)
    write_text(file, "text,emotion,age\nx,joy,-1\n")
    with pytest.raises(CorpusError, match=r"age.csv: mine: row-000001: column age; expected 0 or more; found -1.0"):
        build("mine", file, quiet=True)
    write_text(file, "")
    with pytest.raises(CorpusError, match=r"age.csv; expected FILE.csv with a header, .*; found an empty file"):
        build("mine", file, quiet=True)
    with pytest.raises(CorpusError, match=r"no utterance found in .*age.csv; expected a tree like: wav/03a01Fa.wav"):
        parse_corpus("emodb", file)
