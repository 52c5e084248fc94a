"""The one place where YAML is read: what it reads, what it refuses, and that nothing else comes of any text."""

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ser.errors import ConfigError
from ser.yaml_file import DEEPEST, LARGEST, parse_yaml, read_yaml

# PyYAML writes YAML 1.1, where some texts that are numbers in 1.2 (0E0, 0o7) need no quotes: no word begins as a number does.
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"]), max_size=8).filter(
    lambda text: re.match(r"[-+.]*\d", text) is None
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(WORDS, v, max_size=3), max_leaves=8)
_SIGNS = r"""a : - [ ] { } &x *x !! ! | > ' " \ # ? % --- ... << ~ no 1e9 .inf 1:30 2001-01-01 int bool é"""
PIECES = st.sampled_from([*_SIGNS.split(), "\n", " ", "  ", ": ", "- ", "\t", "\x00"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing\n", None),
        ("a:\n", {"a": None}),
        ("[yes, no, on, off, Yes]", ["yes", "no", "on", "off", "Yes"]),
        ("[true, False]", [True, False]),
        ("[1e-3, 1.5, -2, 010, 1_000, 1:30]", [0.001, 1.5, -2, 10, "1_000", "1:30"]),
        ("[.nan, .inf, 0x1F, 2001-01-01]", [".nan", ".inf", "0x1F", "2001-01-01"]),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("'1': \"1\"", {"1": "1"}),
    ],
)
def test_the_types_of_yaml_1_2(text: str, value: object) -> None:
    assert parse_yaml(text, "x") == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: 2\na: 3", "'a' twice (line 3"),
        ("a: &x [1]\nb: *x", "an alias, which is not read here (line 2"),
        ("a: {b: 1, 'b': 2}", "'b' twice (line 1"),
        ("1: a\n1: b", "'1' twice"),
        ("[" * 100_000, f"more than {DEEPEST} levels"),
        ("- " * 5_000, f"more than {DEEPEST} levels"),
        ("? [a]\n: b", "a key that is not a text"),
        ("!!python/object/apply:os.system [x]", "tag"),
        ("!!binary aGVsbG8=", "tag"),
        ("!!bool perhaps", "tagged as a truth value"),
        ("!!int x", "invalid literal"),
        ("9" * 5_000, "limit"),
        ("1e999", "1e999, which is not a finite number"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a: [", "; expected a value; found the end of the file (line 1"),
        ("fit: {runs: 5", "; expected ',' or '}'; found the end of the file (line 1, column 14)"),
        ("a: [1, 2}", "; expected ',' or ']'; found '}' (line 1"),
        ("fit:\n\truns: 5", "; found character '\\t' that cannot start any token (line 2"),
        ("fit:\n  runs: 5\n   head: mlp", "; found mapping values are not allowed here (line 3"),
        ("- a\nb: 1", "; expected a line that begins like those before it; found"),
        ("\x07", "special characters"),
    ],
)
def test_what_a_configuration_never_needs_is_refused_in_one_line(text: str, found: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_yaml(text, "cannot read it")
    assert error.value.line().startswith("cannot read it; ")
    assert found in error.value.line()
    assert not re.search("expected expected|found (found|expected|got)|<[a-z ]+>", error.value.line())


def test_aliases_that_would_grow_without_end(tmp_path: Path) -> None:
    levels = "".join(f"l{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 9)}]\n" for k in range(1, 12))
    (tmp_path / "x.yaml").write_text("l0: &l0 [a]\n" + levels)
    with pytest.raises(ConfigError, match="an alias"):
        read_yaml(tmp_path / "x.yaml", "configuration")


def test_only_small_regular_text_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff")
    (tmp_path / "large.yaml").write_text("#" * (LARGEST + 1))
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "twice.json").write_text('{"a": 1, "a": 2}')
    (tmp_path / "deep.json").write_text("[" * 50_000)
    (tmp_path / "nan.json").write_text("[NaN]")
    cases = {
        "none.yaml": "No such file",
        "bytes.yaml": "expected text in UTF-8",
        "large.yaml": f"expected at most {LARGEST} bytes",
        "folder.yaml": "a folder, not a file",
        "fifo.yaml": "a named pipe",
        "twice.json": "'a' twice",
        "deep.json": "too many levels",
        "nan.json": "not a finite number",
        "null\0.yaml": "null",
    }
    for name, found in cases.items():
        with pytest.raises(ConfigError) as error:
            read_yaml(tmp_path / name, "scheme")
        assert error.value.line().startswith("cannot read the scheme ")
        assert found in error.value.line()
    (tmp_path / "mark.yaml").write_bytes(b"\xef\xbb\xbfa: 1")  # as editors on Windows begin a file
    assert read_yaml(tmp_path / "mark.yaml", "scheme") == {"a": 1}


@given(VALUES)
@settings(deadline=None)
def test_what_pyyaml_writes_is_read_as_it_was(value: object) -> None:
    assert parse_yaml(yaml.safe_dump(value, allow_unicode=True), "x") == value


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60))
@settings(max_examples=int(os.environ.get("SER_FUZZ_EXAMPLES", "400")), deadline=None)
def test_any_text_is_a_value_or_one_error(text: str) -> None:
    begin = time.process_time()
    with suppress(ConfigError):
        assert _plain(parse_yaml(text, "x"), DEEPEST + 1)
    assert time.process_time() - begin < 5


def _plain(value: Any, levels: int) -> bool:
    if isinstance(value, (list, dict)):
        inner = list(value.values()) if isinstance(value, dict) else value
        return levels > 0 and all(_plain(v, levels - 1) for v in inner)
    return value is None or isinstance(value, (bool, int, float, str))
