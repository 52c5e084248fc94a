"""A run that one worker begins and another ends is the run of one worker, to the last bit."""

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import ser
from ser.train.experiments.fewshot import fewshot
from ser.train.experiments.fit import fit
from ser.train.fewshot.worker import train_source
from ser.train.loop.config import make_config
from ser.train.loop.data import Data
from ser.train.loop.handover import Handover, can_be_handed_over
from ser.train.loop.trainer import Stack, train
from ser.train.runs import costs, plan, scheduler
from ser.workers.engine import Engine


@pytest.mark.parametrize(
    ("kind", "head", "options"),
    [
        ("pooled+pooled", "cross_attention", {"head_options": {"hidden": 16}, "mixup": 0.4, "patience": 2}),
        ("frames", "cnn2d", {"band_masks": "1x2", "loss": "cross_entropy,prototype:0.1"}),  # buffers, beside the head
    ],
)
def test_two_pieces_are_one_training(
    kind: str, head: str, options: dict[str, Any], data: Callable[..., Data], tmp_path: Path
) -> None:
    toy, config = data(kind), make_config(head, epochs=6, batch_size=40, **options)
    assert can_be_handed_over(config)
    (whole,) = train(toy, config, [3])
    for until in (1, 5):
        begun = Handover(tmp_path / "run.begun", "me", until)
        (half,) = train(toy, config, [3], handover=begun)
        assert half.epochs == min(until, whole.epochs)
        train(toy, config, [3], handover=replace(begun, until=1))  # the same command beside it, which is behind: of no effect
        torch.manual_seed(99)  # nothing may depend on what the process did before
        (ended,) = train(toy, config, [3], handover=replace(begun, until=None))
        assert torch.equal(ended.weights, whole.weights)
        assert ended.seconds > half.seconds > 0
        assert ended.validated is not None
        assert whole.validated is not None
        assert all(map(torch.equal, ended.validated, whole.validated))
        same = {"weights": whole.weights, "validated": whole.validated}
        assert vars(replace(ended, seconds=0, **same)) == vars(replace(whole, seconds=0))


