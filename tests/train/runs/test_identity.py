"""The identity of an experiment: what is asked and the data decide its name, code does not; old records stay of use."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ser.cli import main
from ser.jsonfile import plain
from ser.results.records.kinds import read_summary
from ser.results.records.names import config_hash
from ser.train.experiments.fit import fit
from ser.train.runs import identity
from ser.train.runs.experiment import fit_experiment
from ser.train.runs.joined_corpora import load
from ser.train.runs.options import FitOptions
from tests.conftest import copy_package

FAST: dict[str, Any] = {"epochs": 2, "runs": 2, "protocol": "official", "jobs": 1, "head_options": {"hidden": 8}}


def name_of(space: Any, **given: Any) -> str:
    options = FitOptions(space, **given)
    return fit_experiment(load("toy", options), options).name


def test_a_new_head_and_a_word_in_a_docstring_rename_nothing(maker: Any, tmp_path: Path) -> None:
    """In a copy of the package, whose files are changed."""
    maker.table("toy")
    maker.store("toy")
    copied = copy_package(tmp_path / "code")
    heads = copied / "train" / "heads"
    (heads / "scratch.py").write_text(f'"""A head of my own."""\n{(heads / "linear.py").read_text()}')
    for file in (heads / "mlp.py", copied / "train" / "loop" / "trainer.py", copied / "train" / "runs" / "worker.py"):
        file.write_text(file.read_text().replace('"""', '"""In one word: ', 1))
    words = ["fit", "--dataset", "toy", "--epochs", "2", "--runs", "1", "--protocol", "official", "--jobs", "1"]
    words += ["--workspace", str(maker.space.root)]
    assert main(words) == 0
    (summary,) = maker.space.results.glob("*.json")
    runs = {p: p.stat().st_mtime_ns for p in summary.with_suffix("").iterdir()}
    look = "from ser import cli, registry; print(cli.__file__, 'scratch' in registry.names('ser.train.heads'))"
    code = f"{look}; cli.main({words})"
    environment = {**os.environ, "PYTHONPATH": str(copied.parent)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[:2] == [str(copied / "cli.py"), "True"]
    assert run.stderr == f"{summary.stem}: all runs are there already, and nothing is trained\n"
    assert list(maker.space.results.glob("*.json")) == [summary]
    assert {p: p.stat().st_mtime_ns for p in summary.with_suffix("").iterdir()} == runs


def test_a_summary_of_fewer_runs_than_are_recorded_says_so(maker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    maker.table("toy")
    maker.store("toy")
    words = ["fit", "--epochs", "2", "--protocol", "official", "--jobs", "1", "--workspace", str(maker.space.root)]
    assert main([*words, "--runs", "3"]) == 0
    assert "are taken" not in capsys.readouterr().err
    assert main([*words, "--runs", "2"]) == 0
    assert capsys.readouterr().err.endswith(": of 3 recorded runs 2 are taken; all of them by --runs 3\n")
    assert main([*words, "--runs", "3", "--quiet"]) == 0
    assert main([*words, "--runs", "2", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_options_data_and_semantics_name_an_experiment(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    maker.table("toy")
    maker.store("toy")
    plain = name_of(maker.space)
    others = [
        name_of(maker.space, training={"lr": 1e-2}),
        name_of(maker.space, seed=1),
        name_of(maker.space, limit=0.0),
        name_of(maker.space, normalize="none"),
        name_of(maker.space, refit="never"),
        name_of(maker.space, split_seed=1, protocol="random"),
    ]
    monkeypatch.setattr(identity, "SEMANTICS", identity.SEMANTICS + 1)
    others.append(name_of(maker.space))
    monkeypatch.undo()
    maker.store("toy", strength=0.5)
    others.append(name_of(maker.space))
    assert len({plain, *others}) == 9
    maker.store("toy")
    same = [name_of(maker.space, runs=7), name_of(maker.space, device="cpu"), name_of(maker.space, jobs=2, stack=2)]
    assert {plain, *same} == {plain}


def as_before(path: Path) -> None:
    """Rewrite an experiment's records as they were when the code's hash was part of the configuration."""

    def rewritten(file: Path, **changes: Any) -> dict[str, Any]:
        content: dict[str, Any] = {**json.loads(file.read_text()), **changes}
        file.write_text(json.dumps(content))
        return content

    config = json.loads(path.read_text())["config"]
    del config["semantics"]
    config["code"] = {"train": "bf030968793d", "torch": "2.13.0+cpu"}
    summary = rewritten(path, config=config, config_hash=config_hash(config))
    for run in summary["runs"]:
        rewritten(path.parent / run["record"], config_hash=config_hash(config))


def test_records_of_the_old_form_are_read_listed_shown_and_verified(maker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    maker.table("toy")
    maker.store("toy")
    output = maker.space.results / "old.json"
    fit("toy", maker.space, output=output, **FAST)
    as_before(output)
    assert plain(read_summary(output))["config"]["code"]["train"] == "bf030968793d"
    for command in (["list"], ["show", "old"], ["verify", "old", "--strict"]):
        assert main(["results", *command, "--workspace", str(maker.space.root)]) == 0, command
        assert "old" in capsys.readouterr().out
    again = fit("toy", maker.space, **FAST)  # under its own name: nothing of another identity is resumed
    assert plain(read_summary(output))["pooled"] == json.loads(json.dumps(again["pooled"]))
