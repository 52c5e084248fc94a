"""Benchmarks as presets: what they fix, what they lack, and published numbers beside ours."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from ser.cli import main
from ser.errors import ConfigError
from ser.jsonfile import read_object
from ser.metadata.corpus import CORPORA
from ser.registry import names
from ser.results.benchmarks import LINEAR, MLP, preset, presets
from ser.results.records.model import METRICS, MORE_METRICS
from ser.results.records.result import read_result
from ser.results.report.benchmark import benchmark_section, leaderboard
from ser.results.report.blocks import Table
from ser.train.experiments.benchmark import benchmark
from ser.train.experiments.fit import fit
from ser.train.heads._base import options_of
from ser.train.loop.config import Config
from ser.train.runs.options import OF_COMMANDS, option_fields, read_options


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_of_a_known_corpus_and_fixes_known_options(name: str) -> None:
    one = preset(name)
    assert one.corpus in names(CORPORA)
    assert one.metric in (*METRICS, *MORE_METRICS)
    assert {"scheme", "protocol", "head", "normalize"} <= set(one.options)
    assert all(0 < value < 1 for value in one.published.values())
    options = {k: v for k, v in one.options.items() if k != "head"}
    assert read_options(fit, ".", str(one.options["head"]), options).protocol == one.options["protocol"]


NOT_FIXED = {
    "stores",
    "audio",
    "text",
    "visual",
    "modalities",
    "runs",
    "save",
    "output",
    "log",
    "jobs",
    "stack",
    "device",
    "quiet",
    "backend",
    "address",
}
NONE = {"views", "layer", "folds", "fold_file"}  # None: the original audio, all layers, all folds of the protocol


@pytest.mark.parametrize("name", presets())
def test_a_preset_leaves_no_option_of_training_to_a_default(name: str) -> None:
    options = preset(name).options
    config = {f.name for f in fields(Config)} - set(OF_COMMANDS)
    lacking = (set(option_fields()) | config | {"head"}) - NOT_FIXED - NONE - set(options)
    assert lacking == set()
    assert set(options["head_options"]) == set(options_of(str(options["head"]))) - {"pooling"}
    assert options_of(str(options["head"]))["pooling"] == "mean"  # as presets say; it is refused of pooled features


def test_presets_have_the_numbers_that_they_had_with_the_defaults_of_fit(maker: Any) -> None:
    maker.table("a", speakers=4)
    maker.store("a")
    few: dict[str, Any] = {"protocol": "speaker", "scheme": "native", "runs": 1, "jobs": 1}
    results = [
        fit("a", maker.space, **{**options, **few}) for options in ({"head": "mlp"}, MLP, {"head": "linear"}, LINEAR)
    ]
    for before, after in (results[:2], results[2:]):
        assert before["experiment"] == after["experiment"]
        assert before["pooled"] == after["pooled"]


@pytest.fixture
def ours(maker: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A small corpus under the name of EmoDB, and a benchmark on it that takes seconds."""
    maker.table("emodb", speakers=6, corpus="emodb")
    maker.store("emodb", "toy")
    quick = {**preset("emobox-emodb").options, "protocol": "speaker", "folds": 3, "epochs": 3}
    monkeypatch.setattr("ser.train.experiments.benchmark.preset", lambda name: _with(preset(name), quick))
    return maker


def _with(one: Any, options: dict[str, Any]) -> Any:
    from dataclasses import replace

    return replace(one, options=options)


def test_published_values_stand_beside_ours_with_their_place_in_our_interval(ours: Any) -> None:
    summary = benchmark("emobox-emodb", ours.space, audio="toy", runs=2, jobs=1)
    record = read_result(summary["experiment"], ours.space.results).record
    own = preset("emobox-emodb")
    section = benchmark_section("emobox-emodb", own, record)
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    assert table.rows[0][1] == "toy"
    mean, (low, high) = summary["test"]["UA"]["mean"], summary["pooled"]["UA"]["ci_95_speakers"]
    for row in table.rows[1:]:
        value = own.published[row[1]]
        assert row[5] == f"{mean - value:+.3f}"
        assert row[6] == ("yes" if low <= value <= high else "above" if value > high else "below")
    assert "The benchmark has 535 utterances, this result 96" in str(section.blocks[-1])
    row = leaderboard("emobox-emodb", own, record)
    assert row["UA"] == round(100 * mean, 2)
    assert (row["model"], row["runs"]) == ("toy", 2)


def test_what_is_missing_is_named_with_its_command(maker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="there is no table of iemocap: ser metadata --dataset iemocap --root DIR"):
        benchmark("superb-er", maker.space)
    maker.table("emodb", corpus="emodb")
    workspace = ["--workspace", str(maker.space.root)]
    assert main(["benchmark", "emobox-emodb", "--dry-run", *workspace]) == 3
    assert "would run: ser fit --dataset emodb" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="the table emodb is of emodb; --dataset names one of ravdess"):
        benchmark("emobox-ravdess", maker.space, dataset="emodb")
    maker.store("emodb", "toy")
    assert main(["benchmark", "emobox-emodb", "--audio", "toy", "--dry-run", *workspace]) == 3
    assert "protocol emobox does not fit: it needs published folds, which lie in " in capsys.readouterr().out
    assert main(["benchmark", "nothing", *workspace]) == 1
    assert "unknown benchmark 'nothing'" in capsys.readouterr().err


def test_the_command_lists_runs_and_writes(ours: Any, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = ["--workspace", str(ours.space.root)]
    assert main(["benchmark", "list", *workspace]) == 0
    assert "superb-er" in capsys.readouterr().out
    run = ["benchmark", "emobox-emodb", "--audio", "toy", "--runs", "1", "--jobs", "1", "--quiet", *workspace]
    assert main(run) == 0
    assert "hubert-base" in capsys.readouterr().out
    assert main([*run, "--format", "md"]) == 0
    (file,) = Path(ours.space.results).glob("*.emobox-emodb.md")
    assert "hubert-base" in file.read_text(encoding="utf-8")
    (record,) = Path(ours.space.results).glob("*.json")
    assert read_object(record, "summary")["command"].startswith("ser benchmark emobox-emodb")
