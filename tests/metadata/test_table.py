"""The utterance table: what it refuses, and that what is written reads back."""

import json
import math
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ser.errors import ConfigError, CorpusError, SerError
from ser.metadata.corpus import corpus
from ser.metadata.labels import CANONICAL
from ser.metadata.schema import COLUMNS, outside_scales
from ser.metadata.table import Table, from_csv, load_table, make_table, read_table, to_csv, write_table
from ser.workspace import Workspace

GOOD = {"utterance_id": "u1", "path": "a.wav", "emotion": "anger", "label": "A"}


def table(*rows: dict[str, Any], **facts: Any) -> Table:
    return make_table(rows or (GOOD,), "mine", facts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"utterance_id": ""}, "row 2: column utterance_id; expected an id"),
        ({"utterance_id": "u1"}, "utterance id 'u1' occurs 2 times; expected every id once"),
        ({"utterance_id": "a\nb"}, "column utterance_id; expected no control characters"),
        ({"path": "a\t.wav"}, "column path; expected no control characters"),
        ({"text": "a\x00b"}, "u2: column text; expected no NUL characters"),
        ({"emotion": "angry"}, "u2: column emotion; expected anger, happiness,"),
        ({"split": "dev"}, "u2: column split; expected train, validation, test, or nothing; found 'dev'"),
        ({"text": "x", "text_source": "me"}, "column text_source; expected corpus, asr, simulated"),
        ({"gender": "F"}, "column gender; expected female, male, or nothing; found 'F'"),
        ({"start": -0.5}, "column start; expected 0 or more; found"),
        ({"duration": -1}, "column duration; expected 0 or more"),
        ({"channel": -1}, "column channel; expected 0 or more"),
        ({"age": -3}, "column age; expected 0 or more"),
        ({"start": 2, "end": 2}, "column end; expected a time after start, in s"),
        ({"end": 0}, "column end; expected a time after start, in s"),
        ({"path": ""}, "column path; expected audio or text"),
        ({"valence": "high"}, "column valence, row 2; expected a number; found 'high'"),
        ({"valence": "inf"}, "column valence, row 2; expected a number; found 'inf'"),
        ({"votes": "anger"}, "column votes; expected JSON"),
        ({"votes": "[1]"}, "column votes; expected JSON"),
        ({"votes": {}}, "column votes; expected JSON"),
        ({"votes": {"angry": 1}}, "column votes; expected JSON"),
        ({"votes": {"anger": 0.9, "fear": 0.9}}, "column votes; expected JSON"),
        ({"votes": {"anger": -0.1, "fear": 0.2}}, "column votes; expected JSON"),
        ({"votes": {"anger": "1"}}, "column votes; expected JSON"),
        ({"mood": "good"}, "unknown column 'mood'; expected columns among utterance_id, path"),
    ],
)
def test_a_wrong_row_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CorpusError) as refused:
        table(GOOD, {**GOOD, "utterance_id": "u2", **change})
    assert message in str(refused.value)


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(CorpusError, match="there are no utterances"):
        make_table([], "mine")


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a dataset"):
        make_table([GOOD], name)


def test_votes_may_sum_to_less_than_one_and_are_json() -> None:
    made = table({**GOOD, "votes": {"happiness": 0.65}})
    assert json.loads(made.frame["votes"].iloc[0]) == {"happiness": 0.65}


def test_cells_stay_as_they_were_written() -> None:
    made = table({**GOOD, "speaker": 1}, {"utterance_id": "u2", "text": "x", "speaker": None, "age": "31", "turn": ""})
    assert made.frame["speaker"].tolist() == ["1", ""]  # not 1.0, as a column of numbers with a gap would have it
    assert made.frame["age"].iloc[1] == 31
    assert math.isnan(made.frame["turn"].iloc[1])


def test_language_and_text_source_come_from_the_facts() -> None:
    made = table({**GOOD, "text": "hello"}, {**GOOD, "utterance_id": "u2", "language": "fr"}, language="en")
    assert made.frame["language"].tolist() == ["en", "fr"]
    assert made.frame["text_source"].tolist() == ["corpus", ""]


def test_counts(tmp_path: Path) -> None:
    made = table({**GOOD, "duration": 1800, "speaker": "a"}, {**GOOD, "utterance_id": "u2", "duration": 1800})
    assert made.facts["counts"] == {"utterances": 2, "speakers": 1, "hours": 1.0, "emotions": {"anger": 2}}
    assert made.has("speaker")
    assert not made.has("votes")
    assert not made.has("age")


# Writing and reading

