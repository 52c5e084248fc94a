"""Files of tables that people made: encodings, delimiters, Excel."""

import json
import os
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ser.errors import CorpusError
from ser.metadata import table_files
from ser.metadata.build import plugin_for
from ser.metadata.corpus import parse_corpus
from ser.metadata.table_files import read_excel, read_rows

ROWS = [{"id": "u1", "emotion": "Fröhlich", "text": "one"}, {"id": "u2", "emotion": "sad", "text": "two, three"}]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_what_lies_in_place_of_a_table_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    contents = {
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "is a Git LFS pointer, .* git lfs pull",
        "<!DOCTYPE html>\n<html><body>Log in</body></html>\n": "is a page of HTML, .* Download it again",
    }
    contents |= {"path,emotion\na,b\n": "line 1; expected one JSON object; found 'path,emotion'"} if name == "t.jsonl" else {}
    for content, words in contents.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(CorpusError, match=words):
            read_rows(tmp_path / name)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_encodings(tmp_path: Path, encoding: str, delimiter: str) -> None:
    file = tmp_path / "t.csv"
    lines = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
    file.write_bytes("\r\n".join(delimiter.join(line) for line in lines).encode(encoding))
    assert read_rows(file) == (ROWS, tmp_path)


def test_utf_16_without_a_mark_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes("id,text\n1,a\n".encode("utf-16-le"))
    with pytest.raises(CorpusError, match=r"not a text file; .* Save it again as CSV in UTF-8"):
        read_rows(file)


def test_excels_own_first_line_and_empty_rows_and_columns(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("sep=;\nid;emotion;;\nu1;a, b, c;;\n;;;\n\nu2;sad;;\n;;;\n")
    assert read_rows(file)[0] == [{"id": "u1", "emotion": "a, b, c"}, {"id": "u2", "emotion": "sad"}]
    file.write_text("id;emotion;;\nu1;a;;more\n")
    assert read_rows(file)[0] == [{"id": "u1", "emotion": "a", "column 4": "more"}]
    file.write_text("sep=;\nid;emotion\nu1;a;b\n")
    with pytest.raises(CorpusError, match=r"t.csv, line 3; expected as many fields as the header has; found more"):
        read_rows(file)


def test_excel(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "empty"
    sheet = book.create_sheet("labels")
    for row in ([], ["id", "emotion", "speaker", None], ["u1", "joy", 3], [], ["u2", "sad", 2.5], [None, None, " "]):
        sheet.append(row)
    book.create_sheet("more").append(["x"])
    file = tmp_path / "t.xlsx"
    book.save(file)
    rows = [{"id": "u1", "emotion": "joy", "speaker": 3}, {"id": "u2", "emotion": "sad", "speaker": 2.5}]
    assert read_rows(file) == (rows, tmp_path)
    assert plugin_for("mine", file) == "csv"
    disguised = tmp_path / "t.csv"
    disguised.write_bytes(file.read_bytes())
    with pytest.raises(CorpusError, match=r"a ZIP archive or an Excel file"):
        read_rows(disguised)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(CorpusError, match="not an Excel file, or is damaged"):
        read_rows(file)
    with pytest.raises(CorpusError, match="Save it as"):
        read_rows(tmp_path / "t.ods")


def test_an_excel_file_that_declares_a_million_rows_of_sixteen_thousand_cells(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["id", "text"])
    book.active.append(["u1", "x"])
    plain, file = tmp_path / "a.xlsx", tmp_path / "b.xlsx"
    book.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            assert name != "xl/worksheets/sheet1.xml" or b'ref="A1:B2"' in content
            new.writestr(name, content.replace(b'ref="A1:B2"', b'ref="A1:XFD1048576"'))
    assert read_excel(file)[0] == [{"id": "u1", "text": "x"}]


def test_an_excel_file_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openpyxl")
    file = tmp_path / "t.xlsx"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(10**6))
    monkeypatch.setattr(table_files, "MAX_SHEET_BYTES", 10**5)
    with pytest.raises(CorpusError, match="declares 1000000 bytes of content; expected 100000 at most"):
        read_excel(file)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.xlsx"])
def test_a_pipe_and_a_folder_are_no_table(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(CorpusError, match="a named pipe, not a regular file"):
        read_rows(tmp_path / name)
    with pytest.raises(CorpusError, match="a folder, not a file"):
        read_rows(tmp_path)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("[" * 100_000, "nested more than 64 levels"),
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", "nested more than 64 levels"),
        ('{"text": "\\ud83d"}', "not Unicode"),
        ('{"text": ', "Expecting value"),
    ],
)
def test_json_lines_that_no_table_can_hold(tmp_path: Path, line: str, found: str) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"text": "\\ud83d\\ude00"}\n' + line + "\n")
    with pytest.raises(CorpusError, match=rf"line 2; .*{found}"):
        read_rows(file)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(["path", "text", "emotion", "label", "votes", "start", "end_ms", "split", "gender", "turn", "id"])
WORDS = st.sampled_from(["joy", "angry;sad", "NA", "1e999", "0,5", '{"joy": 1}', "train", "\ud83d", "\\ud83d", "f", "=1"])


def ends(file: Path) -> None:
    """Parsing ends in a table or in one `CorpusError`, within two seconds."""
    begin = time.process_time()
    with suppress(CorpusError):
        parse_corpus("csv", file)
    assert time.process_time() - begin < 5


@settings(
    max_examples=int(os.environ.get("SER_FUZZ_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=st.lists(st.dictionaries(NAMES | st.text(max_size=3), WORDS | JSON, max_size=5) | JSON, max_size=4), data=st.data())
def test_any_json_lines_end_in_a_table_or_one_error(tmp_path: Path, rows: list[Any], data: st.DataObject) -> None:
    content = bytearray("\n".join(map(json.dumps, rows)).encode())
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6) | st.just(b"[" * 5000))
    file = tmp_path / "t.jsonl"
    file.write_bytes(content)
    ends(file)


@settings(
    max_examples=int(os.environ.get("SER_FUZZ_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    header=st.lists(NAMES | st.text(max_size=3), min_size=1, max_size=5),
    rows=st.lists(st.lists(WORDS | st.text(max_size=4), max_size=5), max_size=4),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "cp1252", "utf-16-le"]),
    junk=st.binary(max_size=3),
)
def test_any_delimited_text_ends_in_a_table_or_one_error(
    tmp_path: Path, header: list[str], rows: list[list[str]], delimiter: str, encoding: str, junk: bytes
) -> None:
    text = "\n".join(delimiter.join(cells) for cells in (header, *rows))
    file = tmp_path / "t.csv"
    file.write_bytes(text.encode(encoding, "replace") + junk)
    ends(file)
