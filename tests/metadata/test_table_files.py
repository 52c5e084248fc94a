"""Files of tables that people made: encodings, delimiters, Excel."""

import os
import zipfile
from pathlib import Path

import pytest

from ser.errors import CorpusError
from ser.metadata import table_files
from ser.metadata.build import plugin_for
from ser.metadata.table_files import read_excel, read_rows

ROWS = [{"id": "u1", "emotion": "Fröhlich", "text": "one"}, {"id": "u2", "emotion": "sad", "text": "two, three"}]


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
