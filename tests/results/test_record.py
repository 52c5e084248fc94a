"""Records: written whole, validated, read back the same, refused when damaged; summaries recomputed from predictions."""

import copy
import dataclasses
import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jsonschema import Draft202012Validator
from msgspec import UNSET, convert
from msgspec.structs import replace

from ser import jsonfile
from ser.errors import ConfigError, TrainingError
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.records.environment import environment
from ser.results.records.kinds import kinds, model_of, read_summary
from ser.results.records.model import RunResult, Spread, Summary
from ser.results.records.names import config_hash, run_name
from ser.results.records.numbers import METRICS
from ser.results.stored import runs
from ser.results.stored.summary import FinishedExperiment, summarise_fewshot

Simulate = Callable[..., pd.DataFrame]
Write = Callable[..., tuple[Path, dict[str, Any]]]
CLASSES = ["anger", "happiness", "neutral", "sadness"]


@pytest.fixture
def run(simulate: Simulate, record_of: Callable[..., dict[str, Any]]) -> tuple[RunResult, pd.DataFrame]:
    frame = simulate(runs=1, folds=2)
    part = frame[frame["fold"] == "2"].reset_index(drop=True)
    return convert(record_of(part, "trial", CLASSES, config_hash="0123456789ab"), RunResult), part


def test_config_hash_ignores_order_and_container_types() -> None:
    a = config_hash({"head": "mlp", "sizes": (512, 256), "file": Path("x"), "lr": np.float64(0.1)})
    assert a == config_hash({"lr": 0.1, "file": "x", "sizes": [512, 256], "head": "mlp"})
    assert a != config_hash({"lr": 0.2, "file": "x", "sizes": [512, 256], "head": "mlp"})
    assert len(a) == 12
    assert set(a) <= set("0123456789abcdef")


def test_run_names_differ_for_different_folds() -> None:
    folds = ["1", "01", "10", "Ses01", "a b", "a_b", "a/b", "a\\b", "ä", "ö", "..", "s" * 250, "s" * 249]
    assert len({run_name(0, f) for f in folds}) == len(folds)
    assert all(set(run_name(0, f)) <= set("abcdefghijklmnopqrstuvwxyzS0123456789_.-") for f in folds)
    assert max(len(run_name(0, f, 12.5)) for f in folds) < 255 - len(".safetensors.12345678-abcdef.tmp")
    assert run_name(1, "2", 10) != run_name(1, "2", 10.5) != run_name(1, "2")


def test_git_is_asked_without_taking_its_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    from ser.results.records import environment as module

    asked: list[dict[str, str]] = []
    run = module.subprocess.run
    monkeypatch.setattr(module.subprocess, "run", lambda *a, env, **k: asked.append(env) or run(*a, env=env, **k))
    module._run(Path.cwd(), "--version")
    assert [env["GIT_OPTIONAL_LOCKS"] for env in asked] == ["0"]


def test_environment_names_versions_and_no_machine() -> None:
    found = environment("cpu")
    assert found.packages["numpy"] == np.__version__
    assert found.device == "cpu"
    assert str(Path.home()) not in jsonfile.dumps(found)


def test_environment_says_whether_compiled_kernels_train(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "ser.train.nn.inplace_gradients"
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(are_compiled=lambda: True))
    assert (environment("cpu").kernels, environment("mps").kernels) == (True, False)
    assert environment("cpu", trained=False).kernels is UNSET
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(are_compiled=lambda: False))
    assert environment("cpu").kernels is False
    monkeypatch.delitem(sys.modules, module)
    found = environment("cpu")
    assert "kernels" not in jsonfile.plain(found)  # nothing was trained; records of before lack it too
    assert jsonfile.check(jsonfile.plain(found), type(found), "environment") == found


def test_a_run_comes_back_as_it_was(tmp_path: Path, run: tuple[RunResult, pd.DataFrame]) -> None:
    content, frame = run
    runs.write_run(tmp_path, content, frame)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run-000.fold-02.csv", "run-000.fold-02.json"]
    found = runs.read_run(tmp_path, 0, "2")
    assert found is not None
    written = jsonfile.plain(content)
    assert {k: v for k, v in jsonfile.plain(found[0]).items() if k in written} == written
    pd.testing.assert_frame_equal(found[1], frame, check_dtype=False)
    assert found[1]["p_anger"].dtype == np.float32
    assert (found[1]["p_anger"] == frame["p_anger"]).all()


def test_odd_names_survive(tmp_path: Path, run: tuple[RunResult, pd.DataFrame]) -> None:
    content, frame = run
    frame = frame.assign(speaker="NA", fold="Phoebe, Sr. ä/b", gender="")
    frame.loc[0, "utterance_id"] = '007,"nan"'
    runs.write_run(tmp_path, replace(content, fold="Phoebe, Sr. ä/b"), frame)
    found = runs.read_run(tmp_path, 0, "Phoebe, Sr. ä/b")
    assert found is not None
    assert found[1]["utterance_id"][0] == '007,"nan"'
    assert set(found[1]["speaker"]) == {"NA"}
    assert set(found[1]["gender"]) == {""}