MANGLED = ["01", "NA", "nan", "None", "null", "1e5", "1.0", "True", "-", "#1", " padded ", "2024-01-02", "007", "ä", "🙂"]
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
texts = st.one_of(words, st.text(alphabet=',"\n\r\t; \x85\u2028\ufeffa', max_size=12), st.sampled_from(MANGLED))
names = st.one_of(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12), st.sampled_from(MANGLED))
numbers = st.one_of(st.none(), st.floats(0, 1e9), st.integers(0, 10**9))
row = st.fixed_dictionaries(
    {"path": names, "text": texts, "label": texts, "speaker": texts, "valence": numbers, "duration": numbers},
    optional={"emotion": st.sampled_from(CANONICAL), "age": numbers, "turn": st.integers(0, 999)},
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(names, row, min_size=1, max_size=5))
def test_what_is_written_reads_back(tmp_path: Path, rows: dict[str, dict[str, Any]]) -> None:
    made = make_table([{"utterance_id": name, **cells} for name, cells in rows.items()], "mine", {"language": "en"})
    path = write_table(made, Workspace(tmp_path))
    again = read_table(path)
    assert again.ids == list(rows)
    assert again.frame.equals(made.frame)
    assert again.facts == made.facts
    assert again.sha256 == made.sha256 != ""
    assert to_csv(again.frame, COLUMNS) == path.read_bytes()


def test_rows_have_what_columns_they_like_and_are_written_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = [{"utterance_id": f"u{k}", "text": f"word {k}"} for k in range(5)]
    given[2] |= {"speaker": "anna", "age": 30}
    given[4] |= {"age": "31.5", "label": 'a "b", c'}
    table = make_table(iter(given), "mine")  # type: ignore[arg-type]
    assert list(table.frame["speaker"]) == ["", "", "anna", "", ""]
    whole = to_csv(table.frame, COLUMNS)
    assert len(whole.splitlines()) == 6
    assert whole == to_csv(table.frame[:3], COLUMNS) + to_csv(table.frame[3:], COLUMNS).split(b"\n", 1)[1]
    monkeypatch.setattr("ser.metadata.table._AT_ONCE", 2)
    assert to_csv(table.frame, COLUMNS) == whole
    cells = from_csv(whole, "mine")
    assert [float(age) for age in cells["age"] if age] == [30, 31.5]
    assert cells["text_source"][0] is cells["text_source"][4]  # equal cells are one object


def test_whole_numbers_have_no_point_and_the_sidecar_is_json(tmp_path: Path) -> None:
    path = write_table(table({**GOOD, "age": 31.0, "turn": 3, "duration": 1.5}), Workspace(tmp_path))
    line = path.read_text().splitlines()[1]
    assert ",31," in line
    assert ",3," in line
    assert ",1.5," in line
    assert json.loads(path.with_suffix(".json").read_text())["dataset"] == "mine"
    assert sorted(p.name for p in path.parent.iterdir()) == ["mine.csv", "mine.json"]  # nothing temporary is left


def test_a_dimension_of_the_sidecar_is_a_column_of_the_table(tmp_path: Path) -> None:
    scales = {"arousal": {"low": 1, "high": 7}, "sentiment": {"low": -3, "high": 3}}
    rows: list[Any] = [{**GOOD, "sentiment": "-1.5", "arousal": 7.5}, {**GOOD, "utterance_id": "u2", "sentiment": None}]
    made = make_table(rows, "mine", {"dimensions": scales})
    path = write_table(made, Workspace(tmp_path))
    assert path.read_text().splitlines()[0] == ",".join([*COLUMNS, "sentiment"])
    again = read_table(path)
    assert again.frame.equals(made.frame)
    assert again.frame["sentiment"].tolist()[0] == -1.5
    assert again.dimensions == scales
    assert again.has("sentiment")
    assert outside_scales(again.frame, again.facts) == ["arousal: 1 of 1 values outside of 1 to 7 (u1: 7.5)"]
    with pytest.raises(CorpusError) as caught:  # of --rating, or of a command of one's own
        outside_scales(again.frame, again.facts, stated=("arousal",))
    assert str(caught.value).startswith(
        "ratings of arousal: 1 of 1 values lie outside of the scale that is stated for them (u1: 7.5); expected values from 1 "
        "to 7; found 7.5 to 7.5"
    )
    with pytest.raises(CorpusError, match=r"unknown column 'sentiment'.*dimensions"):
        make_table(rows, "mine")


@pytest.mark.parametrize(
    "dimensions",
    [{"duration": {"low": 0, "high": 1}}, {"a,b": {"low": 0, "high": 1}}, {"arousal": {"low": 7, "high": 1}},
     {"arousal": {"low": True, "high": 7}}, {"arousal": [1, 7]}, {"arousal": {"low": 1}}],
)  # fmt: skip
def test_a_scale_that_is_none_is_a_damaged_sidecar(dimensions: Any, tmp_path: Path) -> None:
    path = write_table(table(GOOD), Workspace(tmp_path))
    path.with_suffix(".json").write_text(json.dumps({"dimensions": dimensions}))
    with pytest.raises(CorpusError, match=r"mine.json is damaged.*dimensions"):
        read_table(path)


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = write_table(table({**GOOD, "text": "a,b"}), Workspace(tmp_path))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_table(path).frame["text"].tolist() == ["a,b"]


