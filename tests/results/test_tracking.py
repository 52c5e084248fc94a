"""Trackers: TensorBoard and MLflow get what the records say, once; a package that is missing is told before training."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from ser.cli import cli
from ser.errors import ConfigError
from ser.registry import load, names
from ser.results import loggers as tracking
from ser.results.records.kinds import read_record, read_summary
from ser.results.result import Result

Write = Callable[..., tuple[Path, dict[str, Any]]]


def _scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_has_what_the_records_say(tmp_path: Path, write_experiment: Write) -> None:
    pytest.importorskip("tensorboard")
    path, summary = write_experiment(tmp_path, "one")
    for _ in range(2):  # given again, nothing is there twice
        (line,) = tracking.log(read_summary(path), path, ["tensorboard"])
    assert line == f"tensorboard --logdir {tmp_path / 'tensorboard'}"
    place = tmp_path / "tensorboard" / "one"
    assert len(list(place.iterdir())) == len(summary["runs"]) + 1
    files = [p.name for p in place.rglob("*") if p.is_file()]
    assert files == ["events.out.tfevents.0.ser"] * len(files)  # no name of a computer
    for run, record in zip(summary["runs"], Result(path, read_record(path)).records, strict=True):
        found = _scalars(place / Path(run["record"]).stem)
        for name, values in (record.curves or {}).items():
            assert [step for step, _ in found[f"curves/{name}"]] == list(range(1, len(values) + 1))
            assert [v for _, v in found[f"curves/{name}"]] == pytest.approx(values)
        assert found["test/UA"] == [(record.best_epoch, pytest.approx(record.test.UA))]
    assert _scalars(place / "summary")["pooled/UA"] == [(0, pytest.approx(summary["pooled"]["UA"]["mean"]))]


def test_mlflow_has_what_the_records_say(tmp_path: Path, write_experiment: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path, summary = write_experiment(tmp_path, "one")
    record = read_summary(path)
    tracking.log(record, path, ["mlflow"])
    later = replace(record, time=replace(record.time, seconds=99.0))
    tracking.log(later, path, ["mlflow"])  # the same numbers: nothing is added
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("one")
    runs = {r.data.tags["mlflow.runName"]: r for r in client.search_runs([experiment.experiment_id], run_view_type=3)}
    assert len(runs) == len(summary["runs"]) + 1
    parent = runs["one"]
    assert parent.data.metrics["pooled.UA"] == pytest.approx(summary["pooled"]["UA"]["mean"])
    assert parent.data.params["head"] == summary["config"]["head"]
    assert parent.data.tags["ser.stamps"] == summary["stamps"][0]
    record = Result(path, read_record(path)).records[0]
    run = runs[Path(summary["runs"][0]["record"]).stem]
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    history = client.get_metric_history(run.info.run_id, "curves.train_loss")
    assert [h.value for h in sorted(history, key=lambda h: h.step)] == pytest.approx((record.curves or {})["train_loss"])


@pytest.mark.parametrize("name", names(tracking.LOGGERS))
def test_every_logger_writes_below_the_folder_and_the_same_twice(tmp_path: Path, write_experiment: Write, name: str) -> None:
    pytest.importorskip(load(tracking.LOGGERS, name).PACKAGE)
    path, _ = write_experiment(tmp_path, "one")
    summary = read_summary(path)
    before = set(tmp_path.rglob("*"))

    def written() -> tuple[list[str], set[Path]]:
        lines = tracking.log(summary, path, [name])
        return lines, set(tmp_path.rglob("*")) - before

    first = written()
    assert len(first[0]) == 1
    assert str(tmp_path) in first[0][0]  # how to look at it
    assert first[1]
    assert written() == first
    assert not [p for p in first[1] if p.name.endswith(".tmp")]


def test_a_study_is_its_summaries(tmp_path: Path, write_experiment: Write) -> None:
    write_experiment(tmp_path, "one")
    write_experiment(tmp_path, "two")
    study: Any = SimpleNamespace(members=lambda: [(name, f"{name}.json") for name in ("one", "two", "one")])
    assert [s.record.experiment for s in tracking.members(study, tmp_path / "study.json")] == ["one", "two"]


@pytest.mark.parametrize("name", names(tracking.LOGGERS))
def test_a_missing_package_is_told_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("ser.optional.find_spec", lambda package: None)
    package = load(tracking.LOGGERS, name).PACKAGE
    result = CliRunner().invoke(cli, ["fit", "--dataset", "x", "--log", name, "--workspace", str(tmp_path)])
    assert isinstance(result.exception, ConfigError)
    assert result.exception.line() == (
        f"--log {name} needs the package {package}, which is not installed. Install it: pip install 'ser[{name}]'"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", [["--log", "wandb"], ["--log", "tensorboard,wandb"], ["--log", "mlflow", "--log", "wandb"]])
def test_an_unknown_tracker_is_refused(given: list[str]) -> None:
    result = CliRunner().invoke(cli, ["fit", *given])
    assert result.exit_code == 2
    assert "unknown logger 'wandb'; expected one of mlflow, tensorboard" in result.output


@pytest.mark.parametrize("given", [["--log", "tensorboard,mlflow"], ["--log", "tensorboard", "--log", "mlflow,tensorboard"]])
def test_several_trackers_are_taken_with_commas_or_one_by_one(given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[str, ...]] = []
    monkeypatch.setattr("ser.results.loggers.refuse_absent", taken.append)
    CliRunner().invoke(cli, ["fit", "--dataset", "x", *given])
    assert taken == [("tensorboard", "mlflow")]
