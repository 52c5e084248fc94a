"""The command in a record trains the same again, whatever is extracted and configured later."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ser.cli import cli, main
from ser.train.experiments import ablate

FEW = ["--runs", "1", "--epochs", "2", "--jobs", "1", "--protocol", "speaker", "--folds", "3"]


def records(space: Any) -> dict[str, str]:
    """The command of each record of a workspace."""
    found = {p: json.loads(p.read_text(encoding="utf-8")) for p in space.results.glob("*.json")}
    return {p.name: record["command"] for p, record in found.items()}


@pytest.mark.parametrize(
    ("words", "stores"),
    [
        (["fit", "--dataset", "a"], ["--audio", "toy", "--text", "words"]),
        (["fit", "--dataset", "a", "--modalities=audio"], ["--audio", "toy"]),
        (["ablate", "--dataset", "a", "--head", "early"], ["--audio", "toy", "--text", "words"]),
        (["layers", "--dataset", "a"], ["--audio", "toy"]),
        (["transfer", "--source", "a", "--target", "b"], ["--audio", "toy"]),
        (["combine", "--datasets", "a,b"], ["--audio", "toy"]),
        (["transfer", "--matrix"], ["--datasets", "a,b", "--audio", "toy"]),
        (["fewshot", "--source", "a", "--target", "b", "--percentages", "50"], ["--audio", "toy"]),
    ],
)
def test_stores_are_resolved(maker: Any, words: list[str], stores: list[str]) -> None:
    for name in ("a", "b"):
        maker.table(name, each=2)
        maker.store(name, layers=(0.2, 0.9) if words[0] == "layers" else ())
    if words[0] in ("fit", "ablate"):
        maker.store("a", "words", modality="text")
    (maker.space.root / "ser.yaml").write_text("{fit: {lr: 1e-2}, ablate: {lr: 1e-2}, fewshot: {lr: 1e-2}}")
    common = ["--quiet", "--workspace", str(maker.space.root)]
    assert main([*words, *FEW, *common]) == 0
    before = records(maker.space)
    (command,) = set(before.values())
    recorded = shlex.split(command)
    assert recorded[-len(stores) :] == stores
    assert recorded[:2] == ["ser", words[0]]

    for name in ("a", "b"):  # now the stores must be named
        maker.store(name, "other")
        maker.store(name, "more", modality="text")
    (maker.space.root / "ser.yaml").unlink()
    runs = {p: p.stat().st_mtime_ns for p in Path(maker.space.results).glob("*/*.csv")}
    assert main([*words, *FEW, *common]) == 2
    assert main(recorded[1:]) == 0
    assert records(maker.space) == before
    assert {p: p.stat().st_mtime_ns for p in Path(maker.space.results).glob("*/*.csv")} == runs


def test_all_stores_are_named_where_no_variant_has_them_all(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    maker.table("a")
    maker.store("a")
    maker.store("a", "words", modality="text")
    alone = [("words alone", "mlp", ["words"]), (ablate.FULL, "mlp", ["toy"])]
    monkeypatch.setattr(ablate, "parts", lambda *_: alone)
    assert main(["ablate", "--dataset", "a", *FEW, "--quiet", "--workspace", str(maker.space.root)]) == 0
    (command,) = set(records(maker.space).values())
    assert shlex.split(command)[-4:] == ["--audio", "toy", "--text", "words"]


def test_the_command_is_recorded_whoever_calls_it(maker: Any) -> None:
    maker.table("a")
    maker.store("a")
    words = ["fit", "--dataset", "a", *FEW, "--quiet"]
    assert CliRunner().invoke(cli, [*words, "--workspace", str(maker.space.root)]).exit_code == 0
    assert shlex.join(["ser", *words]) in next(iter(records(maker.space).values()))
