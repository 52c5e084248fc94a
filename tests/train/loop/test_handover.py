"""A run that one worker begins and another ends is the run of one worker, to the last bit."""

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ser.train.experiments.fit import fit
from ser.train.loop.config import make_config
from ser.train.loop.data import Data
from ser.train.loop.handover import Handover, can_be_handed_over
from ser.train.loop.trainer import train
from ser.train.runs import plan, scheduler
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
        torch.manual_seed(99)  # nothing may depend on what the process did before
        (ended,) = train(toy, config, [3], handover=replace(begun, until=None))
        assert torch.equal(ended.weights, whole.weights)
        assert ended.seconds > half.seconds > 0
        assert vars(replace(ended, weights=whole.weights, seconds=0)) == vars(replace(whole, seconds=0))


@pytest.mark.parametrize("left", ["nothing", "of another", "cut short"])
def test_where_nothing_was_begun_a_run_is_trained_from_its_beginning(
    left: str, data: Callable[..., Data], tmp_path: Path
) -> None:
    toy, config, path = data(), make_config("linear", epochs=3), tmp_path / "run.begun"
    if left != "nothing":
        train(toy, config, [4], handover=Handover(path, "another" if left == "of another" else "me", 2))
        path.write_bytes(path.read_bytes()[: -100 if left == "cut short" else None])
    (whole,), (found,) = train(toy, config, [3]), train(toy, config, [3], handover=Handover(path, "me"))
    assert torch.equal(found.weights, whole.weights)
    assert found.curves == whole.curves


def test_a_diverged_run_is_not_handed_over(data: Callable[..., Data], tmp_path: Path) -> None:
    handover = Handover(tmp_path / "run.begun", "me", 2)
    (half,) = train(data(), make_config("linear", epochs=4, lr=1e38, clip=0), [3], handover=handover)
    assert half.error is not None
    assert not handover.path.exists()


@pytest.mark.parametrize(
    "options",
    [{"average": "ema"}, {"snapshots": 2}, {"loss": "ccc_epoch", "target": "dimensions"}, {"head": "late"}],
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

    monkeypatch.setattr(plan, "SHORT", 0.0)
    monkeypatch.setattr(plan, "cores", lambda: 2)
    monkeypatch.setattr(scheduler, "as_finished", here)
    folder = tmp_path / "two"
    with pytest.raises(KeyboardInterrupt):
        fit("toy", maker.space, **given, jobs=2, output=folder.with_suffix(".json"))
    assert [path.name for path in folder.iterdir()] == ["run-002.fold-official.begun"]
    both = fit("toy", maker.space, **given, jobs=2, output=folder.with_suffix(".json"))
    assert seen == [([2], 2), ([1], 2), ([0], None), ([2], None), ([1], None)]  # what was begun is not halved again
    assert both["test"] == alone["test"]
    for path in (tmp_path / "one").glob("run-*.csv"):
        assert path.read_bytes() == (folder / path.name).read_bytes()
    assert not list(folder.glob("*.begun"))


def test_units_are_halved_where_workers_would_be_idle(
    maker: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    units: list[Any] = [object() for _ in range(5)]
    monkeypatch.setattr(plan, "_taken_over", lambda unit: unit)
    monkeypatch.setattr(plan, "_can_be_halved", lambda unit: False)
    assert plan.shared_out(units, 2) == units
    asked: list[Any] = []
    monkeypatch.setattr(plan, "_can_be_halved", asked.append)
    for count, jobs, looked in (
        (5, 2, True),
        (5, 4, True),
        (4, 2, False),
        (1, 2, False),
        (7, 4, False),
        (41, 2, False),
    ):
        asked.clear()
        assert plan.shared_out((units * 9)[:count], jobs) == (units * 9)[:count]
        assert bool(asked) == looked, (count, jobs)
