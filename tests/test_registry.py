"""The folder is the registry: a new file of any kind is found, and named in help and errors, with no other file touched."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ser
from ser import registry
from ser.errors import ConfigError
from tests.conftest import copy_package

ROOT = Path(ser.__file__).parent
KINDS = registry.kinds()


def folder_of(package: str) -> Path:
    return ROOT.joinpath(*package.split(".")[1:])


def test_the_kinds_of_plugins() -> None:
    assert {
        "adaptation method",
        "command",
        "corpus",
        "encoder",
        "few-shot method",
        "head",
        "kind of study",
        "logger",
        "loss",
        "picture",
        "report format",
    } <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_a_plugin_and_no_other_name_is(kind: str) -> None:
    files = {p.stem for p in folder_of(KINDS[kind]).iterdir() if p.suffix == ".py" and not p.name.startswith("_")}
    assert set(registry.names(KINDS[kind])) == files
    assert files
    assert list(registry.names(KINDS[kind])) == sorted(files)


@pytest.mark.parametrize("kind", KINDS)
def test_every_plugin_opens_with_one_line_that_says_what_it_is(kind: str) -> None:
    for name in registry.names(KINDS[kind]):
        text = (folder_of(KINDS[kind]) / f"{name}.py").read_text(encoding="utf-8")
        first = (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
        assert len(first) > 10, f"{KINDS[kind]}.{name} has no docstring"


# Run where a copy of the package is that has a new file of every kind; prints what users would see.
LOOK = """
import json, sys
from click.testing import CliRunner
from ser import registry
from ser.cli import cli
from ser.errors import ConfigError

runner, pages = CliRunner(), {}
def walk(command, words):
    pages[" ".join(words)] = runner.invoke(cli, [*words, "--help"]).output
    for name in getattr(command, "commands", ()):
        walk(command.commands[name], [*words, name])
for name in registry.names("ser.commands"):
    walk(cli.get_command(None, name), [name])
pages[""] = runner.invoke(cli, ["--help"]).output
for words in (["corpora"], ["encoders"], ["heads"], ["losses"], ["adaptations"], ["results", "schema"]):
    pages[" ".join(words) + " (listing)"] = runner.invoke(cli, words).output
errors = {}
for kind, package in registry.kinds().items():
    try:
        registry.load(package, "zz_nwe")
    except ConfigError as error:
        errors[kind] = str(error)
print(json.dumps({"ser": registry.__file__, "pages": pages, "errors": errors}))
"""


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Help pages, listings and errors of a copy of the package with a new file of every kind."""
    copy = tmp_path_factory.mktemp("copy")
    copy_package(copy)
    for kind, package in KINDS.items():
        folder = copy.joinpath(*package.split("."))
        neighbours = registry.names(package)
        neighbour = "mfcc" if kind == "encoder" else neighbours[0]  # two encoders cannot have the same checkpoints
        text = (folder / f"{neighbour}.py").read_text(encoding="utf-8")
        text = re.sub(r'^ENDING = "\.\w+"', 'ENDING = ".zz"', text, flags=re.MULTILINE)
        text = re.sub(r'"ser\.\w+/1"', '"ser.zz_new/1"', text)  # of a study's record
        (folder / f"{new_name(kind)}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        env={**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "500"},
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, dict[str, str]] = json.loads(done.stdout.splitlines()[-1])
    assert str(seen.pop("ser")).startswith(str(copy))
    return seen


def new_name(kind: str) -> str:
    return "zz_new_" + kind.replace(" ", "_").replace("-", "_")


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_file_is_named_in_help_and_errors(kind: str, look: dict[str, dict[str, str]]) -> None:
    name = new_name(kind)
    shown = ".zz" if kind == "report format" else name
    assert [page for page, text in look["pages"].items() if name in text or shown in text], f"no help page names {name}"
    assert look["errors"][kind].startswith(f"unknown {kind} 'zz_nwe'; expected one of ")
    assert name in look["errors"][kind]


def test_a_new_folder_with_a_kind_is_a_new_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("beta.py", "alpha.py", "_private.py", "notes.txt"):
        (tmp_path / "things").mkdir(exist_ok=True)
        (tmp_path / "things" / name).write_text('"""A thing."""\n')
    (tmp_path / "things" / "__init__.py").write_text('"""Things."""\n\nKIND = "thing"\n')
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setattr(registry, "_HERE", tmp_path)
    monkeypatch.setattr(registry, "kinds", registry.kinds.__wrapped__)
    registry.names.cache_clear()
    assert registry.kinds() == {"thing": "ser.things"}
    assert registry.names("ser.things") == ("alpha", "beta")
    with pytest.raises(ConfigError, match=r"unknown thing 'gamma'; expected one of alpha, beta"):
        registry.load("ser.things", "gamma")
    registry.names.cache_clear()


def test_an_unknown_name_lists_what_there_is_and_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.load("ser.train.losses", "crossentropy")
    message = str(caught.value)
    assert message.startswith("unknown loss 'crossentropy'")
    for name in registry.names("ser.train.losses"):
        assert name in message
    assert "Did you mean 'cross_entropy'?" in message


def test_nothing_near_names_nothing() -> None:
    assert "Did you mean" not in str(registry.unknown("head", "xyzzy", ("mlp", "linear")))
    assert "there are none" in str(registry.unknown("head", "mlp", ()))


def test_contributing_names_every_kind_and_files_that_are_there() -> None:
    text = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for kind, package in KINDS.items():
        assert f"| {kind} | `{package.replace('.', '/')}/`" in text
    for path in re.findall(r"`((?:ser|tests)/[\w/.]+)`|pytest (tests/[\w/.]+)", text):
        name = path[0] or path[1]
        assert "NAME" in name or (ROOT.parent / name).exists(), name  # NAME stands for the new plugin's