@pytest.mark.parametrize("left", ["nothing", "of another", "of another version", "cut short"])
def test_where_nothing_was_begun_a_run_is_trained_from_its_beginning(
    left: str, data: Callable[..., Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy, config, path = data(), make_config("linear", epochs=3), tmp_path / "run.begun"
    if left != "nothing":
        train(toy, config, [4], handover=Handover(path, "another" if left == "of another" else "me", 2))
        path.write_bytes(path.read_bytes()[: -100 if left == "cut short" else None])
    if left == "of another version":
        monkeypatch.setattr(ser, "__version__", "0")
    (whole,), (found,) = train(toy, config, [3]), train(toy, config, [3], handover=Handover(path, "me"))
    assert torch.equal(found.weights, whole.weights)
    assert found.curves == whole.curves


def test_who_ends_a_run_waits_for_the_worker_that_began_it(
    data: Callable[..., Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy, config = data(), make_config("linear", epochs=4)
    (whole,) = train(toy, config, [3])
    begun = Handover(tmp_path / "new" / "run.begun", "me", 2)
    started, go, epochs = threading.Event(), threading.Event(), list[tuple[str, int]]()
    real = Stack.train_epoch

    def slow(stack: Stack, epoch: int) -> Any:
        epochs.append((threading.current_thread().name, epoch))
        if len(epochs) == 1:
            started.set()
            assert go.wait(30)
        return real(stack, epoch)

    monkeypatch.setattr(Stack, "train_epoch", slow)
    first = threading.Thread(name="first", target=train, args=(toy, config, [3]), kwargs={"handover": begun})
    with ThreadPoolExecutor(1, thread_name_prefix="second") as pool:
        first.start()
        assert started.wait(30)
        second = pool.submit(train, toy, config, [3], handover=replace(begun, until=None))
        with pytest.raises(FutureTimeout):
            second.result(0.3)
        go.set()
        (ended,) = second.result(30)
    first.join()
    assert [(name[:6].rstrip("_"), epoch) for name, epoch in epochs] == [
        ("first", 1),
        ("first", 2),
        ("second", 3),
        ("second", 4),
    ]
    assert torch.equal(ended.weights, whole.weights)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["run.begun"]
    (tmp_path / "new" / "run.lock").touch()  # of a worker that was killed
    (ended,) = train(toy, config, [3], handover=replace(begun, until=None))
    assert torch.equal(ended.weights, whole.weights)
    replace(begun, until=None).end()
    assert not list((tmp_path / "new").iterdir())


def test_a_diverged_run_is_not_handed_over(data: Callable[..., Data], tmp_path: Path) -> None:
    handover = Handover(tmp_path / "run.begun", "me", 2)
    (half,) = train(data(), make_config("linear", epochs=4, lr=1e38, clip=0), [3], handover=handover)
    assert half.error is not None
    assert not handover.path.exists()


@pytest.mark.parametrize(
    "options", [{"average": "ema"}, {"snapshots": 2}, {"loss": "ccc_epoch", "target": "dimensions"}, {"head": "late"}]
)
def test_trainings_that_remember_more_are_not_handed_over(options: dict[str, Any]) -> None:
    assert can_be_handed_over(make_config("mlp"))
    assert not can_be_handed_over(make_config(**{"head": "mlp", **options}))


def test_the_odd_run_is_begun_first_and_ended_last(maker: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    maker.table("toy")
    maker.store("toy", "a")
    given: dict[str, Any] = {"epochs": 4, "runs": 3, "stack": 1, "head_options": {"hidden": 8}, "quiet": True}
    alone = fit("toy", maker.space, **given, jobs=1, output=tmp_path / "one.json")
    seen: list[tuple[list[int], int | None]] = []

    def here(function: Any, calls: Any, engine: Engine, what: str) -> Generator[tuple[int, Any], None, None]:
        for k, (train_unit, unit) in enumerate(calls):
            seen.append((unit.runs, unit.handover and unit.handover.until))
            yield k, function(train_unit, unit)
            if len(seen) == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(costs, "HALVED", 0.0)
    monkeypatch.setattr(scheduler, "is_short", lambda _: False)
    monkeypatch.setattr(plan, "cores", lambda: 2)
    monkeypatch.setattr(scheduler, "as_finished", here)
    folder = tmp_path / "two"
    with pytest.raises(KeyboardInterrupt):
        fit("toy", maker.space, **given, jobs=2, output=folder.with_suffix(".json"))
    assert [path.name for path in folder.iterdir()] == ["run-000.fold-official.begun"]
    (folder / "run-002.fold-official.lock").touch()  # of a worker that was killed, whose run is not halved again
    both = fit("toy", maker.space, **given, jobs=2, output=folder.with_suffix(".json"))
    assert seen == [([0], 2), ([1], 2), ([0], None), ([2], None), ([1], None)]  # what was begun is not halved again
    assert both["test"] == alone["test"]
    for path in (tmp_path / "one").glob("run-*.csv"):
        assert path.read_bytes() == (folder / path.name).read_bytes()
    assert not [*folder.glob("*.begun"), *folder.glob("*.lock")]


def test_the_odd_source_model_is_halved_too(maker: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("source", "target"):
        maker.table(name)
        maker.store(name, "a")
    given: dict[str, Any] = {"source": "source", "percentages": 50, "epochs": 4, "tune_epochs": 1, "runs": 3, "stack": 1}
    given |= {"head_options": {"hidden": 8}, "quiet": True}
    alone = fewshot("target", workspace=maker.space, **given, jobs=1, output=tmp_path / "one.json")
    seen: list[tuple[list[int], int | None]] = []

    def here(function: Any, calls: Any, engine: Engine, what: str) -> Generator[tuple[int, Any], None, None]:
        for k, (learn, unit) in enumerate(calls):
            if learn is train_source:
                seen.append((unit[1], unit[2] and unit[2].until))
            yield k, function(learn, unit)
            if len(seen) == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(costs, "HALVED", 0.0)
    monkeypatch.setattr("ser.train.fewshot.scheduler._is_short", lambda *_: False)
    monkeypatch.setattr(plan, "cores", lambda: 2)
    monkeypatch.setattr(scheduler, "as_finished", here)
    folder = tmp_path / "two"
    with pytest.raises(KeyboardInterrupt):
        fewshot("target", workspace=maker.space, **given, jobs=2, output=folder.with_suffix(".json"))
    assert [path.name for path in folder.glob("*.begun")] == ["run-000.fold-source.begun"]
    both = fewshot("target", workspace=maker.space, **given, jobs=2, output=folder.with_suffix(".json"))
    assert seen == [([0], 2), ([1], 2), ([0], None), ([2], None), ([1], None)]
    assert both["percentages"] == alone["percentages"]
    names = [path.name for path in (tmp_path / "one").glob("run-*.csv")]
    assert names
    assert all((tmp_path / "one" / n).read_bytes() == (folder / n).read_bytes() for n in names)
    assert not [*folder.glob("*.begun"), *folder.glob("*.lock")]


def test_units_are_halved_where_workers_would_be_idle(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"a": 3.0, "b": 9.0, "c": 9.0}

    def shared(names: str, jobs: int, able: bool = True) -> str:
        units: Any = [SimpleNamespace(name=n, job=SimpleNamespace(rungs=None)) for n in names]
        for unit in units:
            unit._replace = partial(replaced, unit)
        with monkeypatch.context() as patch:
            patch.setattr(costs, "_taken_over", lambda unit: unit)
            patch.setattr(costs, "_can_be_halved", lambda unit: able)
            patch.setattr(costs, "_half", lambda unit: 1)
            patch.setattr(costs, "handover_of", lambda unit, until=None: "begun" if until else "ended")
            patch.setattr(costs, "cost", lambda unit: seconds[unit.name])
            return " ".join(unit.name for unit in costs.shared_out(units, jobs))

    def replaced(unit: Any, handover: str) -> Any:
        return SimpleNamespace(name=f"{unit.name}-{handover}")

    assert shared("ab", 1) == "a b"
    assert shared("abac", 2, able=False) == "b c a a"  # long ones first, those of equal length as they are
    assert shared("abac", 2) == "b c a a"  # both workers end together
    assert shared("aaaaa", 2) == "a-begun a a a a a-ended"
    assert shared("bab", 2) == "b b a"  # 12 s, and with one halved 13.5
    assert shared("bbb", 2) == "b-begun b b b-ended"
    assert shared("bbb", 4) == "b b b"
    assert shared("ba", 2) == "b a"  # the second half would begin before the first has ended
    assert shared("a" * 41, 2) == " ".join("a" * 41)  # half a unit of twenty is little
