"""`ser.yaml`: each value is of its option's type; and the common options, before the command and after it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ser
from ser import outside
from ser.cli import main


def listed(folder: Path, *words: str) -> int:
    return main([*words, "results", "list", "--workspace", str(folder)])


@pytest.mark.parametrize(
    "content",
    ["null", "results: null", "results: {list: null}", "results: {list: {sort: null, limit: null, json: null}}", "---"],
)
def test_null_is_nothing_given(tmp_path: Path, content: str) -> None:
    (tmp_path / "ser.yaml").write_text(content)
    assert listed(tmp_path) == 0


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("limit: no", "limit of list; expected a whole number; found 'no'"),
        ("limit: true", "limit of list; expected a whole number; found true"),
        ("limit: 2.5", "limit of list; expected a whole number; found 2.5"),
        ("limit: [2]", "limit of list; expected a whole number; found 2"),
        ("json: 1", "json of list; expected true or false; found 1"),
        ("quiet: perhaps", "quiet of list; expected true or false; found perhaps"),
        ("dataset: {a: b}", "dataset of list; expected a text"),
        ("dataset: true", "dataset of list; expected a text"),
        ("dataset: [a, [b]]", "dataset of list; expected a text"),
        ("dataset: a\n      dataset: b", "'dataset' twice"),
        ("config: other.yaml", "unknown option of list in ser.yaml: 'config'"),
    ],
)
def test_a_value_of_another_type_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], section: str, message: str
) -> None:
    (tmp_path / "ser.yaml").write_text(f"results:\n    list:\n      {section}\n")
    assert listed(tmp_path) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_patience_no_is_not_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ser.yaml").write_text("fit: {patience: no}")
    assert main(["fit", "--workspace", str(tmp_path)]) == 2
    assert "patience of fit; expected a whole number" in capsys.readouterr().err


OWN = '''
import click
from ser.commands._base import Command, Session

@click.command("my_command", cls=Command)
@click.option("--word", default="none")
def command(session: Session, word: str) -> None:
    """Say a word."""
    click.echo(word)
'''


@pytest.mark.parametrize("key", ["my_command", "./my_command.py", "my_command.py"])
def test_a_section_of_one_s_own_command_is_read_by_it_and_passed_over_by_others(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(outside.VARIABLE, "")
    (tmp_path / "my_command.py").write_text(OWN)
    (tmp_path / "ser.yaml").write_text(f"{key}: {{word: hello}}\nresults: {{list: {{json: true}}}}")
    assert main(["results", "list"]) == 0
    assert capsys.readouterr().out == "[]\n"
    assert main(["./my_command.py"]) == 0
    assert capsys.readouterr().out == "hello\n"
    assert main(["./my_command.py", "--word", "bye"]) == 0
    assert capsys.readouterr().out == "bye\n"
    (tmp_path / "ser.yaml").write_text(f"{key}: {{wrd: hello}}")
    assert main(["./my_command.py"]) == 2
    assert "unknown option of my_command in ser.yaml: 'wrd'" in capsys.readouterr().err


def test_a_section_that_is_of_no_command_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(outside.VARIABLE, "")
    (tmp_path / "ser.yaml").write_text("whatever: {word: hello}")
    assert main(["results", "list"]) == 2
    assert "Is it a command of your own? Call it by its file: ./whatever.py" in capsys.readouterr().err
    (tmp_path / "my_command.py").write_text(OWN)
    (tmp_path / "ser.yaml").write_text("my_command: {word: a}\n./my_command.py: {word: b}")
    assert main(["./my_command.py"]) == 2
    assert "two sections of one command; found my_command and ./my_command.py" in capsys.readouterr().err


def test_one_option_in_two_spellings_is_given_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ser.yaml").write_text("fit: {batch-size: 8, batch_size: 16}")
    assert main(["fit", "--workspace", str(tmp_path)]) == 2
    assert "batch-size and batch_size, which is the same option" in capsys.readouterr().err


def test_help_is_given_whatever_the_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "ser.yaml").write_text("[")
    assert main(["fit", "--help", "--workspace", str(tmp_path)]) == 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-1, 1) | st.text("ab,=[", max_size=3),
    lambda v: st.lists(v, max_size=2) | st.dictionaries(st.text("ab", max_size=2), v, max_size=2),
    max_leaves=4,
)
KEYS = st.sampled_from(["sort", "limit", "json", "csv", "stamps", "no-stamps", "since", "kind", "dataset", "quiet", "x"])


@given(st.dictionaries(KEYS, VALUES, max_size=3))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_section_ends_in_a_result_or_one_error(tmp_path: Path, section: dict[str, object]) -> None:
    (tmp_path / "ser.yaml").write_text(yaml.safe_dump({"results": {"list": section}}))
    assert listed(tmp_path) in (0, 1, 2)


@pytest.mark.parametrize(
    "words",
    [
        ["--workspace", "W", "results", "list", "--json"],
        ["results", "--workspace", "W", "list", "--json"],
        ["results", "list", "--json", "--workspace", "W"],
        ["--workspace", "elsewhere", "results", "list", "--json", "--workspace", "W"],
        ["--config", "W/ser.yaml", "results", "list"],
        ["--workspace=W", "results", "list"],
    ],
)
def test_common_options_stand_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (tmp_path / "W").mkdir()
    (tmp_path / "W" / "ser.yaml").write_text("results: {list: {json: true}}")
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0
    assert capsys.readouterr().out == "[]\n"


def test_quiet_before_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(tmp_path, "--quiet") == 0
    assert capsys.readouterr().err == ""
    assert listed(tmp_path) == 0
    assert "No results" in capsys.readouterr().err


POOR = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def test_a_locale_without_a_character_loses_no_result(tmp_path: Path) -> None:
    """After hours of training, a poor locale must not end the command at its first arrow."""
    code = (
        "import ser.results.listing, click\n"
        "from ser.cli import entry\n"
        "def listed(folder, quiet):\n"
        "    click.echo('0.5 \\u2192 0.1')\n"
        "    return [], []\n"
        "ser.results.listing.list_results = listed\n"
        "entry()\n"
    )
    words = [sys.executable, "-c", code, "results", "list", "--workspace", str(tmp_path)]
    done = subprocess.run(words, env=POOR | {"PYTHONIOENCODING": "latin-1"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "0.5 \\u2192 0.1\n")


def test_a_corpus_outside_ascii_under_a_locale_of_ascii(tmp_path: Path) -> None:
    """Labels, speakers, names of files and texts, from the table to the record: all files are in UTF-8."""
    rows = ["utterance_id,path,emotion,speaker,text"]
    for speaker in ("Łukasz", "Żaneta", "李"):
        for pitch, label in ((200, "злость"), (300, "悲")):
            time = np.arange(8000) / 16000
            soundfile.write(tmp_path / f"{speaker}-{label}.wav", 0.1 * np.sin(2 * np.pi * pitch * time), 16000)
            rows.append(f"{speaker}-{label},{speaker}-{label}.wav,{label},{speaker},Žluťoučký кот")
    (tmp_path / "tabulka-ž.csv").write_text("\n".join(rows), encoding="utf-8")
    fit = "fit --audio mfcc --head linear --scheme native --protocol speaker --epochs 1 --runs 1 --jobs 1"
    commands = (
        "metadata --dataset d --from tabulka-ž.csv",
        "extract --dataset d --audio mfcc --level utterance --jobs 1",
        f"{fit} --dataset d --output results/výsledek.json",
    )
    typed = [command.encode() for command in commands]  # as words of a command line come, whatever the locale
    code = (
        f"import os, sys\nfrom ser.cli import entry\nfor command in {typed!r}:\n"
        "    sys.argv = ['ser', *os.fsdecode(command).split()]\n    try:\n        entry()\n"
        "    except SystemExit as end:\n        assert not end.code, command"
    )
    paths = {"PYTHONPATH": str(Path(ser.__file__).parents[1])}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=POOR | paths, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[-500:] if done.returncode else "") == (0, "")
    for name in ("metadata/d.csv", "results/výsledek.json"):
        content = (tmp_path / name).read_text(encoding="utf-8")
        assert "злость" in content
        assert "Łukasz" in content


@pytest.mark.parametrize(
    ("section", "words", "left_out", "kept"),
    [
        ("{epochs: 4, runs: 1}", ["--head", "sklearn:RidgeClassifier"], ["epochs"], ["--runs 1"]),
        ("{epochs: 4, lr: 1e-3, runs: 1}", ["--head", "sklearn:RidgeClassifier"], ["epochs", "lr"], []),
        (
            "{head: mlp, head_option: {hidden: 16, alpha: 2}, runs: 1}",
            ["--head", "sklearn:RidgeClassifier"],
            ["head_options.hidden"],
            ["--head-option alpha=2"],
        ),
        ("{time_masks: 1x4, runs: 1, epochs: 2, jobs: 1}", [], ["time_masks"], ["--epochs 2"]),
        ("{folds: 3, runs: 1, epochs: 2, jobs: 1}", ["--protocol", "official"], ["folds"], []),
        ("{stack: 2, runs: 1}", ["--head", "sklearn:RidgeClassifier"], ["stack"], []),
    ],
)
def test_a_default_that_means_nothing_to_a_call_is_left_out(
    maker: Any, capsys: pytest.CaptureFixture[str], section: str, words: list[str], left_out: list[str], kept: list[str]
) -> None:
    maker.table("d")
    maker.store("d")
    root = maker.space.root
    (root / "ser.yaml").write_text(f"fit: {section}")
    assert main(["fit", "--workspace", str(root), *words]) == 0
    said = capsys.readouterr().err
    for name in left_out:
        assert f"{name} of the configuration file is left out: " in said
    (record,) = (root / "results").glob("*.json")
    command = json.loads(record.read_text())["command"]
    assert command.startswith(f"ser fit --workspace {root}")
    for word in kept:
        assert f" {word}" in command
    for name in left_out:
        assert name.partition(".")[0].replace("_", "-") not in command or "=" in command


def test_an_option_that_was_typed_is_never_left_out(maker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    maker.table("d")
    maker.store("d")
    (maker.space.root / "ser.yaml").write_text("fit: {epochs: 4}")
    words = ["fit", "--workspace", str(maker.space.root), "--head", "sklearn:RidgeClassifier"]
    assert main([*words, "--epochs", "5"]) == 2
    assert "--epochs means nothing to head sklearn:RidgeClassifier" in capsys.readouterr().err