def test_a_table_of_fewer_columns_is_read(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("utterance_id,text\nu1,hello\n")
    made = read_table(tmp_path / "old.csv")
    assert list(made.frame.columns) == list(COLUMNS)
    assert made.dataset == "old"


def test_a_very_long_text_is_no_damage() -> None:
    assert from_csv(b"text\n" + b"a" * 300_000 + b"\n", "t")["text"][0] == "a" * 300_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; expected a header"),
        (b"utterance_id,text\nu1\n", "row 1; expected 2 fields; found 1"),
        (b'utterance_id,text\nu1,"open\n', "is not CSV in UTF-8; found"),
        (b"utterance_id,text\nu1,\xff\n", "is not CSV in UTF-8; found"),
        (b"utterance_id,text\n", "there are no utterances"),
    ],
)
def test_a_damaged_table_is_told_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(CorpusError) as refused:
        read_table(tmp_path / "t.csv")
    assert message in str(refused.value)


def test_a_damaged_sidecar_and_a_missing_table(tmp_path: Path) -> None:
    path = write_table(table(), Workspace(tmp_path))
    path.with_suffix(".json").write_text("{")
    with pytest.raises(CorpusError, match=r"mine.json is damaged; expected JSON"):
        read_table(path)
    with pytest.raises(CorpusError, match="cannot read the table"):
        read_table(tmp_path / "nothing.csv")


def test_a_file_name_that_is_not_unicode_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="column path; expected Unicode text"):
        write_table(table({**GOOD, "path": "caf\udce9.wav"}), Workspace(tmp_path))
    assert not (tmp_path / "metadata").exists()


def test_load_table_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="Make it with: ser metadata --dataset mine"):
        load_table("mine", tmp_path)
    write_table(table(), Workspace(tmp_path))
    assert load_table("mine", tmp_path).ids == ["u1"]
    for wrong in (["mine"], None, Path("mine"), "mine,yours"):
        with pytest.raises(ConfigError, match=r"the name of a dataset; expected one name, .* found .* Name one dataset"):
            load_table(wrong, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match="expected one of mine"):
        load_table("other", tmp_path)


def test_an_unknown_plugin_is_told_with_the_nearest() -> None:
    with pytest.raises(SerError, match=r"unknown corpus 'iemocapp'.*Did you mean 'iemocap'"):
        corpus("iemocapp")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("[]", "a list in place of a JSON object"),
        ('{"root": 3}', "root: '3'"),
        ('{"counts": [1]}', r"counts: '\[1\]'"),
        ('{"sentences": "ten"}', "sentences: 'ten'"),
        ('{"synthetic": null}', "synthetic: 'None'"),
        ("[" * 100_000, "nested more than 64 levels"),
        ('{"title": "\\ud800"}', "not Unicode"),
    ],
)
def test_a_sidecar_that_is_none_is_refused(tmp_path: Path, content: str, found: str) -> None:
    path = write_table(table(), Workspace(tmp_path))
    path.with_suffix(".json").write_text(content)
    with pytest.raises(CorpusError, match=f"mine.json is damaged; .*{found}"):
        read_table(path)


@pytest.mark.parametrize(
    "content", ["[]", "{bad", '{"identical": 3}', '{"identical": [["a"]], "near_identical": []}', '{"identical": [["a", 2]]}']
)
def test_a_file_of_copies_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    space = Workspace(tmp_path)
    write_table(table(), space)
    sha256 = load_table("mine", space).sha256
    whole = content.replace("{", f'{{"schema": "ser.copies/1", "table_sha256": "{sha256}", ', 1)
    (tmp_path / "metadata" / "mine.copies.json").write_text(whole)
    with pytest.raises(CorpusError, match=r"mine.copies.json is damaged; .* Write it again with: ser audit"):
        load_table("mine", space)


def test_a_table_is_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(CorpusError, match="a named pipe, not a regular file"):
        read_table(tmp_path / "t.csv")


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("utterance_id,text,text\nu1,a,b\n")
    with pytest.raises(CorpusError, match="two columns are called 'text'"):
        read_table(tmp_path / "t.csv")


@settings(
    max_examples=int(os.environ.get("SER_FUZZ_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_change_of_a_table_or_its_sidecar_ends_in_a_table_or_one_error(tmp_path: Path, data: st.DataObject) -> None:
    path = write_table(table(GOOD, {**GOOD, "utterance_id": "u2", "votes": {"anger": 0.5}}), Workspace(tmp_path))
    changed = data.draw(st.sampled_from([path, path.with_suffix(".json")]))
    content = bytearray(changed.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content)))
        parts = st.sampled_from([b'"', b",", b"\n", b"[" * 200, b"null", b"1e999", b"\\ud800", b"\xff", b"\0", b"nan"])
        content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=6) | parts)
    changed.write_bytes(content)
    begin = time.process_time()
    with suppress(CorpusError):
        read_table(path)
    assert time.process_time() - begin < 5