@pytest.mark.parametrize("ending", [".json", ".csv"])
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "empty"])
def test_a_damaged_run_is_none(tmp_path: Path, run: tuple[RunResult, pd.DataFrame], ending: str, damage: str) -> None:
    runs.write_run(tmp_path, *run)
    path = tmp_path / f"run-000.fold-02{ending}"
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        changed = bytearray(data)
        changed[20] ^= 0x80
        path.write_bytes({"cut": data[: len(data) // 2], "flipped": bytes(changed), "empty": b""}[damage])
    assert runs.read_run(tmp_path, 0, "2") is None


def test_another_run_is_none(tmp_path: Path, run: tuple[RunResult, pd.DataFrame]) -> None:
    runs.write_run(tmp_path, *run)
    assert runs.read_run(tmp_path, 1, "2") is None
    assert runs.read_run(tmp_path, 0, "1") is None
    assert runs.read_run(tmp_path, 0, "2", percentage=10) is None
    assert runs.read_run(tmp_path, 0, "2", config_hash="ba9876543210") is None
    assert runs.read_run(tmp_path, 0, "2", config_hash="0123456789ab") is not None
    for ending in (".json", ".csv"):  # a copy under another run's name is not that run
        (tmp_path / f"run-005.fold-02{ending}").write_bytes((tmp_path / f"run-000.fold-02{ending}").read_bytes())
    assert runs.read_run(tmp_path, 5, "2") is None


def test_fewshot_runs_are_kept_apart(tmp_path: Path, run: tuple[RunResult, pd.DataFrame]) -> None:
    content, frame = run
    for share in (0.0, 10.0, 12.5):
        runs.write_run(tmp_path, replace(content, percentage=share), frame.assign(percentage=share))
    found = runs.read_run(tmp_path, 0, "2", percentage=12.5)
    assert found is not None
    assert set(found[1]["percentage"]) == {12.5}
    assert len(list(tmp_path.glob("*.json"))) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": "one"}, "seed"),
        ({"n": {"train": 3}}, "validation"),
        ({"test": {"UA": 0.5}}, "WA"),
        ({"test": {"UA": 1.5, "WA": 0, "WF1": 0, "Macro_F1": 0}}, "1.5"),
        ({"curves": {"loss": [1.0, float("nan")]}}, r"not finite at \$\.curves\.loss\[1\]"),
        ({"seconds": float("inf")}, "not finite"),
        ({"notes": "text"}, "notes"),
        ({"notes": [object()]}, "object"),
    ],
)
def test_a_wrong_run_is_refused_and_nothing_is_written(
    tmp_path: Path, run: tuple[RunResult, pd.DataFrame], change: dict[str, Any], words: str
) -> None:
    with pytest.raises((ConfigError, TrainingError), match=words):
        runs.write_run(tmp_path, replace(run[0], **change), run[1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_the_schemas_are_draft_2020_12(kind: str) -> None:
    made = jsonfile.json_schema(kinds()[kind])
    Draft202012Validator.check_schema(made)
    assert made["$schema"].endswith("draft/2020-12/schema")


def test_a_summary_can_be_recomputed_from_its_predictions(tmp_path: Path, write_experiment: Write) -> None:
    path, written = write_experiment(tmp_path)
    summary = jsonfile.plain(read_summary(path))
    assert summary == written
    again = jsonfile.plain(metrics_from_predictions(runs.read_predictions(path), CLASSES))
    assert again == {key: summary[key] for key in again}
    assert summary["test"]["UA"]["n"] == 3
    assert len(summary["runs"]) == 6
    for row in summary["runs"]:
        stored = json.loads((tmp_path / row["record"]).read_text())
        assert (stored["run"], stored["fold"], stored["seed"]) == (row["run"], row["fold"], row["seed"])
        assert (tmp_path / row["predictions"]).is_file()


def test_the_mean_of_the_runs_own_scores_is_the_summarys(tmp_path: Path, write_experiment: Write) -> None:
    path, summary = write_experiment(tmp_path)
    for metric in METRICS:
        own: dict[int, list[float]] = {}
        for row in summary["runs"]:
            stored = json.loads((path.parent / row["record"]).read_text())
            own.setdefault(row["run"], []).append(stored["test"][metric])
        assert summary["test"][metric]["values"] == pytest.approx([np.mean(own[r]) for r in sorted(own)])


def test_a_fewshot_summary(tmp_path: Path, write_experiment: Write, simulate_fewshot: Simulate) -> None:
    path, _ = write_experiment(tmp_path, "shots", frame=simulate_fewshot((0, 10, 12.5)))
    summary = jsonfile.plain(read_summary(path))
    assert list(summary["percentages"]) == ["10%", "12.5%"]
    assert summary["percentages"]["10%"]["n_samples"] == 40
    frame = runs.read_predictions(path)
    for share, stored in ((0.0, summary["source"]["zero_shot"]), (12.5, summary["percentages"]["12.5%"])):
        again = metrics_from_predictions(frame[frame["percentage"] == share], CLASSES)
        assert stored["test"] == jsonfile.plain(again.test)
        assert stored["pooled"] == jsonfile.plain(again.pooled)
    source = metrics_from_predictions(frame[frame["percentage"] == 0], CLASSES)
    assert summary["source"]["validation"] == jsonfile.plain(source.validation)
    assert "test" not in summary


def test_fewshot_sizes_that_differ_are_described(simulate_fewshot: Simulate, record_of: Callable[..., dict[str, Any]]) -> None:
    frame = simulate_fewshot((10,))
    records = []
    for number, (_, part) in enumerate(frame.groupby(["run", "fold"])):
        content = record_of(part, "x", CLASSES, percentage=10.0)
        records.append(convert({**content, "n": {**content["n"], "train": 40 + number % 2}}, RunResult))
    finished = FinishedExperiment("x", "fewshot", {}, {}, [], records, frame, CLASSES, "2026-01-01", 1)
    summary = summarise_fewshot(finished)
    assert summary.percentages["10%"].n_samples == Spread(mean=40.5, min=40, max=41)
    assert "source" not in summary
    zero = frame.assign(percentage=0.0)
    with pytest.raises(TrainingError, match="no few-shot predictions"):
        summarise_fewshot(dataclasses.replace(finished, predictions=zero))


def test_the_start_is_written_in_utc(tmp_path: Path, write_experiment: Write) -> None:
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    _, summary = write_experiment(tmp_path, started=started)
    assert summary["time"]["started"] == "2026-01-02T01:04:05+00:00"


def _without(*keys: str) -> Callable[[dict[str, Any]], None]:
    def change(summary: dict[str, Any]) -> None:
        for key in keys[:-1]:
            summary = summary[key]
        del summary[keys[-1]]

    return change


def _with(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(summary: dict[str, Any]) -> None:
        for key in keys[:-1]:
            summary = summary[key]
        summary[keys[-1]] = value

    return change


WRONG = [
    *(_without(key) for key in ("test", "pooled", "confusion_matrix", "per_class", "groups", "validation")),
    *(_without(key) for key in ("experiment", "command", "config", "config_hash", "data", "stamps", "runs", "time")),
    _without("test", "UA"),
    _without("test", "UA", "values"),
    _with("test", "UA", "mean", value=1.2),
    _with("test", "UA", "mean", value=None),
    _with("test", "UA", "sd", value=0.1),
    _with("pooled", "UA", "ci_95", value=[0.1]),
    _with("schema", value="ser.summary/2"),
    _with("config_hash", value="xyz"),
    _with("runs", value=[]),
    _with("runs", 0, "seed", value=1.5),
    _with("confusion_matrix", "counts", value=[[0.5]]),
    _with("per_class", "anger", "recall", value=2),
    _with("stamps", value="a stamp"),
    _with("percentages", value={"ten": {}}),
]


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory, write_experiment: Write) -> dict[str, Any]:
    _, summary = write_experiment(tmp_path_factory.mktemp("valid"))
    content: dict[str, Any] = jsonfile.plain(summary)
    return content


@pytest.mark.parametrize("change", WRONG)
def test_a_wrong_summary_is_neither_written_nor_read(
    tmp_path: Path, valid: dict[str, Any], change: Callable[[dict[str, Any]], None]
) -> None:
    path = tmp_path / "x.json"
    jsonfile.write_json(path, valid, Summary)
    before = path.read_bytes()
    wrong = copy.deepcopy(valid)
    change(wrong)
    with pytest.raises(ConfigError):
        jsonfile.write_json(path, wrong, model_of(wrong))
    assert path.read_bytes() == before
    path.write_text(json.dumps(wrong))
    with pytest.raises(ConfigError):
        read_summary(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read the summary"),
        (b"", "damaged or cut short"),
        (b'{"schema": "ser.sum', "damaged or cut short"),
        (b"\xff\xfe\x00", "damaged or cut short"),
        (b"[1]", "expected a JSON object"),
        (b'{"schema": "ser.run/1"}', "found 'ser.run/1'"),
        (b'{"schema": "ser.summary/1"}', "missing required field"),
    ],
)
def test_errors_of_reading_are_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        read_summary(path)
    assert "x.json" in str(caught.value)


def test_json_is_compact_and_the_same_content() -> None:
    value = {"a": list(range(100)), "b": {"c": [1.5, None, True], "ä": "x" * 200}, "d": [{"e": "f" * 90}] * 2, "g": []}
    text = jsonfile.dumps(value)
    assert json.loads(text) == value
    assert "ä" in text
    assert len(text.splitlines()) < 15
