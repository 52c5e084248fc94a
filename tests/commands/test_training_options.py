"""Options of the training commands that are refused or read before any training."""

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import ser
from ser import registry
from ser.cli import main
from ser.train.loop.config import Config
from ser.train.runs.options import option_fields


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of the call of `ser.train.experiments.fit.fit`, whose options are checked."""
    from ser.train.experiments.fit import fit as real
    from ser.train.runs.options import read_options

    calls: list[dict[str, Any]] = []

    def fit(dataset: str, workspace: str, *, head: str, final: bool, **options: Any) -> dict[str, Any]:
        read_options(real, workspace, head, options)
        calls.append(options)
        return {}

    monkeypatch.setattr("ser.train.experiments.fit.fit", fit)
    monkeypatch.setattr("ser.commands.fit.report", lambda *_: None)
    return calls


def run(tmp_path: Path, *words: str) -> int:
    return main(["fit", "--dataset", "d", "--workspace", str(tmp_path), *words])


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices(tmp_path: Path, fitted: list[dict[str, Any]], device: str) -> None:
    assert run(tmp_path, "--device", device) == 0
    assert fitted[0]["device"] == device


@pytest.mark.parametrize("device", ["foo", "cuda:", "cuda:x", " "])
def test_an_unknown_device_is_refused_in_one_line(
    tmp_path: Path, fitted: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], device: str
) -> None:
    assert run(tmp_path, "--device", device) == 2
    said = capsys.readouterr().err
    assert "expected auto, cpu, cuda, cuda:N, cuda:all or mps" in said
    assert said.count("\n") == 1
    assert fitted == []


@pytest.mark.parametrize(
    "content",
    [
        "{hidden: 256, rate: 1.0e-5, gate: true, sizes: [8, 4]}",
        "[hidden=256, rate=1.0e-5, gate=true, 'sizes=8,4']",
        "hidden=256 rate=1.0e-5 gate=true sizes=8,4",
    ],
)
def test_head_options_of_the_configuration(tmp_path: Path, fitted: list[dict[str, Any]], content: str) -> None:
    (tmp_path / "ser.yaml").write_text(f"fit:\n  head_option: {content}\n")
    assert run(tmp_path) == 0
    assert fitted[0]["head_options"] == {"hidden": 256, "rate": 1e-5, "gate": True, "sizes": "8,4"}
    assert run(tmp_path, "--head-option", "hidden=8") == 0
    assert fitted[1]["head_options"] == {"hidden": 8}


def test_lists_of_the_configuration(tmp_path: Path, fitted: list[dict[str, Any]]) -> None:
    (tmp_path / "ser.yaml").write_text("fit: {audio: [mfcc, egemaps], head_option: {name: '7'}}")
    assert run(tmp_path) == 0
    assert fitted[0]["audio"] == ["mfcc", "egemaps"]
    assert fitted[0]["head_options"] == {"name": "7"}


@pytest.mark.parametrize(("named", "other"), [("audio", "text"), ("text", "audio")])
def test_a_store_of_a_modality_that_is_left_out_is_refused(
    tmp_path: Path, fitted: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], named: str, other: str
) -> None:
    assert run(tmp_path, f"--{named}", "x", "--modalities", other) == 2
    assert f"--{named} x contradicts --modalities {other}" in capsys.readouterr().err
    assert fitted == []
    assert run(tmp_path, f"--{named}", "x", "--modalities", named) == 0


def test_a_head_option_that_is_no_value_is_refused_in_one_line(
    tmp_path: Path, fitted: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--head-option", "hidden=[") == 2
    assert capsys.readouterr().err.startswith("ser: --head-option hidden=[; expected KEY=VALUE")
    assert run(tmp_path, "--head-option", "hidden=8", "--head-option", "hidden=9") == 2
    assert capsys.readouterr().err.startswith("ser: --head-option hidden is given twice; expected each key once")
    assert fitted == []


FUNCTIONS = [name for name in ser.__all__ if hasattr(getattr(ser, name), "without")]
OPTIONS_OF = {"search": "fit", "matrix": "transfer"}  # functions that are options of another's command


@pytest.mark.parametrize(("command", "function"), [(OPTIONS_OF.get(name, name), name) for name in FUNCTIONS])
def test_the_command_line_and_python_have_the_same_options(command: str, function: str) -> None:
    """Options of experiments and of training: each is stated once, for both."""
    typed = {str(p.name) for p in registry.load("ser.commands", command).command.params}
    python = set(inspect.signature(getattr(ser, function)).parameters)
    stated = {*option_fields(), *(f.name for f in fields(Config))}
    of_python_alone = {"stores", "quiet"}  # --audio, --text and --visual name stores; quiet is an option of all commands
    # `ser transfer --target` is a corpus, and a matrix has none.
    of_command_alone = {"search": {"save"}, "matrix": {"target"}}.get(function, set())
    assert python & stated - of_python_alone == typed & stated - {"quiet"} - of_command_alone
